# shellcheck shell=bash disable=SC2154 # sourced by check.sh --full
# What only the larger set has: a C library that knows its own store path, and
# the programs of full.nix and apps.nix.

loader=$glibc/lib/ld-linux-x86-64.so.2
python=$(path python3)
perl=$(path perl)
git=$(path git)
coreutils=$(path coreutils)

# ---- the C library -----------------------------------------------------------

loader_strings=$(strings "$loader")
holds "ld.so holds its own directory" "$loader_strings" "$glibc/lib/"
holds "ld.so holds its own cache" "$loader_strings" "$glibc/etc/ld.so.cache"
empty "ld.so has no directory of the host" "$(grep -E '^/(usr/|lib)|^/etc/ld\.so' <<< "$loader_strings" || true)"
libc_strings=$(strings "$glibc/lib/libc.so.6")
for part in lib/gconv lib/locale share/locale libexec/getconf; do
  holds "libc holds its $part" "$libc_strings" "$glibc/$part"
done
same "glibc's outputs" '["out","bin","dev"]' \
  "$(nix-instantiate --eval --json -E '(import <nixpkgs> {}).full.glibc.outputs')"
same "glibc refers to itself alone" glibc-2.36 "$(references glibc)"
same "glibc.bin's references" "glibc-2.36" "$(references glibc.bin)"
empty "glibc.dev refers to nothing" "$(references glibc.dev)"
empty "glibc's programs have no RUNPATH" "$(
  for file in "$(path glibc.bin)"/bin/*; do readelf -Wd "$file" 2> /dev/null | grep RUNPATH || true; done
)"
same "getconf's interpreter" "$loader" \
  "$(readelf -Wl "$(path glibc.bin)/bin/getconf" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')"
same "libgcc_s is beside libc" yes "$([ -f "$glibc/lib/libgcc_s.so.1" ] && echo yes)"
same "headers are glibc.dev's" yes "$([ -f "$(path glibc.dev)/include/stdio.h" ] && echo yes)"

bin=$(path glibc.bin)/bin
same "iconv, by a gconv module" a4e9 "$(printf '\xe3\x82\x89' | env -i "$bin/iconv" -f UTF-8 -t EUC-JP | od -An -tx1 | tr -d ' ')"
holds "its module is the store's" "$(env -i LD_DEBUG=files "$bin/iconv" -f UTF-8 -t EUC-JP /dev/null 2>&1)" \
  "$glibc/lib/gconv/EUC-JP.so"
same "locale: C.UTF-8" UTF-8 "$(env -i LC_ALL=C.UTF-8 "$bin/locale" charmap)"
holds "locale -a" "$(env -i "$bin/locale" -a)" C.utf8
holds "getent" "$(env -i "$bin/getent" passwd root)" 'root:x:0:0'
same "getconf -v runs libexec's" 64 "$(env -i "$bin/getconf" -v POSIX_V7_LP64_OFF64 LONG_BIT)"
# It warns of categories POSIX lacks, and its status is 1 then.
env -i "$bin/localedef" -c -i POSIX -f UTF-8 "$work/made.utf8" 2> /dev/null || true
same "localedef reads share/i18n" yes "$([ -f "$work/made.utf8/LC_CTYPE" ] && echo yes)"
holds "ldd" "$("$bin/ldd" "$nginx/bin/nginx")" "$glibc/lib/libc.so.6"
empty "a thread's end loads the store's libgcc_s" "$(
  maps=$("$probe" --thread-exit --maps | grep libgcc_s || true)
  case $maps in *"$glibc/lib/libgcc_s.so.1"*) ;; *) echo "maps: $maps" ;; esac
)"

# ---- small programs ----------------------------------------------------------

same "coreutils is one program" coreutils "$(readlink "$coreutils/bin/cat")"
same "its programs are links" 1 "$(find "$coreutils/bin" -type f | wc -l)"
same "coreutils: ls" sub "$(mkdir -p "$work/ls/sub" && "$coreutils/bin/ls" "$work/ls")"
same "coreutils: stdbuf" x "$("$coreutils/bin/stdbuf" -oL "$coreutils/bin/echo" x)"
same "sed" bbc "$(echo abc | "$(path gnused)/bin/sed" s/a/b/)"
same "grep -P (pcre2)" 42 "$(echo a42b | "$(path gnugrep)/bin/grep" -oP '\d+(?=b)')"
same "egrep is a script with a store path" ab "$(echo ab | "$(path gnugrep)/bin/egrep" 'a|x' 2> /dev/null)"
same "awk" 3 "$(echo '1 2' | "$(path gawk)/bin/awk" '{ print $1 + $2 }')"
same "sqlite3" 3.40.1 "$("$(path sqlite.bin)/bin/sqlite3" :memory: 'select sqlite_version()')"
same "bzip2, xz" same "$(echo same | "$(path bzip2.bin)/bin/bzip2" | "$(path bzip2.bin)/bin/bzcat" |
  "$(path xz.bin)/bin/xz" | "$(path xz.bin)/bin/xz" -dc)"
same "hello" 'Hello, world!' "$(env -i "$(path hello)/bin/hello")"
holds "hello holds its share/locale" "$(strings "$(path hello)/bin/hello")" "$(path hello)/share/locale"
same "hello's translation (gettext)" 'Hallo, Welt!' \
  "$(env -i LC_ALL=C.UTF-8 LANGUAGE=de "$(path hello)/bin/hello")"
holds "less" "$(env -i TERM=xterm "$(path less)/bin/less" --version)" 'less 590'
holds "less needs ncurses" "$(readelf -d "$(path less)/bin/less")" libncursesw.so.6
same "tput" $'\e[1m' "$(env -i "$ncurses/bin/tput" -T xterm bold)"

curl=$(path curl.bin)/bin/curl
holds "curl" "$("$curl" --version)" OpenSSL/3.0
holds "curl has zlib" "$("$curl" --version)" zlib/1.2.13
holds "libcurl holds the CA file" "$(strings "$(path curl)/lib/libcurl.so.4")" /etc/ssl/certs/ca-certificates.crt

# ---- perl --------------------------------------------------------------------

holds "perl's libperl is in CORE" "$(readelf -d "$perl/bin/perl")" "$perl/lib/perl5/5.36.0/x86_64-linux-thread-multi/CORE"
holds "libperl holds its @INC" \
  "$(strings "$perl"/lib/perl5/5.36.0/*/CORE/libperl.so)" "$perl/lib/perl5/site_perl/5.36.0"
