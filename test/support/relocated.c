/*
 * A program with strings that lie in the file as placeholders: says each of them, on a line of its own. With -DLIBRARY
 * it is the library that goes with it, with -DPLUGIN what it opens by dlopen; with -DALONE a program without either.
 *
 * STORE is the placeholder of a package, its name included.
 */
#include <stdio.h>
#include <string.h>

struct entry {
	const char *name;
	int (*call)(const char *);
	char own[sizeof STORE + 20];
};

#if defined PLUGIN
static const char path[] = STORE "/plugin";
static const char *const table[] = { STORE "/plugin/pointer" };
__attribute__((constructor)) static void start(void)
{
	printf("plugin's constructor: %s %s\n", path, *table);
}
const char *plugged(void) { return path; }

#elif defined LIBRARY
const char library_rodata[] = STORE "/share/rodata";
char library_data[] = STORE "/share/data";
const char *library_pointer = STORE "/share/pointer";
const struct entry library_relro[] = { { STORE "/share/relro", puts, STORE "/in-relro" } };
static const char in_start[] = STORE "/start";
__attribute__((constructor)) static void start(void)
{
	printf("library's constructor: %s\n", in_start);
}
void library(void)
{
	printf("library rodata: %s %zu\n", library_rodata, sizeof library_rodata);
	printf("library data: %s %zu\n", library_data, sizeof library_data);
	printf("library pointer: %s\n", library_pointer);
	printf("library relro: %s %s\n", library_relro->name, library_relro->own);
}

#else
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static const char rodata[] = STORE "/rodata";
static char data[] = STORE "/data";
static const char *pointer = STORE "/pointer";
static const struct entry relro[] = { { STORE "/relro", puts, STORE "/in-relro" } };
#ifndef ALONE
/* Of a program without -fPIE a copy of the library's. */
extern char library_data[];
void library(void);
#endif

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "again") == 0) {
		pid_t child = vfork();
		if (child == 0) {
			execl("/proc/self/exe", argv[0], (char *)0);
			_exit(1);
		}
		return child < 0;
	}
	char joined[1000];
	snprintf(joined, sizeof joined, "%s%s", pointer, "/joined");
	printf("rodata: %s %zu\n", rodata, sizeof rodata);
	printf("data: %s %zu\n", data, sizeof data);
	printf("pointer: %s\n", joined);
	printf("relro: %s %s\n", relro->name, relro->own);
#ifdef ALONE
	printf("argv: %d %s\n", argc, argv[argc - 1]);
#else
	printf("library's data from here: %s\n", library_data);
	library();
	for (int i = 1; i + 1 < argc && strcmp(argv[i], "plugin") == 0; i += 2) {
		void *plugin = dlopen(argv[i + 1], RTLD_NOW);
#ifdef LM_ID_NEWLM
		if (getenv("NEW_NAMESPACE"))
			plugin = dlmopen(LM_ID_NEWLM, argv[i + 1], RTLD_NOW);
#endif
		const char *(*plugged)(void) = plugin ? (const char *(*)(void))dlsym(plugin, "plugged") : 0;
		printf("plugin: %s\n", plugged ? plugged() : dlerror());
	}
#endif
	return 0;
}
#endif
