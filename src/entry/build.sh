#!/usr/bin/env bash
# Builds the blobs of prebuilt.ts from the sources here with Debian 12's compilers:
#
#     src/entry/build.sh > src/entry/prebuilt.ts     (a test compares the two)
#
# Packages: gcc, gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu, gcc-i686-linux-gnu,
# gcc-arm-linux-gnueabihf and the binutils of each.
set -euo pipefail
shopt -s inherit_errexit
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

# All blobs of a CPU. A compiler that fails ends the script: what is made inside of an echo would not.
cpu() { # name compiler objcopy flags-of-blobs flags-of-programs
  local name made
  echo "  $1: {"
  for name in stub bootstrap sidecar; do
    # shellcheck disable=SC2086 # flags are words
    made=$(blob "$name.c" "$2" "$3" $4)
    printf "    get %s() {\\n      return '%s'\\n    },\\n" "$name" "$made"
  done
  for name in launcher relocate single; do
    # shellcheck disable=SC2086
    made=$(program "$name.c" "$2" $5)
    printf "    get %s() {\\n      return '%s'\\n    },\\n" "$name" "$made"
  done
  echo "  },"
}

cat << 'HEAD'
/** Made by build.sh from the sources beside it; do not edit. */

export type CpuName = 'x86_64' | 'aarch64' | 'riscv64' | 'i686' | 'arm'
export type Blob = 'stub' | 'bootstrap' | 'sidecar' | 'launcher' | 'relocate' | 'single'

/** The blobs of each CPU, in base64: a quarter of a megabyte, of which V8 reads what is asked for. */
export const PREBUILT: Readonly<Record<CpuName, Readonly<Record<Blob, string>>>> = {
HEAD
# aarch64, tiny: addresses by adr alone, so that the blob works at any place.
# riscv64: what a linker relaxes is relative to a register that nobody sets; a header for attributes is one too many.
cpu x86_64 gcc objcopy '-march=x86-64 -mgeneral-regs-only -mno-red-zone -fcf-protection=none' '-fcf-protection=none'
cpu aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu-objcopy \
  '-mcmodel=tiny -mgeneral-regs-only -mbranch-protection=none -mno-outline-atomics' ''
riscv='-march=rv64imac -mabi=lp64 -mcmodel=medany -mno-relax -msmall-data-limit=0
  -mno-riscv-attribute -Wa,-mno-arch-attr -Wl,--no-relax'
cpu riscv64 riscv64-linux-gnu-gcc riscv64-linux-gnu-objcopy "$riscv" "$riscv"
# i686: int 0x80 for all, and no instruction that came later. ARM: what ARMv5TE executes, its floating point registers
# unused; the linker leaves out what nobody calls.
cpu i686 i686-linux-gnu-gcc i686-linux-gnu-objcopy '-march=i686 -mgeneral-regs-only -fcf-protection=none' \
  '-march=i686 -mgeneral-regs-only -fcf-protection=none'
arm='-marm -march=armv5te+fp -mfloat-abi=hard -mgeneral-regs-only -Wl,--gc-sections'
cpu arm arm-linux-gnueabihf-gcc arm-linux-gnueabihf-objcopy "$arm" "$arm"
echo "}"
