/*
 * What relocate.c, single.c and bootstrap.c know of the kernel on each CPU: how a program begins (not with NO_START), a
 * system call, struct stat. The numbers of the calls are each program's own, for it has only those that it needs.
 */

typedef unsigned long word;
typedef unsigned int u32;

#define NORETURN __attribute__((noreturn))

#if defined __x86_64__

enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

struct status {
  word device, inode, links;
  u32 mode, uid, gid, pad;
  word rdev;
  long size;
  word rest[12];
};

#ifndef NO_START
__asm__(".globl _start\n_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rsp, %rdi\n"
        "and $-16, %rsp\n"
        "call run\n");
#endif

static long call6(long number, word a, word b, word c, word d, word e, word f) {
  long result;
  register word fourth __asm__("r10") = d;
  register word fifth __asm__("r8") = e;
  register word sixth __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined __aarch64__

enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };

struct status {
  word device, inode;
  u32 mode, links, uid, gid;
  word rdev, pad;
  long size;
  word rest[9];
};

#ifndef NO_START
__asm__(".globl _start\n_start:\n"
        "mov x29, #0\n"
        "mov x30, #0\n"
        "mov x0, sp\n"
        "b run\n");
#endif

static long call6(long number, word a, word b, word c, word d, word e, word f) {
  register long x8 __asm__("x8") = number;
  register word x0 __asm__("x0") = a;
  register word x1 __asm__("x1") = b;
  register word x2 __asm__("x2") = c;
  register word x3 __asm__("x3") = d;
  register word x4 __asm__("x4") = e;
  register word x5 __asm__("x5") = f;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return (long)x0;
}

#else
#error "no system calls known for this CPU"
#endif

#define call(number, a, b, c, d) call6(number, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)
