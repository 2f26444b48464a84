/*
 * Calls ld.so's _dl_debug_state, into which the stub has put a jump, with a number of its own in every register that a
 * function may change, and looks at them afterwards: ld.so may know that its function changes none.
 */
#include <dlfcn.h>
#include <stdio.h>

const char path[] = STORE "/path";

int main(void)
{
	void *function = dlsym(RTLD_DEFAULT, "_dl_debug_state");
	unsigned long seen[17] = { 0 };
	int wrong = function == 0, count;
#ifdef __x86_64__
	count = 8;
	__asm__ volatile("push %%rbp\n\tmov %%rsp, %%rbp\n\tsub $128, %%rsp\n\tpush %1\n\tand $-16, %%rsp\n\tmov %1, %%r12\n\tmov %0, %%rbx\n\t"
		"mov $100, %%rcx\n\tmov $101, %%rdx\n\tmov $102, %%rsi\n\tmov $103, %%rdi\n\tmov $104, %%r8\n\tmov $105, %%r9\n\tmov $106, %%r10\n\tmov $107, %%r11\n\t"
		"call *%%rbx\n\t"
		"mov %%rcx, (%%r12)\n\tmov %%rdx, 8(%%r12)\n\tmov %%rsi, 16(%%r12)\n\tmov %%rdi, 24(%%r12)\n\tmov %%r8, 32(%%r12)\n\tmov %%r9, 40(%%r12)\n\tmov %%r10, 48(%%r12)\n\tmov %%r11, 56(%%r12)\n\t"
		"mov %%rbp, %%rsp\n\tpop %%rbp"
		: : "r"(function), "r"(seen)
		: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "memory", "cc");
#elif defined __i386__
	count = 2;
	__asm__ volatile("mov $100, %%ecx\n\tmov $101, %%edx\n\tcall *%0\n\tmov %%ecx, (%1)\n\tmov %%edx, 4(%1)"
		: : "S"(function), "D"(seen) : "eax", "ecx", "edx", "memory", "cc");
#elif defined __arm__
	count = 4;
	__asm__ volatile("mov r4, %0\n\tmov r5, %1\n\tmov r0, #100\n\tmov r1, #101\n\tmov r2, #102\n\tmov r3, #103\n\t"
		"blx r4\n\tstm r5, {r0-r3}"
		: : "r"(function), "r"(seen) : "r0", "r1", "r2", "r3", "r4", "r5", "r12", "lr", "memory", "cc");
#else
	count = 17;
	__asm__ volatile("mov x19, %0\n\tmov x20, %1\n\t"
		"mov x0, #100\n\tmov x1, #101\n\tmov x2, #102\n\tmov x3, #103\n\tmov x4, #104\n\tmov x5, #105\n\tmov x6, #106\n\tmov x7, #107\n\t"
		"mov x8, #108\n\tmov x9, #109\n\tmov x10, #110\n\tmov x11, #111\n\tmov x12, #112\n\tmov x13, #113\n\tmov x14, #114\n\tmov x15, #115\n\tmov x18, #116\n\t"
		"blr x19\n\t"
		"stp x0, x1, [x20]\n\tstp x2, x3, [x20, #16]\n\tstp x4, x5, [x20, #32]\n\tstp x6, x7, [x20, #48]\n\t"
		"stp x8, x9, [x20, #64]\n\tstp x10, x11, [x20, #80]\n\tstp x12, x13, [x20, #96]\n\tstp x14, x15, [x20, #112]\n\tstr x18, [x20, #128]"
		: : "r"(function), "r"(seen)
		: "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x30", "memory", "cc");
#endif
	for (int i = 0; i < count; i++)
		wrong += seen[i] != 100ul + (unsigned long)i;
	const unsigned char *code = function;
#ifdef __arm__
	code -= (unsigned long)function & 1; /* Thumb code */
#endif
	printf("%s %d %d %d\n", path, wrong, code[0], code[3]);
	return wrong;
}
