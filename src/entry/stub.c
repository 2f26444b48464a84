/*
 * The stub: how a program of a bundle finds its own loader.
 *
 * The problem. The kernel starts a dynamically linked program by reading a path from its PT_INTERP and mapping the
 * dynamic loader (ld.so) found there. That path is absolute, or relative to whatever directory the caller is in; it
 * cannot be relative to the program. A bundle that may lie anywhere has no path to put there. The usual way out, a
 * script that runs `ld.so program`, makes /proc/self/exe, argv[0] and the process name those of ld.so, needs a shell,
 * and costs two more execve(2).
 *
 * The idea. PT_INTERP is taken out, so the kernel starts the program as if it were static: at its entry point, which is
 * this code. It does what the kernel would have done: maps the bundle's ld.so beside the program and jumps to it. ld.so
 * then finds everything as it is used to and goes on as ever. No second execve, so the process is the program's own from
 * the first instruction on: name, argv, environment, /proc/self/exe.
 *
 * What the kernel hands over (fs/binfmt_elf.c, create_elf_tables): the stack pointer points at
 *
 *     argc, argv[0] ... argv[argc-1], NULL, envp[0] ..., NULL, auxv: pairs (AT_type, value) ..., (AT_NULL, 0)
 *
 * What ld.so expects to find in auxv (glibc elf/rtld.c and elf/dl-sysdep.c, musl ldso/dynlink.c):
 *
 *     AT_PHDR, AT_PHNUM  the program's program headers in memory. glibc takes the program's load address from the
 *                        difference of AT_PHDR and PT_PHDR's p_vaddr, and its own name from PT_INTERP: without a
 *                        PT_INTERP it stops with an assertion. So it is given a table of its own, made in a fresh page:
 *                        PT_PHDR and PT_INTERP that point into that page, then what the kernel's table has. Made at run
 *                        time and not when the stub is put in, it stays right when somebody edits the file later.
 *     AT_BASE            where ld.so itself lies (musl relocates itself by it).
 *     AT_ENTRY           where to jump when all is loaded: the program's original entry point.
 *
 * Second arrival. `ld.so program` and ldd(1) load the program themselves and jump to its e_entry, which is this code
 * again. Then all is done already, and it goes straight on to the original entry. glibc announces itself by a function
 * to be called at exit in rdx (x0, a0, edx, r0), which the kernel leaves zero. With musl AT_ENTRY is still what the kernel
 * made it: the entry of ld.so, where the kernel's own start has the address of this code. (DT_DEBUG would tell too, but
 * patchelf moves the dynamic section away from where it was when the stub was put in.)
 *
 * Set-uid. With AT_SECURE the program runs with more rights than its caller, who may be able to place the file (by a
 * hard link) beside a loader of his own. So it refuses, always. A bundle for a fixed place (--prefix) has absolute
 * paths, no stub, and works.
 *
 * Strings that move with the bundle. Store paths compiled into programs and libraries lie in the files as a placeholder,
 * /var/empty/ and 32 times e, "-" and the package's name. A table in the bundle's root says at which addresses
 * (relocations.ts has its format), and over the first 43 bytes of each goes the bundle's root, slashes, and /p/<n>. With
 * the bytes behind them that is the name of a link to the package, /p/<n>-<name>: as long as before, so that sizes taken at
 * compile time stay right, and with the same end. Linkers let constants share bytes: "1", "2.1" and "-foo-2.1" may all lie
 * inside of "/nix/store/...-foo-2.1", and are none of ours to change. Slashes stand before /p, for a store path may be a
 * file. Nothing is written but over a placeholder; where this code cannot act, the program finds nothing at the
 * placeholder's path, and never another tree. A table that is not there or not whole is no table.
 *
 *     1. Before ld.so runs: the program's own strings, and ld.so's.
 *     2. Libraries are mapped by ld.so. It calls an empty function for debuggers when it has mapped some,
 *        _dl_debug_state. Where the bundler found one that has room, a jump to this code is written over it. glibc calls
 *        it after relocation at start and before that at dlopen, always before constructors. aarch64's has room for one
 *        instruction only: a branch to a page near ld.so, from where a jump leads here. riscv64's has room for half of one, and so
 *        has Thumb code: there the calls of it lead to that page.
 *     3. The jump cannot always be written. So AT_ENTRY leads here too: all that was linked is loaded then, and what is
 *        not yet written is. Only constructors of libraries and what is opened later miss it, and on musl, which runs
 *        constructors later, only the latter.
 *
 * Variables of libraries that ld.so copies into the program (R_*_COPY) are the program's own sites: zeros in 1, and written
 * with the libraries' in 2 and 3, when ld.so has made the copy.
 *
 * A library is known by a hash of its ELF header and program headers, which are looked at only if its dynamic section
 * lies where the table has it. What 2 and 3 need to know is in one mapping, read-only by then: 2 gets its address from the
 * jump (rax, x17, t1, eax, ip), 3 finds it by p_paddr of the PT_PHDR made here, which nobody else reads.
 *
 * How to write. To code by /proc/self/mem, so that no page is ever writable and executable; to read-only data after one
 * mprotect over all its sites, which is then taken back; to RELRO only after a look (clock_gettime answers EFAULT for a
 * page that is read-only): at dlopen ld.so has yet to relocate it. What is refused is tried the other way, then left.
 *
 * A static program has the stub for such strings only. Nothing is mapped for it, no header made, auxv stays: its strings
 * are written, and it starts with the registers and the stack that the kernel gave it. What glibc's and musl's static
 * position-independent programs do to themselves comes after, and to them the strings are bytes like any other.
 *
 * Alignment. Data that is aligned to more than a page asks it of the address that the whole program has. Linux gives a program
 * with PT_INTERP such a one since 5.10, one without since 6.10. So where the bundler has seen such data, and the kernel has not
 * done it, the program is moved to another address before ld.so comes (mremap(2)), all but the stub's own segment, which
 * nothing of the program knows of.
 *
 * A root that is longer than the strings have room for, or that command lines take apart, is written by another way to the
 * same directory: alias.h. Nothing of this happens when the root fits and is plain. Where there is no other way, a root that
 * fits is written as it is; with one that does not the program does not start.
 *
 * What this code may not do: call libc (there is none), have relocations (nobody applies them), write to data (it has
 * none), allocate, look at the environment. It is compiled as position-independent code and cut out as one blob; the
 * linker script refuses anything else. Behind the blob follows a struct config, filled in by inject.ts.
 */

