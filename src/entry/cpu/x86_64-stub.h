/* x86_64: how the stub begins, and its jump into ld.so. */

#ifndef HOST_TEST
/* What the bootstrap has left in rcx is the sidecar's third argument. On aarch64 it is in its place already. */
#ifdef SIDECAR
#define BOOTSTRAP "	mov %rcx, %rdx\n"
#else
#define BOOTSTRAP
#endif
/* rsp and rdx go on as the kernel set them; nothing else is promised by the ABI, so nothing else leaks. */
__asm__(".section .text.start,\"ax\",@progbits\n"
	".globl _start\n"
	"_start:\n"
	"	lea start(%rip), %rax\n"
	"1:	mov %rsp, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rsp, %rbx\n"
	"	mov %rdx, %rbp\n"
	BOOTSTRAP
	"	and $-16, %rsp\n"
	"	call *%rax\n"
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
	".globl _loaded\n"
	"_loaded:\n"
	"	endbr64\n"
	"	lea loaded(%rip), %rax\n"
	"	jmp 1b\n"
	/*
	 * In the place of a function that does nothing: its caller may know that it does not, so every register is kept.
	 * The C code here is compiled without vector registers.
	 */
	".globl _mapped\n"
	"_mapped:\n"
	"	endbr64\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	push %rcx\n"
	"	push %rdx\n"
	"	push %rsi\n"
	"	push %rdi\n"
	"	push %r8\n"
	"	push %r9\n"
	"	push %r10\n"
	"	push %r11\n"
	"	and $-16, %rsp\n"
	"	mov %rax, %rdi\n"
	"	call relocate_libraries\n"
	"	lea -64(%rbp), %rsp\n"
	"	pop %r11\n"
	"	pop %r10\n"
	"	pop %r9\n"
	"	pop %r8\n"
	"	pop %rdi\n"
	"	pop %rsi\n"
	"	pop %rdx\n"
	"	pop %rcx\n"
	"	pop %rbp\n"
	"	ret\n"
	".text\n");
#endif

/* The function that does nothing, [endbr64] ret, and where in it the jump goes: movabs $state, %rax; jmp *(%rax). */
enum { JUMP = 12, ROOM = JUMP };
static word jump_place(word at, word last, word text, word size)
{
	(void)text, (void)size;
	const u8 *code = (const u8 *)at;
	if (code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa)
		code += 4;
	return !last && *code == 0xc3 ? at : 0;
}

static int make_jump(const struct state *s, word at, char *jump, word *near)
{
	(void)at, (void)near;
	jump[0] = 0x48;
	jump[1] = (char)0xb8;
	for (int n = 0; n < 8; n++)
		jump[2 + n] = (char)((word)s >> 8 * n);
	jump[10] = (char)0xff;
	jump[11] = 0x20;
	return 1;
}

static void clean(word at, word length)
{
	(void)at, (void)length;
}
