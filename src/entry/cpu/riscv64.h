/* riscv64: the kernel's side (include/uapi/asm-generic/unistd.h). There is no renameat. */

enum { MACHINE = EM_RISCV, MMAP_SHIFT = 0, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };
enum {
	SYS_getcwd = 17, SYS_dup3 = 24, SYS_flock = 32, SYS_mkdirat = 34, SYS_unlinkat = 35, SYS_symlinkat = 36,
	SYS_faccessat = 48, SYS_chdir = 49, SYS_fchdir = 50, SYS_fchmod = 52, SYS_fchown = 55, SYS_openat = 56,
	SYS_close = 57, SYS_getdents64 = 61, SYS_write = 64, SYS_writev = 66, SYS_pread64 = 67, SYS_pwrite64 = 68,
	SYS_readlinkat = 78, SYS_newfstatat = 79, SYS_fstat = 80, SYS_fsync = 82, SYS_utimensat = 88, SYS_exit_group = 94,
	SYS_clock_gettime = 113, SYS_getuid = 174, SYS_geteuid = 175, SYS_munmap = 215, SYS_mremap = 216, SYS_clone = 220,
	SYS_execve = 221, SYS_mmap = 222, SYS_mprotect = 226, SYS_wait4 = 260, SYS_renameat = 276 /* renameat2, with no flags */
};
#include "generic64.h"

static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = nr, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d, a4 __asm__("a4") = e, a5 __asm__("a5") = f;
	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
	return a0;
}

/* The fifth is the flags of renameat2. */
#define sys4(nr, a, b, c, d) sys(nr, a, b, c, d, 0, 0)

/* A static program begins: `run` gets the stack as the kernel made it. */
#define PROGRAM_START \
	__asm__(".globl _start\n_start:\n" \
		"	li ra, 0\n" \
		"	mv a0, sp\n" \
		"	andi sp, sp, -16\n" \
		"	tail run\n")
