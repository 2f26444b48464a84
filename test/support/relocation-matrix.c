/*
 * A program, its library (-DLIBRARY) and its plugin (-DPLUGIN), each with a store path in every place that a linker has
 * for one, read by everybody who may be first: constructors, threads that these start, dlopen, dlmopen, a child.
 *
 *     prog PLUGIN [child | maps]
 *
 * Each string is a line `object reader place: string`; with `maps` what /proc/self/maps has at the end follows. STORE is the placeholder of a package, its name included.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined PLUGIN
#define OBJECT "plugin"
#define CALL call_plugin
#elif defined LIBRARY
#define OBJECT "library"
#define CALL call_library
#else
#define OBJECT "program"
#endif

enum { PAGE = 4096, MANY = 60 };
/* With a pointer in it, so that ld.so writes to it first, and makes it read-only then. */
struct entry {
	const char *name;
	char own[sizeof STORE + 20];
};
#define ENTRY { STORE "/relro", STORE "/in-relro" }
#define FIVE(what) what, what, what, what, what
/* A string over the border of two pages. */
struct border {
	const void *pointer;
	char before[PAGE - sizeof(void *) - 20], own[sizeof STORE + 20];
} __attribute__((aligned(PAGE)));

static const char rodata[] = STORE "/rodata";
static __thread char thread_local[] = STORE "/thread";
static char data[] = STORE "/data";
static const char *pointer = STORE "/pointer";
static const struct { size_t length; const char *text; } counted = { sizeof STORE "/counted" - 1, STORE "/counted" };
static const struct entry relro[MANY] = { FIVE(FIVE(ENTRY)), FIVE(FIVE(ENTRY)), FIVE(ENTRY), FIVE(ENTRY) };
static const struct border rodata_border = { 0, "", STORE "/border" };
static const struct border relro_border = { data, "", STORE "/border" };
static struct border data_border = { data, "", STORE "/border" };
extern const char code[] __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n.balign 16\ncode: .asciz \"" STORE "/code\"\n.balign 16\n.popsection");

/* Nothing of this is known when it is compiled. */
static const char *seen(const char *text)
{
	__asm__ volatile("" : "+r"(text) : : "memory");
	return text;
}

static void say_all(const char *reader)
{
	char joined[1000];
	int alike = 0;
	for (int i = 0; i < MANY; i++)
		alike += !strcmp(seen(relro[i].name), seen(relro[0].name)) && !strcmp(seen(relro[i].own), seen(relro[0].own));
	snprintf(joined, sizeof joined, "%s%s", seen(pointer), "/joined");
#define SAY(place, format, ...) dprintf(1, OBJECT " %s " place ": " format "\n", reader, __VA_ARGS__)
	SAY("rodata", "%s %zu", seen(rodata), sizeof rodata);
	SAY("code", "%s", seen(code));
	SAY("data", "%s %zu", seen(data), sizeof data);
	SAY("thread-local", "%s", seen(thread_local));
	SAY("pointer", "%s", joined);
	SAY("counted", "%.*s", (int)counted.length, seen(counted.text));
	SAY("relro", "%s %d", seen(relro->own), alike);
	SAY("relro name", "%s", seen(relro->name));
	SAY("rodata border", "%s", seen(rodata_border.own));
	SAY("relro border", "%s", seen(relro_border.own));
	SAY("data border", "%s", seen(data_border.own));
}

#if defined PLUGIN || defined LIBRARY
static void *say_from_thread(void *unused)
{
	say_all("thread");
	return unused;
}

/* A thread that a constructor starts and that goes on: whether what it sees changes under it. */
static pthread_t watcher;
static int stop;
static void *watch(void *unused)
{
	char first[3][sizeof rodata + 100];
	const char *const all[3] = { rodata, data, relro->own };
	long changes = 0;
	for (int i = 0; i < 3; i++)
		strcpy(first[i], seen(all[i]));
	do
		for (int i = 0; i < 3; i++)
			changes += strcmp(first[i], seen(all[i])) != 0;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE));
	dprintf(1, OBJECT " watcher: %s\n", changes ? "changes" : "no changes");
	return unused;
}

__attribute__((constructor)) static void start(void)
{
	pthread_t thread;
	say_all("constructor");
	if (pthread_create(&thread, 0, say_from_thread, 0) || pthread_join(thread, 0) ||
	    pthread_create(&watcher, 0, watch, 0))
		dprintf(1, OBJECT ": no thread\n");
}

__attribute__((visibility("default"))) void CALL(const char *reader)
{
	if (watcher) {
		__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
		pthread_join(watcher, 0);
		watcher = 0;
	}
	say_all(reader);
}

#else
void call_library(const char *reader);

__attribute__((constructor)) static void start(void)
{
	say_all("constructor");
}

static void *open_plugin(void *plugin, const char *reader)
{
	void (*call)(const char *) = plugin ? (void (*)(const char *))dlsym(plugin, "call_plugin") : 0;
	if (call)
		call(reader);
	else
		dprintf(1, "no plugin: %s\n", dlerror());
	return plugin;
}

int main(int argc, char **argv)
{
	say_all("main");
	call_library("main");
	void *plugin = open_plugin(dlopen(argv[1], RTLD_NOW), "dlopen");
	if (plugin && dlclose(plugin) == 0)
		open_plugin(dlopen(argv[1], RTLD_NOW), "again");
#ifdef LM_ID_NEWLM
	open_plugin(dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW), "dlmopen");
#endif
	if (argc > 2 && strcmp(argv[2], "maps") == 0) {
		char line[1000];
		FILE *maps = fopen("/proc/self/maps", "r");
		while (maps && fgets(line, sizeof line, maps))
			dprintf(1, "%s", line);
	}
	if (argc > 2)
		return 0;
	pid_t child = vfork();
	if (child == 0) {
		execl("/proc/self/exe", argv[0], argv[1], "child", (char *)0);
		_exit(1);
	}
	int status = 1;
	return child < 0 || waitpid(child, &status, 0) != child || status;
}
#endif
