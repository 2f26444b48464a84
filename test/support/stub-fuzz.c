/*
 * Starts the stub in a made-up process, again and again: random own paths, arguments, auxiliary vectors, loader files,
 * and errors from every system call at every point.
 *
 *     gcc -DHOST_TEST -D_start=stub_start -fsanitize=address,undefined ... src/entry/stub.c stub-fuzz.c
 *     ./a.out <starts> <seed>
 *
 * `sys` is a kernel that keeps book: what is mapped and how, what is open, what was written. Mappings are real, in an
 * arena that is PROT_NONE where nothing is mapped, so that a stray access is a fault. What does not hold ends the run
 * with the seed of that one start. Every start ends in one of two ways:
 *
 *   a jump   to where this file's own model of the stub says; with the loader's segments in place, the rest of their
 *            pages zero, nothing else left mapped but the table of program headers, and auxv changed as ld.so needs it;
 *   the end  by exit_group(127), after exactly one write to standard error, one line that ends the start.
 *
 * The model also says which of the two it must be.
 *
 * Programs and libraries are mapped too (struct image), with placeholders in segments of every kind. What becomes of them
 * is looked at after the start, after the program headers of a static program were all there is, and once more when an
 * ld.so that is made up here has mapped libraries, copied variables and protected RELRO, and jumps to the stub again. A
 * string is what it was or what it has to be, all else is what it was, whatever failed; and without a failure each is
 * what it has to be, and every page as protected as before.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

/* Of the class that this is built for. */
typedef ElfW(Ehdr) Ehdr;
typedef ElfW(Phdr) Phdr;
typedef ElfW(Dyn) Dyn;
typedef ElfW(Half) Half;
typedef ElfW(Word) Word;

/* As in stub.c, which is linked with this file. */
struct config {
	char magic[8];
	u64 address, entry;
	uint16_t up;
	unsigned char align, zero;
	uint32_t number;
	char loader[8192];
} config;
const char _start[16] = "the entry point", _loaded[16], _mapped[16];
word loaded(word *stack);
#ifdef SIDECAR
/*
 * Entered by a sidecar (sidecar.c, which is linked in the place of stub.c): the bootstrap lies in the program's first
 * segment, with `config` and the search path behind it, and the pages as they were in what stands for the sidecar's file.
 */
enum { IS_SIDECAR = 1 };
static struct boot {
	u64 digest;
	uint32_t hashed, length, number, zero;
	struct config config;
} *boot;
struct originals {
	char magic[8];
	uint32_t count, zero;
	struct original { u64 address, first, digest; uint32_t offset, length, covered, zero; } original[4];
} originals;
const char *sidecar;
word start(word *stack, word exit_function, const struct boot *boot);
static word enter(word *stack, word exit_function) { return start(stack, exit_function, boot); }
#else
enum { IS_SIDECAR = 0 };
word start(word *stack, word exit_function);
static word enter(word *stack, word exit_function) { return start(stack, exit_function); }
#endif
static char search_path[200];
/* Where the program's first instruction is, and how many system calls come before it asks for its own path. */
static word first_instruction;
static int calls_before;
static int is_damaged;
struct state;
void relocate_libraries(const struct state *state);
enum { NR_read, NR_write, NR_close, NR_mmap, NR_mprotect, NR_munmap, NR_pread64, NR_getcwd, NR_exit_group, NR_openat, NR_readlinkat, NR_pwrite64, NR_clock_gettime, NR_newfstatat, NR_mkdirat, NR_symlinkat, NR_fchmod, NR_mremap, NR_COUNT };

/* ---- The kernel ---- */

enum { CLASS = sizeof(word) == 8 ? ELFCLASS64 : ELFCLASS32, MACHINE = sizeof(word) == 8 ? EM_X86_64 : EM_386 };
enum { SMALL = 4096, ARENA = 64 << 20, PAGES = ARENA / SMALL };
static char *arena;
/* Of each small page: 0 not mapped, else 1 + its protection. */
static unsigned char mapped[PAGES];
static size_t used_low, used_high;
static word page;

static unsigned char file[1 << 16];
static size_t file_size;
static char own[3 * PATH_MAX], cwd[PATH_MAX], target[PATH_MAX];
static int own_errno, cwd_errno, links, links_followed;
static char opened_path[4 * PATH_MAX];
static int opens, descriptor_open, writes, exit_code;
static char written[4 * PATH_MAX];
static size_t written_size;
/* The system call with this number (counted from 0) fails. */
static int calls, fails_at, fails_with;

enum { DESCRIPTOR = 7, TABLE, MEM, ALIAS };

/* The bundle's table of relocations: none, one that is whole, one that is not. */
static enum { NONE, WHOLE, DAMAGED } has_table;
static u64 table_words[2048];
static word table_words_count;
static int mem_errno, mem_is_elsewhere;
/* A bit for each of TABLE, MEM and ALIAS that is open. */
static int others_open;

static int is_undisturbed(void);

static long also_open(int fd)
{
	if (others_open >> fd & 1 && is_undisturbed())
		wrong("%d is opened once more, and is open", fd);
	others_open |= 1 << fd;
	return fd;
}
/* What the stub has to make of the loader file's bytes, and where there are placeholders in it. */
static unsigned char expected_file[1 << 16];
static struct { word offset, length, target; } planted[8];
static int planted_count;

/* Of each small page: whether it belongs to an image (1), or to the sidecar (2). */
static unsigned char theirs[PAGES];

static size_t place(word at, word length, const char *what)
{
	if (at % page || length == 0)
		wrong("%s: %#lx, %#lx bytes, with pages of %#lx", what, at, length, page);
	if (at < (word)arena || length > ARENA || at - (word)arena > ARENA - length)
		wrong("%s outside of what it has: %#lx, %#lx bytes", what, at, length);
	return (at - (word)arena) / SMALL;
}

static word whole(word length) { return (length + page - 1) & -page; }

static void protect(size_t first, size_t count, int protection)
{
	/* Writable implies readable, as on every CPU there is a stub for. */
	int real = protection & PROT_WRITE ? PROT_READ | PROT_WRITE : protection ? PROT_READ : PROT_NONE;
	if (count && mprotect(arena + first * SMALL, count * SMALL, real))
		wrong("mprotect: %m");
	memset(mapped + first, 1 + (protection & 7), count);
	if (first < used_low)
		used_low = first;
	if (first + count > used_high)
		used_high = first + count;
}

