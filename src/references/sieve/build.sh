#!/usr/bin/env bash
# Builds the module of prebuilt.ts from the source here with Debian 12's LLVM:
#
#     src/references/sieve/build.sh > src/references/sieve/prebuilt.ts     (a test compares the two)
#
# Packages: clang-19, lld-19.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname -- "${BASH_SOURCE[0]}")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# No libc, nothing that names this machine. The stack comes first: what overflows it traps.
clang-19 --target=wasm32 -std=gnu11 -Wall -Wextra -Werror -O2 -msimd128 -ffreestanding -fno-ident -c \
  -o "$out/sieve.o" sieve.c
wasm-ld-19 --no-entry --import-memory --stack-first -z stack-size=4096 --strip-all -o "$out/sieve.wasm" "$out/sieve.o"

echo "/** Made by build.sh from the source beside it; do not edit. */"
echo
echo "/** In base64. */"
echo "export const SIEVE ="
echo "  '$(base64 -w0 "$out/sieve.wasm")'"
