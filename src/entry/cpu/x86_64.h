/* x86_64: the kernel's side (arch/x86/entry/syscalls/syscall_64.tbl). */

enum { MACHINE = EM_X86_64, MMAP_SHIFT = 0, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000, O_LARGEFILE = 0 };
enum {
	SYS_write = 1, SYS_close = 3, SYS_fstat = 5, SYS_mmap = 9, SYS_mprotect = 10, SYS_mremap = 25, SYS_munmap = 11, SYS_pread64 = 17,
	SYS_pwrite64 = 18, SYS_writev = 20, SYS_clone = 56, SYS_execve = 59, SYS_wait4 = 61, SYS_flock = 73, SYS_fsync = 74,
	SYS_getcwd = 79, SYS_chdir = 80, SYS_fchdir = 81, SYS_fchmod = 91, SYS_fchown = 93, SYS_getuid = 102,
	SYS_geteuid = 107, SYS_getdents64 = 217, SYS_clock_gettime = 228, SYS_exit_group = 231, SYS_openat = 257,
	SYS_mkdirat = 258, SYS_newfstatat = 262, SYS_unlinkat = 263, SYS_renameat = 264, SYS_symlinkat = 266,
	SYS_readlinkat = 267, SYS_faccessat = 269, SYS_utimensat = 280, SYS_dup3 = 292
};
#define FILE_OFFSET(offset) (long)(offset), 0, 0

struct status {
	u64 device, inode, links;
	u32 mode, uid, gid, pad;
	u64 rdev;
	long long size;
	u64 rest[12];
};

static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return nr;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return nr;
}

/* A static program begins: `run` gets the stack as the kernel made it. */
#define PROGRAM_START \
	__asm__(".globl _start\n_start:\n" \
		"	xor %ebp, %ebp\n" \
		"	mov %rsp, %rdi\n" \
		"	and $-16, %rsp\n" \
		"	call run\n")
