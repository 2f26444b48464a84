/*
 * Runs a command under a seccomp filter: `no-mprotect wx command...` denies mappings that are writable and executable,
 * `no-mprotect all command...` every mprotect and writing to /proc/self/mem (pwrite64).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define END(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv)
{
	struct sock_filter wx[] = {
		LOAD(nr), IF(SYS_mprotect, 0, 4),
		LOAD(args[2]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC), IF(PROT_WRITE | PROT_EXEC, 0, 1),
		END(SECCOMP_RET_ERRNO | EPERM), END(SECCOMP_RET_ALLOW),
	};
	struct sock_filter all[] = {
		LOAD(nr), IF(SYS_mprotect, 1, 0), IF(SYS_pwrite64, 0, 1),
		END(SECCOMP_RET_ERRNO | EPERM), END(SECCOMP_RET_ALLOW),
	};
	if (argc < 3)
		return 2;
	int which = strcmp(argv[1], "all") == 0;
	struct sock_fprog program = { which ? sizeof all / sizeof *all : sizeof wx / sizeof *wx, which ? all : wx };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return perror("seccomp"), 2;
	execv(argv[2], argv + 2);
	return perror(argv[2]), 2;
}
