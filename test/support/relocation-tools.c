/*
 * A program, its library (-DLIBRARY) and its plugin (-DPLUGIN) for tools to look at: each reads a file that it knows by
 * a store path, DATA, and says how long it is. Built with -g.
 *
 *     app [wait | work | fork]    waits for a line of input at the end; works for a while; does it all in a child too
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char path[] = DATA;

static void read_data(const char *who)
{
	char text[10000];
	int fd = open(path, O_RDONLY);
	printf("%s: %zd bytes\n", who, fd < 0 ? -1 : read(fd, text, sizeof text));
	fflush(stdout);
	close(fd);
}

#if defined PLUGIN
__attribute__((constructor)) static void start(void)
{
	read_data("plugin's constructor");
}
void plugin_call(void)
{
	read_data("plugin");
}
void plugin_work(void)
{
	for (volatile long i = 0; i < 400000000; i++)
		;
}

#elif defined LIBRARY
__attribute__((constructor)) static void start(void)
{
	read_data("library's constructor");
}
void library_call(void)
{
	read_data("library");
}
/* Where a debugger finds the program waiting. */
int library_wait(void)
{
	puts("waiting");
	fflush(stdout);
	return getchar();
}

#else
void library_call(void);
int library_wait(void);

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "fork") == 0) {
		if (fork() != 0) {
			int status;
			wait(&status);
		}
	}
	read_data("program");
	library_call();
	void *plugin = dlopen("libplugin.so", RTLD_NOW);
	void (*call)(void) = plugin ? (void (*)(void))dlsym(plugin, "plugin_call") : 0;
	if (!call)
		return printf("%s\n", dlerror()), 1;
	call();
	if (strcmp(what, "wait") == 0)
		library_wait();
	if (strcmp(what, "work") == 0)
		((void (*)(void))dlsym(plugin, "plugin_work"))();
	puts("end");
	return 0;
}
#endif
