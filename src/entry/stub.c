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
 * to be called at exit in rdx (x0 on aarch64), which the kernel leaves zero. With musl AT_ENTRY is still what the kernel
 * made it: the entry of ld.so, where the kernel's own start has the address of this code. (DT_DEBUG would tell too, but
 * patchelf moves the dynamic section away from where it was when the stub was put in.)
 *
 * Set-uid. With AT_SECURE the program runs with more rights than its caller, who may be able to place the file (by a
 * hard link) beside a loader of his own. So it refuses, always. A bundle for a fixed place (--prefix) has absolute
 * paths, no stub, and works.
 *
 * What this code may not do: call libc (there is none), have relocations (nobody applies them), write to data (it has
 * none), allocate, look at the environment. It is compiled as position-independent code and cut out as one blob; the
 * linker script refuses anything else. Behind the blob follows a struct config, filled in by inject.ts.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#pragma GCC visibility push(hidden)

/* Follows the code; laid out by inject.ts. Addresses are the file's virtual addresses. */
struct config {
	char magic[8];
	u64 address; /* of this config */
	u64 entry;   /* the program's original e_entry */
	u32 up;      /* how many directories to go up from the program's own */
	u32 reserved;
	char loader[]; /* and the path of ld.so from there */
};
extern const struct config config;
/* The first instruction, which is the program's e_entry. */
extern const char _start[];

/* elf(5) */
struct ehdr {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct phdr {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};
enum { ET_DYN = 3, EM_X86_64 = 62, EM_AARCH64 = 183 };
enum { PT_NULL, PT_LOAD, PT_INTERP = 3, PT_PHDR = 6 };
enum { PF_X = 1, PF_W = 2, PF_R = 4 };
enum { AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_ENTRY = 9, AT_SECURE = 23, AT_EXECFN = 31, AT_MAX };

enum { PATH_MAX = 4096, LINKS_MAX = 40, PHDRS_MAX = 64, SPACE_BITS = 40 };
enum { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 4 };
enum { MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32, MAP_NORESERVE = 0x4000 };
enum { O_RDONLY_CLOEXEC = 02000000, AT_FDCWD = -100, ENOENT = 2, EACCES = 13 };

#ifdef HOST_TEST
/* Built as part of a test program: system calls and the config are the test's. */
long sys(long nr, long a, long b, long c, long d, long e, long f);
enum { MACHINE = EM_X86_64 };
enum { SYS_read, SYS_write, SYS_close, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_pread64, SYS_getcwd, SYS_exit_group, SYS_openat, SYS_readlinkat };
#elif defined __x86_64__
enum { MACHINE = EM_X86_64 };
enum { SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_mprotect = 10, SYS_munmap = 11, SYS_pread64 = 17, SYS_getcwd = 79, SYS_exit_group = 231, SYS_openat = 257, SYS_readlinkat = 267 };
static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return nr;
}
/* rsp and rdx go on as the kernel set them; nothing else is promised by the ABI, so nothing else leaks. */
__asm__(".section .text.start,\"ax\",@progbits\n"
	".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rsp, %rbx\n"
	"	mov %rdx, %rbp\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	mov %rbx, %rsp\n"
	"	mov %rbp, %rdx\n"
	"	xor %ebx, %ebx\n"
	"	xor %ebp, %ebp\n"
	"	xor %ecx, %ecx\n"
	"	xor %esi, %esi\n"
	"	xor %edi, %edi\n"
	"	xor %r8d, %r8d\n"
	"	xor %r9d, %r9d\n"
	"	xor %r10d, %r10d\n"
	"	xor %r11d, %r11d\n"
	"	jmp *%rax\n"
	".text\n");
#elif defined __aarch64__
enum { MACHINE = EM_AARCH64 };
enum { SYS_getcwd = 17, SYS_openat = 56, SYS_close = 57, SYS_write = 64, SYS_pread64 = 67, SYS_readlinkat = 78, SYS_exit_group = 94, SYS_munmap = 215, SYS_mmap = 222, SYS_mprotect = 226 };
static inline long sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
/* x0 and sp go on as the kernel set them. The first instruction is a landing pad, the last jump uses x16: both as
 * branch target identification wants it. */
