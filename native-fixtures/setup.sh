#!/usr/bin/env bash
# Prepares a Debian 12 machine for the tests and builds their Nix fixtures.
#
#   native-fixtures/setup.sh            everything
#   native-fixtures/setup.sh nginx ...  these attributes of default.nix and what
#                                       they need
#   native-fixtures/setup.sh --long     everything, and what the long campaigns
#                                       (npm run test:long) need
#   native-fixtures/setup.sh --full     everything, then the larger set
#                                       (npm run test:full): half an hour
#
# Missing Debian packages are named and installed. A Nix that is there, its
# configuration and its store stay; what is built already is reused. The store
# paths go to standard output, everything else to standard error.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
started=$SECONDS

say() { printf '%s\n' "$*" >&2; }
die() {
  say "setup.sh: $*"
  exit 1
}

long=
full=
while (($#)); do
  case $1 in
  -h | --help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit
    ;;
  --long) long=yes ;;
  --full) full=yes ;;
  -*) die "no option $1; setup.sh [--long] [--full] | attribute..." ;;
  *) break ;;
  esac
  shift
done

# What there must be, and the Debian package that has it. A command counts
# wherever it comes from: a Nix from its own installer is as good as nix-bin.
needs=(
  # for the fixtures
  nix-build:nix-bin
  gcc:gcc
  g++:g++
  make:make
  readelf:binutils
  patchelf:patchelf
  perl:perl          # openssl's Configure
  xz:xz-utils
  bzip2:bzip2        # zlib's tarball
  /usr/include/stdio.h:libc6-dev
  # for the demo: a root without the store, a static /bin/sh in it
  bwrap:bubblewrap
  curl:curl
  file:file
  busybox:busybox-static
)
# For the tests, so with the whole set only: what a program opens is traced, other readers of archives, other shells,
# other users, other CPUs.
test_needs=(
  strace:strace
  zstd:zstd
  zip:zip
  cpio:cpio
  pgrep:procps
  bsdtar:libarchive-tools
  python3:python3
  unzip:unzip
  mksh:mksh
  zsh:zsh   # completions
  fish:fish
  tmux:tmux # completions as they are typed
  mandoc:mandoc # the man page
  grops:groff
  ruby:ruby     # scripts that find their bundle
  lua5.4:lua5.4
  tclsh:tcl
  php8.2:php8.2-cli
  setcap:libcap2-bin
  gdb:gdb
  go:golang-go         # its linker lays programs out in a way that patchelf gets wrong
  git:git
  /usr/share/zoneinfo/Europe/Berlin:tzdata
  /etc/ssl/certs/ca-certificates.crt:ca-certificates
  chromium:chromium # opens the pages of --html
  valgrind:valgrind
  /usr/share/doc/libc6-dbg:libc6-dbg # valgrind reads the loader's symbols
  perf:linux-perf
  ld.lld:lld
  musl-gcc:musl-tools
  aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu
  /usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross
  arm-linux-gnueabihf-gcc:gcc-arm-linux-gnueabihf
  /usr/arm-linux-gnueabihf/include/stdio.h:libc6-dev-armhf-cross
  i686-linux-gnu-gcc:gcc-i686-linux-gnu
  /usr/i686-linux-gnu/include/stdio.h:libc6-dev-i386-cross
  riscv64-linux-gnu-gcc:gcc-riscv64-linux-gnu
  /usr/riscv64-linux-gnu/include/stdio.h:libc6-dev-riscv64-cross
  s390x-linux-gnu-gcc:gcc-s390x-linux-gnu
  /usr/s390x-linux-gnu/include/stdio.h:libc6-dev-s390x-cross
  qemu-aarch64-static:qemu-user-static
  # Mach-O: a compiler, a linker and the readers that the facts are compared with; the first two also make the sieve's module
  clang-19:clang-19
  ld64.lld-19:lld-19
  llvm-otool-19:llvm-19
  openssl:openssl
  # images: readers, and what runs one
  skopeo:skopeo
  umoci:umoci
  runc:runc
  docker-registry:docker-registry
  # what the recipes in docs/ make
  rpmbuild:rpm
  mksquashfs:squashfs-tools
  rsync:rsync
)

# Nix from its own installer is often only in the login shell's PATH.
for dir in /nix/var/nix/profiles/default/bin "${HOME:-/root}/.nix-profile/bin"; do
  [ ! -x "$dir/nix-build" ] || PATH=$PATH:$dir
done

