/* aarch64: the kernel's side (include/uapi/asm-generic/unistd.h). */

enum { MACHINE = EM_AARCH64, MMAP_SHIFT = 0, O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };
enum {
	SYS_getcwd = 17, SYS_dup3 = 24, SYS_flock = 32, SYS_mkdirat = 34, SYS_unlinkat = 35, SYS_symlinkat = 36,
	SYS_renameat = 38, SYS_faccessat = 48, SYS_chdir = 49, SYS_fchdir = 50, SYS_fchmod = 52, SYS_fchown = 55,
	SYS_openat = 56, SYS_close = 57, SYS_getdents64 = 61, SYS_write = 64, SYS_writev = 66, SYS_pread64 = 67,
	SYS_pwrite64 = 68, SYS_readlinkat = 78, SYS_newfstatat = 79, SYS_fstat = 80, SYS_fsync = 82, SYS_utimensat = 88,
	SYS_exit_group = 94, SYS_clock_gettime = 113, SYS_getuid = 174, SYS_geteuid = 175, SYS_munmap = 215, SYS_mremap = 216, SYS_clone = 220,
	SYS_execve = 221, SYS_mmap = 222, SYS_mprotect = 226, SYS_wait4 = 260
};
#include "generic64.h"

static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

/* A static program begins: `run` gets the stack as the kernel made it. */
#define PROGRAM_START \
	__asm__(".globl _start\n_start:\n" \
		"	mov x29, #0\n" \
		"	mov x30, #0\n" \
		"	mov x0, sp\n" \
		"	b run\n")
