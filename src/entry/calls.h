/*
 * What launcher.c, relocate.c, single.c and bootstrap.c begin with: how a static program starts (not with NO_START), and
 * system calls of four arguments.
 */

#include "cpu.h"

#ifndef NO_START
/* The program, with the stack as the kernel made it. */
NORETURN void run(word *stack);
PROGRAM_START;
#endif

#define call(number, a, b, c, d) sys4(number, (long)(a), (long)(b), (long)(c), (long)(d))
#define call6(number, a, b, c, d, e, f) sys(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#if defined __riscv || defined __arm__
/* gcc copies structures by calling it. */
void *memcpy(void *to, const void *from, word n);
void *memcpy(void *to, const void *from, word n) {
  const char *at = from;
  for (char *c = to; n; n--) *c++ = *at++;
  return to;
}
#endif
