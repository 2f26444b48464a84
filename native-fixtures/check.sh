#!/usr/bin/env bash
# Asserts that the built fixtures have the shape of nixpkgs' packages and that
# every program works, with tools that have no part in building them.
# One PASS or FAIL line per assertion; the exit status is 1 after a FAIL.
#
#   native-fixtures/check.sh           the small set
#   native-fixtures/check.sh --full    the larger set: the same assertions, and
#                                      those of check-full.sh
set -euo pipefail
export LC_ALL=C

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=native-fixtures/env.sh
. "$here/env.sh"

case ${1-} in
'') set='' farm=all all=$("$here/setup.sh") ;;
--full) set=full. farm=full-all all=$("$here/setup.sh" full-all) ;;
*)
  echo "usage: check.sh [--full]" >&2
  exit 2
  ;;
esac
work=$(mktemp -d)
nginx_pid=
cleanup() {
  [ -z "$nginx_pid" ] || kill "$nginx_pid" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

passed=0
failed=0
pass() {
  echo "PASS $1"
  passed=$((passed + 1))
}
# fail NAME [WHY]
fail() {
  echo "FAIL $1"
  [ -z "${2-}" ] || printf '     %s\n' "${2//$'\n'/$'\n'     }"
  failed=$((failed + 1))
}
# empty NAME TEXT: passes where there is no text, which would be the reasons.
empty() { if [ -z "$2" ]; then pass "$1"; else fail "$1" "$2"; fi; }
# same NAME WANTED GOT
same() {
  if [ "$2" = "$3" ]; then pass "$1"; else
    fail "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") || true)"
  fi
}
# holds NAME TEXT PATTERN: a fixed string.
holds() {
  if grep -qF -- "$3" <<< "$2"; then pass "$1"; else fail "$1" "not there: $3"; fi
}

# path ATTR[.OUTPUT]
path() { readlink "$all/$1"; }
glibc=$(path glibc)
bash=$(path bash)

# ---- ELF files ---------------------------------------------------------------

# grep only to look at fewer files one by one.
mapfile -t elf < <(
  for link in "$all"/*; do grep -rlaP '\x7fELF' "$(readlink "$link")" || true; done | sort -u |
    while read -r file; do
      case $file in /nix/store/*-glibc-*) continue ;; esac
      [ "$(head -c 4 "$file" | tr -d '\0')" != $'\x7fELF' ] || echo "$file"
    done
)
same "there are ELF files" yes "$([ ${#elf[@]} -gt 40 ] && echo yes || echo "${#elf[@]}")"

programs=0
bad_interp='' bad_rpath='' no_runpath='' bad_needed='' debug='' host='' unresolved=''
for file in "${elf[@]}"; do
  headers=$(readelf -Wl "$file")
  dynamic=$(readelf -Wd "$file")
  interp=$(sed -n 's/.*program interpreter: \(.*\)\]/\1/p' <<< "$headers")
  runpath=$(sed -n 's/.*(RUNPATH).*\[\(.*\)\]/\1/p' <<< "$dynamic")
  if [ -n "$interp" ]; then
    programs=$((programs + 1))
    [ "$interp" = "$glibc/lib/ld-linux-x86-64.so.2" ] || bad_interp+="$file: $interp"$'\n'
    traced=$(LD_TRACE_LOADED_OBJECTS=1 "$file" | grep -vE 'linux-vdso|/nix/store/' || true)
    [ -z "$traced" ] || unresolved+="$file: $traced"$'\n'
  fi
  if grep -q '(RPATH)' <<< "$dynamic"; then bad_rpath+="$file has DT_RPATH"$'\n'; fi
  IFS=: read -ra dirs <<< "$runpath"
  for dir in "${dirs[@]}"; do
    case $dir in
    /nix/store/*) [ -d "$dir" ] || bad_rpath+="$file: no $dir"$'\n' ;;
    *) bad_rpath+="$file: $dir"$'\n' ;;
    esac
  done
  mapfile -t needed < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<< "$dynamic")
  for library in "${needed[@]}"; do
    found=
    for dir in "${dirs[@]}"; do [ ! -e "$dir/$library" ] || found=1; done
    [ -n "$found" ] || bad_needed+="$file: $library"$'\n'
  done
  # A library that needs none has none left after shrinking, as in nixpkgs.
  [ -n "$runpath" ] || ((${#needed[@]} == 0)) || no_runpath+="$file"$'\n'
  if readelf -WS "$file" | grep -F ' .debug_' > /dev/null; then debug+="$file"$'\n'; fi
  # Debian's own libraries have its directories compiled in, like glibc.
  case $file in "$(path libstdcxx)"/* | "$(path libxcrypt)"/*) continue ;; esac
  if strings "$file" | grep -E '/usr/(local/)?include/|/lib/x86_64|nix-build-' > /dev/null; then
    host+="$file"$'\n'
  fi
done
same "there are programs" yes "$([ $programs -gt 20 ] && echo yes || echo "$programs")"
empty "every program's interpreter is the store's ld.so" "$bad_interp"
empty "every ELF file that needs a library has a RUNPATH" "$no_runpath"
empty "no RPATH; RUNPATH has only directories of the store" "$bad_rpath"
empty "every NEEDED library is in the file's own RUNPATH" "$bad_needed"
empty "the loader takes every library from the store" "$unresolved"
empty "no debug sections" "$debug"
empty "no library directory of the host, no build directory in ELF files" "$host"

same "RUNPATH is shrunk to what is needed" "$glibc/lib" \
  "$(readelf -Wd "$(path probe)/bin/probe" | sed -n 's/.*(RUNPATH).*\[\(.*\)\]/\1/p')"

# ---- scripts -----------------------------------------------------------------

others=$(
  for link in "$all"/*; do find "$(readlink "$link")" -type f -perm -100; done | sort -u |
    while read -r file; do
      [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ] || continue
      first=$(head -n 1 "$file")
      case $first in
      "#!$bash/bin/bash"* | "#! $bash/bin/bash -e" | "#!$bash/bin/sh"*) ;;
      "#!"/nix/store/*-perl-*/bin/perl* | "#!"/nix/store/*-python3-*/bin/python3.11) [ -n "$set" ] || echo "$file" ;;
      '#!/bin/bash') [ "${file##*/}" = ldd ] || echo "$file" ;;
      *) echo "${file##*/} $first" ;;
      esac
    done
)
same "scripts have the store's bash, but for the two that must not" \
  $'env-sh #!/usr/bin/env bash\nplain-sh #!/bin/sh' "$others"

