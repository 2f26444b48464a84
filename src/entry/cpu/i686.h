/* i686: the kernel's side (arch/x86/entry/syscalls/syscall_32.tbl). `int 0x80` is there without the kernel's vDSO. */

enum { MACHINE = EM_386, MMAP_SHIFT = 12, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000, O_LARGEFILE = 0100000 };
/* Of those that came in several widths the widest: fstatat64, fstat64, mmap2, and users with 32 bits. */
enum {
	SYS_write = 4, SYS_close = 6, SYS_execve = 11, SYS_chdir = 12, SYS_munmap = 91, SYS_fchmod = 94, SYS_wait4 = 114,
	SYS_fsync = 118, SYS_clone = 120, SYS_mprotect = 125, SYS_fchdir = 133, SYS_flock = 143, SYS_writev = 146,
	SYS_mremap = 163, SYS_pread64 = 180, SYS_pwrite64 = 181, SYS_getcwd = 183, SYS_mmap = 192, SYS_fstat = 197,
	SYS_getuid = 199, SYS_geteuid = 201, SYS_fchown = 207, SYS_getdents64 = 220, SYS_exit_group = 252,
	SYS_clock_gettime = 265, SYS_openat = 295, SYS_mkdirat = 296, SYS_newfstatat = 300, SYS_unlinkat = 301,
	SYS_renameat = 302, SYS_symlinkat = 304, SYS_readlinkat = 305, SYS_faccessat = 307, SYS_utimensat = 320,
	SYS_dup3 = 330
};
#define FILE_OFFSET(offset) (long)(offset), (long)((u64)(offset) >> 32), 0
#include "generic32.h"

/* Six arguments are all registers that there are. So it is a function of its own, which puts them aside. */
__attribute__((visibility("hidden"))) long sys(long nr, long a, long b, long c, long d, long e, long f);
__asm__(".pushsection .text\n"
	".hidden sys\n"
	".globl sys\n"
	"sys:\n"
	"	push %ebp\n"
	"	push %edi\n"
	"	push %esi\n"
	"	push %ebx\n"
	"	mov 20(%esp), %eax\n"
	"	mov 24(%esp), %ebx\n"
	"	mov 28(%esp), %ecx\n"
	"	mov 32(%esp), %edx\n"
	"	mov 36(%esp), %esi\n"
	"	mov 40(%esp), %edi\n"
	"	mov 44(%esp), %ebp\n"
	"	int $0x80\n"
	"	pop %ebx\n"
	"	pop %esi\n"
	"	pop %edi\n"
	"	pop %ebp\n"
	"	ret\n"
	".popsection\n");

#define sys4(nr, a, b, c, d) sys(nr, a, b, c, d, 0, 0)

/* A static program begins: `run` gets the stack as the kernel made it. */
#define PROGRAM_START \
	__asm__(".globl _start\n_start:\n" \
		"	xor %ebp, %ebp\n" \
		"	mov %esp, %eax\n" \
		"	and $-16, %esp\n" \
		"	sub $12, %esp\n" \
		"	push %eax\n" \
		"	call run\n")