static void discard(size_t first, size_t count)
{
	if (count && mmap(arena + first * SMALL, count * SMALL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		wrong("mmap: %m");
	memset(mapped + first, 0, count);
}

static long do_mmap(word at, word length, int protection, int flags, long fd, word offset)
{
	if (!(flags & MAP_PRIVATE))
		wrong("a shared mapping");
	if (length == 0)
		wrong("a mapping of nothing");
	if (length > ARENA / 2)
		return -ENOMEM;
	length = whole(length);
	size_t first, count = length / SMALL;
	if (flags & MAP_FIXED) {
		first = place(at, length, "mmap");
		for (size_t i = 0; i < count; i++)
			if (!mapped[first + i] || theirs[first + i])
				wrong("MAP_FIXED over what is not its own, %#lx", at);
	} else {
		if (at)
			wrong("a hint");
		/* Anywhere that is free, not always aligned to more than a page, next to another mapping at times. */
		size_t step = page / SMALL;
		for (int tries = 0;; tries++) {
			if (tries == 50)
				return -ENOMEM;
			first = below((PAGES - count) / step) * step;
			size_t i = 0;
			while (i < count && !mapped[first + i])
				i++;
			if (i == count)
				break;
		}
	}
	if (flags & MAP_ANONYMOUS) {
		if (fd != -1 || offset)
			wrong("an anonymous mapping of a file");
		discard(first, count);
		protect(first, count, protection);
		return (long)(arena + first * SMALL);
	}
	if (fd != DESCRIPTOR || !descriptor_open)
		return -EBADF;
	if (offset % page)
		return -EINVAL;
	if (offset + length < offset || (long)(offset + length) < 0)
		return -EOVERFLOW;
	discard(first, count);
	/* Pages wholly behind the end of the file cannot be touched; the last one is filled with zeros. */
	word there = offset < file_size ? whole(file_size - offset) : 0;
	if (there > length)
		there = length;
	protect(first, there / SMALL, PROT_READ | PROT_WRITE);
	char *to = arena + first * SMALL;
	if (there)
		memcpy(to, file + offset, there < file_size - offset ? there : file_size - offset);
	protect(first, there / SMALL, protection);
	memset(mapped + first, 1 + (protection & 7), count);
	if (first + count > used_high)
		used_high = first + count;
	return (long)to;
}

static long copy_out(char *to, long room, const char *from, int with_nul)
{
	long length = (long)strlen(from) + with_nul;
	if (length > room) {
		if (with_nul)
			return -ERANGE;
		length = room;
	}
	memcpy(to, from, length);
	return length;
}

/* ---- The directories for aliases ---- */

/* Three places, their paths as this process has them, and the directories above. */
enum { PLACES = 3 };
static struct place_for_aliases {
	char above[40], path[40];
	struct { int is_there; uint32_t mode, owner; } parent, directory;
	enum { ABSENT, DIRECTORY, A_FILE, A_LINK, CANNOT_BE_MADE } kind;
	/* So many names are another's; whether the next one is there, and says where the root lies. */
	word taken;
	int made, by_us;
} places[PLACES];
static struct place_for_aliases *opened_place;
static word euid, root_inode;
static u64 alias_number;
static char bundle[12 * PATH_MAX];
static int is_root_known;
/* Whether the root was looked at, and there; and how often a place for aliases was. */
/* /run/user/4294967295/sf/0123456789ab. In bytes. */
enum { LONGEST_ALIAS = 36 };
static int looked_at_root, saw_root;
static unsigned looked_at_places;

static u64 hash(u64 value, const u64 *from, word count);
static const u64 hash_seed;

/* The root of the bundle, and with it the name that its alias has. */
static void set_root(const char *path)
{
	if (path != bundle)
		strcpy(bundle, path);
	alias_number = hash_seed;
	for (const char *c = bundle; *c; c++) {
		u64 byte = (unsigned char)*c;
		alias_number = hash(alias_number, &byte, 1);
	}
}
/* Ways that were taken: aliases, those of roots that have room, roots that are not plain. */
static unsigned long aliases, plain_aliases, unplain;

static uint32_t random_mode(void)
{
	return chance(70) ? (uint32_t[]){ 0700, 0711, 0755, 01777 }[below(4)] : (uint32_t)below(010000);
}

static uint32_t random_owner(void) { return chance(60) ? (uint32_t)euid : chance(60) ? 0 : (uint32_t)next(); }

static void make_places(void)
{
	euid = chance(40) ? 0 : chance(50) ? 1000 : next() & 0xffffffff;
	for (int i = 0; i < PLACES; i++) {
		struct place_for_aliases *p = &places[i];
		memset(p, 0, sizeof *p);
		if (i == 0 && euid)
			sprintf(p->above, "/run/user/%lu", euid);
		else
			strcpy(p->above, (const char *[]){ "/run", "/dev/shm", "/tmp" }[i]);
		if (i == 0)
			sprintf(p->path, "%s/sf", p->above);
		else
			sprintf(p->path, "%s/sf-%lu", p->above, euid);
		p->parent.is_there = chance(70), p->parent.mode = random_mode(), p->parent.owner = random_owner();
		p->directory.mode = random_mode(), p->directory.owner = random_owner();
		p->kind = chance(40) ? ABSENT : chance(70) ? DIRECTORY : 2 + below(3);
		p->taken = chance(80) ? 0 : below(20), p->made = chance(40);
	}
	opened_place = 0;
	looked_at_root = saw_root = looked_at_places = 0;
}

static struct place_for_aliases *place_at(const char *path)
{
	for (int i = 0; i < PLACES; i++)
		if (strcmp(places[i].path, path) == 0)
			return &places[i];
	return 0;
}

/* Nobody but the user and root can ever change what is in it: looked at in another way than the stub does. */
static int is_guarded_place(const struct place_for_aliases *p)
{
	if (p->kind != DIRECTORY || p->directory.owner != euid || p->directory.mode & 020 || p->directory.mode & 02)
		return 0;
	if (!p->parent.is_there || (p->parent.owner && p->parent.owner != euid))
		return 0;
	return p->parent.mode & 01000 || (p->parent.mode & 022) == 0;
}

/* Whether no system call was made to fail so far. */
static int is_undisturbed(void) { return fails_at < 0 || calls <= fails_at; }

/* Which of the names in it is meant; the stub has to have made sure of the directory. */
static u64 alias_index(long fd, const char *name)
{
	char *end;
	if (fd != ALIAS || !opened_place || !is_guarded_place(opened_place))
		wrong("%s in a directory that is not to be trusted", name);
	u64 number = strtoull(name, &end, 16), index = (number - alias_number) & 0xffffffffffff;
	if (*end || strlen(name) != 12 || index >= 16 || (index > opened_place->taken && is_undisturbed()))
		wrong("an alias named %s", name);
	return index;
}

static long write_status(u64 *stat, word inode, uint32_t mode, uint32_t owner)
{
	memset(stat, 0xcc, 144);
	stat[0] = 1, stat[1] = inode;
	((uint32_t *)stat)[6] = mode, ((uint32_t *)stat)[7] = owner;
	return 0;
}

static long do_stat(long fd, const char *path, u64 *stat, long flags)
{
	if (fd == ALIAS && flags == 0x1000 && !*path && opened_place)
		return write_status(stat, 9, 040000 | opened_place->directory.mode, opened_place->directory.owner);
	if (flags)
		wrong("newfstatat(%ld, \"%s\", %#lx)", fd, path, flags);
	if (fd == ALIAS) {
		if (alias_index(fd, path) != opened_place->taken || !opened_place->made)
			wrong("a look at the alias %s, which does not lead to the root", path);
		return chance(80) ? write_status(stat, root_inode, 0, 0) : -ELOOP;
	}
	if (fd != AT_FDCWD)
		wrong("newfstatat of directory %ld", fd);
	/* Nothing was copied without its links; and what is longer than a path may be is not there. */
	if (strlen(path) == PATH_MAX - 1 || (strlen(path) >= 12 && strcmp(path + strlen(path) - 12, "/bundle.json") == 0))
		return -ENOENT;
	for (int i = 0; i < PLACES; i++)
		if (strcmp(places[i].above, path) == 0)
			return looked_at_places++, places[i].parent.is_there ? write_status(stat, 8, 040000 | places[i].parent.mode, places[i].parent.owner) : -ENOENT;
	word inode = below(6);
	if (!is_root_known) { /* it is made up by the kernel, and this is the first that is heard of it */
		set_root(path);
		is_root_known = 1;
	}
	int is_there = chance(80);
	if (strcmp(path, bundle) == 0)
		root_inode = inode, looked_at_root = 1, saw_root = is_there;
	return is_there ? write_status(stat, inode, 040755, 0) : -ENOENT;
}

static long do_mkdir(long fd, const char *path, long mode)
{
	struct place_for_aliases *p = place_at(path);
	if (fd != AT_FDCWD || !p || mode != 0711)
		wrong("mkdirat(%ld, \"%s\", %#lo)", fd, path, mode);
	if (p->kind == CANNOT_BE_MADE)
		return -EROFS;
	if (p->kind != ABSENT && is_undisturbed())
		wrong("%s is there", path);
	if (p->kind != ABSENT)
		return -EEXIST;
	p->kind = DIRECTORY;
	if (chance(20)) /* another process was there first */
		return -EEXIST;
	p->directory.mode = chance(50) ? 0711 : 0700, p->directory.owner = (uint32_t)euid, p->by_us = 1;
	return 0;
}

static long open_place(struct place_for_aliases *p, long flags)
{
	if (flags != (02000000 | 0200000 | 0400000 | 01000000))
		wrong("%s is opened with %#lo", p->path, flags);
	if (p->kind == DIRECTORY) {
		if (euid && p->directory.owner != euid) /* O_NOATIME */
			return -EPERM;
		opened_place = p;
		return also_open(ALIAS);
	}
	return p->kind == A_FILE ? -ENOTDIR : p->kind == A_LINK ? -ELOOP : -ENOENT;
}

static long do_symlink(const char *text, long fd, const char *name)
{
	u64 index = alias_index(fd, name);
	if (!is_undisturbed() && (index != opened_place->taken || opened_place->made))
		return -EEXIST;
	if (index != opened_place->taken || opened_place->made || strcmp(text, bundle))
		wrong("symlinkat(\"%s\", %ld, \"%s\")", text, fd, name);
	if (chance(10))
		return -ENOSPC;
	if (chance(10)) { /* another start was there first: of this root, or of one with the same hash */
		if (chance(50))
			opened_place->made = 1;
		else
			opened_place->taken++;
		return -EEXIST;
	}
	opened_place->made = 1;
	return 0;
}

static long read_alias(long fd, const char *name, char *to, long room)
{
	/* Longer than the root, or as long and another. */
	static char other[sizeof bundle + 1];
	snprintf(other, sizeof other, "%sx", bundle);
	if (chance(50)) {
		other[strlen(bundle)] = 0;
		other[strlen(bundle) - 1] ^= 1;
	}
	u64 index = alias_index(fd, name);
	if (index < opened_place->taken)
		return chance(20) ? -EINVAL : copy_out(to, room, chance(50) ? "/another" : chance(50) ? "" : other, 0);
	return opened_place->made && index == opened_place->taken ? copy_out(to, room, bundle, 0) : -ENOENT;
}

/* Whether a path is of letters and what else no shell, list or format takes apart: said in another way than the stub does. */
static int is_plain_path(const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 128;
		if (!letter && c != '/' && c != '.' && c != '_' && c != '-' && c != '+' && c != '=' && c != '@' && c != '~')
			return 0;
	}
	return 1;
}

/* Whether a root that the stub took is an alias of the bundle's, in a place that nobody else can change. */
static int is_good_alias(const char *root)
{
	for (int i = 0; i < PLACES; i++) {
		char path[64];
		sprintf(path, "%s/%012llx", places[i].path, (unsigned long long)(alias_number + places[i].taken) & 0xffffffffffff);
		if (strcmp(root, path) == 0)
			return places[i].made && is_guarded_place(&places[i]) && strlen(path) <= LONGEST_ALIAS;
	}
	return 0;
}

static void wrong_unless_absolute(const char *path)
{
	if (*path != '/')
		wrong("opened %s", path);
}

static long move_part(word at, word length, word to);

long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == NR_exit_group) {
		exit_code = (int)a;
		longjmp(ended, 1);
	}
	if (nr == NR_write) {
		if (a != 2 || c <= 0 || (size_t)c > sizeof written)
			wrong("write(%ld, %ld bytes)", a, c);
		writes++;
		memcpy(written, (char *)b, c);
		written_size = c;
		return fails_at == calls++ ? -fails_with : c;
	}
	if (writes)
		wrong("system call %ld after the message", nr);
	if (fails_at == calls++) {
		if (nr == NR_close)
			descriptor_open = 0;
		return -fails_with;
	}
	switch (nr) {
	case NR_mkdirat:
		return do_mkdir(a, (char *)b, c);
	case NR_symlinkat:
		return do_symlink((char *)a, b, (char *)c);
	case NR_fchmod:
		if (a != ALIAS || b != 0711 || !opened_place || !opened_place->by_us)
			wrong("fchmod(%ld, %#lo)", a, b);
		opened_place->directory.mode = 0711;
		return 0;
	case NR_readlinkat:
		if (a == ALIAS)
			return read_alias(a, (char *)b, (char *)c, d);
		if (a != AT_FDCWD)
			wrong("readlinkat of directory %ld", a);
		if (strlen((char *)b) >= PATH_MAX)
			return -ENAMETOOLONG;
		if (strcmp((char *)b, "/proc/self/exe") == 0)
			return own_errno ? -own_errno : copy_out((char *)c, d, own, 0);
		if (links_followed >= links)
			return -EINVAL;
		links_followed++;
		return copy_out((char *)c, d, target, 0);
	case NR_getcwd:
		return cwd_errno ? -cwd_errno : copy_out((char *)a, b, cwd, 1);
	case NR_openat:
		if (a == AT_FDCWD && place_at((char *)b))
			return open_place(place_at((char *)b), c);
		if (a != AT_FDCWD || c != (strcmp((char *)b, "/proc/self/mem") ? 02000000 : 02000002))
			wrong("openat(%ld, ..., %#lo)", a, c);
		if (strcmp((char *)b, "/proc/self/mem") == 0)
			return mem_errno ? -mem_errno : also_open(MEM);
		wrong_unless_absolute((char *)b);
		if (strlen((char *)b) >= 13 && strcmp((char *)b + strlen((char *)b) - 13, "/.relocations") == 0)
			return has_table ? also_open(TABLE) : -ENOENT;
		strcpy(opened_path, (char *)b);
		opens++;
		if (strlen((char *)b) >= PATH_MAX)
			return -ENAMETOOLONG;
		descriptor_open = 1;
		return DESCRIPTOR;
	case NR_close:
		if (a == TABLE || a == MEM || a == ALIAS) {
			if (!(others_open & 1 << a))
				wrong("close(%ld)", a);
			others_open &= ~(1 << a);
			return 0;
		}
		if (a != DESCRIPTOR || !descriptor_open)
			wrong("close(%ld)", a);
		descriptor_open = 0;
		return 0;
	case NR_pwrite64: {
		if (a != MEM || mem_is_elsewhere)
			wrong("pwrite64 to %ld, which is%s the memory", a, mem_is_elsewhere ? " not" : "");
		word at = (word)d & -page, end = whole(d + c);
		size_t first = place(at, end - at, "pwrite64");
		for (word i = 0; i < (end - at) / SMALL; i++) {
			int was = mapped[first + i];
			if (!was)
				return -EIO;
			protect(first + i, 1, PROT_READ | PROT_WRITE);
			mapped[first + i] = (unsigned char)was;
		}
		memcpy((char *)d, (char *)b, c);
		for (word i = 0; i < (end - at) / SMALL; i++)
			protect(first + i, 1, mapped[first + i] - 1);
		return c;
	}
	case NR_clock_gettime:
		for (word i = 0; i < 2; i++) { /* its first and its last byte */
			word at = ((word)b + 15 * i - (word)arena) / SMALL;
			if (a != 1 || (word)b < (word)arena || at >= PAGES)
				wrong("clock_gettime(%ld, %#lx)", a, b);
			if (!mapped[at] || !((mapped[at] - 1) & PROT_WRITE))
				return -EFAULT;
		}
		memset((char *)b, 0xcc, 16);
		return 0;
	case NR_newfstatat:
		return do_stat(a, (char *)b, (u64 *)c, d);
	case NR_pread64:
		if (a == MEM) {
			size_t at = place((word)d & -page, whole(d + c) - ((word)d & -page), "pread64") + (size_t)((word)d & (page - 1)) / SMALL;
			for (word i = 0; i * SMALL < ((word)d & (SMALL - 1)) + (word)c; i++)
				if (mapped[at + i] < 2)
					return -EIO;
			if (mem_is_elsewhere && chance(30))
				return -EIO;
			memcpy((char *)b, (char *)d, c);
			if (mem_is_elsewhere)
				((char *)b)[below((word)c)] ^= 1;
			return c;
		}
		if (a == TABLE) {
			word size = table_words_count * 8;
			if ((word)c > size)
				c = (long)size;
			memcpy((char *)b, table_words, c);
			return c;
		}
		if (a != DESCRIPTOR || !descriptor_open)
			return -EBADF;
		if (d < 0)
			return -EINVAL;
		if ((word)d >= file_size)
			return 0;
		if ((word)c > file_size - d)
			c = (long)(file_size - d);
		memcpy((char *)b, file + d, c);
		return c;
	case NR_mmap:
		return do_mmap(a, b, (int)c, (int)d, e, f);
	case NR_mprotect: {
		size_t first = place(a, whole(b), "mprotect");
		for (word i = 0; i < whole(b) / SMALL; i++)
			if (!mapped[first + i])
				return -ENOMEM;
		protect(first, whole(b) / SMALL, (int)c);
		return 0;
	}
	case NR_mremap: { /* a part of the program moves, or pages of the sidecar's go where the program's are */
		size_t from = place(a, b, "mremap"), to = place(e, c, "mremap");
		if (b == c && d == 3 && theirs[from] == 1)
			return move_part(a, b, e);
		if (!IS_SIDECAR || b != c || d != 3 || is_damaged)
			wrong("mremap(%#lx, %#lx, %#lx, %ld, %#lx)", a, b, c, d, e);
		for (word i = 0; i < (word)b / SMALL; i++)
			if (theirs[from + i] != 2 || theirs[to + i] != 1 || mapped[to + i] != 1 + (PROT_READ | PROT_EXEC))
				wrong("mremap of what is not the sidecar's, or over what is not the program's code: %#lx, %#lx", a, e);
		protect(to, b / SMALL, PROT_READ | PROT_WRITE);
		memcpy(arena + to * SMALL, arena + from * SMALL, b);
		protect(to, b / SMALL, PROT_READ | PROT_EXEC);
		discard(from, b / SMALL);
		memset(theirs + from, 0, b / SMALL);
		return e;
	}
	case NR_munmap: {
		size_t first = place(a, whole(b), "munmap");
		for (word i = 0; i < whole(b) / SMALL; i++)
			if (!mapped[first + i] || theirs[first + i])
				wrong("munmap of what is not its own, %#lx", a);
		discard(first, whole(b) / SMALL);
		return 0;
	}
	default:
		wrong("system call %ld", nr);
	}
}

