#!/usr/bin/env bash
# What nix-bundle-exe (github.com/3noch/nix-bundle-exe) does, step by step, in its own way: a process for each question.
# Each program of PACKAGE/bin is copied with the libraries that it loads, RPATHs are set by patchelf, references are
# overwritten in every copy, and a shell script starts the loader.
#
#     ancestor.sh PACKAGE DESTINATION
set -euo pipefail
package=$1 out=$2
mkdir -p "$out/bin" "$out/exe" "$out/lib"

here=$(dirname "$(realpath "$0")")
needed() { python3 "$here/needed.py" "$1" | grep '/nix/store/' || true; }
nuke() { perl -i -pe 's|/nix/store/[a-z0-9]{32}-|/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-|g' "$1"; }

bundle_lib() {
  local real name real_name copied
  real=$(realpath "$1") name=$(basename "$1")
  real_name=$(basename "$real")
  copied=$out/lib/$real_name
  local is_new=
  if [ ! -f "$copied" ]; then
    is_new=1
    cp "$real" "$copied"
    chmod +w "$copied"
  fi
  if [ "$name" != "$real_name" ] && [ ! -f "$out/lib/$name" ]; then ln -sf "$real_name" "$out/lib/$name"; fi
  [ -n "$is_new" ] || return 0
  local libraries library
  libraries=$(needed "$real")
  for library in $libraries; do bundle_lib "$library"; done
  if [ -n "$libraries" ]; then patchelf --set-rpath "\$ORIGIN" "$copied"; fi
  nuke "$copied"
}

# Links are passed over.
find "$package/bin" -type f -executable | while read -r program; do
  name=$(basename "$program")
  interpreter=$(patchelf --print-interpreter "$program" 2>/dev/null || true)
  if [ -z "$interpreter" ]; then
    cp -f "$program" "$out/bin/$name"
    continue
  fi
  cp -f "$program" "$out/exe/$name"
  chmod +w "$out/exe/$name"
  patchelf --set-interpreter "$(basename "$interpreter")" --set-rpath "\$ORIGIN/../lib" "$out/exe/$name"
  nuke "$out/exe/$name"
  bundle_lib "$interpreter"
  for library in $(needed "$program"); do bundle_lib "$library"; done
  printf '#!/bin/sh\nset -eu\ndir="$(cd -- "$(dirname "$(dirname "$(realpath "$0")")")" >/dev/null 2>&1 ; pwd -P)"\nexec "$dir"/lib/%s "$dir"/exe/%s "$@"' \
    "$(basename "$interpreter")" "$name" >"$out/bin/$name"
  chmod +x "$out/bin/$name"
done
