/*
 * A program that uses what ld.so and libc set up for it, and says so on standard output. What differs from run to run
 * (addresses) is checked here and printed as a verdict, so that two runs can be compared to the byte.
 *
 * Of the environment: EXPECT_INTERP is the path that PT_INTERP must have. Macros: IFUNC, CXX: what there is of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;
extern const char _start[];
int main(int argc, char **argv);
int library_counter(void);
#ifdef CXX
int throwing(void);
#endif

static int bad;
static void verdict(const char *what, int good)
{
	printf("%s: %s\n", what, good ? "yes" : "NO");
	bad |= !good;
}

/* ---- Before and after main ---- */

static int started;
static __attribute__((constructor)) void start(void) { started = 41; }
static __attribute__((constructor(200))) void start_early(void) { started = started == 0 ? 1 : 99; }
static __attribute__((destructor)) void end(void) { (void)!write(1, "destructor\n", 11); }
static void at_exit(void) { (void)!write(1, "atexit\n", 7); }

/* ---- Memory ---- */

static char zeros[64 << 20];
static const char *const relocated[] = { "pointers", "in", "read-only", "data" };
static __attribute__((aligned(2048))) char aligned[2048] = "aligned";

static void memory(void)
{
	size_t sum = 0;
	/* A few bytes here and there, and all of both ends: touching every page takes longer than all the rest. */
	for (size_t i = 0; i < sizeof zeros; i += i < 8192 || i >= sizeof zeros - 8192 ? 1 : 32768)
		sum += zeros[i];
	verdict("64 MB of zeros", sum == 0);
	for (size_t i = 0; i < sizeof zeros; i += 32767)
		zeros[i] = 1;
	memset(zeros + sizeof zeros - 8192, 1, 8192);
	verdict("writable", zeros[sizeof zeros - 1] == 1 && ((size_t)aligned & 2047) == 0);
	for (size_t i = 0; i < sizeof relocated / sizeof *relocated; i++)
		printf("%s ", relocated[i]);
#ifdef __GLIBC__ /* musl's does nothing */
	char *before = sbrk(0);
	verdict("sbrk", sbrk(1 << 20) == before && memset(before, 7, 1 << 20) && sbrk(-(1 << 20)) != (void *)-1);
#endif
	for (size_t size = 1; size < 2u << 20; size *= 3) {
		char *block = malloc(size);
		if (!block)
			verdict("malloc", 0);
		memset(block, 3, size);
		free(block);
	}
	struct stat status;
	verdict("errno", stat("/no such file", &status) == -1 && errno == ENOENT);
}

/* ---- Threads, thread-local storage ---- */

static __thread int own = 5;
static __thread char own_zeros[5000];
static __thread __attribute__((aligned(64))) int own_aligned = 6;

static void *thread(void *sum)
{
	own += (int)(long)sum;
	own_zeros[4999]++;
	return (void *)(long)(own + library_counter() + own_zeros[4999] + (((size_t)&own_aligned & 63) == 0));
}

static void threads(void)
{
	pthread_t ids[8];
	long total = 0;
	for (long i = 0; i < 8; i++)
		if (pthread_create(&ids[i], 0, thread, (void *)i))
			verdict("pthread_create", 0);
	for (long i = 0; i < 8; i++) {
		void *result;
		pthread_join(ids[i], &result);
		total += (long)result;
	}
	printf("threads: %ld, own %d %d, library %d\n", total, own, own_zeros[4999], library_counter());
}

/* ---- IFUNC ---- */

#ifdef IFUNC
static int chosen(void) { return 17; }
static int (*choose(void))(void) { return chosen; }
int indirect(void) __attribute__((ifunc("choose")));
int (*volatile indirect_pointer)(void) = indirect;
#endif

/* ---- What the loader says ---- */

struct seen {
	int objects, program, named;
};