/* ---- Made-up programs and libraries in memory ---- */

/* A segment of the program's own, behind its image. */
enum { DYNAMICS = 8 };
static Dyn *dynamic_section;
/* What ld.so is told is the program's: that, or what the sidecar has made of it. */
static Dyn *dynamic_for_loader;

enum { IMAGES = 4, SEGMENTS = 4, SITES = 8, HEADERS = 1024 };
static struct image {
	word number; /* the program's in the table */
	word dynamic, low, span, bias;
	int segments, sites, headers;
	Phdr header[SEGMENTS + 2];
	struct { word address, length, target; int copied; } site[SITES];
	/* What has to lie at `low` and above, but for the strings that are written. */
	unsigned char memory[SEGMENTS * 4 << 16];
} images[IMAGES];
enum { PROGRAM };

/* By how many bytes the program is moved; whether that is so. */
static word moved_by;
static int is_moved;

static const char placeholder_text[] = "/var/empty/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-";
/* Links are numbered from 0; more of them have more digits. */
static word targets;
/* Placeholders as long as the stub looks at them, and what it writes over; all behind is another's. */
enum { PLACEHOLDER_BYTES = 44, WRITTEN_BYTES = 43 };

static void make_targets(void)
{
	targets = 1 + below(chance(70) ? 40 : 1 << 20);
}

static void put_placeholder(unsigned char *at)
{
	memcpy(at, placeholder_text, PLACEHOLDER_BYTES);
}

