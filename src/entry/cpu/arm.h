/*
 * 32-bit ARM: the kernel's side (arch/arm/tools/syscall.tbl), of the EABI. Built for ARMv5TE in ARM mode, which all of them
 * execute up to ARMv8: no Thumb-2, no movw, no division, nothing that is not aligned.
 */

enum { MACHINE = EM_ARM, MMAP_SHIFT = 12, O_DIRECTORY = 040000, O_NOFOLLOW = 0100000, O_LARGEFILE = 0400000 };
/* Of those that came in several widths the widest: fstatat64, fstat64, mmap2, and users with 32 bits. */
enum {
	SYS_write = 4, SYS_close = 6, SYS_execve = 11, SYS_chdir = 12, SYS_munmap = 91, SYS_fchmod = 94, SYS_wait4 = 114,
	SYS_fsync = 118, SYS_clone = 120, SYS_mprotect = 125, SYS_fchdir = 133, SYS_flock = 143, SYS_writev = 146,
	SYS_mremap = 163, SYS_pread64 = 180, SYS_pwrite64 = 181, SYS_getcwd = 183, SYS_mmap = 192, SYS_fstat = 197,
	SYS_getuid = 199, SYS_geteuid = 201, SYS_fchown = 207, SYS_getdents64 = 217, SYS_exit_group = 248,
	SYS_clock_gettime = 263, SYS_openat = 322, SYS_mkdirat = 323, SYS_newfstatat = 327, SYS_unlinkat = 328,
	SYS_renameat = 329, SYS_symlinkat = 331, SYS_readlinkat = 332, SYS_faccessat = 334, SYS_utimensat = 348,
	SYS_dup3 = 358, SYS_arm_cacheflush = 0x0f0002
};
/* A pair of registers begins with an even one. */
#define FILE_OFFSET(offset) 0, (long)(offset), (long)((u64)(offset) >> 32)
#include "generic32.h"

static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r7 __asm__("r7") = nr, r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d, r4 __asm__("r4") = e, r5 __asm__("r5") = f;
	__asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5) : "memory");
	return r0;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
	register long r7 __asm__("r7") = nr, r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d;
	__asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3) : "memory");
	return r0;
}

/* What gcc calls to divide, with the remainder in r1. Where nothing does, the linker leaves it out. */
__attribute__((section(".text.division"))) u64 __aeabi_uidivmod(u32 number, u32 by);
u64 __aeabi_uidivmod(u32 number, u32 by)
{
	u32 quotient = 0;
	u64 rest = 0;
	for (int bit = 31; bit >= 0; bit--) {
		rest = rest << 1 | (number >> bit & 1);
		if (rest >= by)
			rest -= by, quotient |= 1u << bit;
	}
	return quotient | rest << 32;
}

/* A static program begins: `run` gets the stack as the kernel made it. */
#define PROGRAM_START \
	__asm__(".globl _start\n_start:\n" \
		"	mov fp, #0\n" \
		"	mov lr, #0\n" \
		"	mov r0, sp\n" \
		"	bic sp, sp, #7\n" \
		"	b run\n")
