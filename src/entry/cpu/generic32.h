/* What 32-bit CPUs share: struct stat64 as fstatat64 fills it (arch/x86 and arch/arm, include/uapi/asm/stat.h). */

struct status {
	u64 device;
	u32 pad, low_inode, mode, links, uid, gid;
	u64 rdev;
	u32 more_pad;
	long long size;
	u32 block;
	u64 blocks;
	u32 times[6];
	u64 inode;
};
_Static_assert(sizeof(struct status) == (_Alignof(struct status) == 4 ? 96 : 104), "struct stat64");