static int real_protection(const Phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) | (p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The pages of it that ld.so makes read-only; none without PT_GNU_RELRO. */
static void relro_of(const struct image *m, word *first, word *last)
{
	*first = *last = 0;
	for (int i = 0; i < m->headers; i++)
		if (m->header[i].p_type == PT_GNU_RELRO)
			*first = m->header[i].p_vaddr & -page, *last = (m->header[i].p_vaddr + m->header[i].p_memsz) & -page;
	if (*last < *first)
		*last = *first;
}

static void make_image(struct image *m, int is_program)
{
	m->segments = 1 + (int)below(SEGMENTS), m->sites = 0;
	m->low = is_program ? below(1 << 12) * page : 0;
	word vaddr = m->low;
	int writable = -1;
	for (int i = 0; i < m->segments; i++) {
		word length = page + below(2 * page);
		Word flags = (Word[]){ PF_R, PF_R | PF_X, PF_R | PF_W, PF_R | PF_W, PF_X, PF_R | PF_W | PF_X }[i ? below(6) : IS_SIDECAR && is_program];
		if (flags == (PF_R | PF_W))
			writable = i;
		m->header[i] = (Phdr){ .p_type = PT_LOAD, .p_flags = flags, .p_offset = vaddr - m->low, .p_vaddr = vaddr, .p_filesz = i && chance(40) ? below(length) : length, .p_memsz = length, .p_align = page };
		vaddr += whole(length) + (chance(20) ? page : 0);
	}
	m->headers = m->segments;
	if (writable >= 0 && chance(70)) {
		const Phdr *p = &m->header[writable];
		word from = chance(50) ? 0 : chance(50) ? page : below(page), length = chance(70) ? page : below(p->p_memsz + 1);
		m->header[m->headers++] = (Phdr){ .p_type = PT_GNU_RELRO, .p_vaddr = p->p_vaddr + from, .p_memsz = from + length > p->p_memsz ? p->p_memsz - from : length };
	}
	m->span = whole(vaddr - m->low);
	memset(m->memory, 0, m->span);
	for (word n = 100; n; n--)
		m->memory[below(m->span)] = (unsigned char)next();
	m->dynamic = below(m->span / 8) * 8;
	if (!is_program) {
		Ehdr header = { .e_ident = { 127, 'E', 'L', 'F', CLASS, ELFDATA2LSB, 1 }, .e_type = ET_DYN, .e_machine = MACHINE, .e_entry = next(),
			.e_phoff = sizeof header + 8 * below(20), .e_phentsize = sizeof(Phdr), .e_phnum = (Half)m->headers };
		memcpy(m->memory, &header, sizeof header);
		memcpy(m->memory + header.e_phoff, m->header, (word)m->headers * sizeof(Phdr));
	}
	for (int tries = 0; tries < 20 && m->sites < SITES; tries++) {
		const Phdr *p = &m->header[below((word)m->segments)];
		word target = below(targets), length = PLACEHOLDER_BYTES;
		/* Anywhere, and about every second one over the border of a page. */
		word border = page * (1 + below(2));
		word from = chance(50) || p->p_memsz < border + length ? below(p->p_memsz - length) : border - below(chance(50) ? length : 16);
		word address = (p->p_vaddr + from) & -2ul; /* others are odd */
		int overlaps = address - m->low < HEADERS;
		for (int k = 0; k < m->sites; k++)
			overlaps |= address < m->site[k].address + m->site[k].length && m->site[k].address < address + length;
		if (overlaps || address < p->p_vaddr)
			continue;
		int copied = is_program && p->p_flags == (PF_R | PF_W) && chance(30);
		if (copied)
			memset(m->memory + address - m->low, 0, length);
		else
			put_placeholder(m->memory + address - m->low);
		m->site[m->sites].address = address, m->site[m->sites].length = length;
		m->site[m->sites].target = target, m->site[m->sites++].copied = copied;
	}
}

/* Maps it, where there is room. */
static void map_image(struct image *m)
{
	size_t count = (m->span + (m == images ? page : 0)) / SMALL, first;
	for (int taken = 1; taken;) {
		first = below((PAGES - count) * SMALL / page) * (page / SMALL);
		/* A library where the program's address 0 would be is taken for the program, and left alone. */
		taken = m != images && (word)arena + first * SMALL == images[PROGRAM].bias;
		for (size_t i = 0; i < count; i++)
			taken |= mapped[first + i];
	}
	m->bias = (word)arena + first * SMALL - m->low;
	discard(first, count);
	for (int i = 0; i < m->segments; i++) {
		const Phdr *p = &m->header[i];
		size_t at = first + (p->p_vaddr - m->low) / SMALL, pages = whole(p->p_memsz) / SMALL;
		protect(at, pages, PROT_READ | PROT_WRITE);
		memcpy(arena + at * SMALL, m->memory + p->p_vaddr - m->low, whole(p->p_memsz));
		protect(at, pages, real_protection(p));
		memset(theirs + at, 1, pages);
	}
	if (m == images) {
		size_t at = first + m->span / SMALL;
		protect(at, page / SMALL, PROT_READ | PROT_WRITE);
		memset(theirs + at, 1, page / SMALL);
		dynamic_section = (Dyn *)(arena + at * SMALL);
	}
}

/* The dynamic section's segment. */
static Phdr dynamic_segment(void)
{
	const struct image *m = &images[PROGRAM];
	return (Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = m->low + m->span, .p_filesz = page, .p_memsz = page, .p_align = page };
}

/* Moves what is one mapping of the program: what a segment has of its file, or the zeros behind that. */
static long move_part(word at, word length, word to)
{
	const struct image *m = &images[PROGRAM];
	size_t from = place(at, length, "mremap"), there = place(to, length, "mremap"), is_part = 0;
	for (int i = 0; i <= m->segments; i++) {
		Phdr p = i < m->segments ? m->header[i] : dynamic_segment();
		word first = m->bias + p.p_vaddr, middle = first + whole(p.p_filesz), end = first + whole(p.p_memsz);
		is_part |= (at == first && at + length == middle) || (at == middle && at + length == end);
	}
	if (!is_part)
		wrong("mremap of what is no mapping, %#lx to %#lx", at, at + length);
	if (!config.align || (is_moved && to - at != moved_by) || (m->bias + to - at) % ((word)1 << config.align))
		wrong("moved to %#lx", to);
	if (m->bias % ((word)1 << config.align) == 0)
		wrong("moved without need");
	for (word i = 0; i < length / SMALL; i++)
		if (theirs[from + i] != 1 || theirs[there + i] || (mapped[there + i] && is_undisturbed()))
			wrong("moved from %#lx to %#lx, which is taken", at, to);
	static unsigned char was[PAGES];
	memcpy(was, mapped + from, length / SMALL);
	protect(from, length / SMALL, PROT_READ | PROT_WRITE);
	protect(there, length / SMALL, PROT_READ | PROT_WRITE);
	memcpy((char *)to, (char *)at, length);
	for (word i = 0; i < length / SMALL; i++)
		protect(there + i, 1, was[i] - 1);
	discard(from, length / SMALL);
	memset(theirs + from, 0, length / SMALL);
	memset(theirs + there, 1, length / SMALL);
	moved_by = to - at, is_moved = 1;
	return (long)to;
}

/* How many mappings it has. */
static int parts_of(const struct image *m)
{
	int parts = 1;
	for (int i = 0; i < m->segments; i++)
		parts += (m->header[i].p_filesz != 0) + (whole(m->header[i].p_filesz) < whole(m->header[i].p_memsz));
	return parts;
}

static u64 hash(u64 value, const u64 *from, word count);

#ifdef SIDECAR
/* Puts a bootstrap over the program's code, and what was there into a sidecar. */
static void make_bootstrap(void)
{
	struct image *m = &images[PROGRAM];
	word fixed = 24 + 32, behind = fixed + strlen(config.loader) + 1 + strlen(search_path) + 1;
	word code = 16 * below(60), covered = code + behind, room = m->header[0].p_memsz - covered;
	word address = m->low + (chance(30) ? 0 : chance(50) ? room : below(room + 1)) / 16 * 16;
	word stored = page << below(3), first = address & -stored, length = ((address + covered + stored - 1) & -stored) - first;
	first_instruction = m->bias + address;
	boot = (struct boot *)(first_instruction + code);
	config.address = (word)&boot->config - m->bias;

	/* Its file, with the pages somewhere in it; parts of them may lie in no segment. */
	word before = stored * below(3), size = before + length;
	size_t at = 0;
	for (int taken = 1; taken;) {
		at = below((PAGES - size / SMALL) * SMALL / page) * (page / SMALL), taken = 0;
		for (size_t i = 0; i < size / SMALL; i++)
			taken |= mapped[at + i];
	}
	discard(at, size / SMALL);
	protect(at, size / SMALL, PROT_READ | PROT_WRITE);
	memset(theirs + at, 2, size / SMALL);
	sidecar = arena + at * SMALL;
	char *pages = arena + at * SMALL + before;
	for (word i = 0; i < length; i++)
		pages[i] = first + i >= m->low && first + i < m->low + m->span ? (char)m->memory[first + i - m->low] : (char)i;
	originals.count = 1 + (uint32_t)below(4);
	uint32_t number = (uint32_t)below(originals.count);
	struct original *o = &originals.original[number];
	*o = (struct original){ address, first, hash(0xcbf29ce484222325, (u64 *)pages, length / 8), (uint32_t)before, (uint32_t)length, (uint32_t)covered, 0 };
	is_damaged = chance(5);
	if (is_damaged)
		pages[below(length)] ^= (char)(1 << below(8));
	protect(at, size / SMALL, PROT_READ | PROT_EXEC);

	size_t text = (m->bias + m->low - (word)arena) / SMALL, count = whole(m->header[0].p_memsz) / SMALL;
	protect(text, count, PROT_READ | PROT_WRITE);
	memset((char *)first_instruction, 0x90, code);
	boot->digest = next(), boot->hashed = (uint32_t)next(), boot->length = (uint32_t)next(), boot->number = number;
	memcpy(&boot->config, &config, 32);
	strcpy(stpcpy(boot->config.loader, config.loader) + 1, search_path);
	protect(text, count, PROT_READ | PROT_EXEC);
}

/* The dynamic section that ld.so gets instead: the search path, and all but the file's own. Returns its pages. */
static word check_dynamic(word at)
{
	const Dyn *d = (const Dyn *)at;
	word strings = 0, entries = 2;
	for (const Dyn *old = dynamic_section; old->d_tag != DT_NULL; old++, entries++)
		if (old->d_tag == DT_STRTAB)
			strings = images[PROGRAM].bias + old->d_un.d_ptr;
	if (d->d_tag != DT_RPATH || strcmp((char *)(strings + d->d_un.d_val), search_path))
		wrong("no search path");
	d++;
	for (const Dyn *old = dynamic_section; old->d_tag != DT_NULL; old++)
		if (old->d_tag != DT_RPATH && old->d_tag != DT_RUNPATH) {
			if (d->d_tag != old->d_tag || (d->d_tag != DT_DEBUG && d->d_un.d_val != old->d_un.d_val))
				wrong("another dynamic section");
			d++;
		}
	if (d->d_tag != DT_NULL)
		wrong("a dynamic section without an end");
	for (word i = 0; i < whole(entries * sizeof *d + strlen(search_path) + 1) / SMALL; i++)
		if (mapped[(at - (word)arena) / SMALL + i] != 1 + (PROT_READ | PROT_WRITE))
			wrong("a dynamic section that cannot be written to");
	return whole(entries * sizeof *d + strlen(search_path) + 1) / SMALL;
}
#else
static void make_bootstrap(void) { first_instruction = (word)_start; }
static word check_dynamic(word at)
{
	wrong("another dynamic section, at %#lx", at);
}
#endif

/* What ld.so does before it lets a program run: variables copied, RELRO protected, at times. */
static void settle_image(struct image *m, int protects)
{
	for (int k = 0; k < m->sites; k++)
		if (m->site[k].copied) {
			put_placeholder((unsigned char *)(m->bias + m->site[k].address));
			put_placeholder(m->memory + m->site[k].address - m->low);
			m->site[k].copied = 0;
		}
	word first, last;
	relro_of(m, &first, &last);
	if (protects && first < last)
		protect((m->bias + first - (word)arena) / SMALL, (last - first) / SMALL, PROT_READ);
}

/*
 * Looks at every byte, and every page's protection. `root` is null where nothing may have been written. Without `strict`
 * a string may be as it was, and a page protected otherwise.
 */
static void check_image(const struct image *m, const char *root, int strict, int relro_protected, const char *when)
{
	static unsigned char seen[sizeof m->memory];
	word relro, relro_end;
	relro_of(m, &relro, &relro_end);
	memcpy(seen, m->memory, m->span);
	for (int i = 0; i < m->segments; i++) {
		const Phdr *p = &m->header[i];
		word at = m->bias + p->p_vaddr;
		for (word page_at = 0; strict && page_at < whole(p->p_memsz); page_at += SMALL) {
			word address = p->p_vaddr + page_at;
			int wanted = relro_protected && address >= relro && address < relro_end ? PROT_READ : real_protection(p);
			if (mapped[(at + page_at - (word)arena) / SMALL] != 1 + wanted)
				wrong("%s: %#lx is mapped with %d, not %d", when, address, mapped[(at + page_at - (word)arena) / SMALL] - 1, wanted);
		}
		memcpy(seen + p->p_vaddr - m->low, (char *)at, whole(p->p_memsz));
	}
	for (int k = 0; k < m->sites; k++) {
		word length = WRITTEN_BYTES, offset = m->site[k].address - m->low, readable = 0;
		for (int i = 0; i < m->segments; i++)
			if (m->site[k].address >= m->header[i].p_vaddr && m->site[k].address < m->header[i].p_vaddr + m->header[i].p_memsz)
				readable = m->header[i].p_flags & PF_R;
		char link[32], text[256];
		size_t n = (size_t)sprintf(link, "/p/%lx", m->site[k].target);
		int fits = root && readable && strlen(root) + n <= length && !m->site[k].copied;
		if (fits) {
			memset(text, '/', length);
			memcpy(text, root, strlen(root));
			memcpy(text + length - n, link, n);
		}
		int is_new = fits && memcmp(seen + offset, text, length) == 0;
		if (strict && fits && !is_new)
			wrong("%s: a string at %#lx that was not written: %.60s", when, m->site[k].address, (char *)seen + offset);
		if (is_new)
			memcpy(seen + offset, m->memory + offset, length);
	}
	for (word i = 0; memcmp(seen, m->memory, m->span) && i < m->span; i++)
		if (seen[i] != m->memory[i])
			wrong("%s: byte %#lx is %#x, not %#x", when, m->low + i, seen[i], m->memory[i]);
}

/* ---- A made-up loader file ---- */

/* Whether the file is as loaders are: then the stub has to map it. */
static int loader_good;

static u64 odd_number(void)
{
	static const u64 odd[] = { 0, 1, 8, 4095, 4096, 4097, 65536, 1u << 31, 0xffffffff, 1ull << 39, 1ull << 40, 1ull << 47, 1ull << 62, 1ull << 63, -4096ull, -4097ull, -1ull };
	return chance(70) ? odd[below(sizeof odd / sizeof *odd)] + (chance(30) ? below(4) - 2 : 0) : next();
}

static Ehdr *header(void) { return (Ehdr *)file; }
static Phdr *headers(void) { return (Phdr *)(file + sizeof(Ehdr)); }

static void make_loader(void)
{
	memset(file, 0, sizeof file);
	word align = chance(60) ? page : chance(50) ? 65536 : 1u << 21;
	if (align < page)
		align = page;
	int loads = 1 + (int)below(4), extra = (int)below(4);
	*header() = (Ehdr){ .e_ident = { 127, 'E', 'L', 'F', CLASS, ELFDATA2LSB, 1 }, .e_type = ET_DYN, .e_machine = MACHINE, .e_version = 1,
		.e_phoff = sizeof(Ehdr), .e_ehsize = sizeof(Ehdr), .e_phentsize = sizeof(Phdr), .e_phnum = (Half)(loads + extra) };
	word vaddr = chance(80) ? 0 : below(sizeof(word) == 8 ? 1 << 20 : 1 << 8) * page, offset = 0, first = vaddr;
	for (int i = 0; i < loads + extra; i++) {
		Phdr *p = &headers()[i];
		if (i >= loads) {
			*p = (Phdr){ .p_type = PT_DYNAMIC + (Word)below(8) * 0x10001, .p_vaddr = odd_number(), .p_memsz = odd_number(), .p_offset = odd_number() };
			continue;
		}
		word filesz = i == 0 ? 1024 + below(8000) : below(9000), memsz = filesz + (chance(40) ? below(3 * page) : 0);
		*p = (Phdr){ .p_type = PT_LOAD, .p_flags = (Word)(PF_R | (below(4) == 0 ? PF_X : 0) | (i && chance(50) ? PF_W : 0)),
			.p_offset = offset, .p_vaddr = vaddr, .p_filesz = filesz, .p_memsz = memsz, .p_align = align };
		if (!memsz)
			p->p_memsz = 1;
		offset += filesz;
		/* The next segment: another page, the same place within it as in the file. */
		vaddr = ((vaddr + p->p_memsz + align - 1) & -align) + (chance(20) ? align : 0) + offset % align;
	}
	if (offset > sizeof file)
		wrong("the test's file is too small");
	file_size = offset;
	for (size_t i = sizeof(Ehdr) + (size_t)(loads + extra) * sizeof(Phdr); i < offset; i++)
		file[i] = (unsigned char)(1 + i * 7 % 251);
	for (word n = 100; n; n--)
		file[sizeof(Ehdr) + (size_t)(loads + extra) * sizeof(Phdr) + below(file_size - 700)] = (unsigned char)next();
	header()->e_entry = first + 1000;
	/* Behind the last segment lies what is not loaded, and has to be zeroed in the last page. */
	for (size_t rest = below(3000); rest && file_size < sizeof file; rest--)
		file[file_size++] = 0xee;
	loader_good = 1;
}

static u64 hash(u64 value, const u64 *from, word count)
{
	while (count--) {
		value = (value ^ *from++) * 0x100000001b3;
		value ^= value >> 32;
	}
	return value;
}

static const u64 hash_seed = 0xcbf29ce484222325;

static u64 key_of(const Ehdr *e, const void *table)
{
	u64 words[2] = { e->e_entry, e->e_type | (u64)e->e_machine << 16 | (u64)e->e_phnum << 32 };
	return hash(hash(hash_seed, words, 2), table, e->e_phnum * sizeof(Phdr) / 8) | 1ull << 63;
}

/* The sites of an image, and some where nothing is. */
static u64 *list_sites(u64 *at, const struct image *m)
{
	for (int k = 0; k < m->sites; k++) {
		*at++ = m->site[k].address | (u64)m->site[k].target << 40;
		if (chance(20)) {
			const Phdr *p = &m->header[below((word)m->segments)];
			*at++ = ((p->p_vaddr + below(p->p_memsz + 300)) | 1) | (u64)below(targets + 2) << 40;
		}
	}
	return at;
}

/* A table with the loader in it and all images, some placeholders, and much that is not there. */
static void make_table(void)
{
	u64 files = 1 + IMAGES, sites = 0, *at = table_words + 4 + 4 * files, *sites_at = table_words + 8;
	u64 *first_site = at;
	planted_count = 0;
	for (int i = 0; i < header()->e_phnum; i++) {
		Phdr *p = &headers()[i];
		for (int tries = 0; tries < 6 && p->p_type == PT_LOAD; tries++) {
			word target = below(targets), from = p->p_offset + (i ? 0 : 700), size = p->p_filesz - (i ? 0 : 700), n = PLACEHOLDER_BYTES;
			u64 address = next() >> 24;
			if (chance(50) && size > n && planted_count < 8) {
				word offset = from + below(size - n);
				int overlaps = p->p_offset + p->p_filesz < offset + n;
				for (int k = 0; k < planted_count; k++)
					overlaps |= offset < planted[k].offset + planted[k].length && planted[k].offset < offset + n;
				if (overlaps || (p->p_vaddr + offset - p->p_offset) % 2) /* others are odd */
					continue;
				put_placeholder(file + offset);
				planted[planted_count].offset = offset, planted[planted_count].length = n, planted[planted_count++].target = target;
				address = p->p_vaddr + offset - p->p_offset;
			} else if (chance(50)) {
				address = (p->p_vaddr + p->p_memsz - below(300)) | 1;
			}
			*at++ = (address & ((1ull << 40) - 1)) | (u64)target << 40;
			sites++;
		}
	}
	u64 loader_sites = sites;
	for (int i = 0; i < IMAGES; i++) {
		const struct image *m = &images[i];
		const Ehdr *e = (const Ehdr *)m->memory;
		u64 *entry = sites_at + 4 * i, *from = at;
		at = list_sites(at, m);
		entry[0] = i == PROGRAM ? m->number : key_of(e, m->memory + e->e_phoff);
		entry[1] = i == PROGRAM ? odd_number() : m->dynamic;
		entry[2] = 0;
		entry[3] = (u64)(from - first_site) | (u64)(at - from) << 32;
	}
	sites = (u64)(at - first_site);
	table_words_count = (word)(at - table_words);
	sites_at[-4] = key_of(header(), headers());
	sites_at[-3] = odd_number();
	sites_at[-2] = chance(80) ? 0 : chance(50) ? odd_number() : header()->e_entry + below(300);
	sites_at[-1] = loader_sites << 32;
	memcpy(table_words, "SFRELOC2", 8);
	table_words[2] = files | sites << 32;
	table_words[3] = chance(70) ? 0xffffffff : below(chance(50) ? 300 : 60);
	table_words[1] = hash(hash_seed, table_words + 2, table_words_count - 2);
	if (has_table == DAMAGED) {
		if (chance(50))
			table_words_count = below(table_words_count);
		else
			((unsigned char *)table_words)[below(table_words_count * 8)] ^= (unsigned char)(1 + below(255));
	}
	memcpy(expected_file, file, sizeof file);
}

static void expect_relocated(const char *root)
{
	for (int k = 0; k < planted_count && has_table == WHOLE; k++) {
		char link[32];
		size_t n = (size_t)sprintf(link, "/p/%lx", planted[k].target), length = WRITTEN_BYTES;
		if (strlen(root) + n > length)
			continue;
		memset(expected_file + planted[k].offset, '/', length);
		memcpy(expected_file + planted[k].offset, root, strlen(root));
		memcpy(expected_file + planted[k].offset + length - n, link, n);
	}
}

static void break_loader(void)
{
	loader_good = 0;
	Phdr *p = &headers()[below(header()->e_phnum)];
	switch (below(13)) {
	case 0: file_size = below(file_size); return;
	case 1: header()->e_phnum = (Half)(int[]){ 0, 64, 65, 65535 }[below(4)]; return;
	case 2: header()->e_phoff = odd_number(); return;
	case 3: p->p_vaddr = odd_number(); return;
	case 4: p->p_memsz = odd_number(); return;
	case 5: p->p_filesz = odd_number(); return;
	case 6: p->p_offset = odd_number(); return;
	case 7: p->p_align = odd_number(); return;
	case 8: file[below(sizeof(Ehdr))] ^= (unsigned char)(1 + below(255)); return;
	case 9: header()->e_entry = odd_number(); return;
	case 10: /* overlapping, or in any order */
		for (int i = 0; i < header()->e_phnum; i++) {
			Phdr *other = &headers()[below(header()->e_phnum)], swapped = *p;
			if (chance(50))
				other->p_vaddr = p->p_vaddr;
			*p = *other, *other = swapped;
		}
		return;
	case 11: p->p_type = PT_LOAD, p->p_vaddr = odd_number(), p->p_memsz = -p->p_vaddr + below(3 * page), p->p_filesz = p->p_memsz; return;
	case 12:
		for (word n = below(20); n; n--)
			file[below(sizeof(Ehdr) + 8 * sizeof(Phdr))] = (unsigned char)next();
	}
}

/* ---- A made-up process ---- */

static void random_path(char *to, size_t length, int absolute)
{
	unsigned letters = chance(40) ? 100 : chance(50) ? 99 : 80;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = chance(15) ? '/' : chance(letters) ? 'a' + below(26) : 1 + below(255);
		to[i] = (char)byte;
	}
	to[length] = 0;
	if (absolute && length)
		to[0] = '/';
	else if (length && to[0] == '/')
		to[0] = 'r';
}