# For the long campaigns: kernels of each CPU in an emulator, another compiler, what packs files, scripts of packages, a Java VM.
long_needs=(
  qemu-system-x86_64:qemu-system-x86
  qemu-system-aarch64:qemu-system-arm
  qemu-system-riscv64:qemu-system-misc
  /usr/lib/riscv64-linux-gnu/opensbi:opensbi
  rustc:rustc
  # files of other tools that hide what they hold (test/support/packed-kinds.ts)
  erlc:erlang-base
  R:r-base-core
  rcc:qtbase5-dev-tools
  glib-compile-resources:libglib2.0-dev-bin
  jlink:openjdk-17-jdk-headless
  scheme:chezscheme
  flatpak:flatpak
  makeself:makeself
  qemu-img:qemu-utils
  mkfs.erofs:erofs-utils
  mkfs.jffs2:mtd-utils
  genisoimage:genisoimage
  xorriso:xorriso
  mkimage:u-boot-tools
  dtc:device-tree-compiler
  sfdisk:fdisk
  7z:p7zip-full
  arj:arj
  zpaq:zpaq
  gcab:gcab
  wimcapture:wimtools
  pigz:pigz
  lz4:lz4
  lzop:lzop
  lzip:lzip
  lrzip:lrzip
  brotli:brotli
  compress:ncompress
  qpdf:qpdf
  sqlite3:sqlite3
  mdb_load:lmdb-utils
  msgfmt:gettext
  /usr/lib/python3/dist-packages/fontTools/ttLib/__init__.py:python3-fonttools
  /usr/lib/python3/dist-packages/h5py/__init__.py:python3-h5py
  /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf:fonts-dejavu-core
  # scripts that are run beside their bundles
  texi2any:texinfo
  groffer:groff
  /usr/share/perl5/Text/Unidecode.pm:libtext-unidecode-perl
)
# For the larger set: glibc is built with the first three, sqlite with tclsh.
full_needs=(
  bison:bison
  gawk:gawk
  /usr/bin/python3:python3
  tclsh:tcl
  # programs that read texts which name places
  fc-match:fontconfig
  /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core
  gdk-pixbuf-csource:libgdk-pixbuf2.0-bin
  /usr/share/mime/mime.cache:shared-mime-info
  php8.2:php8.2-cli
  lua5.4:lua5.4
  /usr/bin/ruby3.1:ruby3.1
  /usr/bin/vim.basic:vim
  systemd-analyze:systemd
)
(($#)) || needs+=("${test_needs[@]}")
[ -z "$long" ] || needs+=("${long_needs[@]}")
case "$full $*" in yes* | *' full'*) needs+=("${full_needs[@]}") ;; esac
missing=()
for need in "${needs[@]}"; do
  what=${need%%:*}
  case $what in
  /*) [ -e "$what" ] || missing+=("${need#*:}") ;;
  busybox)
    # Debian has a dynamic one too, which starts in no empty root.
    command -v busybox > /dev/null && ! file -L "$(command -v busybox)" | grep -q 'dynamically' ||
      missing+=("${need#*:}")
    ;;
  perl)
    # Debian's perl-base is always there and lacks most modules.
    perl -MIPC::Cmd -e1 2> /dev/null || missing+=("${need#*:}")
    ;;
  *) command -v "$what" > /dev/null || missing+=("${need#*:}") ;;
  esac
done

[ "$(uname -sm)" = "Linux x86_64" ] ||
  die "the fixtures are for x86_64 Linux, this is $(uname -sm)"
release=$(. /etc/os-release && printf '%s %s' "${ID-}" "${VERSION_ID-}") 2> /dev/null || release=unknown
[ "$release" = "debian 12" ] ||
  die "the fixtures need Debian 12 (its C library and its source packages), this is '$release'.
Packages it would install here: ${missing[*]:-none}"

if ((${#missing[@]})); then
  [ "$(id -u)" = 0 ] ||
    die "missing Debian packages: ${missing[*]}
Run it as root, or install them first: apt-get install --no-install-recommends ${missing[*]}"
  say "Installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  {
    apt-get -q update &&
      apt-get -q install -y --no-install-recommends "${missing[@]}"
  } > "$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "apt-get failed, its whole output is in $log"
  }
  rm -f "$log"
fi

[ "$(id -u)" = 0 ] || [ -w /nix/store ] ||
  die "run it as root: /nix/store is not yours to write"

# shellcheck source=native-fixtures/env.sh
. "$here/env.sh"
command -v nix-build > /dev/null || die "nix-build is not in PATH"

# -Q: builders' output goes to Nix's log, which an error shows the end of.
# Nix says "building '/nix/store/HASH-NAME.drv'..." for each derivation.
total=0
count=0
progress() {
  local line name
  while IFS= read -r line; do
    case $line in
    'these '*' derivations will be built:')
      total=${line#these }
      total=${total%% *}
      say "$total derivations to build"
      ;;
    'this derivation will be built:') total=1 ;;
    "building '/nix/store/"*)
      name=${line#*/nix/store/*-}
      count=$((count + 1))
      say "$(printf '%4ds [%d/%d] %s' "$((SECONDS - started))" "$count" "$total" "${name%.drv*}")"
      ;;
    '  /nix/store/'*.drv | '') ;;
    *) say "$line" ;;
    esac
  done
}

# build ATTRIBUTE...: standard output stays Nix's own (3 is setup.sh's).
build() {
  local attribute
  local -a attributes=()
  for attribute; do attributes+=(-A "$attribute"); done
  {
    nix-build "$here" "${attributes[@]}" --no-out-link -Q 2>&1 >&3 3>&- | progress
  } 3>&1 || die "nix-build failed"
}

(($#)) || "$here/macho.sh" || die "the Mach-O files of npm packages could not be fetched"
[ -z "$long" ] || "$here/npm.sh" > /dev/null || die "the npm packages of the campaign could not be installed"
build "${@:-all}"
# Not in one run: Nix would mix the two, and the small one is wanted soon.
[ -z "$full" ] || build full-all
say "Fixtures ready in $((SECONDS - started)) s"
