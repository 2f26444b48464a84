/* The kernel's side of the stub (entry/cpu/NAME.h) where it is part of a test program: system calls are stub-fuzz.c's. */

long sys(long nr, long a, long b, long c, long d, long e, long f);
enum { MACHINE = sizeof(word) == 8 ? EM_X86_64 : EM_386, MMAP_SHIFT = 0, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };
enum {
	SYS_read, SYS_write, SYS_close, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_pread64, SYS_getcwd, SYS_exit_group,
	SYS_openat, SYS_readlinkat, SYS_pwrite64, SYS_clock_gettime, SYS_newfstatat, SYS_mkdirat, SYS_symlinkat, SYS_fchmod,
	SYS_mremap
};
#define sys4(nr, a, b, c, d) sys(nr, a, b, c, d, 0, 0)
#define FILE_OFFSET(offset) (long)(offset), 0, 0
struct status {
	u64 device, inode, links;
	u32 mode, uid, rest[28];
};
