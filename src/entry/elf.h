/* elf(5), of the class that the CPU's programs are of: 64 bits, or 32. */

enum { CLASS = sizeof(word) / 4 /* ELFCLASS32, ELFCLASS64 */ };
/* Loaders lie in that much of the address space, wherever that begins. In bits; sums of three do not overflow. */
enum { SPACE_BITS = sizeof(word) == 8 ? 40 : 30 };

struct ehdr {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	word entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
#if __SIZEOF_POINTER__ == 8
struct phdr {
	u32 type, flags;
	word offset, vaddr, paddr, filesz, memsz, align;
};
#else
struct phdr {
	u32 type;
	word offset, vaddr, paddr, filesz, memsz;
	u32 flags;
	word align;
};
#endif
struct dynamic {
	word tag, value;
};
enum { DT_NULL, DT_DEBUG = 21 };
enum { ET_DYN = 3, EM_386 = 3, EM_ARM = 40, EM_X86_64 = 62, EM_AARCH64 = 183, EM_RISCV = 243 };
enum { PT_NULL, PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_PHDR = 6, PT_GNU_RELRO = 0x6474e552 };
enum { PF_X = 1, PF_W = 2, PF_R = 4 };
enum { AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_ENTRY = 9, AT_EUID = 12, AT_SECURE = 23, AT_EXECFN = 31, AT_MAX };