#include "cpu.h"

#pragma GCC visibility push(hidden)

#include "alias.h"

/* Follows the code; laid out by inject.ts. Addresses are the file's virtual addresses. */
struct config {
	char magic[8];
	u64 address; /* of this config */
	u64 entry;   /* the program's original e_entry */
	u16 up;      /* how many directories to go up from the program's own */
	u8 align;    /* its address is a multiple of two to the power of this; 0: of a page */
	u8 zero;
	u32 number;  /* the program's in the table of relocations, plus one; NO_TABLE, NO_SITES */
	char loader[]; /* and the path of ld.so from there; empty: the program is static */
};
enum { NO_TABLE = 0 };
#define NO_SITES 0xffffffffu
#ifndef SIDECAR
extern const struct config config;
#endif
/* The first instruction, which is the program's e_entry; of the sidecar the first byte of its file. */
extern const char _start[];
/* Where ld.so jumps to when it is done, and when it has mapped something. */
extern const char _loaded[], _mapped[];

/* A program that is being started. */
struct program {
	const struct config *config;
	word bias;    /* what is added to the file's addresses */
	word first;   /* its first instruction, which e_entry names */
	word dynamic; /* the dynamic section that ld.so gets in the place of the file's; 0: the file's */
};

/* link.h */
struct link_map {
	word address;
	const char *name;
	const struct dynamic *dynamic;
	const struct link_map *next, *previous;
};
struct debug {
	int version;
	const struct link_map *map;
	word call;
	int state;
	word loader;
	const struct debug *next; /* of version 2 */
};

enum { LINKS_MAX = 40, PHDRS_MAX = 64 };
enum { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 4 };
enum { MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32, MAP_NORESERVE = 0x4000 };
enum { O_RDWR_CLOEXEC = 02000002, EFAULT = 14, CLOCK_MONOTONIC = 1 };

/* ---- Text ---- */

/* Appends to a path or message; what does not fit makes it too long, which is seen by the caller. */
static char *append(char *to, const char *end, const char *from)
{
	while (*from && to < end)
		*to++ = *from++;
	return to;
}

/* One line on standard error, and the end: there is no program to go on with. */
static __attribute__((noreturn, noinline)) void die(const char *who, const char *what, const char *path)
{
	char line[2 * PATH_MAX + 256];
	char *end = line + sizeof line - 1, *at = append(line, end, who);
	at = append(at, end, what);
	at = append(at, end, path);
	*at++ = '\n';
	sys(SYS_write, 2, (long)line, at - line, 0, 0, 0);
	for (;;)
		sys(SYS_exit_group, 127, 0, 0, 0, 0, 0);
}

/* The last slash of a path, or its start. */
static char *last_slash(char *path)
{
	char *slash = path;
	for (char *at = path; *at; at++)
		if (*at == '/')
			slash = at;
	return slash;
}

/*
 * The program's own absolute path. The kernel knows it (/proc/self/exe, free of links). Without /proc there is the name
 * it was started by (AT_EXECFN), whose last component may be a link. Returns whether it is free of links, `.` and `..`.
 */
