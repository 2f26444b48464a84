/*
 * Starts the bootstrap in a made-up process, again and again, as stub-fuzz.c does with the stub: random own paths, links,
 * auxiliary vectors, sidecars that are missing, cut short, damaged, and errors from every system call.
 *
 *     gcc -DBOOTSTRAP='"bootstrap without calls.h and its first instructions"' -fsanitize=address,undefined bootstrap-fuzz.c
 *     ./a.out <starts> <seed>
 *
 * Every start ends in the address of a sidecar that is right, which is open no more, or in one line and exit_group(127).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* In the place of calls.h. */
typedef unsigned char u8;
typedef unsigned int u32;
enum { SYS_write, SYS_close, SYS_mmap, SYS_pread64, SYS_exit_group, SYS_openat, SYS_readlinkat };
#undef AT_NULL
#undef AT_SECURE
#undef AT_EXECFN
enum { AT_NULL, AT_SECURE = 23, AT_EXECFN = 31 };
static long kernel(long number, word a, word b, word c, word d, word e, word f);
#define call6(number, a, b, c, d, e, f) kernel(number, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), (word)(f))
#define call(number, a, b, c, d) call6(number, a, b, c, d, 0, 0)
#define pread(fd, to, size, offset) call(SYS_pread64, fd, to, size, offset)
#include BOOTSTRAP
struct boot made;

static char own[3 * PATH_MAX], execfn[3 * PATH_MAX], target[PATH_MAX], argument[3 * PATH_MAX], opened[2][4 * PATH_MAX], said[6 * PATH_MAX];
static int has_proc, links, links_followed, opens, present, is_open, calls, fails_at, fails_with, is_secure, touched;
static size_t said_length, writes;
static word file_size, file_length;
static char *file;

static void random_path(char *to, size_t length, int absolute)
{
	for (size_t i = 0; i < length; i++)
		to[i] = chance(15) ? '/' : (char)('a' + below(26));
	to[length] = 0;
	if (absolute && length)
		to[0] = '/';
}

static long copy_link(char *to, long room, const char *from)
{
	long length = (long)strlen(from);
	memcpy(to, from, length < room ? length : room);
	return length < room ? length : room;
}

static long kernel(long number, word a, word b, word c, word d, word e, word f)
{
	if (number == SYS_exit_group) {
		if (a != 127)
			wrong("exit code %lu", a);
		longjmp(ended, 1);
	}
	if (number == SYS_write) {
		if (a != 2 || c > sizeof said)
			wrong("write of %lu bytes to %lu", c, a);
		memcpy(said, (char *)b, said_length = c);
		writes++;
		return (long)c;
	}
	if (is_secure || writes)
		wrong("system call %ld", number);
	if (number == SYS_openat) {
		if ((int)a != -100 || c != 02000000 || opens == 2)
			wrong("openat");
		strcpy(opened[opens++], (char *)b);
	}
	if (fails_at == calls++) {
		if (number == SYS_close)
			is_open = 0;
		return -fails_with;
	}
	switch (number) {
	case SYS_readlinkat:
		if ((int)a != -100 || d != PATH_MAX - 1)
			wrong("readlinkat");
		if (strlen((char *)b) >= PATH_MAX)
			return -ENAMETOOLONG;
		if (calls == 1) {
			if (strcmp((char *)b, "/proc/self/exe"))
				wrong("%s is read first", (char *)b);
			return has_proc ? copy_link((char *)c, (long)d, own) : -ENOENT;
		}
		return links_followed++ < links ? copy_link((char *)c, (long)d, target) : -EINVAL;
	case SYS_openat:
		if (opens - 1 != present || strlen((char *)b) >= PATH_MAX)
			return -ENOENT;
		is_open = 1;
		return 7;
	case SYS_pread64:
		if (a != 7 || !is_open || c != 1 || d != made.length - 1)
			wrong("pread64 at %ld", (long)d);
		*(char *)b = 'x';
		return d < file_size;
	case SYS_mmap:
		if (a || b != made.length || c != 5 || d != 2 || e != 7 || f || file_size < made.length)
			wrong("mmap");
		touched = 1;
		return (long)file;
	case SYS_close:
		if (a != 7 || !is_open)
			wrong("close");
		is_open = 0;
		return 0;
	default:
		wrong("system call %ld", number);
	}
	return 0;
}

static __attribute__((noinline)) int run(const word *stack, word *where)
{
	if (setjmp(ended))
		return 0;
	*where = find(stack);
	return 1;
}

static unsigned long jumps, messages;