# ---- what is compiled in -----------------------------------------------------

nginx=$(path nginx)
openssl=$(path openssl)
ncurses=$(path ncurses)
plugin_host=$(path plugin-host)
holds "nginx holds its prefix" "$(strings "$nginx/bin/nginx")" "$nginx/"
holds "libcrypto holds its etc/ssl" "$(strings "$openssl/lib/libcrypto.so.3")" "$openssl/etc/ssl"
holds "libcrypto holds its modules" "$(strings "$openssl/lib/libcrypto.so.3")" "$openssl/lib/ossl-modules"
holds "libncursesw holds its terminfo" "$(strings "$ncurses/lib/libncursesw.so.6")" "$ncurses/share/terminfo"
holds "bash holds its share/bashdb" "$(strings "$bash/bin/bash")" "$bash/share/"
holds "bash needs readline" "$(readelf -d "$bash/bin/bash")" libreadline.so.8
holds "readline needs ncurses" "$(readelf -d "$(path readline)/lib/libreadline.so.8")" libncursesw.so.6
holds "cxx needs libstdc++" "$(readelf -d "$(path cxx)/bin/cxx")" libstdc++.so.6
host_strings=$(strings "$plugin_host/bin/plugin-host")
holds "plugin-host holds its plugin's path" "$host_strings" "$plugin_host/lib/plugins/hello.so"
holds "plugin-host holds the other package's plugin" "$host_strings" "$(path plugin-extra)/lib/plugins/extra.so"
holds "plugin-host holds the bare soname" "$host_strings" libcodec.so.1
holds "plugin-host's RUNPATH has codec" "$(readelf -d "$plugin_host/bin/plugin-host")" "$(path codec)/lib"
same "plugin-host needs libc alone" 1 "$(readelf -d "$plugin_host/bin/plugin-host" | grep -c '(NEEDED)')"
note=$(readelf -n "$plugin_host/bin/plugin-host" 2> /dev/null || true)
holds "plugin-host has a .note.dlopen" "$note" 0x407c0c0a
holds "the note's owner is FDO" "$note" FDO
holds "the note is JSON" "$(strings "$plugin_host/bin/plugin-host")" \
  '[{"feature":"noted","description":"Notes, when asked for","priority":"recommended","soname":["libnoted.so.1"]}]'

sonames=$(for twin in red blue; do readelf -d "$(path twin-$twin)/lib/libtwin.so.1"; done | grep -c 'soname: \[libtwin.so.1\]')
same "the twins have one soname" 2 "$sonames"
same "the twins have different contents" 1 \
  "$(cmp -s "$(path twin-red)/lib/libtwin.so.1" "$(path twin-blue)/lib/libtwin.so.1"; echo $?)"