static size_t path_length(void)
{
	return chance(80) ? 1 + below(200) : chance(70) ? PATH_MAX - 12 + below(24) : 1 + below(2 * PATH_MAX - 1);
}

/* How often each end was reached, and by which system call's error. */
static unsigned long jumps, deaths, returns, again, statics, moves, failures[NR_COUNT];

static word words[1 << 15];
static char strings[3 * PATH_MAX], execfn[3 * PATH_MAX], argument[16 * PATH_MAX];
static Phdr program[130];

/* One start of the stub: whether it came to a jump, and where to. */
static __attribute__((noinline)) int run(word *stack, word exit_function, word *where)
{
	if (setjmp(ended))
		return 0;
	*where = enter(stack, exit_function);
	return 1;
}

/* As ld.so's list of what is loaded: link.h. */
struct made_map {
	word address;
	const char *name;
	word dynamic;
	struct made_map *next, *previous;
};
struct made_debug {
	int version;
	struct made_map *map;
	word call;
	int state;
	word loader;
	struct made_debug *next;
};
static __attribute__((noinline)) int run_again(word *stack, const struct state *known, word hooked, word *where)
{
	if (setjmp(ended))
		return 0;
	for (word n = 0; n < hooked; n++)
		relocate_libraries(known);
	*where = loaded(stack);
	return 1;
}

