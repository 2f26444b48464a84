/*
 * /init of a machine that holds nothing but bundles: runs what /runs says, says how each ended, and switches off. Itself
 * dynamic, with the stub in it, started by the kernel before /proc is there.
 *
 * A line of /runs: `aslr` or `no-aslr`, EXPECT_INTERP, the program, and its arguments, each without spaces.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	struct utsname name;
	uname(&name);
	printf("init: %s %s, pid %d\n", name.machine, name.release, getpid());
	mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, 0))
		perror("mount /proc");
	setenv("WILD", "a=b", 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("HOME");
	unsetenv("TERM");
	unsetenv("PWD");
	FILE *runs = fopen("/runs", "r");
	char line[4096];
	while (runs && fgets(line, sizeof line, runs)) {
		line[strcspn(line, "\n")] = 0;
		printf("run: %s\n", line);
		fflush(stdout);
		char *words[64];
		int count = 0;
		for (char *word = strtok(line, " "); word && count < 63; word = strtok(0, " "))
			words[count++] = word;
		words[count] = 0;
		if (count < 3)
			continue;
		pid_t child = fork();
		if (child == 0) {
			if (strcmp(words[0], "no-aslr") == 0)
				personality(ADDR_NO_RANDOMIZE);
			setenv("EXPECT_INTERP", words[1], 1);
			execv(words[2], words + 2);
			perror(words[2]);
			_exit(126);
		}
		int status = 0;
		waitpid(child, &status, 0);
		printf("end: %s %d\n", WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		fflush(stdout);
	}
	printf("init: done\n");
	fflush(stdout);
	sync();
	sleep(1);
	reboot(RB_AUTOBOOT); /* qemu -no-reboot ends by it on every machine; switching off takes drivers */
	return 0;
}
