/*
 * Times how long programs take from start to end: spawn ROUNDS PROGRAM...
 *
 * Interleaved, so that a busy moment of the machine meets all of them alike: in each round every program is started
 * once, with no arguments but those in $SPAWN_ARGUMENT, output and messages to
 * /dev/null. Prints the median of each in nanoseconds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[1]) : 0, programs = argc - 2;
	char *argument = getenv("SPAWN_ARGUMENT");
	if (rounds < 1)
		return 2;
	long *times = calloc((size_t)rounds * programs, sizeof *times);
	posix_spawn_file_actions_t quiet;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&quiet, 1, 2);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < programs; i++) {
			int p = (i + round) % programs, status;
			char *arguments[] = { argv[2 + p], argument, NULL };
			struct timespec from, to;
			pid_t pid;
			clock_gettime(CLOCK_MONOTONIC, &from);
			if (posix_spawn(&pid, argv[2 + p], &quiet, NULL, arguments, environ) || waitpid(pid, &status, 0) < 0 || status)
				return fprintf(stderr, "%s failed\n", argv[2 + p]), 1;
			clock_gettime(CLOCK_MONOTONIC, &to);
			times[(size_t)p * rounds + round] = (to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec;
		}
	for (int p = 0; p < programs; p++) {
		qsort(times + (size_t)p * rounds, rounds, sizeof *times, ascending);
		printf("%ld\n", times[(size_t)p * rounds + rounds / 2]);
	}
}
