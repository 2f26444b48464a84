/*
 * A static program without any libc, with the stub in it: says what its first instruction found in the registers and on
 * the stack, which is what the kernel leaves there.
 */
typedef unsigned long u64;

static const char path[] = STORE "/share";

static long call(long number, long a, long b, long c)
{
	__asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return number;
}

static void say(const char *text)
{
	u64 length = 0;
	while (text[length])
		length++;
	call(1, 1, (long)text, (long)length);
}

static void number(const char *name, u64 value)
{
	char digits[] = "0x0000000000000000\n";
	for (int i = 17; i > 1; i--, value >>= 4)
		digits[i] = "0123456789abcdef"[value & 15];
	say(name);
	say(digits);
}

__attribute__((used)) void begin(u64 *stack, u64 rdx)
{
	number("argc ", stack[0]);
	for (u64 i = 1; i <= stack[0]; i++) {
		say((const char *)stack[i]);
		say("\n");
	}
	number("rdx ", rdx);
	number("stack ", (u64)stack & 15);
	u64 *at = stack + 2 + stack[0];
	while (*at++)
		;
	for (; at[0]; at += 2)
		if (at[0] == 5 || at[0] == 7) /* AT_PHNUM, AT_BASE */
			number("auxv ", at[1]);
	say(path);
	say("\n");
	call(231, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tmov %rdx, %rsi\n\tand $-16, %rsp\n\tcall begin\n");