static int own_path(char *path, const char *execfn)
{
	char link[PATH_MAX];
	long n = sys(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, PATH_MAX - 1, 0, 0);
	if (n > 0 && n < PATH_MAX - 1 && path[0] == '/') {
		path[n] = 0;
		return 1;
	}
	const char *end = path + PATH_MAX - 1;
	char *at = path;
	if (!execfn || !*execfn)
		die("", "its own path is unknown: is /proc mounted?", "");
	if (*execfn != '/') {
		n = sys(SYS_getcwd, (long)path, PATH_MAX - 1, 0, 0, 0, 0);
		if (n <= 1 || path[0] != '/')
			die(execfn, ": its own path is unknown: is /proc mounted?", "");
		at = path + n - 1;
		at = append(at, end, "/");
	}
	at = append(at, end, execfn);
	if (at == end)
		die(execfn, ": its path is too long", "");
	*at = 0;
	for (int links = 0; links < LINKS_MAX; links++) {
		n = sys(SYS_readlinkat, AT_FDCWD, (long)path, (long)link, PATH_MAX - 1, 0, 0);
		if (n <= 0)
			break;
		link[n] = 0;
		at = append(link[0] == '/' ? path : last_slash(path) + 1, end, link);
		if (at == end)
			die(execfn, ": its path is too long", "");
		*at = 0;
	}
	return 0;
}

/* ---- Memory ---- */

static int failed(long result)
{
	return result < 0 && result > -4096;
}

static word map(word at, word length, int protection, int flags, long fd, word offset)
{
	return sys(SYS_mmap, at, length, protection, flags, fd, offset >> MMAP_SHIFT);
}

static int protection(const struct phdr *p)
{
	return (p->flags & PF_R ? PROT_READ : 0) | (p->flags & PF_W ? PROT_WRITE : 0) | (p->flags & PF_X ? PROT_EXEC : 0);
}

/* ---- Strings that move with the bundle ---- */

/* The table: relocations.ts. */
struct file {
	u64 key, dynamic, hook;
	u32 first, count;
};
struct table {
	char magic[8];
	u64 checksum;
	u32 files, sites, limit, zero;
	struct file file[];
};
/* HASHED: bytes of a store path up to the end of its hash. The "-" behind them belongs to every placeholder. */
enum { TABLE_MAX = 64 << 20, ADDRESS_BITS = 40, HASHED = 43, PLACEHOLDER = 44, FIRST_PAGE = 4096 };

/* What the second and later arrivals need to know, in a read-only mapping; the root and the table follow. */
struct state {
	word mapped; /* _mapped; first, for on x86_64 the jump to it goes by way of this word */
	word entry;  /* the program's original */
	word page, bias, count;
	const struct phdr *headers;
	const struct file *program;        /* its own sites, if there are any */
	const struct debug *const *debug;  /* where ld.so puts the address of its list of libraries */
	const struct table *table;
	word root_length;
	char root[];
};

static u64 key_of(const struct ehdr *e, const struct phdr *table)
{
	u64 words[2] = { e->entry, e->type | (u64)e->machine << 16 | (u64)e->phnum << 32 };
	return hash(hash(SEED, words, 2), (const halves *)table, e->phnum * sizeof *table / 8) | 1ull << 63;
}

static const struct file *find(const struct table *t, u64 key)
{
	for (word i = 0; i < t->files; i++)
		if (t->file[i].key == key)
			return &t->file[i];
	return 0;
}

/*
 * Makes the HASHED bytes that a store path begins with in this bundle. The link's number is written from its end, slashes
 * fill what is left.
 */
static void compose(char *to, const struct state *s, word link)
{
	word i = 0;
	for (; i < s->root_length; i++)
		to[i] = s->root[i];
	char *at = to + HASHED;
	do {
		*--at = "0123456789abcdef"[link & 15];
		link >>= 4;
	} while (link);
	*--at = '/';
	*--at = 'p';
	while (at > to + i)
		*--at = '/';
}

/* Eight bytes anywhere. */
struct eight {
	u64 value;
} __attribute__((packed));

/*
 * Whether a placeholder is at a site, and there is room for what is to be there. Within the segment all is readable. A
 * table for another file does no harm: with another name behind the number there is no such link.
 */
static int placeholder(const struct state *s, const struct phdr *p, word bias, word address, word link)
{
	word digits = 1;
	while (link >>= 4)
		digits++;
	if (s->root_length + 3 + digits > HASHED || address < p->vaddr || p->memsz < PLACEHOLDER ||
	    address - p->vaddr > p->memsz - PLACEHOLDER)
		return 0;
	const char *text = (const char *)(bias + address), *wanted = "/var/empty/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-";
	for (word i = 0; i < PLACEHOLDER; i += 8) {
		word n = i < PLACEHOLDER - 8 ? i : PLACEHOLDER - 8;
		if (((const struct eight *)(text + n))->value != ((const struct eight *)(wanted + n))->value)
			return 0;
	}
	return 1;
}

/*
 * Writes by /proc/self/mem. In an emulator of 32-bit programs (qemu-user) that may be the emulator's memory, where addresses
 * are others than the program's: so it is looked at first whether it has there what is here.
 */