static int object(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	struct seen *seen = data;
	int mine = 0, headers = 0;
	const char *interp = 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		size_t at = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && (size_t)main - at < p->p_memsz)
			mine = 1;
		if (p->p_type == PT_PHDR)
			headers = at == (size_t)info->dlpi_phdr;
		if (p->p_type == PT_INTERP)
			interp = (const char *)at;
	}
	seen->objects++;
	if (!mine)
		return 0;
	seen->program++;
	verdict("it has its own program headers", headers && (size_t)info->dlpi_phdr == getauxval(AT_PHDR) &&
							     info->dlpi_phnum == getauxval(AT_PHNUM));
	const char *expected = getenv("EXPECT_INTERP");
	verdict("PT_INTERP", interp && expected && strcmp(interp, expected) == 0);
	if (!interp || !expected || strcmp(interp, expected))
		printf("  %s, not %s\n", interp ? interp : "(none)", expected);
	return 0;
}

static void loader(void)
{
	struct seen seen = { 0, 0, 0 };
	dl_iterate_phdr(object, &seen);
	verdict("dl_iterate_phdr", seen.program == 1);
	/* The vDSO is listed on some kernels only. */
	verdict("libraries are listed", seen.objects > 2);
	verdict("AT_ENTRY", getauxval(AT_ENTRY) == (size_t)_start);
	verdict("AT_BASE", getauxval(AT_BASE) && memcmp((void *)getauxval(AT_BASE), "\177ELF", 4) == 0);
	verdict("AT_PAGESZ", getauxval(AT_PAGESZ) == (size_t)sysconf(_SC_PAGESIZE));
	verdict("AT_RANDOM", getauxval(AT_RANDOM) != 0);
	Dl_info info;
	const char *in_libc = dladdr(dlsym(RTLD_DEFAULT, "wcstoull"), &info) && info.dli_fname ? info.dli_fname : "";
	verdict("dladdr", strstr(in_libc, "/libc.so") || strstr(in_libc, "/ld-musl"));

	void *plugin = dlopen("libplugin.so", RTLD_NOW);
	if (!plugin) {
		printf("dlopen: %s\n", dlerror());
		bad = 1;
		return;
	}
	int (*plugged)(int) = (int (*)(int))dlsym(plugin, "plugged");
	printf("plugin: %d %d\n", plugged(1), plugged(2));
	dlclose(plugin);
	verdict("no such library", dlopen("libnothing.so", RTLD_NOW) == 0);
}

/* ---- Control flow that crosses libc ---- */

static sigjmp_buf back;
static void handler(int signal) { siglongjmp(back, signal); }
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void flow(void)
{
	signal(SIGSEGV, handler);
	int got = sigsetjmp(back, 1);
	if (got == 0)
		*(volatile int *)16 = 1;
	printf("signal: %d\n", got);
	int numbers[] = { 5, 3, 9, 1 };
	qsort(numbers, 4, sizeof *numbers, compare);
	printf("sorted: %d %d, sqrt %.6f\n", numbers[0], numbers[3], sqrt(numbers[1] + 0.5));
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--wait") == 0) {
		(void)!write(1, "waiting\n", 8);
		for (;;)
			pause();
	}
	atexit(at_exit);
	printf("started %d, locale %s\n", started, setlocale(LC_ALL, ""));
	const char *slash = strrchr(argv[0], '/');
	printf("argv: %d %s", argc, slash ? slash + 1 : argv[0]);
	for (int i = 1; i < argc; i++)
		printf(" <%s>", argv[i]);
	printf("\n");
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "EXPECT_INTERP=", 14) && strncmp(*e, "PWD=", 4))
			printf("environment: %s\n", *e);
	memory();
	threads();
	loader();
	flow();
#ifdef IFUNC
	printf("ifunc: %d %d\n", indirect(), indirect_pointer());
#endif
#ifdef CXX
	printf("exception: %d\n", throwing());
#endif
	fflush(stdout);
	return bad ? 1 : 23;
}
