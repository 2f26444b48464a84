/* What 64-bit CPUs without a history of their own share (include/uapi/asm-generic/stat.h). */
enum { O_LARGEFILE = 0 };
#define FILE_OFFSET(offset) (long)(offset), 0, 0

struct status {
	u64 device, inode;
	u32 mode, links, uid, gid;
	u64 rdev, pad;
	long long size;
	u64 rest[9];
};
