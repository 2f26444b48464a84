/*
 * For the tests of long roots. What lies below its store path, read as another user where one is named, as servers do:
 *
 *     prog [USER]                 prints the store path and what the file `data` below it holds
 *
 * and with AS a program that starts another one:
 *
 *     as USER UMASK PROG ARGS...
 */
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void become(const char *user)
{
	uid_t id = (uid_t)strtoul(user, 0, 10);
	if (setgroups(0, 0) || setresgid(id, id, id) || setresuid(id, id, id)) {
		perror(user);
		exit(1);
	}
}

int main(int argc, char **argv)
{
#ifdef AS
	become(argv[1]);
	umask((mode_t)strtoul(argv[2], 0, 8));
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return argc;
#else
	if (argc > 1)
		become(argv[1]);
	char line[100] = "nothing\n";
	FILE *file = fopen(STORE "/data", "r");
	if (file && !fgets(line, sizeof line, file))
		return 1;
	printf("%s: %s", STORE, line);
	return 0;
#endif
}
