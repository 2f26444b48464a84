/*
 * What the programs here know of the CPU that they are built for, in one file each: cpu/NAME.h has the kernel's side of it
 * (system calls, struct stat), cpu/NAME-stub.h the processor's (how the stub begins, its jump into ld.so).
 * docs/new-cpu.md says what goes into them.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef __UINT64_TYPE__ u64;
/* An address, a size, a register: as many bits as the CPU's pointers have. */
typedef unsigned long word;
/* 64 bits that lie at a multiple of 4 bytes only. */
typedef u64 __attribute__((aligned(4))) halves;

#define NORETURN __attribute__((noreturn))

#include "elf.h"

#ifdef HOST_TEST
#include "stub-fuzz.h"
#if __SIZEOF_POINTER__ == 8
#define CPU_STUB "cpu/x86_64-stub.h"
#else
#define CPU_STUB "cpu/i686-stub.h"
#endif
#elif defined __x86_64__
#include "cpu/x86_64.h"
#define CPU_STUB "cpu/x86_64-stub.h"
#elif defined __aarch64__
#include "cpu/aarch64.h"
#define CPU_STUB "cpu/aarch64-stub.h"
#elif defined __riscv && __riscv_xlen == 64
#include "cpu/riscv64.h"
#define CPU_STUB "cpu/riscv64-stub.h"
#elif defined __i386__
#include "cpu/i686.h"
#define CPU_STUB "cpu/i686-stub.h"
#elif defined __arm__ && !defined __ARMEB__
#include "cpu/arm.h"
#define CPU_STUB "cpu/arm-stub.h"
#else
#error "nothing is known of this CPU"
#endif

/* File offsets have 64 bits everywhere; how they are passed is the CPU's to know. */
static inline long pread(long fd, void *to, word size, u64 offset)
{
	return sys(SYS_pread64, fd, (long)to, size, FILE_OFFSET(offset));
}

static inline long pwrite(long fd, const void *from, word size, u64 offset)
{
	return sys(SYS_pwrite64, fd, (long)from, size, FILE_OFFSET(offset));
}
