/*
 * The bootstrap: how a program whose file may not grow finds its own loader.
 *
 * The problem. The stub (stub.c) is put behind a program's last byte. Some programs look for their data there: Bun, Deno,
 * PyInstaller, .NET single files, AppImages and zips read their own file from its end, or from an offset that was taken
 * down when they were made. Others have no room for one more segment. In these nothing may move, and nothing be added.
 *
 * The idea. This code, some hundred bytes, is written over the program's own code, where the kernel enters it (or before
 * that, where the segment ends soon). The file keeps its size, every offset and its last byte. It finds the bundle's root
 * as the stub does, maps lib/.entry-<cpu> from there, the sidecar, one file for all such programs of a bundle, and jumps to
 * its beginning (sidecar.c). That puts the program's own code back before anything of the program runs, and goes on as the
 * stub does. PT_INTERP has become PT_NULL in its place.
 *
 * The bytes that are put back stand in the sidecar alone, so the two belong together: this code has the sidecar's length
 * and a hash over its code and list, and jumps to nothing else. One that is missing, cut short, damaged, or another bundle's, is
 * one line and exit code 127, before a byte of the program has run. The hash finds accidents and not forgeries: who can
 * replace the sidecar can replace the loader beside it. One who may not choose what the program does is the caller of a
 * set-uid program, and could, by a hard link to it beside a sidecar of his own. So with AT_SECURE this code does nothing
 * at all.
 *
 * A second arrival, by `ld.so program`: /proc/self/exe is ld.so then, and the sidecar lies beside it.
 *
 * What is allowed here is what stub.c's essay says. Behind the blob follow struct boot and the program's struct config,
 * filled in by sidecar.ts.
 */

#define NO_START
#include "calls.h"

#pragma GCC visibility push(hidden)

/* Behind the code; laid out by sidecar.ts. The config of stub.c follows. */
struct boot {
  u64 digest; /* over the sidecar's code and list */
  u32 hashed;  /* how long these are, a multiple of 8 bytes */
  u32 length;  /* of the whole file: the programs' own pages are behind them */
  u32 number;  /* the program's in the sidecar's list */
  u32 zero;
  char magic[8];
  u64 address, entry;
  unsigned short up;
};
extern const struct boot config;

enum { PATH_MAX = 4096, LINKS_MAX = 40, AT_FDCWD = -100, O_CLOEXEC = 02000000, PROT_READ = 1, PROT_EXEC = 4, MAP_PRIVATE = 2 };

#if defined __x86_64__
#define SIDECAR_PATH "lib/.entry-x86_64"
/* rsp and rdx go on as they are. rcx tells the sidecar where this program's struct boot is. */
__asm__(".section .text.start,\"ax\",@progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	mov %rsp, %rbx\n"
        "	mov %rdx, %rbp\n"
        "	mov %rsp, %rdi\n"
        "	and $-16, %rsp\n"
        "	call find\n"
        "	mov %rbx, %rsp\n"
        "	mov %rbp, %rdx\n"
        "	lea config(%rip), %rcx\n"
        "	jmp *%rax\n"
        ".text\n");
#elif defined __aarch64__
#define SIDECAR_PATH "lib/.entry-aarch64"
/* x0 and sp go on as they are. x2 tells the sidecar where this program's struct boot is. */
__asm__(".section .text.start,\"ax\",%progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	hint 34\n" /* bti c */
        "	mov x19, sp\n"
        "	mov x20, x0\n"
        "	mov x0, sp\n"
        "	bl find\n"
        "	mov x16, x0\n"
        "	mov sp, x19\n"
        "	mov x0, x20\n"
        "	adr x2, config\n"
        "	br x16\n"
        ".text\n");
#elif defined __riscv && __riscv_xlen == 64
#define SIDECAR_PATH "lib/.entry-riscv64"
/* a0 and sp go on as they are. a2 tells the sidecar where this program's struct boot is. */
__asm__(".section .text.start,\"ax\",@progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	mv s0, sp\n"
        "	mv s1, a0\n"
        "	mv a0, sp\n"
        "	andi sp, sp, -16\n"
        "	call find\n"
        "	mv t0, a0\n"
        "	mv sp, s0\n"
        "	mv a0, s1\n"
        "	lla a2, config\n"
        "	jr t0\n"
        ".text\n");
