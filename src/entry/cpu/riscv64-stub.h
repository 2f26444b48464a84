/* riscv64: how the stub begins. There is no jump into ld.so. */

/* sp and a0 go on as the kernel set them. */
__asm__(".section .text.start,\"ax\",@progbits\n"
	".globl _start\n"
	"_start:\n"
	"	lla t0, start\n"
	"1:	mv s0, sp\n"
	"	mv s1, a0\n"
	"	mv a1, a0\n"
	"	mv a0, sp\n"
	"	andi sp, sp, -16\n"
	"	jalr t0\n"
	"	mv t0, a0\n"
	"	mv sp, s0\n"
	"	mv a0, s1\n"
	"	li s0, 0\n"
	"	li s1, 0\n"
	"	li ra, 0\n"
	"	jr t0\n"
	".globl _loaded\n"
	"_loaded:\n"
	"	lla t0, loaded\n"
	"	j 1b\n"
	".globl _mapped\n"
	"_mapped:\n"
	"	ret\n"
	".text\n");

/*
 * _dl_debug_state is one instruction of two bytes, and another function begins behind it: no jump fits. So nothing is
 * written over it, and strings of libraries are written when all that is linked is loaded.
 */
enum { JUMP = 4, ROOM = JUMP };
static word jump_place(word at)
{
	(void)at;
	return 0;
}

static int make_jump(const struct state *s, word at, char *jump)
{
	(void)s, (void)at, (void)jump;
	return 0;
}

static void clean(word at, word length)
{
	(void)at, (void)length;
}