same "perl, core modules" '2 a/b é 3 1' "$(env -i "$perl/bin/perl" -MPOSIX=floor -MFile::Spec -MEncode -MList::Util=sum \
  -MIO::File -MData::Dumper -MTime::HiRes=time -MSocket -MStorable -MDigest::SHA -MCompress::Zlib -MCwd \
  -e 'print join(" ", floor(2.5), File::Spec->catfile("a", "b"), encode("UTF-8", "\x{e9}"), sum(1, 2), crypt("a", "ab") ? 1 : 0), "\n"')"
empty "perl looks for modules in the store alone" \
  "$(env -i "$perl/bin/perl" -e 'print "$_\n" for @INC' | grep -v "^$perl/lib/perl5/" || true)"
plapp=$(path plapp)
same "plapp" "name $plapp/bin/plapp
file $plapp/bin/plapp
line 11
args a b
module $plapp/lib/perl5/site_perl/PlApp.pm
greets PlApp 1
data data of plapp
same yes
again name $plapp/bin/plapp" "$(env -i "$plapp/bin/plapp" a b | head -n 9)"
same "plapp's __DATA__" "DATA 1 first, from $plapp/bin/plapp
DATA 2 second" "$(env -i "$plapp/bin/plapp" a b | tail -n 2)"

# ---- python ------------------------------------------------------------------

py=$python/bin/python3.11
holds "libpython holds its prefix" "$(strings "$python/lib/libpython3.11.so.1.0")" "$python"
same "python3 is a link" python3.11 "$(readlink "$python/bin/python3")"
same "python's modules" ok "$(env -i "$py" -W ignore -c '
import ssl, sqlite3, encodings.idna, multiprocessing, ctypes, curses, readline, zlib, bz2, lzma, hashlib, venv, crypt
import decimal, socket, select, mmap, pyexpat, unicodedata, uuid, asyncio
assert sqlite3.sqlite_version == "3.40.1" and ssl.OPENSSL_VERSION.startswith("OpenSSL 3.0")
assert ctypes.CDLL(None).getpid() > 0 and hashlib.sha256(b"").digest()
print("ok")')"
empty "python's extension modules all load" "$(
  for file in "$python"/lib/python3.11/lib-dynload/*.so; do
    name=${file##*/}
    name=${name%%.*}
    env -i "$py" -W ignore -c "import $name" 2>&1 | tail -n 1
  done
)"
empty "no extension module failed to build" "$(find "$python" -name '*_failed.so')"
same ".pyc files record the time stamp 1" 0x1 "$(env -i "$py" -c '
import struct
print(hex(struct.unpack("<I", open("'"$python"'/lib/python3.11/__pycache__/os.cpython-311.pyc", "rb").read(12)[8:])[0]))')"
holds ".pyc files are used (os itself is frozen)" "$(env -i "$py" -v -c 'import json' 2>&1)" \
  "code object from '$python/lib/python3.11/json/__pycache__/decoder.cpython-311.pyc'"