static void one(void)
{
	state = this_seed;
	opens = links_followed = is_open = calls = touched = 0, writes = 0;
	fails_at = chance(30) ? (int)below(12) : -1, fails_with = (int[]){ ENOENT, EACCES, ENOMEM, EIO, 4095 }[below(5)];
	has_proc = chance(70), links = chance(70) ? 0 : chance(80) ? 1 + (int)below(3) : 1 << 20;
	random_path(own, 1 + below(chance(80) ? 100 : PATH_MAX), 1);
	random_path(execfn, below(chance(80) ? 100 : sizeof execfn - 1), chance(50));
	random_path(target, 1 + below(chance(80) ? 60 : PATH_MAX - 1), chance(50));
	random_path(argument, below(chance(90) ? 100 : sizeof argument - 1), chance(50));
	present = chance(60) ? 0 : (int)below(3);
	made.up = (u32)(chance(90) ? below(6) : below(4000));
	made.hashed = 8 * (1 + (u32)below(300)), made.length = made.hashed + (u32)below(5000);
	file_length = made.length, file_size = chance(90) ? made.length + below(3) : below(made.length);
	file = malloc(file_length);
	memset(file, 0, file_length);
	u64 digest = 0xcbf29ce484222325;
	for (word i = 0; i < made.hashed / 8; i++) {
		u64 value = next();
		memcpy(file + i * 8, &value, 8);
		digest = (digest ^ value) * 0x100000001b3;
		digest ^= digest >> 32;
	}
	made.digest = digest;
	int is_damaged = chance(15);
	if (is_damaged)
		file[below(made.hashed)] ^= (char)(1 << below(8));

	word words[200], *at = words;
	word argc = below(5);
	*at++ = argc;
	for (word i = 0; i < argc; i++)
		*at++ = (word)argument;
	*at++ = 0;
	for (word n = below(20); n; n--)
		*at++ = (word)argument;
	*at++ = 0;
	is_secure = chance(5);
	int has_execfn = chance(95);
	for (word n = below(6); n; n--)
		*at++ = 40 + below(20), *at++ = next();
	if (has_execfn)
		*at++ = AT_EXECFN, *at++ = (word)execfn;
	if (is_secure || chance(50))
		*at++ = AT_SECURE, *at++ = (word)is_secure;
	*at++ = AT_NULL, *at++ = 0;
	size_t size = (size_t)(at - words);
	word *stack = malloc(size * sizeof *stack);
	memcpy(stack, words, size * sizeof *stack);

	word where = 0;
	int jumped = run(stack, &where), is_right = !is_damaged && file_size >= made.length && present < 2 && !is_secure;
	if (memcmp(stack, words, size * sizeof *stack))
		wrong("the stack is another");
	if (jumped) {
		jumps++;
		if (writes || !is_right || where != (word)file || (is_open && fails_at < 0))
			wrong("a jump to %#lx, with %zu messages", where, writes);
	} else {
		messages++;
		if (writes != 1 || said[said_length - 1] != '\n' || memchr(said, '\n', said_length) != said + said_length - 1)
			wrong("%zu messages: %.*s", writes, (int)said_length, said);
		if (is_secure ? calls != 0 : (fails_at < 0 && is_right && has_proc && strlen(own) < 2000 && made.up < 600))
			wrong("a message: %.*s", (int)said_length, said);
		if ((is_damaged || file_size < made.length) && touched && is_open && fails_at < 0)
			wrong("it stays open");
	}
	/* Where it looked: from its own directory upwards, then in that itself. */
	if (has_proc && fails_at != 0 && strlen(own) < PATH_MAX - 1 && opens && made.up < 600 && strlen(own) < 2000) {
		char wanted[3 * PATH_MAX], *name = strcpy(wanted, own) + (strrchr(own, '/') - own) + 1;
		for (u32 up = 0; up < made.up; up++)
			name = stpcpy(name, "../");
		strcpy(name, SIDECAR_PATH);
		if (strcmp(opened[0], wanted))
			wrong("opened %s, not %s", opened[0], wanted);
		strcpy(wanted + (strrchr(own, '/') - own) + 1, SIDECAR_PATH + 4);
		if (opens == 2 && strcmp(opened[1], wanted))
			wrong("opened %s, not %s", opened[1], wanted);
	}
	free(stack);
	free(file);
}

int main(int argc, char **argv)
{
	unsigned long starts = argc > 1 ? strtoul(argv[1], 0, 0) : 1000, seed = argc > 2 ? strtoul(argv[2], 0, 0) : 1;
	for (unsigned long i = 0; i < starts; i++) {
		this_seed = seed * 1000003 + i;
		one();
	}
	printf("%lu starts, seed %lu: %lu jumps to the sidecar, %lu messages\n", starts, seed, jumps, messages);
	return 0;
}
