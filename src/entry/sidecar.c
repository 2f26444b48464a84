/*
 * The sidecar: what the bootstrap (bootstrap.c) of a program jumps to. It puts the program's own code back over the
 * bootstrap, and goes on as the stub, whose code it is: stub.c says all that is not said here.
 *
 * How the code is put back. Not by writing to it, which some kernels allow to nobody (systemd's MemoryDenyWriteExecute=,
 * SELinux's execmod), and which emulators and valgrind do not notice. The sidecar's file has the pages in which the
 * bootstrap lies as they were, and is mapped as a whole, as code. So they are moved: mremap(2) takes the program's pages
 * away and puts these there. They are pages of a file that nobody has written to, as the others of the program are. It is
 * the first thing done, also on a second arrival: from then on the program is what it was. (But where the whole program has to
 * be moved, to where its data is aligned: that comes before.)
 *
 * The bootstrap has looked at this code and at the list behind it. The pages it has not: their hash is in the list.
 *
 * A search path. A program may have no string in its file that is long enough for where the bundle's libraries lie. It gets
 * a dynamic section of its own in memory, with a DT_RPATH whose string lies behind it (an offset from the string table that
 * wraps around) and the rest as in the file's.
 *
 * Everything that the struct config says is kept before the code is put back, for it stands in the bootstrap.
 *
 * One file for all programs of a bundle. Behind this code follows a struct originals, made by sidecar.ts.
 */
#ifndef SIDECAR
#define SIDECAR
#endif
#include "stub.c"

/* What was there before the bootstrap. */
struct original {
	u64 address; /* of the bootstrap's first byte, and the program's e_entry */
	u64 first;   /* the address of the pages; they are as large as this CPU's kernels may have them, or larger */
	u64 digest;  /* over them */
	u32 offset;  /* in the sidecar's file */
	u32 length;  /* of the pages */
	u32 covered; /* how long the bootstrap is with all that is behind it */
	u32 zero;
};
struct originals {
	char magic[8];
	u32 count, zero;
	struct original original[];
};
#ifdef HOST_TEST
/* Where the file is mapped, and the list in it. */
extern const char *sidecar;
extern const struct originals originals;
#else
#define sidecar _start
extern const struct originals originals __asm__("config");
#endif

/* bootstrap.c's; of the first 24 bytes only what is needed here has a name. */
struct boot {
	u64 digest;
	u32 hashed, length, number, zero;
	struct config config; /* its loader's path is followed by the search path, if it has one */
};

/* A bootstrap with all that is behind it is never longer. In bytes. */
enum { BOOT_MAX = 8192, DT_RPATH = 15, DT_RUNPATH = 29, DT_STRTAB = 5 };

/* Puts the program's own pages back. */
static void restore(const char *who, const struct original *o, word bias, word page)
{
	word first = o->address & -page, last = (o->address + o->covered + page - 1) & -page;
	word from = (word)sidecar + o->offset;
	if (hash(SEED, (const halves *)from, o->length / 8) != o->digest)
		die(who, ": damaged: the code of this program in its bundle's lib/.entry", "");
	if (sys(SYS_mremap, from + first - o->first, last - first, last - first, MREMAP_MAYMOVE | MREMAP_FIXED, bias + first, 0) != (long)(bias + first))
		die(who, ": the kernel does not let its code be mapped; bundle it with --prefix", "");
}

/* A dynamic section as the file's, in memory that can be written to, with this search path. */
static word with_rpath(const char *who, const struct phdr *headers, word count, word bias, const char *rpath, word page)
{
	const struct dynamic *old = 0;
	for (word i = 0; i < count; i++)
		if (headers[i].type == PT_DYNAMIC)
			old = (const struct dynamic *)(bias + headers[i].vaddr);
	if (!old)
		return 0;
	word entries = 2, length = 1, strings = 0;
	for (const struct dynamic *d = old; d->tag != DT_NULL; d++, entries++)
		if (d->tag == DT_STRTAB)
			strings = bias + d->value;
	while (rpath[length - 1])
		length++;
	word at = map(0, (entries * sizeof *old + length + page - 1) & -page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (failed(at))
		die(who, ": out of memory", "");
	struct dynamic *new = (struct dynamic *)at;
	char *text = (char *)&new[entries];
	copy((word)text, rpath, length);
	new->tag = DT_RPATH;
	new->value = (word)text - strings;
	for (new++; old->tag != DT_NULL; old++)
		if (old->tag != DT_RPATH && old->tag != DT_RUNPATH) {
			new->tag = old->tag;
			new->value = old->value;
			new++;
		}
	return at;
}

/* Returns where to jump. */
__attribute__((used)) word start(word *stack, word exit_function, const struct boot *boot)
{
	u64 kept[BOOT_MAX / 8];
	word *aux[AT_MAX];
	const char *who = stack[0] ? (const char *)stack[1] : "";
	find_aux(stack, aux);
	word page = aux[AT_PAGESZ] ? *aux[AT_PAGESZ] : 4096;
	struct program program = { .config = (const struct config *)kept, .bias = (word)&boot->config - boot->config.address };
	const struct original *o = &originals.original[boot->number];
	program.first = program.bias + o->address;
	/* What the digest was right for is as sidecar.ts made it, and no longer than there is room. */
	copy((word)kept, (const char *)&boot->config, program.first + o->covered - (word)&boot->config);

	const char *rpath = program.config->loader;
	while (*rpath++)
		;
	int is_first = exit_function == 0 && (!aux[AT_ENTRY] || *aux[AT_ENTRY] == program.first) && aux[AT_PHDR] && aux[AT_PHNUM];
	/* While its code is one mapping. */
	if (is_first && *program.config->loader)
		*aux[AT_PHDR] = (word)move_program(who, &program, (const struct phdr *)*aux[AT_PHDR], *aux[AT_PHNUM], page);
	restore(who, o, program.bias, page);
	if (is_first && *rpath)
		program.dynamic = with_rpath(who, (const struct phdr *)*aux[AT_PHDR], *aux[AT_PHNUM], program.bias, rpath, page);
	return begin(&program, stack, exit_function);
}