holds "wrapped ends as makeWrapper writes it" "$(tail -n 1 "$(path wrapped)/bin/wrapped")" \
  "exec -a \"\$0\" \"$(path wrapped)/bin/.wrapped-wrapped\"  --fx-flag"
holds "binwrapped carries its own arguments" "$(strings "$(path binwrapped)/bin/binwrapped")" \
  "makeCWrapper '$(path binwrapped)/bin/.binwrapped-wrapped' \\"

multicall=$(path multicall)
same "multicall's links" "multicall multicall $multicall/bin/multicall ../bin/multicall ../../bin/multicall" \
  "$(readlink "$multicall"/bin/{alpha,beta,gamma} "$multicall"/sbin/delta "$multicall"/libexec/multicall/epsilon | paste -sd' ')"

empty "no link points nowhere" "$(
  for link in "$all"/*; do find "$(readlink "$link")" -xtype l; done
)"

# ---- references --------------------------------------------------------------

# references ATTR: names without hashes
references() { nix-store -q --references "$(path "$1")" | sed 's,^/nix/store/[^-]*-,,' | sort | paste -sd' '; }
same "nginx's references" "glibc-2.36 libxcrypt-4.4.33 nginx-1.22.1 openssl-3.0 pcre2-10.42 zlib-1.2.13" "$(references nginx)"
same "plugin-host's references" "codec-1.0 glibc-2.36 noted-1.0 plugin-extra-1.0 plugin-host-1.0" "$(references plugin-host)"
same "tools.bin's references" "glibc-2.36 tools-1.0" "$(references tools.bin)"
same "tools's references" "glibc-2.36 tools-1.0" "$(references tools)"
same "wrapped's references" "bash-5.2.15 glibc-2.36 multicall-1.0 probe-1.0 wrapped-1.0" "$(references wrapped)"
same "binwrapped's references" "binwrapped-1.0 glibc-2.36 multicall-1.0 probe-1.0" "$(references binwrapped)"
same "scripts' references" "bash-5.2.15 probe-1.0 scripts-1.0" "$(references scripts)"
empty "no source, header or compiler in a closure" "$(
  for link in "$all"/*; do
    case $link in *.dev) continue ;; esac
    nix-store -qR "$(readlink "$link")"
  done | sort -u | grep -E -- '-(source|dev|cc-wrapper.*|.*\.(c|h|cpp|sh))$' || true
)"

# ---- as nixpkgs --------------------------------------------------------------

cd "$here/.."
export NIX_PATH=nixpkgs=native-fixtures
same "nix-build '<nixpkgs>' -A nginx" "$nginx" "$(nix-build '<nixpkgs>' -A "${set}nginx" --no-out-link)"
same "nix-build '<nixpkgs>' -A nginx.out" "$nginx" "$(nix-build '<nixpkgs>' -A "${set}nginx.out" --no-out-link)"
same "nix-build '<nixpkgs>' -A tools.bin" "$(path tools.bin)" "$(nix-build '<nixpkgs>' -A "${set}tools.bin" --no-out-link)"
same "the first output is the default" "$(path tools.bin)" "$(nix-build '<nixpkgs>' -A "${set}tools" --no-out-link)"
same "nginx's outputs" '["out"]' "$(nix-instantiate --eval --json -E "(import <nixpkgs> {}).${set}nginx.outputs")"
same "tools's outputs" '["bin","dev","out","doc"]' \
  "$(nix-instantiate --eval --json -E "(import <nixpkgs> {}).${set}tools.outputs")"
cp -r native-fixtures "$work/elsewhere"
same "a copy elsewhere has the same store paths" "$all" \
  "$(NIX_PATH=nixpkgs=$work/elsewhere nix-instantiate --eval --json -E "(import <nixpkgs> {}).$farm.outPath" | tr -d '"')"

# ---- the programs ------------------------------------------------------------

same "cxx" 'hello, world
caught NoName: greet: no name
caught runtime_error from libstdc++
sum of 4 threads: 79800
regex: name name, version 1.2.3
number: 1234.5 true' "$("$(path cxx)/bin/cxx" world)"
same "plugin-host" 'hello: hello from its own package
extra: extra from another package, with data of its own
codec: codec from libcodec.so.1
noted: noted from libnoted.so.1' "$("$plugin_host/bin/plugin-host")"
hidden=$(bwrap --bind / / --tmpfs "$(path codec)" --dev /dev --proc /proc "$plugin_host/bin/plugin-host" 2> /dev/null || echo "status $?")
holds "plugin-host without codec" "$hidden" 'codec: missing'
holds "plugin-host without codec fails" "$hidden" 'status 1'
same "twins: red" red "$("$(path twins)/bin/red")"
same "twins: blue" blue "$("$(path twins)/bin/blue")"
same "twins: both, the first loaded wins" $'user-red: red\nuser-blue: red' "$("$(path twins)/bin/both")"
same "tool" $'tool, libtool-x 1.0\ndata: what tools reads' "$("$(path tools.bin)/bin/tool")"
for applet in bin/{multicall,alpha,beta,gamma} sbin/delta libexec/multicall/epsilon; do
  same "multicall as ${applet##*/}" "applet ${applet##*/}"$'\nargument 1 a b' "$("$multicall/$applet" 'a b')"
done

probe=$(path probe)/bin/probe
same "probe" "argc 3
argv 0 \"$probe\"
argv 1 \"tab\\tquote\\\"\"
argv 2 \"--sorted\"
exe \"$probe\"
comm \"probe\"
env \"A=1\"
env \"B=2\"" "$(env -i B=2 A=1 "$probe" $'tab\tquote"' --sorted)"
same "probe, its own argv[0]" 'argv 0 "zero"' "$(exec -a zero "$probe" | sed -n 2p)"
same "probe --reexec" "argc 3
argv 0 \"$probe\"
argv 1 \"--reexeced\"
argv 2 \"--no-env\"
exe \"$probe\"
comm \"exe\"" "$("$probe" --reexec --no-env)"
same "probe --exec" $'argc 2\nargv 0 "'"$probe"$'"\nargv 1 "--no-env"' \
  "$("$probe" --exec "$probe" --no-env | head -n 3)"
same "probe --exit" 7 "$("$probe" --exit 7 > /dev/null; echo $?)"
same "probe --signal" 143 "$(bash -c '"$1" --signal 15 > /dev/null; exit $?' - "$probe" 2> /dev/null; echo $?)"
"$probe" --self "$work/self" > /dev/null
same "probe --self" 0 "$(cmp "$probe" "$work/self" > /dev/null; echo $?)"
same "probe --thread-exit" 'thread exited' "$("$probe" --thread-exit | head -n 1)"
same "probe --user" 'user root uid 0' "$("$probe" --user root | head -n 1)"
same "probe --resolve" 'address "127.0.0.1"' "$("$probe" --resolve 127.0.0.1 | head -n 1)"
empty "probe --maps: nothing from the host" "$("$probe" --no-env --maps | grep '^map' | grep -v '"/nix/store/' || true)"

scripts=$(path scripts)
same "hello-sh" 'bare: one line of data
double: one line of data
single: one line of data
joined: one line of data
default: one line of data
case: own
glob: 2
version: 1.0
arguments: 2 x y z
helper: from hello-sh
flags: eu' "$("$scripts/bin/hello-sh" x 'y z')"
same "heredoc-sh" $'open: one line of data\nquoted: one line of data' "$("$scripts/bin/heredoc-sh")"
same "env-sh" $'env-sh: one line of data\nenv-sh: bash 5, 1 arguments' "$(PATH=$bash/bin "$scripts/bin/env-sh" x)"
same "plain-sh" $'plain-sh: one line of data\nplain-sh: 1 arguments' "$("$scripts/bin/plain-sh" x)"
same "where-sh" $'name: where-sh\ndata: one line of data\nrun' "$("$scripts/bin/where-sh")"
holds "probe-sh" "$("$scripts/bin/probe-sh" --sorted)" "env \"FX_FROM=$scripts/bin/probe-sh\""

# wrapper ATTR: what wrapped and binwrapped do is the same.
wrapper() {
  env -i FX_UNSET=1 FX_PREFIX=old FX_SUFFIX=old PATH=/usr/bin "$(path "$1")/bin/$1" 'a b' --sorted |
    grep -vE '^env "(PWD|SHLVL|_)='
}
for attr in wrapped binwrapped; do
  root=$(path $attr)
  comm=.$attr-wrapped
  same "$attr" "argc 5
argv 0 \"$root/bin/$attr\"
argv 1 \"--fx-flag\"
argv 2 \"--fx-data=$root/share/$attr/data.txt\"
argv 3 \"a b\"
argv 4 \"--sorted\"
exe \"$root/bin/.$attr-wrapped\"
comm \"${comm:0:15}\"
env \"FX_DATA=$root/share/$attr/data.txt\"
env \"FX_DEFAULT=the default\"
env \"FX_PREFIX=first;old\"
env \"FX_SET=two words, a ' and a \\\"\"
env \"FX_SUFFIX=old:$multicall/bin:/plain/directory\"
env \"PATH=${probe%/probe}:$multicall/bin:/usr/bin\"" "$(wrapper $attr)"
done
same "wrapped-name" $'argc 3\nargv 0 "another-name"\nargv 1 "--no-env"\nargv 2 "--fx-last"' \
  "$("$(path wrapped)/bin/wrapped-name" --no-env | head -n 4)"
holds "wrapped-run" "$("$(path wrapped)/bin/wrapped-run")" 'env "FX_RUN=42"'
old=$(env -i "$(path binwrapped)/bin/binwrapped-old" --cwd)
holds "binwrapped-old: --argv0" "$old" 'argv 0 "another-name"'
holds "binwrapped-old: --chdir" "$old" "cwd \"$(path binwrapped)/share/binwrapped\""

# shellcheck disable=SC2016 # for the fixture's bash to expand
same "bash, exec -a" other "$("$bash/bin/bash" -c 'exec -a other "$BASH" -c "echo \$0"')"
same "bash has readline" yes "$("$bash/bin/bash" -c 'bind -V > /dev/null 2>&1 && echo yes')"
# "nevertheless" would hide a terminfo that is not there: TERM must be found.
holds "infocmp finds its terminfo" "$(env -i "$ncurses/bin/infocmp" xterm-256color)" 'colors#'
holds "infocmp reads the store's" "$(env -i "$ncurses/bin/infocmp" xterm-256color)" "$ncurses/share/terminfo"

tls=$(path openssl.bin)/bin/openssl
holds "openssl -d" "$("$tls" version -d)" "\"$openssl/etc/ssl\""
holds "openssl's legacy provider" "$(env -i "$tls" list -providers -provider legacy)" legacy
same "openssl sha256" 'SHA2-256(stdin)= ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' \
  "$(printf abc | "$tls" dgst -sha256)"
# Reads openssl.cnf below its compiled-in directory.
env -i "$tls" req -x509 -newkey rsa:2048 -nodes -subj /CN=fixture -days 2 \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2> "$work/req.log" || cat "$work/req.log"
holds "openssl req" "$(cat "$work/cert.pem")" 'BEGIN CERTIFICATE'

mkdir "$work/html"
printf 'hello from nginx %s\n' {1..100} > "$work/html/index.html"
cat > "$work/nginx.conf" << END
user root;
worker_processes 1;
pid $work/nginx.pid;
daemon off;
error_log $work/error.log;
events { }
http {
  include $nginx/conf/mime.types;
  access_log off;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
  uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  gzip on;
  server {
    listen unix:$work/http.sock;
    listen unix:$work/https.sock ssl;
    ssl_certificate $work/cert.pem;
    ssl_certificate_key $work/key.pem;
    root $work/html;
    location ~ ^/number/([0-9]+)\$ { return 200 "number \$1\n"; }
  }
}
END
"$nginx/bin/nginx" -e "$work/error.log" -c "$work/nginx.conf" &
nginx_pid=$!
for _ in {1..50}; do [ ! -S "$work/https.sock" ] || break; sleep 0.1; done
get() { curl -sS --max-time 10 "$@" || true; }
holds "nginx serves a file" "$(get --unix-socket "$work/http.sock" http://x/)" 'hello from nginx 100'
same "nginx gzips (zlib)" 'Content-Encoding: gzip' \
  "$(get --unix-socket "$work/http.sock" -H 'Accept-Encoding: gzip' -D - -o "$work/gz" http://x/ | tr -d '\r' | grep -i '^content-encoding')"
holds "nginx's gzip is right" "$(gzip -dc < "$work/gz")" 'hello from nginx 100'
same "nginx matches (pcre2)" 'number 42' "$(get --unix-socket "$work/http.sock" http://x/number/42)"
holds "nginx speaks TLS (openssl)" "$(get -k --unix-socket "$work/https.sock" https://x/)" 'hello from nginx 100'
kill "$nginx_pid"
wait "$nginx_pid" 2> /dev/null || true
nginx_pid=
same "nginx -v" 'nginx version: nginx/1.22.1' "$("$nginx/bin/nginx" -v 2>&1)"

# shellcheck source=native-fixtures/check-full.sh
[ -z "$set" ] || . "$here/check-full.sh"

# ---- nothing was written to the store ----------------------------------------

# shellcheck disable=SC2046 # store paths have no spaces
empty "the store paths are as they were built" \
  "$(nix-store --verify-path $(for link in "$all"/*; do readlink "$link"; done) 2>&1 || true)"

echo "$passed passed, $failed failed"
((failed == 0))