#elif defined __i386__
#define SIDECAR_PATH "lib/.entry-i686"
/* esp and edx go on as they are. ecx tells the sidecar where this program's struct boot is. */
__asm__(".section .text.start,\"ax\",@progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	mov %esp, %ebx\n"
        "	mov %edx, %ebp\n"
        "	and $-16, %esp\n"
        "	sub $12, %esp\n"
        "	push %ebx\n"
        "	call find\n"
        "	call 1f\n"
        "1:	pop %ecx\n"
        "	add $config-1b, %ecx\n"
        "	mov %ebx, %esp\n"
        "	mov %ebp, %edx\n"
        "	jmp *%eax\n"
        ".text\n");
#elif defined __arm__
#define SIDECAR_PATH "lib/.entry-arm"
/* r0 and sp go on as they are. r2 tells the sidecar where this program's struct boot is. */
__asm__(".section .text.start,\"ax\",%progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	mov r4, sp\n"
        "	mov r5, r0\n"
        "	mov r0, sp\n"
        "	bic sp, sp, #7\n"
        "	bl find\n"
        "	mov ip, r0\n"
        "	mov sp, r4\n"
        "	mov r0, r5\n"
        "	ldr r2, 2f\n"
        "1:	add r2, pc, r2\n"
        "	bx ip\n"
        "2:	.word config - (1b + 8)\n"
        ".text\n");
#else
#error "no bootstrap for this CPU"
#endif

static __attribute__((noinline)) char *append(char *to, const char *end, const char *from) {
  while (*from && to < end) *to++ = *from++;
  return to;
}

/* One line on standard error, and the end. */
static __attribute__((noreturn, noinline)) void die(const char *who, const char *what, const char *path) {
  char line[2 * PATH_MAX + 128];
  const char *end = line + sizeof line - 1;
  char *at = append(append(append(line, end, who), end, what), end, path);
  *at++ = '\n';
  call(SYS_write, 2, line, at - line, 0);
  for (;;) call(SYS_exit_group, 127, 0, 0, 0);
}

/* Behind the last slash of a path, or its beginning. */
static __attribute__((noinline)) char *name_in(char *path) {
  char *name = path;
  for (char *at = path; *at; at++)
    if (*at == '/') name = at + 1;
  return name;
}

/* Returns where the sidecar is mapped. */
__attribute__((used)) word find(const word *stack) {
  const char *who = stack[0] ? (const char *)stack[1] : "", *from = 0;
  const word *aux = stack + 1 + stack[0] + 1;
  while (*aux++)
    ;
  for (; aux[0] != AT_NULL; aux += 2) {
    if (aux[0] == AT_EXECFN) from = (const char *)aux[1];
    if (aux[0] == AT_SECURE && aux[1])
      die(who, ": a relocatable program cannot be set-uid or have capabilities; bundle it with --prefix", "");
  }

  /* Its own path, free of links; without /proc the name it was started by, which may be a link. */
  char path[2 * PATH_MAX], link[PATH_MAX];
  const char *end = path + sizeof path - 1;
  const char *self = "/proc/self/exe";
  *append(path, end, self) = 0;
  for (int links = 0; links <= LINKS_MAX; links++) {
    long n = call(SYS_readlinkat, AT_FDCWD, path, link, PATH_MAX - 1);
    if (n > 0)
      link[n] = 0;
    else if (links || !from)
      break;
    *append(n <= 0 || link[0] == '/' ? path : name_in(path), end, n > 0 ? link : from) = 0;
    if (n > 0 && !links) break;
  }

  /* From its own directory up to the root and to lib/ there; else beside itself, where it is ld.so in lib/. */
  char *name = name_in(path), *at = name;
  for (u32 up = config.up; up; up--) at = append(at, end, "../");
  *append(at, end, SIDECAR_PATH) = 0;
  long fd = call(SYS_openat, AT_FDCWD, path, O_CLOEXEC, 0);
  if (fd < 0) {
    *append(name, end, SIDECAR_PATH + 4) = 0;
    fd = call(SYS_openat, AT_FDCWD, path, O_CLOEXEC, 0);
  }
  if (fd < 0) die(who, ": the bundle is not complete: there is no ", SIDECAR_PATH);
  /* What is cut short must not be touched behind its end. */
  u8 last;
  u64 digest = 0xcbf29ce484222325;
  word length = config.length;
  long start = pread(fd, &last, 1, length - 1) == 1
                   ? call6(SYS_mmap, 0, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, (word)fd, 0)
                   : -1;
  call(SYS_close, fd, 0, 0, 0);
  if (start > 0 || start < -4095) {
    for (const u64 *w = (const u64 *)start; w < (const u64 *)(start + config.hashed); w++) {
      digest = (digest ^ *w) * 0x100000001b3;
      digest ^= digest >> 32;
    }
    if (digest == config.digest) return (word)start;
  }
  die(who, ": not the one that this program was bundled with: ", path);
}