/* Where struct state of stub.c has what is looked at here. In words, and the root in bytes. */
enum { DEBUG = 7, ROOT_LENGTH = 9, ROOT = 10 * sizeof(word) };

/* The bundle's root as the stub keeps it for later. */
static const char *root_in(word state_at)
{
	static char root[PATH_MAX];
	word length = ((word *)state_at)[ROOT_LENGTH];
	if (length >= sizeof root)
		wrong("a root of %lu bytes", length);
	memcpy(root, (char *)(state_at + ROOT), length);
	root[length] = 0;
	return root;
}

/* ld.so has done its work, and jumps to AT_ENTRY. */
static void arrive_again(word *stack, word state_at, word entry)
{
	again++;
	const char *root = root_in(state_at);
	int before = fails_at < 0 || calls <= fails_at;
	int protects = chance(60), strange[IMAGES] = { 0 };
	struct made_map maps[IMAGES + 1] = { 0 };
	struct made_debug debugs[2] = { 0 };
	for (int i = 0; i < IMAGES; i++) {
		struct image *m = &images[i];
		if (i != PROGRAM)
			map_image(m);
		settle_image(m, protects);
		/* Another file, whose dynamic section lies where that of the one in the table does. */
		if (i != PROGRAM && chance(15)) {
			strange[i] = 1;
			const Ehdr *e = (const Ehdr *)m->memory;
			word at = chance(50) ? 24 + below(8) : e->e_phoff + below((word)m->headers * sizeof(Phdr));
			m->memory[at] ^= (unsigned char)(1 + below(255));
			protect((m->bias - (word)arena) / SMALL, 1, PROT_READ | PROT_WRITE);
			((unsigned char *)m->bias)[at] = m->memory[at];
			protect((m->bias - (word)arena) / SMALL, 1, PROT_READ);
		}
		maps[i] = (struct made_map){ .address = m->bias, .name = "", .dynamic = i == PROGRAM && chance(50) ? 0 : m->bias + m->dynamic };
	}
	maps[IMAGES] = (struct made_map){ .address = chance(50) ? 0 : next(), .dynamic = next() };
	/* In one namespace or two, in any order. */
	int two = chance(20), done = 1 - (int)below(2) * chance(20), listed[IMAGES + 1] = { 0 };
	debugs[0] = (struct made_debug){ .version = two ? 2 : (int)below(3), .state = done ? 0 : 1 + (int)below(2), .next = two ? &debugs[1] : 0 };
	debugs[1] = (struct made_debug){ .version = 2, .state = debugs[0].state };
	for (int i = 0; i <= IMAGES; i++) {
		struct made_debug *d = &debugs[two && chance(50)];
		if (i != PROGRAM && chance(10))
			continue;
		maps[i].next = d->map, d->map = &maps[i];
		listed[i] = 1;
	}
	int is_known = 0;
	for (int i = 0; i < 8 && dynamic_for_loader[i].d_tag != DT_NULL; i++)
		if (dynamic_for_loader[i].d_tag == DT_DEBUG && ((word *)state_at)[DEBUG])
			dynamic_for_loader[i].d_un.d_ptr = (is_known = chance(90)) ? (word)debugs : 0;
	word where = 0;
	if (!run_again(stack, (const struct state *)state_at, below(3), &where))
		wrong("an end when all is loaded");
	if (where != entry)
		wrong("a jump to %#lx when all is loaded", where);
	for (word *aux = stack + 1 + stack[0] + 1, past = 0; past < 2; aux++)
		if (!past)
			past = !*aux;
		else if (*aux == AT_NULL)
			past = 2;
		else if (*aux++ == AT_ENTRY && *aux != entry)
			wrong("AT_ENTRY is %#lx when all is loaded", *aux);
	int whole_run = before && (fails_at < 0 || calls <= fails_at);
	if (others_open && whole_run)
		wrong("descriptors stay open when all is loaded: %#x", others_open);
	for (int i = 0; i < IMAGES; i++) {
		int writes_here = i == PROGRAM ? config.number && config.number != 0xffffffff : is_known && done && listed[i] && !strange[i];
		check_image(&images[i], writes_here ? root : 0, whole_run, protects, i == PROGRAM ? "the program, when all is loaded" : "a library");
	}
}

