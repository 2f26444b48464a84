/* i686: how the stub begins, and its jump into ld.so. */

#ifndef HOST_TEST
/*
 * esp and edx go on as the kernel set them, as on x86_64; what the bootstrap has left in ecx is the sidecar's third argument.
 * Where this code lies is told by a call, which pushes it.
 */
__asm__(".section .text.start,\"ax\",@progbits\n"
	".globl _start\n"
	"_start:\n"
	"	call 1f\n"
	"1:	pop %eax\n"
	"	add $start-1b, %eax\n"
	"2:	mov %esp, %ebx\n"
	"	mov %edx, %ebp\n"
	"	and $-16, %esp\n"
	"	push %eax\n"
	"	push %ecx\n"
	"	push %edx\n"
	"	push %ebx\n"
	"	call *%eax\n"
	"	mov %ebx, %esp\n"
	"	mov %ebp, %edx\n"
	"	xor %ebx, %ebx\n"
	"	xor %ebp, %ebp\n"
	"	xor %ecx, %ecx\n"
	"	xor %esi, %esi\n"
	"	xor %edi, %edi\n"
	"	jmp *%eax\n"
	".globl _loaded\n"
	"_loaded:\n"
	"	call 3f\n"
	"3:	pop %eax\n"
	"	add $loaded-3b, %eax\n"
	"	jmp 2b\n"
	/* As on x86_64. */
	".globl _mapped\n"
	"_mapped:\n"
	"	push %ebp\n"
	"	mov %esp, %ebp\n"
	"	push %ecx\n"
	"	push %edx\n"
	"	and $-16, %esp\n"
	"	sub $12, %esp\n"
	"	push %eax\n"
	"	call relocate_libraries\n"
	"	lea -8(%ebp), %esp\n"
	"	pop %edx\n"
	"	pop %ecx\n"
	"	pop %ebp\n"
	"	ret\n"
	".text\n");
#endif

/* The function that does nothing, [endbr32] ret, and where in it the jump goes: mov $state, %eax; jmp *(%eax). */
enum { JUMP = 7, ROOM = JUMP };
static word jump_place(word at, word last, word text, word size)
{
	(void)text, (void)size;
	const u8 *code = (const u8 *)at;
	if (code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfb)
		code += 4;
	return !last && *code == 0xc3 ? at : 0;
}

static int make_jump(const struct state *s, word at, char *jump, word *near)
{
	(void)at, (void)near;
	jump[0] = (char)0xb8;
	for (int n = 0; n < 4; n++)
		jump[1 + n] = (char)((word)s >> 8 * n);
	jump[5] = (char)0xff;
	jump[6] = 0x20;
	return 1;
}

static void clean(word at, word length)
{
	(void)at, (void)length;
}