static int by_mem(int *mem, word at, const char *from, word length)
{
	char there[HASHED];
	if (*mem == -1) {
		*mem = (int)sys(SYS_openat, AT_FDCWD, (long)"/proc/self/mem", O_RDWR_CLOEXEC, 0, 0, 0);
		int same = *mem >= 0 && pread(*mem, there, length, at) == (long)length;
		for (word i = 0; same && i < length; i++)
			same = there[i] == ((const char *)at)[i];
		if (*mem >= 0 && !same) {
			sys(SYS_close, *mem, 0, 0, 0, 0, 0);
			*mem = -ENOENT;
		}
	}
	return *mem >= 0 && pwrite(*mem, from, length, at) == (long)length;
}

static void copy(word at, const char *from, word length)
{
	word i = 0;
	for (; i + 8 <= length; i += 8)
		((volatile struct eight *)(at + i))->value = ((const struct eight *)(from + i))->value;
	for (; i < length; i++)
		((volatile char *)at)[i] = from[i];
}

static int protect(word first, word last, int protection)
{
	return sys(SYS_mprotect, first, last - first, protection, 0, 0, 0) == 0;
}

/* Whether the kernel can write at `at`: 1, 0, or -1 when it does not say. It is put back what is overwritten. */
static int writable(word at)
{
	char kept[16];
	copy((word)kept, (const char *)at, sizeof kept);
	long result = sys(SYS_clock_gettime, CLOCK_MONOTONIC, at, 0, 0, 0, 0);
	if (result == 0)
		copy(at, kept, sizeof kept);
	return result == 0 ? 1 : result == -EFAULT ? 0 : -1;
}

/* Writes to the sites of one file, mapped with these program headers. */
static void relocate(const struct state *s, const struct file *f, word bias, const struct phdr *headers, word count)
{
	const struct table *t = s->table;
	if (f->count > t->sites || f->first > t->sites - f->count)
		return;
	const u64 *sites = (const u64 *)&t->file[t->files] + f->first;
	word page = s->page, relro = 1, relro_end = 0;
	int mem = -1;
	for (word i = 0; i < count; i++)
		if (headers[i].type == PT_GNU_RELRO) {
			relro = (bias + headers[i].vaddr) & -page;
			relro_end = (bias + headers[i].vaddr + headers[i].memsz) & -page;
		}
	for (word i = 0; i < count; i++) {
		const struct phdr *p = &headers[i];
		if (p->type != PT_LOAD || !(p->flags & PF_R))
			continue;
		/* First what is to be done, then that. */
		word low = -1, high = 0;
		int open = 0;
		for (int doing = 0; doing < 2; doing++) {
			for (word n = 0; n < f->count; n++) {
				word address = (word)(sites[n] & ((1ull << ADDRESS_BITS) - 1)), link = (word)(sites[n] >> ADDRESS_BITS);
				word at = bias + address, end = at + HASHED;
				if (!placeholder(s, p, bias, address, link))
					continue;
				if (!doing) {
					low = at < low ? at : low;
					high = end > high ? end : high;
					continue;
				}
				char text[HASHED];
				compose(text, s, link);
				if (p->flags & PF_W && (at >= relro_end || end <= relro)) {
					copy(at, text, HASHED);
				} else if (p->flags & PF_W) {
					/* The part of it that ld.so makes read-only. */
					word first = at < relro ? relro : at & -page, last = (end + page - 1) & -page;
					last = last > relro_end ? relro_end : last;
					int can = writable(at < relro ? relro : at);
					if (can == 1) {
						copy(at, text, HASHED);
					} else if (can == 0 && protect(first, last, PROT_READ | PROT_WRITE)) {
						copy(at, text, HASHED);
						protect(first, last, PROT_READ);
					} else {
						by_mem(&mem, at, text, HASHED);
					}
				} else if (open) {
					copy(at, text, HASHED);
				} else if (!by_mem(&mem, at, text, HASHED) && p->flags & PF_X) {
					word first = at & -page, last = (end + page - 1) & -page;
					if (protect(first, last, protection(p) | PROT_WRITE)) {
						copy(at, text, HASHED);
						protect(first, last, protection(p));
					}
				}
			}
			if (!high)
				break;
			low &= -page;
			high = (high + page - 1) & -page;
			if (!(p->flags & (PF_W | PF_X))) {
				if (!doing)
					open = protect(low, high, PROT_READ | PROT_WRITE);
				else if (open)
					protect(low, high, PROT_READ);
			}
		}
	}
	if (mem >= 0)
		sys(SYS_close, mem, 0, 0, 0, 0, 0);
}

