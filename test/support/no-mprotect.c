/*
 * Runs a command under a seccomp filter: `no-mprotect RULE[,RULE] command...`. The rules:
 *
 *     wx      no mprotect to writable and executable
 *     exec    what systemd's MemoryDenyWriteExecute= denies: mprotect to executable, mapping writable and executable
 *     mem     no file is opened for reading and writing: of these programs only /proc/self/mem is
 *     pwrite  pwrite64 fails as it does on /proc/self/mem where proc_mem.force_override=never
 *     all     no mprotect and no pwrite64
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A system call is refused where this argument, masked, has this value. */
static const struct rule {
	const char *name;
	unsigned call, argument, mask, value, error;
} rules[] = {
	{ "wx", SYS_mprotect, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, EPERM },
	{ "exec", SYS_mprotect, 2, PROT_EXEC, PROT_EXEC, EPERM },
	{ "exec", SYS_pkey_mprotect, 2, PROT_EXEC, PROT_EXEC, EPERM },
	{ "exec", SYS_mmap, 2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC, EPERM },
	{ "exec", SYS_shmat, 2, SHM_EXEC, SHM_EXEC, EPERM },
	{ "mem", SYS_openat, 2, O_ACCMODE, O_RDWR, EACCES },
	{ "pwrite", SYS_pwrite64, 0, 0, 0, EIO },
	{ "all", SYS_mprotect, 0, 0, 0, EPERM },
	{ "all", SYS_pwrite64, 0, 0, 0, EPERM },
};
enum { RULES = sizeof rules / sizeof *rules, EACH = 6 };

static int asked(const char *names, const char *name)
{
	size_t length = strlen(name);
	for (; names; names = strchr(names, ',') ? strchr(names, ',') + 1 : 0)
		if (!strncmp(names, name, length) && (!names[length] || names[length] == ','))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_filter filter[RULES * EACH + 1];
	unsigned short length = 0;
	if (argc < 3)
		return 2;
	for (int i = 0; i < RULES; i++) {
		const struct rule *r = &rules[i];
		struct sock_filter one[EACH] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->call, 0, 4),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * r->argument),
			BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | r->error),
		};
		if (!asked(argv[1], r->name))
			continue;
		memcpy(filter + length, one, sizeof one);
		length += EACH;
	}
	if (!length)
		return fprintf(stderr, "no rule %s\n", argv[1]), 2;
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { length, filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return perror("seccomp"), 2;
	execv(argv[2], argv + 2);
	return perror(argv[2]), 2;
}
