/* aarch64: how the stub begins, and its jump into ld.so. */

#ifndef HOST_TEST
/* x0 and sp go on as the kernel set them. The first instruction is a landing pad, the last jump uses x16: both as
 * branch target identification wants it. */
__asm__(".section .text.start,\"ax\",%progbits\n"
	".globl _start\n"
	"_start:\n"
	"	hint 34\n" /* bti c */
	"	adr x9, start\n"
	"1:	mov x19, sp\n"
	"	mov x20, x0\n"
	"	mov x1, x0\n"
	"	mov x0, sp\n"
	"	blr x9\n"
	"	mov x16, x0\n"
	"	mov sp, x19\n"
	"	mov x0, x20\n"
	"	mov x19, xzr\n"
	"	mov x20, xzr\n"
	"	mov x29, xzr\n"
	"	mov x30, xzr\n"
	"	br x16\n"
	".globl _loaded\n"
	"_loaded:\n"
	"	hint 38\n" /* bti jc */
	"	adr x9, loaded\n"
	"	b 1b\n"
	/* As on x86_64. x16 and x17 are any call's to change. */
	".globl _mapped\n"
	"_mapped:\n"
	"	hint 34\n"
	"	stp x29, x30, [sp, #-160]!\n"
	"	mov x29, sp\n"
	"	stp x0, x1, [sp, #16]\n"
	"	stp x2, x3, [sp, #32]\n"
	"	stp x4, x5, [sp, #48]\n"
	"	stp x6, x7, [sp, #64]\n"
	"	stp x8, x9, [sp, #80]\n"
	"	stp x10, x11, [sp, #96]\n"
	"	stp x12, x13, [sp, #112]\n"
	"	stp x14, x15, [sp, #128]\n"
	"	str x18, [sp, #144]\n"
	"	mov x0, x17\n"
	"	bl relocate_libraries\n"
	"	ldp x0, x1, [sp, #16]\n"
	"	ldp x2, x3, [sp, #32]\n"
	"	ldp x4, x5, [sp, #48]\n"
	"	ldp x6, x7, [sp, #64]\n"
	"	ldp x8, x9, [sp, #80]\n"
	"	ldp x10, x11, [sp, #96]\n"
	"	ldp x12, x13, [sp, #112]\n"
	"	ldp x14, x15, [sp, #128]\n"
	"	ldr x18, [sp, #144]\n"
	"	ldp x29, x30, [sp], #160\n"
	"	ret\n"
	".text\n");
#endif

/* [bti c] ret: the branch goes over the ret. */
enum { JUMP = 4, ROOM = 8, REACH = 1 << 27 };
static word jump_place(word at, word last, word text, word size)
{
	(void)text, (void)size;
	const u32 *code = (const u32 *)at;
	code += *code == 0xd503245f;
	return !last && at % 4 == 0 && *code == 0xd65f03c0 ? (word)code : 0;
}

/* Makes the processor see code that was written as data: the caches of aarch64 do not do so by themselves. */
static void clean(word at, word length)
{
	word type;
	__asm__("mrs %0, ctr_el0" : "=r"(type));
	word data = 4ul << (type >> 16 & 15), code = 4ul << (type & 15);
	for (word line = at & -data; line < at + length; line += data)
		__asm__ volatile("dc cvau, %0" : : "r"(line) : "memory");
	__asm__ volatile("dsb ish" : : : "memory");
	for (word line = at & -code; line < at + length; line += code)
		__asm__ volatile("ic ivau, %0" : : "r"(line) : "memory");
	__asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

/* A branch from `at` to a page of its own: ldr x16, =_mapped; ldr x17, =state; br x16. It is never writable as code. */
static int make_jump(const struct state *s, word at, char *jump, word *near)
{
	(void)near;
	word page = map(0, s->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (failed(page))
		return 0;
	word way = page - at;
	*(word *)page = 0x580000b158000090;
	*(word *)(page + 8) = 0xd503201fd61f0200;
	*(word *)(page + 16) = (word)_mapped;
	*(word *)(page + 24) = (word)s;
	if (way + REACH >= 2ul * REACH || !protect(page, page + s->page, PROT_READ | PROT_EXEC)) {
		sys(SYS_munmap, page, s->page, 0, 0, 0, 0);
		return 0;
	}
	clean(page, 16);
	*(u32 *)jump = 0x14000000 | (u32)(way >> 2 & 0x3ffffff);
	return 1;
}