/* One library that ld.so has mapped. */
static void relocate_library(const struct state *s, const struct link_map *m)
{
	const struct table *t = s->table;
	word dynamic = (word)m->dynamic - m->address, known = 0;
	/* At 0 an ET_EXEC has nothing, nor need the program have its header where its addresses begin. */
	if (!m->address || m->address == s->bias || !m->dynamic)
		return;
	for (word i = 0; i < t->files && !known; i++)
		known = t->file[i].dynamic == dynamic && t->file[i].key >> 63 && t->file[i].count;
	if (!known)
		return;
	const struct ehdr *e = (const struct ehdr *)m->address;
	if (*(const u32 *)e->ident != 0x464c457f || e->phentsize != sizeof(struct phdr) || e->phnum > PHDRS_MAX ||
	    e->phoff % sizeof(word) || e->phoff > FIRST_PAGE || e->phoff + e->phnum * sizeof(struct phdr) > FIRST_PAGE)
		return;
	const struct phdr *headers = (const struct phdr *)(m->address + e->phoff);
	const struct file *f = find(t, key_of(e, headers));
	if (f && f->dynamic == dynamic)
		relocate(s, f, m->address, headers, e->phnum);
}

/* All that is mapped now. Also the program, once more: ld.so has copied variables of libraries into it (R_*_COPY). */
__attribute__((used)) void relocate_libraries(const struct state *s)
{
	const struct debug *d = s->debug ? *s->debug : 0;
	for (; d; d = d->version > 1 ? d->next : 0)
		for (const struct link_map *m = d->map; m && d->state == 0; m = m->next)
			relocate_library(s, m);
	if (s->program)
		relocate(s, s->program, s->bias, s->headers, s->count);
}

/* How the program begins, and the jump into ld.so. */
#include CPU_STUB

/*
 * Puts the jump into ld.so. The bundler has seen what is there; it is looked at again, for a file may be another's.
 */
static void hook(const struct state *s, const struct file *f, word base, const struct phdr *headers, word count)
{
	for (word i = 0; i < count && f->hook; i++) {
		const struct phdr *p = &headers[i];
		if (p->type != PT_LOAD || (p->flags & (PF_R | PF_X)) != (PF_R | PF_X) || f->hook < p->vaddr ||
		    p->filesz < ROOM || f->hook - p->vaddr > p->filesz - ROOM)
			continue;
		_Alignas(4) char jump[JUMP];
		word at = 0, near = 0;
		int mem = -1;
		while ((at = jump_place(base + f->hook, at, base + p->vaddr, p->filesz)) && make_jump(s, at, jump, &near)) {
			word first = at & -s->page, last = (at + JUMP + s->page - 1) & -s->page;
			if (!by_mem(&mem, at, jump, JUMP) && protect(first, last, protection(p) | PROT_WRITE)) {
				copy(at, jump, JUMP);
				protect(first, last, protection(p));
			}
			clean(at, JUMP);
		}
		if (mem >= 0)
			sys(SYS_close, mem, 0, 0, 0, 0, 0);
		return;
	}
}

static __attribute__((noreturn, noinline)) void too_deep(const char *who, word length, word limit)
{
	char text[128], digits[24];
	const char *stop = text + sizeof text - 1;
	char *at = append(text, stop, ": unpacked too deep: ");
	for (int i = 0; i < 2; i++) {
		at = append(at, stop, decimal(digits + sizeof digits, i ? limit : length));
		at = append(at, stop, i ? ": move it, or bundle with --prefix" : " bytes, at most ");
	}
	*at = 0;
	die(who, text, "");
}

/*
 * Says that links were lost, if a bundle lies around the program and the program elsewhere in it: what had been a link,
 * bin/x to pkg/x-1/bin/x, was copied as a file (scp -r, cp -rL, tools that know no links). Its place is so many
 * directories up from it.
 */
static void die_if_copied(const char *who, const char *execfn, u32 place)
{
	char path[PATH_MAX];
	struct status stat;
	own_path(path, execfn);
	for (u32 up = 0; *path; up++) {
		char *end = last_slash(path);
		*append(end, path + PATH_MAX - 1, "/bundle.json") = 0;
		if (status(AT_FDCWD, path, &stat, 0)) {
			if (up != place)
				die(who, ": this bundle was copied without its symbolic links; copy it with cp -a, tar or rsync -a", "");
			return;
		}
		*end = 0;
	}
}

/*
 * Reads the table of the bundle whose root ends at `end`, and writes to the program's own sites. Returns what later
 * arrivals need; 0 without a table, and when there are none.
 */
