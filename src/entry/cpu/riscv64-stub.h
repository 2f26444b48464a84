/* riscv64: how the stub begins, and its jump into ld.so. */

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
	"	addi sp, sp, -112\n"
	"	sd ra, 0(sp)\n"
	"	sd a0, 8(sp)\n"
	"	sd a1, 16(sp)\n"
	"	sd a2, 24(sp)\n"
	"	sd a3, 32(sp)\n"
	"	sd a4, 40(sp)\n"
	"	sd a5, 48(sp)\n"
	"	sd a6, 56(sp)\n"
	"	sd a7, 64(sp)\n"
	"	sd t2, 72(sp)\n"
	"	sd t3, 80(sp)\n"
	"	sd t4, 88(sp)\n"
	"	sd t5, 96(sp)\n"
	"	sd t6, 104(sp)\n"
	"	mv a0, t1\n"
	"	call relocate_libraries\n"
	"	ld ra, 0(sp)\n"
	"	ld a0, 8(sp)\n"
	"	ld a1, 16(sp)\n"
	"	ld a2, 24(sp)\n"
	"	ld a3, 32(sp)\n"
	"	ld a4, 40(sp)\n"
	"	ld a5, 48(sp)\n"
	"	ld a6, 56(sp)\n"
	"	ld a7, 64(sp)\n"
	"	ld t2, 72(sp)\n"
	"	ld t3, 80(sp)\n"
	"	ld t4, 88(sp)\n"
	"	ld t5, 96(sp)\n"
	"	ld t6, 104(sp)\n"
	"	addi sp, sp, 112\n"
	"	ret\n"
	".text\n");

/*
 * _dl_debug_state is `ret`, of two bytes, and another function begins behind it: no jump fits. So the calls of it are
 * changed, `jal` each, which reaches 1 MiB: to a page near ld.so, from where a jump leads here.
 */
enum { JUMP = 4, ROOM = JUMP, REACH = 1 << 20, SYS_riscv_flush_icache = 259 };

static u32 code_at(word at)
{
	const u16 *code = (const u16 *)at;
	return code[0] | (u32)code[1] << 16;
}

/* Where a `jal` leads, or `j`; 0 for another instruction. */
static word called(word at)
{
	u32 code = code_at(at);
	if ((code & 0x7f) != 0x6f || (code >> 7 & 31) > 1)
		return 0;
	long way = (long)((code >> 21 & 0x3ff) << 1 | (code >> 20 & 1) << 11 | (code >> 12 & 0xff) << 12);
	return at + way - (code >> 31 ? REACH : 0);
}

/* The next call behind `last`. */
static word jump_place(word function, word last, word text, word size)
{
	if (function % 2 || ((u16)code_at(function) != 0x8082 && code_at(function) != 0x00008067))
		return 0;
	for (word at = last ? last + JUMP : (text + 1) & -2ul; at + JUMP <= text + size; at += 2)
		if (called(at) == function)
			return at;
	return 0;
}

/* Makes the processors see code that was written as data. */
static void clean(word at, word length)
{
	sys(SYS_riscv_flush_icache, at, at + length, 0, 0, 0, 0);
	__asm__ volatile(".word 0x0000100f" : : : "memory"); /* fence.i */
}

/* The page: auipc t1, 0; ld t0, 16(t1); ld t1, 24(t1); jr t0; _mapped; state. It is never writable as code. */
static int make_jump(const struct state *s, word at, char *jump, word *near)
{
	if (!*near) {
		word page = map(0, s->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (failed(page))
			return 0;
		*(u64 *)page = 0x0103328300000317;
		*(u64 *)(page + 8) = 0x0002806701833303;
		*(u64 *)(page + 16) = (u64)_mapped;
		*(u64 *)(page + 24) = (u64)s;
		if (!protect(page, page + s->page, PROT_READ | PROT_EXEC))
			return 0;
		clean(page, 16);
		*near = page;
	}
	word way = *near - at;
	if (way + REACH >= 2ul * REACH)
		return 0;
	u32 code = (code_at(at) & 0xfff) | (u32)((way >> 20 & 1) << 31 | (way >> 1 & 0x3ff) << 21 | (way >> 11 & 1) << 20 | (way >> 12 & 0xff) << 12);
	*(u32 *)jump = code;
	return 1;
}
