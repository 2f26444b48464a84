/* 32-bit ARM: how the stub begins, and its jump into ld.so. All of it is ARM code; what it jumps to may be Thumb code. */

/* sp and r0 go on as the kernel set them. What the bootstrap has left in r2 is the sidecar's third argument. */
#define BEGINNING(name, function) \
	".globl " name "\n" name ":\n" \
	"	mov r4, sp\n" \
	"	mov r5, r0\n" \
	"	mov r1, r0\n" \
	"	mov r0, sp\n" \
	"	bic sp, sp, #7\n" \
	"	bl " function "\n" \
	"	mov ip, r0\n" \
	"	mov sp, r4\n" \
	"	mov r0, r5\n" \
	"	mov r4, #0\n" \
	"	mov r5, #0\n" \
	"	mov lr, #0\n" \
	"	bx ip\n"
__asm__(".section .text.start,\"ax\",%progbits\n"
	BEGINNING("_start", "start")
	BEGINNING("_loaded", "loaded")
	/* As on x86_64. ip is any call's to change. */
	".globl _mapped\n"
	"_mapped:\n"
	"	push {r0-r4, lr}\n"
	"	mov r4, sp\n"
	"	bic sp, sp, #7\n"
	"	mov r0, ip\n"
	"	bl relocate_libraries\n"
	"	mov sp, r4\n"
	"	pop {r0-r4, lr}\n"
	"	bx lr\n"
	".text\n");

/*
 * _dl_debug_state is `bx lr`. In ARM code that has four bytes: a branch goes over it. In Thumb code it has two: a branch of
 * Thumb-2 fits where a nop follows, else the calls of it are changed, four bytes each.
 */
enum { JUMP = 4, ROOM = JUMP, ARM_REACH = 1 << 25, THUMB_REACH = 1 << 24, ARM_RETURN = 0xe12fff1e, THUMB_RETURN = 0x4770 };

static u32 code_at(word at)
{
	const u16 *code = (const u16 *)at;
	return code[0] | (u32)code[1] << 16;
}

/* Where a `bl` or `b.w` of Thumb-2 leads; 0 for another instruction. */
static word called(word at)
{
	u32 code = code_at(at), sign = code >> 10 & 1, low = code >> 16;
	if ((code & 0xf800) != 0xf000 || (low & 0x9000) != 0x9000)
		return 0;
	u32 way = (code & 0x3ff) << 12 | (low & 0x7ff) << 1 | (~(low >> 13 ^ sign) & 1) << 23 | (~(low >> 11 ^ sign) & 1) << 22;
	return at + 4 + way - (sign ? THUMB_REACH : 0);
}

static int is_thumb_nop(u32 code)
{
	return code == 0xbf00 || code == 0x46c0;
}

/* The place itself, or where it has no room the next call of it behind `last`. */
static word jump_place(word function, word last, word text, word size)
{
	if (!(function & 1))
		return !last && function % 4 == 0 && code_at(function) == ARM_RETURN ? function : 0;
	word at = function - 1;
	if ((code_at(at) & 0xffff) != THUMB_RETURN && !last)
		return 0;
	if (!last && is_thumb_nop(code_at(at) >> 16))
		return at;
	if (last == at)
		return 0;
	for (word place = last ? last + JUMP : (text + 1) & -2ul; place + JUMP <= text + size; place += 2)
		if (called(place) == at)
			return place;
	return 0;
}

/* Makes the processors see code that was written as data. */
static void clean(word at, word length)
{
	sys(SYS_arm_cacheflush, at, at + length, 0, 0, 0, 0);
}

/* The page: ldr ip, =state; ldr pc, [ip], in the mode that it is come to in. It is never writable as code. */
static int make_jump(const struct state *s, word at, char *jump, word *near)
{
	int arm = code_at(at) == ARM_RETURN;
	if (!*near) {
		word page = map(0, s->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (failed(page))
			return 0;
		((u32 *)page)[0] = arm ? 0xe59fc000 : 0xc004f8df;
		((u32 *)page)[1] = arm ? 0xe59cf000 : 0xf000f8dc;
		((u32 *)page)[2] = (u32)s;
		if (!protect(page, page + s->page, PROT_READ | PROT_EXEC))
			return 0;
		clean(page, 12);
		*near = page;
	}
	if (arm) {
		word way = *near - (at + 8);
		if (way + ARM_REACH >= 2ul * ARM_REACH)
			return 0;
		*(u32 *)jump = 0xea000000 | (u32)(way >> 2 & 0xffffff);
		return 1;
	}
	word way = *near - (at + 4);
	if (way + THUMB_REACH >= 2ul * THUMB_REACH)
		return 0;
	/* What it was, a call or a branch; over the return, a branch. */
	u32 sign = way >> 31, link = called(at) ? code_at(at) >> 16 & 0x4000 : 0;
	u32 high = 0xf000 | sign << 10 | (way >> 12 & 0x3ff);
	u32 low = 0x9000 | link | (~(way >> 23 ^ sign) & 1) << 13 | (~(way >> 22 ^ sign) & 1) << 11 | (way >> 1 & 0x7ff);
	*(u32 *)jump = high | low << 16;
	return 1;
}
