# shellcheck shell=bash disable=SC2154 # the variables come from the derivation
# Builds one package: sets up flags as nixpkgs' stdenv does, runs the package's
# own $buildScript, then brings every output into the shape of a nixpkgs output
# and refuses what does not have it.
#
# Impure on purpose: the tools are Debian's (gcc, make, perl, patchelf); only
# what ends up in the outputs is the store's.
#
# Variables from the derivation:
#   buildScript     the package's commands, run in an empty directory
#   outputs         names of the outputs; each is a variable with its path
#   includes, libs  dependencies' outputs with include/ and with lib/
#   glibc           the C library everything is linked to
#   bash            the shell for shebangs, where the package may have scripts
#   sources         files of this folder, copied to the build under their names
#   keepRpath       1: no --shrink-rpath (libraries only dlopened)
#   dontStrip       1: no strip (Debian's files, which patchelf has edited)
#   keepShebangs    names of scripts whose first line stays as written
set -euo pipefail
shopt -s nullglob
umask 022
unset SHELL OLDPWD
export LC_ALL=C TZ=UTC HOME=/homeless-shelter
# Read by openssl and others instead of the clock.
export SOURCE_DATE_EPOCH=315532800

jobs=${NIX_BUILD_CORES:-1}
((jobs > 0)) || jobs=$(nproc)

# The output where the package's own libraries are.
lib_output=$out

export CC=cc CXX=c++
NIX_CFLAGS_COMPILE=
NIX_LDFLAGS="-Wl,--enable-new-dtags -Wl,-z,relro,-z,now"
for dir in ${includes-}; do NIX_CFLAGS_COMPILE+=" -isystem $dir/include"; done
# Nothing of the build's place goes into the code.
NIX_CFLAGS_COMPILE+=" -ffile-prefix-map=$NIX_BUILD_TOP=. -frandom-seed=${out##*/}"
NIX_LDFLAGS+=" -Wl,-rpath,$lib_output/lib"
if [ -n "${glibc-}" ]; then
  NIX_LDFLAGS+=" -Wl,--dynamic-linker=$glibc/lib/ld-linux-x86-64.so.2"
  NIX_LDFLAGS+=" -Wl,-rpath,$glibc/lib"
fi
for dir in ${libs-}; do NIX_LDFLAGS+=" -L$dir/lib -Wl,-rpath,$dir/lib"; done
export NIX_CFLAGS_COMPILE NIX_LDFLAGS

# unpack: the one directory of the tarball in $src, entered.
unpack() {
  tar -xf "$src"/*.orig.tar.* --no-same-owner
  cd ./*/
}

# trim DIR...: what no test looks at.
trim() {
  local dir
  for dir; do
    rm -rf "$dir"/share/{man,doc,info} "$dir"/lib/pkgconfig "$dir"/lib/*.{a,la}
  done
}

is_elf() { [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ]; }

fail() {
  echo "builder: $*" >&2
  exit 1
}

patch_shebang() {
  local file=$1 line interpreter
  IFS= read -r line < "$file" || true
  interpreter=${line#'#!'}
  interpreter=${interpreter# }
  case " ${keepShebangs-} " in *" ${file##*/} "*) return ;; esac
  case $interpreter in
  /nix/store/*) return ;;
  /bin/sh* | /bin/bash*) interpreter="/bin/${interpreter#/bin/}" ;;
  '/usr/bin/env bash'* | '/usr/bin/env sh'*) interpreter="/bin/${interpreter#/usr/bin/env }" ;;
  *) fail "$file: no shell: $line" ;;
  esac
  [ -n "${bash-}" ] || fail "$file: a script in a package without a shell"
  { echo "#!$bash$interpreter"; tail -n +2 "$file"; } > shebang.tmp
  cat shebang.tmp > "$file"
}

# Every NEEDED must be found through the object's own RUNPATH: otherwise a
# library of the host was linked.
check_elf() {
  local file=$1 rpath needed dir found interpreter
  case $file in "${glibc:-$out}"/*) return ;; esac
  rpath=$(patchelf --print-rpath "$file")
  for dir in ${rpath//:/ }; do
    case $dir in /nix/store/*) ;; *) fail "$file: RUNPATH $dir" ;; esac
  done
  for needed in $(patchelf --print-needed "$file"); do
    found=
    for dir in ${rpath//:/ }; do [ ! -e "$dir/$needed" ] || found=1; done
    [ -n "$found" ] || fail "$file: $needed is not in $rpath"
  done
  interpreter=$(readelf -Wl "$file" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
  case $interpreter in '' | /nix/store/*) ;; *) fail "$file: $interpreter" ;; esac
}

fix_output() {
  local output=$1 file
  [ -d "$output" ] || fail "$output was not made"
  while IFS= read -r -d '' file; do
    if is_elf "$file"; then
      [ -n "${glibc-}" ] || continue
      [ -n "${dontStrip-}" ] || strip -S "$file"
      [ -n "${keepRpath-}" ] || patchelf --shrink-rpath "$file"
      check_elf "$file"
    elif [ -x "$file" ] && [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ]; then
      patch_shebang "$file"
    fi
  done < <(find "$output" -type f -print0)
  if grep -rlF "$NIX_BUILD_TOP" "$output"; then fail "the build directory is in $output"; fi
}

cd "$NIX_BUILD_TOP"
mkdir work
cd work
# Under a plain name: the compiler writes it into the symbol table, where a name
# with a hash would be a reference.
for file in ${sources-}; do
  plain=${file##*/}
  cp "$file" "${plain#*-}"
done
eval "$buildScript"

cd "$NIX_BUILD_TOP"
for output in $outputs; do fix_output "${!output}"; done