static const struct state *relocate_program(const char *who, const char *execfn, char *path, char *end, const char *limit,
					    word *const *aux, const struct program *program, const struct phdr *headers,
					    word count, word page)
{
	const struct config *c = program->config;
	word bias = program->bias;
	struct table head;
	char *name_end = append(end, limit, "/.relocations");
	if (name_end == limit)
		return 0;
	*name_end = 0;
	long fd = sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY_CLOEXEC, 0, 0, 0);
	*end = 0;
	if (fd == -ENOENT)
		die_if_copied(who, execfn, c->up);
	if (failed(fd))
		return 0;
	struct state *s = 0;
	if (pread(fd, &head, sizeof head, 0) != sizeof head || *(u64 *)head.magic != 0x32434f4c45524653)
		goto close;
	u64 size = sizeof head + (u64)head.files * sizeof *head.file + head.sites * 8ull;
	word root = end - path;
	word before = (sizeof *s + (root > HASHED ? root : HASHED) + 1 + 7) & -8ul;
	if (size > TABLE_MAX)
		goto close;
	word room = (before + size + page - 1) & -page;
	word at = map(0, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (failed(at))
		goto close;
	struct table *t = (struct table *)(at + before);
	/* The header once more, with the rest: it is one file that is checked. */
	if (pread(fd, t, size, 0) != (long)size || t->files != head.files ||
	    t->sites != head.sites || hash(SEED, (u64 *)t + 2, size / 8 - 2) != t->checksum) {
		sys(SYS_munmap, at, room, 0, 0, 0, 0);
		goto close;
	}
	s = (struct state *)at;
	s->mapped = (word)_mapped;
	s->entry = bias + c->entry;
	s->page = page;
	s->bias = bias;
	s->headers = headers;
	s->count = count;
	s->table = t;
	int needed = t->sites && root > t->limit;
	s->root_length = 0;
	if (needed || (t->sites && !is_plain(path))) /* there is room for HASHED bytes */
		s->root_length = other_root(s->root, path, execfn, aux[AT_EUID], t->limit < HASHED ? t->limit : HASHED, needed);
	if (!s->root_length) {
		if (needed)
			too_deep(who, root, t->limit);
		s->root_length = root;
		copy((word)s->root, path, root);
	}
	const struct dynamic *d = (const struct dynamic *)program->dynamic;
	for (word i = 0; i < count && !d; i++)
		if (headers[i].type == PT_DYNAMIC)
			d = (const struct dynamic *)(bias + headers[i].vaddr);
	for (; d && d->tag != DT_NULL; d++)
		if (d->tag == DT_DEBUG)
			s->debug = (const struct debug *const *)&d->value;
	if (c->number != NO_SITES) {
		s->program = find(t, c->number - 1);
		if (s->program)
			relocate(s, s->program, bias, headers, count);
	}
	if (c->loader[0]) {
		protect(at, at + room, PROT_READ);
	} else { /* there are no later arrivals */
		sys(SYS_munmap, at, room, 0, 0, 0, 0);
		s = 0;
	}
close:
	sys(SYS_close, fd, 0, 0, 0, 0, 0);
	return s;
}

/* ---- Mapping ld.so ---- */