__asm__(".section .text.start,\"ax\",%progbits\n"
	".globl _start\n"
	"_start:\n"
	"	hint 34\n" /* bti c */
	"	mov x19, sp\n"
	"	mov x20, x0\n"
	"	mov x1, x0\n"
	"	mov x0, sp\n"
	"	bl start\n"
	"	mov x16, x0\n"
	"	mov sp, x19\n"
	"	mov x0, x20\n"
	"	mov x19, xzr\n"
	"	mov x20, xzr\n"
	"	mov x29, xzr\n"
	"	mov x30, xzr\n"
	"	br x16\n"
	".text\n");
#else
#error "no stub for this CPU"
#endif

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

/* ---- Mapping ld.so ---- */

static int failed(long result)
{
	return result < 0 && result > -4096;
}

static u64 map(u64 at, u64 length, int protection, int flags, long fd, u64 offset)
{
	return sys(SYS_mmap, at, length, protection, flags, fd, offset);
}

static int protection(const struct phdr *p)
{
	return (p->flags & PF_R ? PROT_READ : 0) | (p->flags & PF_W ? PROT_WRITE : 0) | (p->flags & PF_X ? PROT_EXEC : 0);
}

/* Maps the loader as the kernel's load_elf_interp does. Returns its entry point; its load address goes to *base. */
static u64 map_loader(const char *who, const char *path, u64 page, u64 *base)
{
	struct ehdr e;
	struct phdr table[PHDRS_MAX];
	long fd = sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY_CLOEXEC, 0, 0, 0);
	if (fd == -ENOENT)
		die(who, ": the bundle is not complete: there is no ", path);
	if (fd < 0)
		die(who, ": cannot open ", path);
	if (sys(SYS_pread64, fd, (long)&e, sizeof e, 0, 0, 0) != sizeof e || *(u32 *)e.ident != 0x464c457f ||
	    e.ident[4] != 2 || e.type != ET_DYN || e.machine != MACHINE || e.phentsize != sizeof *table || e.phnum == 0 ||
	    e.phnum > PHDRS_MAX)
		die(who, ": no loader: ", path);
	long size = e.phnum * sizeof *table;
	if (sys(SYS_pread64, fd, (long)table, size, e.phoff, 0, 0) != size)
		die(who, ": no loader: ", path);

	u64 low = -1, high = 0, align = page;
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
				   sys(SYS_pread64, fd, (long)&last, 1, p->offset + p->filesz - 1, 0, 0) != 1)))
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
	u64 span = (high - low + page - 1) & -page;

	/* Room for all of it with slack, so that the start can be aligned; the slack is given back. */
	u64 room = map(0, span + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (failed(room))
		goto no_memory;
	u64 start = ((room - low + align - 1) & -align) + low;
	if (start > room)
		sys(SYS_munmap, room, start - room, 0, 0, 0, 0);
	if (room + align > start)
		sys(SYS_munmap, start + span, room + align - start, 0, 0, 0, 0);
	u64 bias = start - low;

	for (int i = 0; i < e.phnum; i++) {
		const struct phdr *p = &table[i];
		if (p->type != PT_LOAD)
			continue;
		u64 first = (bias + p->vaddr) & -page, in_file = bias + p->vaddr + p->filesz;
		u64 file_end = (in_file + page - 1) & -page, end = (bias + p->vaddr + p->memsz + page - 1) & -page;
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
	return bias + e.entry;

no_memory:
	die(who, ": cannot map ", path);
}

/* ---- The program headers that ld.so sees ---- */

/* Makes the table in a page of its own, which ld.so cannot tell from the kernel's. Returns how many entries it has. */
static u64 make_headers(const char *who, const struct phdr *old, u64 count, u64 bias, const char *loader, u64 page, struct phdr **table)
{
	u64 length = 0;
	while (loader[length++])
		;
	u64 size = ((count + 2) * sizeof *old + length + page - 1) & -page;
	u64 at = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (failed(at))
		die(who, ": out of memory", "");
	struct phdr *new = (struct phdr *)at, *next = new + 2;
	for (u64 i = 0; i < count; i++) {
		const struct phdr *p = &old[i];
		int ours = p->type == PT_LOAD && config.address - p->vaddr < p->memsz;
		int kept = p->type != PT_NULL && p->type != PT_PHDR && p->type != PT_INTERP && !ours;
		if (kept) /* word by word: a struct assignment would call memcpy */
			for (u64 word = 0; word < sizeof *p / 8; word++)
				((u64 *)next)[word] = ((const u64 *)p)[word];
		next += kept;
	}
	u64 entries = next - new;
	char *name = append((char *)next, (char *)next + length, loader) - length + 1;
	*new = (struct phdr){ PT_PHDR, PF_R, 0, at - bias, at - bias, entries * sizeof *new, entries * sizeof *new, 8 };
	/* These addresses wrap around: ld.so adds the bias, and gets the page. */
	new[1] = (struct phdr){ PT_INTERP, PF_R, 0, (u64)name - bias, (u64)name - bias, length, length, 1 };
	sys(SYS_mprotect, at, size, PROT_READ, 0, 0, 0);
	*table = new;
	return entries;
}

/* ---- Start ---- */

/* Returns where to jump. `exit_function` is what the ABI has in rdx or x0 at a program's entry. */
u64 start(u64 *stack, u64 exit_function)
{
	const struct config *c = &config;
	u64 bias = (u64)c - c->address;
	u64 entry = bias + c->entry;
	if (exit_function != 0)
		return entry;

	u64 *at = stack + 1 + stack[0] + 1; /* past argc and argv */
	while (*at++)
		; /* past envp */
	u64 *aux[AT_MAX];
	for (int i = 0; i < AT_MAX; i++)
		*(u64 *volatile *)&aux[i] = 0;
	for (; at[0] != AT_NULL; at += 2)
		if (at[0] < AT_MAX)
			aux[at[0]] = &at[1];
	if (aux[AT_ENTRY] && *aux[AT_ENTRY] != (u64)_start)
		return entry;

	const char *who = stack[0] ? (const char *)stack[1] : "";
	if (aux[AT_SECURE] && *aux[AT_SECURE])
		die(who, ": a relocatable program cannot be set-uid or have capabilities; bundle it with --prefix", "");
	if (!aux[AT_PHDR] || !aux[AT_PHNUM] || !aux[AT_BASE] || !aux[AT_ENTRY])
		die(who, ": the kernel passes no program headers", "");
	u64 page = aux[AT_PAGESZ] ? *aux[AT_PAGESZ] : 4096;

	char path[PATH_MAX];
	const char *limit = path + PATH_MAX - 1;
	int canonical = own_path(path, aux[AT_EXECFN] ? (const char *)*aux[AT_EXECFN] : 0);
	char *end = last_slash(path);
	for (u32 up = c->up; up > 0 && end < limit; up--) {
		if (canonical) {
			/* Above the root there is no bundle, but maybe the host's /lib: a copy in a memfd would ask for it. */
			if (end == path)
				die(who, ": it does not lie in its bundle", "");
			*end = 0;
			end = last_slash(path);
		} else { /* the directory may be a link, or `.`: only the kernel knows what is above it */
			end = append(end, limit, "/..");
		}
	}
	end = append(append(end, limit, "/"), limit, c->loader);
	if (end == limit)
		die(who, ": its path is too long", "");
	*end = 0;

	u64 base;
	u64 loader_entry = map_loader(who, path, page, &base);
	struct phdr *table;
	*aux[AT_PHNUM] = make_headers(who, (struct phdr *)*aux[AT_PHDR], *aux[AT_PHNUM], bias, path, page, &table);
	*aux[AT_PHDR] = (u64)table;
	*aux[AT_BASE] = base;
	*aux[AT_ENTRY] = entry;
	return loader_entry;
}
