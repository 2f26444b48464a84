#!/usr/bin/env bash
# Builds the blobs of prebuilt.ts from the sources here with Debian 12's compilers:
#
#     src/entry/build.sh > src/entry/prebuilt.ts     (a test compares the two)
#
# Packages: gcc, gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu and the binutils of each.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# No libc, no start files, nothing that names this machine; small before fast: it runs once a start.
flags=(-std=gnu11 -Wall -Wextra -Werror -Os -ffreestanding -nostdlib -static -fno-ident -fno-stack-protector
  -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-builtin -fno-tree-loop-distribute-patterns -fno-jump-tables
  -fomit-frame-pointer -fno-strict-aliasing -Wl,--build-id=none -Wl,-z,noexecstack)

blob() { # source compiler objcopy flags...
  local name=${1%.c} cc=$2 objcopy=$3
  shift 3
  "$cc" "${flags[@]}" "$@" -fPIC -Wl,-T,stub.ld -Wl,-n -o "$out/$name.elf" "$name.c"
  "$objcopy" -O binary -j .text "$out/$name.elf" "$out/$name.bin"
  base64 -w0 "$out/$name.bin"
}

# As launcher.c says at its head; the other programs are built as it is.
program() { # source compiler flags...
  local source=$1
  shift
  "$@" -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-ident -fno-pie -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-tree-loop-distribute-patterns \
    -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -s -o "$out/program" "$source"
  base64 -w0 "$out/program"
}

cat << 'HEAD'
/** Made by build.sh from the sources beside it; do not edit. */

/** What only CPUs have where programs can be entered by a sidecar. */
type Entry = 'bootstrap' | 'sidecar'
export type Blob = 'stub' | 'bootstrap' | 'sidecar' | 'launcher' | 'relocate' | 'single'

/** The blobs of each CPU, in base64. */
export const PREBUILT: Readonly<
  Record<string, Readonly<Record<Exclude<Blob, Entry>, string> & Partial<Record<Entry, string>>>>
> = {
HEAD
echo "  x86_64: {"
made_by=(gcc objcopy -march=x86-64 -mgeneral-regs-only -mno-red-zone -fcf-protection=none)
echo "    stub: '$(blob stub.c "${made_by[@]}")',"
echo "    bootstrap: '$(blob bootstrap.c "${made_by[@]}")',"
echo "    sidecar: '$(blob sidecar.c "${made_by[@]}")',"
echo "    launcher: '$(program launcher.c gcc -fcf-protection=none)',"
echo "    relocate: '$(program relocate.c gcc -fcf-protection=none)',"
echo "    single: '$(program single.c gcc -fcf-protection=none)',"
echo "  },"
echo "  aarch64: {"
# tiny: addresses by adr alone, so that the blob works at any place.
made_by=(aarch64-linux-gnu-gcc aarch64-linux-gnu-objcopy -mcmodel=tiny -mgeneral-regs-only -mbranch-protection=none -mno-outline-atomics)
echo "    stub: '$(blob stub.c "${made_by[@]}")',"
echo "    bootstrap: '$(blob bootstrap.c "${made_by[@]}")',"
echo "    sidecar: '$(blob sidecar.c "${made_by[@]}")',"
echo "    launcher: '$(program launcher.c aarch64-linux-gnu-gcc)',"
echo "    relocate: '$(program relocate.c aarch64-linux-gnu-gcc)',"
echo "    single: '$(program single.c aarch64-linux-gnu-gcc)',"
echo "  },"
echo "  riscv64: {"
# What a linker relaxes is relative to a register that nobody sets; a header for attributes is one too many.
made_by=(riscv64-linux-gnu-gcc -march=rv64imac -mabi=lp64 -mcmodel=medany -mno-relax -msmall-data-limit=0
  -mno-riscv-attribute -Wa,-mno-arch-attr -Wl,--no-relax)
for name in stub bootstrap sidecar; do
  echo "    $name: '$(blob "$name.c" "${made_by[0]}" riscv64-linux-gnu-objcopy "${made_by[@]:1}")',"
done
for name in launcher relocate single; do
  echo "    $name: '$(program "$name.c" "${made_by[@]}")',"
done
echo "  },"
echo "}"