/* Maps the loader as the kernel's load_elf_interp does. Returns its entry point; its load address goes to *base. */
static word map_loader(const char *who, const char *execfn, u32 up, const char *path, word page, word *base, const struct state *state)
{
	struct ehdr e;
	struct phdr table[PHDRS_MAX];
	long fd = sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY_CLOEXEC, 0, 0, 0);
	if (fd == -ENOENT) {
		die_if_copied(who, execfn, up);
		die(who, ": the bundle is not complete: there is no ", path);
	}
	if (fd < 0)
		die(who, ": cannot open ", path);
	if (pread(fd, &e, sizeof e, 0) != sizeof e || *(u32 *)e.ident != 0x464c457f ||
	    e.ident[4] != CLASS || e.type != ET_DYN || e.machine != MACHINE || e.phentsize != sizeof *table || e.phnum == 0 ||
	    e.phnum > PHDRS_MAX)
		die(who, ": no loader: ", path);
	long size = e.phnum * sizeof *table;
	if (pread(fd, table, size, e.phoff) != size)
		die(who, ": no loader: ", path);

	word low = -1, high = 0, align = page;
	for (int i = 0; i < e.phnum; i++) {
		const struct phdr *p = &table[i];
		if (p->type != PT_LOAD)
			continue;
		/*
		 * Nothing may be mapped outside [low, high), and the last byte must be there: in a file cut off, touching
		 * what is missing is a SIGBUS, which tells nobody why.
		 */
		u8 last;
		if ((p->vaddr | p->memsz | p->offset) >> SPACE_BITS || p->filesz > p->memsz ||
		    (p->filesz && ((p->vaddr ^ p->offset) & (page - 1) ||
				   pread(fd, &last, 1, p->offset + p->filesz - 1) != 1)))
			die(who, ": no loader: ", path);
		if (p->vaddr < low)
			low = p->vaddr;
		if (p->vaddr + p->memsz > high)
			high = p->vaddr + p->memsz;
		if (p->align > align)
			align = p->align;
	}
	if (low >= high || e.entry < low || e.entry >= high || align > 1ul << 30 || align & (align - 1))
		die(who, ": no loader: ", path);
	low &= -page;
	word span = (high - low + page - 1) & -page;

	/* Room for all of it with slack, so that the start can be aligned; the slack is given back. */
	word room = map(0, span + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (failed(room))
		goto no_memory;
	word start = ((room - low + align - 1) & -align) + low;
	if (start > room)
		sys(SYS_munmap, room, start - room, 0, 0, 0, 0);
	if (room + align > start)
		sys(SYS_munmap, start + span, room + align - start, 0, 0, 0, 0);
	word bias = start - low;

	for (int i = 0; i < e.phnum; i++) {
		const struct phdr *p = &table[i];
		if (p->type != PT_LOAD)
			continue;
		word first = (bias + p->vaddr) & -page, in_file = bias + p->vaddr + p->filesz;
		word file_end = (in_file + page - 1) & -page, end = (bias + p->vaddr + p->memsz + page - 1) & -page;
		if (p->filesz == 0)
			file_end = first;
		else if (map(first, file_end - first, protection(p), MAP_PRIVATE | MAP_FIXED, fd, p->offset & -page) != first)
			goto no_memory;
		/* ld.so takes the rest of its last page for its first allocations and wants zeros there, bss or not. */
		if (p->flags & PF_W)
			for (u8 *at = (u8 *)in_file; at < (u8 *)file_end; at++)
				*at = 0;
		if (end > file_end &&
		    map(file_end, end - file_end, protection(p), MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != file_end)
			goto no_memory;
	}
	sys(SYS_close, fd, 0, 0, 0, 0, 0);
	*base = bias;
	if (state) {
		const struct file *f = find(state->table, key_of(&e, table));
		if (f) {
			relocate(state, f, bias, table, e.phnum);
			hook(state, f, bias, table, e.phnum);
		}
	}
	return bias + e.entry;

no_memory:
	die(who, ": cannot map ", path);
}

/* ---- The program headers that ld.so sees ---- */

/* The segment that the stub has brought with it; an entry by a sidecar brings none. */
static int is_own_segment(const struct program *program, const struct phdr *p)
{
#ifdef SIDECAR
	(void)program, (void)p;
	return 0;
#else
	return program->config->address - p->vaddr < p->memsz;
#endif
}

/* Makes the table in a page of its own, which ld.so cannot tell from the kernel's. Returns how many entries it has. */
static word make_headers(const char *who, const struct phdr *old, word count, const struct program *program, const char *loader, word page, const struct state *state, struct phdr **table)
{
	word length = 0, bias = program->bias;
	while (loader[length++])
		;
	word size = ((count + 2) * sizeof *old + length + page - 1) & -page;
	word at = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (failed(at))
		die(who, ": out of memory", "");
	struct phdr *new = (struct phdr *)at, *next = new + 2;
	for (word i = 0; i < count; i++) {
		const struct phdr *p = &old[i];
		int ours = p->type == PT_LOAD && is_own_segment(program, p);
		int kept = p->type != PT_NULL && p->type != PT_PHDR && p->type != PT_INTERP && !ours;
		if (kept) /* word by word: a struct assignment would call memcpy */
			for (word i = 0; i < sizeof *p / sizeof i; i++)
				((word *)next)[i] = ((const word *)p)[i];
		if (kept && p->type == PT_DYNAMIC && program->dynamic)
			next->vaddr = program->dynamic - bias;
		next += kept;
	}
	word entries = next - new;
	char *name = append((char *)next, (char *)next + length, loader) - length + 1;
	word bytes = entries * sizeof *new;
	*new = (struct phdr){ .type = PT_PHDR, .flags = PF_R, .offset = 0, .vaddr = at - bias, .paddr = (word)state, .filesz = bytes, .memsz = bytes, .align = sizeof(word) };
	/* These addresses wrap around: ld.so adds the bias, and gets the page. */
	new[1] = (struct phdr){ .type = PT_INTERP, .flags = PF_R, .offset = 0, .vaddr = (word)name - bias, .paddr = (word)name - bias, .filesz = length, .memsz = length, .align = 1 };
	sys(SYS_mprotect, at, size, PROT_READ, 0, 0, 0);
	*table = new;
	return entries;
}

/* ---- The program's own address ---- */

enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2 };

/* Moves a part of the program by so many bytes; whether that could be done. */
static int move(word from, word end, word by)
{
	return from == end || sys(SYS_mremap, from, end - from, end - from, MREMAP_MAYMOVE | MREMAP_FIXED, from + by, 0) == (long)(from + by);
}

/*
 * Moves the program to where its data is aligned as it was linked. What the kernel has mapped of a segment is what the file
 * has, and zeros behind it: two mappings, and mremap(2) moves one. Returns where the headers are then.
 */