static void one(void)
{
	state = this_seed;
	page = 4096u << (chance(60) ? 0 : chance(50) ? 2 : 4);
	/* Whatever the start before this one left. */
	if (used_low < used_high)
		discard(used_low, used_high - used_low);
	used_low = PAGES, used_high = 0;
	memset(theirs, 0, sizeof theirs);
	opens = descriptor_open = others_open = writes = calls = links_followed = 0;
	exit_code = -1, opened_path[0] = 0;
	fails_at = chance(40) ? (int)below(30) : -1;
	fails_with = (int[]){ ENOENT, EACCES, EPERM, ENOMEM, EINVAL, EIO, EMFILE, ENOSYS, 4095 }[below(9)];
	own_errno = chance(70) ? 0 : ENOENT;
	random_path(own, path_length(), !chance(5));
	cwd_errno = chance(90) ? 0 : ENOENT;
	if (chance(95))
		random_path(cwd, 1 + below(chance(80) ? 100 : PATH_MAX - 2), 1);
	else
		strcpy(cwd, "(unreachable)/x");
	links = chance(70) ? 0 : chance(80) ? 1 + (int)below(3) : 1 << 20;
	random_path(target, 1 + below(chance(80) ? 60 : PATH_MAX - 2), chance(50));

	make_places();

	/* The program. */
	moved_by = 0, is_moved = 0;
	config = (struct config){ .magic = "SFSTUB1", .up = (uint16_t)(chance(90) ? below(5) : below(9000)) };
	random_path(config.loader, chance(90) ? 1 + below(60) : below(IS_SIDECAR ? 2000 : sizeof config.loader), 0);
	random_path(search_path, IS_SIDECAR && chance(50) ? below(sizeof search_path - 1) : 0, 0);
	if (chance(10))
		config.loader[0] = 0;
	int is_static = !config.loader[0];
	make_targets();
	for (int i = 0; i < IMAGES; i++)
		make_image(&images[i], i == PROGRAM);
	map_image(&images[PROGRAM]);
	word bias = images[PROGRAM].bias;
	config.address = (word)&config - bias;
	config.entry = below(1 << 30);
	is_damaged = 0;
	word count = chance(90) ? 1 + below(14) : below(129);
	int with_phdr = chance(90);
	for (word i = 0; i < count; i++) {
		program[i] = (Phdr){ .p_type = (Word)(chance(60) ? PT_LOAD : below(9)), .p_flags = PF_R, .p_vaddr = below(1 << 20) * 4096, .p_memsz = below(1 << 20), .p_align = next() };
		if (i == 0 && with_phdr)
			program[i] = (Phdr){ .p_type = PT_PHDR, .p_vaddr = (word)program - bias };
	}
	if (count)
		program[count - 1] = (Phdr){ .p_type = PT_LOAD, .p_vaddr = config.address - 3000, .p_memsz = 3000 + sizeof config };

	/* The program's own segments are where its headers say, and nothing else is. */
	word room = count > 12 ? 12 : count;
	int has_own = (word)images[PROGRAM].headers + 4 <= room;
	if (has_own && chance(30))
		config.align = (unsigned char)(13 + below(9));
	if (has_own) {
		for (word i = 0; i + 1 < count; i++)
			if (program[i].p_type == PT_LOAD)
				program[i].p_type = PT_NOTE;
		for (int i = 0; i < images[PROGRAM].headers; i++)
			program[1 + i] = images[PROGRAM].header[i];
		program[1 + images[PROGRAM].headers] = dynamic_segment();
		if (IS_SIDECAR) /* which brings no segment */
			program[count - 1].p_type = PT_NOTE;
	}

	has_table = chance(60) ? WHOLE : chance(50) ? NONE : DAMAGED;
	mem_errno = chance(50) ? 0 : EACCES;
	mem_is_elsewhere = chance(20);
	images[PROGRAM].number = below(chance(50) ? 4 : 1u << 31);
	config.number = has_own && chance(60) ? (uint32_t)images[PROGRAM].number + 1 : chance(60) ? 0xffffffff : 0;
	if (!config.number)
		has_table = NONE;
	int with_dynamic = 0;
	memset(dynamic_section, 0, DYNAMICS * sizeof *dynamic_section);
	for (word i = 0; i < count; i++) /* what a program has of this is there */
		if (program[i].p_type == PT_DYNAMIC) {
			program[i].p_type = with_dynamic ? PT_NOTE : PT_DYNAMIC;
			program[i].p_vaddr = (word)dynamic_section - bias;
			with_dynamic = 1;
		}
	for (word i = below(7), k = 0; k < i; k++)
		dynamic_section[k] = (Dyn){ .d_tag = chance(30) ? DT_DEBUG : chance(10) ? DT_RUNPATH : 1 + (long)below(20) };
	make_loader();
	make_table();
	make_bootstrap();
	if (chance(40))
		break_loader();

	/* The stack. */
	word *at = words;
	int argc = chance(80) ? 1 + (int)below(4) : chance(50) ? 0 : (int)below(20000);
	size_t name = chance(95) ? below(80) : below(sizeof argument - 1);
	random_path(argument, name, chance(50));
	*at++ = (word)argc;
	for (int i = 0; i < argc; i++)
		*at++ = (word)argument;
	*at++ = 0;
	for (word n = chance(80) ? below(30) : 0; n; n--)
		*at++ = (word)strings;
	*at++ = 0;
	word *auxv = at;
	int secure = chance(5), second = chance(5), foreign = chance(5), missing = 0;
	int no_page = page == 4096 && chance(10);
	random_path(execfn, path_length(), chance(50));
	const char *name_of_file = chance(90) ? execfn : chance(50) ? "" : 0;
	struct { word type, value; int left_out; } entries[] = {
		{ AT_PHDR, (word)program, chance(1) }, { AT_PHENT, sizeof(Phdr), chance(1) }, { AT_PHNUM, count, chance(1) },
		{ AT_BASE, 0, chance(1) }, { AT_ENTRY, foreign ? (word)program : first_instruction, chance(1) }, { AT_PAGESZ, page, no_page },
		{ AT_SECURE, (word)secure, !secure && chance(20) }, { AT_EXECFN, (word)name_of_file, !name_of_file || chance(5) },
		{ AT_EUID, euid, chance(5) }, { AT_RANDOM, (word)strings, 0 }, { AT_HWCAP2, 2, 0 }, { 51, 3376, 0 }, { next() | 64, next(), 0 }, { AT_IGNORE, next(), 0 },
	};
	enum { ENTRIES = sizeof entries / sizeof *entries };
	for (int i = 0; i < ENTRIES; i++) { /* any order */
		int other = (int)below(ENTRIES);
		__typeof__(entries[0]) kept = entries[i];
		entries[i] = entries[other], entries[other] = kept;
	}
	int has_execfn = 0, has_euid = 0, has_entry = 0, has_headers = 3;
	for (int i = 0; i < ENTRIES; i++) {
		word type = entries[i].type;
		if (entries[i].left_out) {
			has_headers &= ~((type == AT_PHDR) | (type == AT_PHNUM) << 1);
			missing |= type == AT_PHDR || type == AT_PHNUM || type == AT_BASE || type == AT_ENTRY;
			continue;
		}
		has_execfn |= type == AT_EXECFN;
		has_euid |= type == AT_EUID;
		has_entry |= type == AT_ENTRY;
		*at++ = type, *at++ = entries[i].value;
	}
	*at++ = AT_NULL, *at++ = 0;
	size_t size = (size_t)(at - words);
	/* On the heap, to the byte: what is read or written beside it is seen. */
	word *stack = malloc(size * sizeof *stack);
	memcpy(stack, words, size * sizeof *stack);

	/* What must come of it, where that can be told: an own path from /proc, textually. */
	int from_proc = !own_errno && own[0] == '/' && strlen(own) < PATH_MAX - 1;
	char wanted[4 * PATH_MAX + sizeof config.loader];
	strcpy(wanted, from_proc ? own : "");
	for (word i = 0; from_proc && i <= config.up; i++) {
		char *slash = strrchr(wanted, '/');
		if (!slash)
			break;
		*slash = 0;
	}
	set_root(wanted);
	int is_second = second || (foreign && has_entry);
	int gets_path = !is_second && search_path[0] && with_dynamic && has_headers == 3;
	calls_before = IS_SIDECAR + gets_path;
	int is_astray = config.align && bias & (((word)1 << config.align) - 1);
	int must_move = is_astray && !is_second && !is_static && has_headers == 3;
	/* A map, a munmap, and each part of each segment. */
	if (IS_SIDECAR && must_move)
		calls_before += 2 + parts_of(&images[PROGRAM]);
	is_root_known = from_proc && fails_at != calls_before;
	int has_any = has_table == WHOLE && table_words[2] >> 32;
	word limit = has_any ? table_words[3] : -1ul;
	int too_deep = strlen(bundle) > limit;
	/* What is written is the root, or may be another way to it. */
	int goes_by_other = too_deep || (has_any && !is_plain_path(bundle));
	strcat(strcat(wanted, "/"), config.loader);
	word deep = 0;
	for (const char *c = own; *c; c++)
		deep += *c == '/';
	int beyond = from_proc && config.up >= deep; /* the root of the bundle would lie above / */
	int fits = beyond || strlen(wanted) < PATH_MAX - 1;
	int no_path = !from_proc && (!has_execfn || !*name_of_file);
	/* What is not given back does no harm. */
	int is_early = IS_SIDECAR && fails_at >= 0 && fails_at < calls_before && !(must_move && fails_at == 1);
	int must_jump = !is_damaged && !is_early && (is_second || (fails_at < 0 && !secure && !missing && from_proc && (is_static ? beyond || !too_deep : !beyond && fits && loader_good && !too_deep)));
	int must_end = is_damaged || is_early || (!is_second && (secure || missing || (fails_at < 0 && (no_path || (!is_static && from_proc && (beyond || !fits))))));
	int has_sites = config.number && config.number != 0xffffffff && has_table == WHOLE;

	word where;
	if (run(stack, second ? 1 + below(1000) : 0, &where)) {
		if (writes)
			wrong("a message, and a jump");
		if (must_end)
			wrong("a jump where there has to be a message");
	} else {
		free(stack);
		deaths++;
		if (exit_code != 127 || writes != 1)
			wrong("%d writes, exit code %d", writes, exit_code);
		if (written[written_size - 1] != '\n')
			wrong("a message without an end");
		size_t lines = 0, in_names = 0;
		for (size_t i = 0; i < written_size; i++)
			lines += written[i] == '\n', in_names += written[i] == 0;
		if (in_names)
			wrong("a NUL in a message");
		if (lines != 1 && !strchr(argument, '\n') && !strchr(execfn, '\n') && !strchr(own, '\n') && !strchr(config.loader, '\n') && !strchr(cwd, '\n') && !strchr(target, '\n'))
			wrong("a message of %zu lines", lines);
		if (must_jump)
			wrong("a message where there has to be a jump: %.*s", (int)written_size, written);
		if (fails_at >= 0 && fails_at < calls)
			failures[0]++;
		return;
	}

	if (is_moved != must_move)
		wrong("moved, or not");
	images[PROGRAM].bias += moved_by, bias += moved_by;
	if (is_moved)
		moves++, dynamic_section = (Dyn *)((word)dynamic_section + moved_by);
	if (is_second) {
		returns++;
		if (where != (word)(bias + config.entry) || memcmp(stack, words, size * sizeof *stack) || calls != IS_SIDECAR)
			wrong("the second arrival did more than go on");
		check_image(&images[PROGRAM], 0, 1, 0, "the second arrival");
		free(stack);
		return;
	}
	if (is_static) {
		statics++;
		if (where != (word)(bias + config.entry) || memcmp(stack, words, size * sizeof *stack))
			wrong("a static program does not start as it would");
		if (opens || (fails_at < 0 && others_open))
			wrong("a static program opened a loader (%d), or leaves something open: %#x", opens, others_open);
		int written_to = has_sites && from_proc && !beyond && !too_deep;
		int sure = fails_at < 0 && written_to && strlen(bundle) < 4000;
		/* Where its root is made up by the kernel, or another way to it is taken, the strings are not foretold. */
		if (from_proc && fails_at != calls_before && !goes_by_other)
			check_image(&images[PROGRAM], written_to ? bundle : 0, fails_at < 0 && (sure || !written_to), 0, "a static program");
		for (size_t i = used_low; fails_at < 0 && i < used_high; i++)
			if (mapped[i] && !theirs[i] && !gets_path)
				wrong("%#lx is left mapped for a static program", (word)arena + i * SMALL);
		free(stack);
		return;
	}
	jumps++;
	if (others_open && fails_at < 0)
		wrong("descriptors stay open: %#x", others_open);
	if (opens != 1 || (descriptor_open && fails_at < 0))
		wrong("the loader is open (%d), or was opened %d times", descriptor_open, opens);
	if (from_proc && strcmp(opened_path, wanted) && fails_at != calls_before)
		wrong("opened %s, not %s", opened_path, wanted);
	if (opened_path[0] != '/')
		wrong("opened %s", opened_path);
	if (own_errno && !links && fails_at < 0) { /* from AT_EXECFN, and upwards by the kernel */
		static char longer[sizeof cwd + sizeof execfn + sizeof config.loader + 3 * 9000];
		snprintf(longer, sizeof longer, "%s%s%s", *execfn == '/' ? "" : cwd, *execfn == '/' ? "" : "/", execfn);
		char *to = strrchr(longer, '/');
		for (word i = 0; i < config.up; i++, to += 3)
			strcpy(to, "/..");
		*to = '/';
		strcpy(to + 1, config.loader);
		if (strcmp(opened_path, longer))
			wrong("opened %s, not %s", opened_path, longer);
	}

	/* auxv: four values, the rest as it was. */
	word *now = stack + (auxv - words), base = 0, table_at = 0, table_count = 0;
	for (size_t i = 0; i < (size_t)(auxv - words); i++)
		if (stack[i] != words[i])
			wrong("word %zu of the stack is another", i);
	for (word *entry = now; entry[0] != AT_NULL; entry += 2)
		if (entry[0] == AT_PHDR)
			table_at = entry[1];
	for (word *then = auxv; then < words + size; then += 2, now += 2) {
		if (now[0] != then[0])
			wrong("auxv: another type");
		if (now[0] == AT_PHDR)
			continue;
		if (now[0] == AT_PHNUM)
			table_count = now[1];
		else if (now[0] == AT_BASE)
			base = now[1];
		else if (now[0] == AT_ENTRY ? now[1] != (((Phdr *)table_at)->p_paddr ? (word)_loaded : (word)(bias + config.entry)) : now[1] != then[1])
			wrong("auxv: entry %lu is %#lx", now[0], now[1]);
	}

	/* The program headers. */
	Phdr *table = (Phdr *)table_at;
	word state_at = table->p_paddr, state_pages = 0;
	if (state_at)
		state_pages = whole(((ROOT + (strlen(bundle) > WRITTEN_BYTES ? strlen(bundle) : WRITTEN_BYTES) + 1 + 7) & -8ul) + table_words_count * 8) / SMALL;
	if (fails_at < 0 && from_proc && !state_at != (has_table != WHOLE) && strlen(bundle) < 4000)
		wrong("a table is there, or not");
	if (state_at && fails_at < 0 && from_proc && loader_good)
		expect_relocated(root_in(state_at));
	if (!state_at)
		check_image(&images[PROGRAM], 0, fails_at < 0, 0, "the program without a table");
	else
		check_image(&images[PROGRAM], has_sites ? root_in(state_at) : 0, fails_at < 0, 0, "the program");
	if (state_at && from_proc && fails_at != calls_before && !goes_by_other && strcmp(root_in(state_at), bundle))
		wrong("its root is %s, not %s", root_in(state_at), bundle);
	if (state_at && from_proc && fails_at != calls_before && goes_by_other) {
		const char *way = root_in(state_at);
		int is_alias = is_good_alias(way), is_own = strcmp(way, bundle) == 0;
		aliases += is_alias, plain_aliases += is_alias && !too_deep, unplain += is_own;
		if (strlen(way) > limit || (!is_alias && !is_own && strncmp(way, execfn, strlen(way))))
			wrong("another way to the root: %s", way);
		/* One that is not plain only where there is no other; the root's own, if that has room. */
		if (!is_plain_path(way) && !is_own && !too_deep)
			wrong("another way that is not plain: %s", way);
		/* Where there is room for the longest alias, some place is looked at. */
		int may_alias = saw_root && has_euid && limit >= LONGEST_ALIAS;
		if (is_own && fails_at < 0 && (!looked_at_root || (may_alias && !looked_at_places)))
			wrong("no other way was looked for: %s", way);
	}
	int contents = table_words[6] ? 0 : loader_good && from_proc ? fails_at < 0 || !state_at : !state_at;
	if (table->p_type != PT_PHDR || table->p_vaddr + bias != table_at || table->p_memsz != table_count * sizeof *table)
		wrong("PT_PHDR");
	if (table[1].p_type != PT_INTERP || strcmp((char *)(table[1].p_vaddr + bias), opened_path) || table[1].p_memsz != strlen(opened_path) + 1)
		wrong("PT_INTERP");
	word kept = 2, dynamic_at = 0, dynamic_pages = 0;
	dynamic_for_loader = dynamic_section;
	for (word i = 0; i < count; i++) {
		const Phdr *p = &program[i];
		int own_segment = !IS_SIDECAR && p->p_type == PT_LOAD && config.address >= p->p_vaddr && config.address - p->p_vaddr < p->p_memsz;
		if (p->p_type == PT_NULL || p->p_type == PT_PHDR || p->p_type == PT_INTERP || own_segment)
			continue;
		Phdr wanted_header = *p;
		if (p->p_type == PT_DYNAMIC && gets_path && kept < table_count) {
			dynamic_at = table[kept].p_vaddr + bias, dynamic_pages = check_dynamic(dynamic_at);
			dynamic_for_loader = (Dyn *)dynamic_at;
			wanted_header.p_vaddr = table[kept].p_vaddr;
		}
		if (kept >= table_count || memcmp(&table[kept++], &wanted_header, sizeof wanted_header))
			wrong("program header %lu", i);
	}
	if (kept != table_count)
		wrong("%lu program headers, not %lu", table_count, kept);

	/* The loader. */
	if (where != base + header()->e_entry)
		wrong("a jump to %#lx", where);
	word low = -1ul, high = 0;
	int overlap = 0;
	for (int i = 0; i < header()->e_phnum; i++) {
		Phdr p;
		memcpy(&p, file + header()->e_phoff + (size_t)i * sizeof p, sizeof p);
		if (p.p_type != PT_LOAD)
			continue;
		word end = whole(p.p_vaddr + p.p_memsz), first = p.p_vaddr & -page;
		overlap |= first < high;
		low = first < low ? first : low;
		high = end > high ? end : high;
	}
	if (where < base + low || where >= base + high)
		wrong("a jump out of the loader");
	unsigned char *loaded = 0;
	static unsigned char expected[PAGES];
	memset(expected, 0, sizeof expected);
	for (int i = 0; i < header()->e_phnum; i++) {
		Phdr p;
		memcpy(&p, file + header()->e_phoff + (size_t)i * sizeof p, sizeof p);
		if (p.p_type != PT_LOAD)
			continue;
		if (p.p_align > page && p.p_align <= 1u << 30 && (p.p_align & (p.p_align - 1)) == 0 && (base & (p.p_align - 1)) && loader_good)
			wrong("%#lx is not aligned to %#lx", base, (word)p.p_align);
		loaded = (unsigned char *)(base + p.p_vaddr);
		word end = whole((word)loaded + p.p_memsz), first = (word)loaded & -page;
		int protection = (p.p_flags & PF_R ? PROT_READ : 0) | (p.p_flags & PF_W ? PROT_WRITE : 0) | (p.p_flags & PF_X ? PROT_EXEC : 0);
		for (word place = first; place < end; place += SMALL) {
			size_t index = (place - (word)arena) / SMALL;
			expected[index] = 1;
			if (!overlap && (contents || !state_at) && mapped[index] != 1 + protection)
				wrong("segment %d is mapped with %d", i, mapped[index] - 1);
		}
		if (overlap || !(protection & (PROT_READ | PROT_WRITE)))
			continue;
		if (contents && memcmp(loaded, (loader_good ? expected_file : file) + p.p_offset, p.p_filesz))
			wrong("segment %d is not what the file has", i);
		if (p.p_flags & PF_W)
			for (unsigned char *zero = loaded + p.p_filesz; zero < (unsigned char *)end; zero++)
				if (*zero)
					wrong("segment %d is not zero behind its file part", i);
	}
	/* Nothing else is mapped but holes in the loader, which cannot be touched, and the table. */
	word table_pages = whole((count + 2) * sizeof *table + strlen(opened_path) + 1) / SMALL;
	if (fails_at < 0)
		for (size_t i = used_low; i < used_high; i++) {
			word place = (word)arena + i * SMALL;
			int in_table = place - table_at < table_pages * SMALL;
			int hole = place >= base + low && place < base + high && mapped[i] == 1;
			if (theirs[i])
				continue;
			int in_state = state_at && (!from_proc || place - state_at < state_pages * SMALL);
			int in_dynamic = place - dynamic_at < dynamic_pages * SMALL;
			if (mapped[i] && !expected[i] && !in_table && !in_state && !hole && !in_dynamic)
				wrong("%#lx is left mapped", place);
			if (in_table && mapped[i] && mapped[i] != 1 + PROT_READ)
				wrong("the program headers are writable");
		}
	if (state_at)
		arrive_again(stack, state_at, (word)(bias + config.entry));
	free(stack);
}

int main(int argc, char **argv)
{
	unsigned long starts = argc > 1 ? strtoul(argv[1], 0, 0) : 1000, seed = argc > 2 ? strtoul(argv[2], 0, 0) : 1;
	arena = mmap(0, ARENA + (1 << 16), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		return perror("mmap"), 1;
	arena = (char *)(((word)arena + 0xffff) & -0x10000ul);
	strcpy(strings, "NAME=value");
	for (unsigned long i = 0; i < starts; i++) {
		this_seed = seed * 1000003 + i;
		one();
	}
	printf("%lu starts, seed %lu: %lu jumps to the loader, %lu to the program, %lu messages, %lu of them after a failed system call; %lu static, %lu when all is loaded, %lu by an alias, %lu moved; %lu aliases of roots that have room, %lu roots that are not plain\n",
	       starts, seed, jumps, returns + statics, deaths, failures[0], statics, again, aliases, moves, plain_aliases, unplain);
	return 0;
}