holds ".pyc files name the store" "$(strings "$python/lib/python3.11/__pycache__/os.cpython-311.pyc")" "$python/lib/python3.11/os.py"
empty "python refers to no dev output" "$(nix-store -q --references "$python" | grep -- '-dev$' || true)"
env -i PATH=/nowhere "$py" -m venv "$work/venv" 2> "$work/venv.log" || cat "$work/venv.log"
holds "python -m venv brings pip" "$(env -i "$work/venv/bin/python" -m pip --version 2>&1)" "pip 22.3.1 from $work/venv/"
for program in pyapp pyapp-sh; do
  pyapp=$(path pyapp)
  same "$program" "file $pyapp/bin/.$program-wrapped
argv0 $pyapp/bin/$program
args ['a b', '--spawn']
path0 $pyapp/bin
executable $py
module $(path pyapp-lib)/lib/python3.11/site-packages/pyapp_lib.py
greets hello from pyapp_lib
data data of pyapp
same True
PYAPP_HOME $pyapp/share/pyapp
spawned [1, 4, 9]" "$(env -i "$pyapp/bin/$program" 'a b' --spawn 2>&1)"
done

# ---- git ---------------------------------------------------------------------

core=$git/libexec/git-core
holds "git holds its templates" "$(strings "$git/bin/git")" share/git-core/templates
holds "git holds its prefix" "$(strings "$git/bin/git")" "$git"
same "git's exec path is joined to it" "$core" "$(env -i "$git/bin/git" --exec-path)"
same "git's own commands are links" git "$(readlink "$core/git-add")"
same "git-remote-https is git-remote-http" git-remote-http "$(readlink "$core/git-remote-https")"
holds "git-sh-setup names sed by its store path" "$(cat "$core/git-sh-setup")" "$(path gnused)/bin/sed"
holds "git-submodule names basename by its store path" "$(cat "$core/git-submodule")" "$coreutils/bin/basename"
empty "no such name was replaced within another path" \
  "$(grep -nE '/nix/store/[^ ]*/nix/store/' "$core"/git-* --binary-files=without-match || true)"
g() {
  env -i PATH="$coreutils/bin" HOME="$work/home" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x \
    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@x FILTER_BRANCH_SQUELCH_WARNING=1 \
    "$git/bin/git" -c init.defaultBranch=main \
    -c protocol.file.allow=always "$@" 2>&1
}
mkdir "$work/home"
g init -q "$work/repo"
same "git init copies its templates" yes "$([ -f "$work/repo/.git/hooks/pre-commit.sample" ] && echo yes)"
echo one > "$work/repo/file"
g -C "$work/repo" add file
holds "git commit" "$(g -C "$work/repo" commit -m first)" '1 file changed'
holds "git clone file://" "$(g clone "file://$work/repo" "$work/clone")" 'Cloning into'
same "the clone has the file" one "$(cat "$work/clone/file")"
holds "git submodule -h" "$(g -C "$work/repo" submodule -h || true)" 'usage: git submodule'
g -C "$work/clone" submodule add "file://$work/repo" sub > "$work/submodule.log" || cat "$work/submodule.log"
holds "git submodule add, status" "$(g -C "$work/clone" submodule status)" ' sub (heads/main)'
same "git grep -P (pcre2)" 'file:one' "$(g -C "$work/repo" grep -P 'o(?=ne)')"
holds "git-remote-http is found" "$(g ls-remote http://127.0.0.1:1/x || true)" "unable to access 'http://127.0.0.1:1/x/'"
holds "git send-email is perl" "$(g send-email -h || true)" 'git send-email'
holds "git add -p is perl" "$(printf 'q\n' | g -C "$work/repo" -c add.interactive.useBuiltin=false add -p)" 'No changes'
holds "git filter-branch (sed, tr, awk of the store)" \
  "$(g -C "$work/repo" -c core.pager=cat filter-branch -f --msg-filter "$(path gnused)/bin/sed s/first/second/" HEAD || true)" \
  "Ref 'refs/heads/main' was rewritten"