static const struct phdr *move_program(const char *who, struct program *program, const struct phdr *headers, word count, word page)
{
	word align = (word)1 << program->config->align, bias = program->bias, low = -1, high = 0;
	if (!(bias & (align - 1)))
		return headers;
	for (word i = 0; i < count; i++) {
		const struct phdr *p = &headers[i];
		if (p->type != PT_LOAD || is_own_segment(program, p))
			continue;
		low = p->vaddr < low ? p->vaddr : low;
		high = p->vaddr + p->memsz > high ? p->vaddr + p->memsz : high;
	}
	if (low >= high)
		return headers;
	low &= -page;
	/* A place that is free, with slack to align it. Nobody else is here who could take it meanwhile. */
	word span = ((high - low + page - 1) & -page) + align;
	word room = map(0, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (failed(room))
		die(who, ": out of memory", "");
	sys(SYS_munmap, room, span, 0, 0, 0, 0);
	word by = ((room - low + align - 1) & -align) - bias;
	for (word i = 0; i < count; i++) {
		const struct phdr *p = &headers[i];
		if (p->type != PT_LOAD || is_own_segment(program, p))
			continue;
		word first = (bias + p->vaddr) & -page, end = (bias + p->vaddr + p->memsz + page - 1) & -page;
		word file_end = p->filesz ? (bias + p->vaddr + p->filesz + page - 1) & -page : first;
		if (!move(first, file_end, by) || !move(file_end, end, by))
			die(who, ": the kernel does not let it be moved to where its data is aligned; bundle it with --prefix", "");
		/* The headers themselves lie in one of these. */
		if ((word)headers >= first && (word)headers < file_end)
			headers = (const struct phdr *)((word)headers + by);
	}
	program->bias += by;
	return headers;
}

/* ---- Start ---- */

/* Where the auxiliary vector has the value of each type, 0 for what it does not have. */
static void find_aux(word *stack, word **aux)
{
	word *at = stack + 1 + stack[0] + 1; /* past argc and argv */
	while (*at++)
		; /* past envp */
	for (int i = 0; i < AT_MAX; i++)
		*(word *volatile *)&aux[i] = 0;
	for (; at[0] != AT_NULL; at += 2)
		if (at[0] < AT_MAX)
			aux[at[0]] = &at[1];
}

/* Returns where to jump. `exit_function` is what the ABI has in rdx or x0 at a program's entry. */
static word begin(struct program *program, word *stack, word exit_function)
{
	const struct config *c = program->config;
	word entry = program->bias + c->entry;
	if (exit_function != 0)
		return entry;

	word *aux[AT_MAX];
	find_aux(stack, aux);
	if (aux[AT_ENTRY] && *aux[AT_ENTRY] != program->first)
		return entry;

	const char *who = stack[0] ? (const char *)stack[1] : "";
	if (aux[AT_SECURE] && *aux[AT_SECURE])
		die(who, ": a relocatable program cannot be set-uid or have capabilities; bundle it with --prefix", "");
	if (!aux[AT_PHDR] || !aux[AT_PHNUM] || !aux[AT_BASE] || !aux[AT_ENTRY])
		die(who, ": the kernel passes no program headers", "");
	word page = aux[AT_PAGESZ] ? *aux[AT_PAGESZ] : 4096;

	char path[PATH_MAX];
	const char *limit = path + PATH_MAX - 1;
	const char *execfn = aux[AT_EXECFN] ? (const char *)*aux[AT_EXECFN] : 0;
	int canonical = own_path(path, execfn);
	char *end = last_slash(path);
	for (u32 up = c->up; up > 0 && end < limit; up--) {
		if (canonical) {
			/* Above the root there is no bundle, but maybe the host's /lib: a copy in a memfd would ask for it. */
			if (end == path) {
				die_if_copied(who, execfn, c->up);
				if (!*c->loader)
					return entry;
				die(who, ": it does not lie in its bundle", "");
			}
			*end = 0;
			end = last_slash(path);
		} else { /* the directory may be a link, or `.`: only the kernel knows what is above it */
			end = append(end, limit, "/..");
		}
	}
	const struct phdr *headers = (const struct phdr *)*aux[AT_PHDR];
	word count = *aux[AT_PHNUM];
	if (*c->loader) {
		headers = move_program(who, program, headers, count, page);
		entry = program->bias + c->entry;
	}
	const struct state *state = 0;
	if (c->number != NO_TABLE && end < limit)
		state = relocate_program(who, execfn, path, end, limit, aux, program, headers, count, page);
	if (!*c->loader)
		return entry;
	end = append(append(end, limit, "/"), limit, c->loader);
	if (end == limit)
		die(who, ": its path is too long", "");
	*end = 0;

	word base;
	word loader_entry = map_loader(who, execfn, c->up, path, page, &base, state);
	struct phdr *table;
	*aux[AT_PHNUM] = make_headers(who, headers, count, program, path, page, state, &table);
	*aux[AT_PHDR] = (word)table;
	*aux[AT_BASE] = base;
	*aux[AT_ENTRY] = state ? (word)_loaded : entry;
	return loader_entry;
}

#ifndef SIDECAR
word start(word *stack, word exit_function)
{
	struct program program = { .config = &config, .bias = (word)&config - config.address, .first = (word)_start };
	return begin(&program, stack, exit_function);
}
#endif

/* ld.so is done. Returns where to jump. */
__attribute__((used)) word loaded(word *stack)
{
	word *at = stack + 1 + stack[0] + 1, *entry = 0;
	while (*at++)
		;
	const struct state *state = 0;
	for (; at[0] != AT_NULL; at += 2) {
		if (at[0] == AT_PHDR)
			state = (const struct state *)((const struct phdr *)at[1])->paddr;
		else if (at[0] == AT_ENTRY)
			entry = &at[1];
	}
	*entry = state->entry;
	relocate_libraries(state);
	return state->entry;
}
