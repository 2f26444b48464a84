/*
 * What the fuzzers of the stub and of the bootstrap begin with: numbers that one seed makes (splitmix64), and the end of a run
 * by what does not hold, with the seed of that one start.
 */

typedef uint64_t u64;
/* What an address has. */
typedef unsigned long word;

static u64 state;
static word this_seed;
static u64 next(void)
{
	u64 z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}
static word below(word limit) { return (word)(next() % limit); }
static int chance(int percent) { return below(100) < (word)percent; }

static __attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	fprintf(stderr, "start with seed %lu: ", this_seed);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
	abort();
}

/* Where a start goes on that the code under test has ended. */
static jmp_buf ended;
