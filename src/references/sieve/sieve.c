/*
 * One pass over bytes for all that is looked for in them: WebAssembly with vectors of 16 bytes (../sieve.ts calls it).
 *
 * Everything has two neighbours of bytes that are rare: an `x` and a slash, the numbers that packed files begin with. In a
 * table for the lower and one for the upper half of a byte (its nibbles) each bit stands for one kind of neighbours; the
 * bits that both have in common are the kinds that the byte may be the first of, and so for the second one. A vector in
 * which no byte has a bit left, which is nearly every one, is done with.
 *
 * A hash in UTF-8 has 32 characters in a row, so one of the vectors that lie side by side is full of them. One in UTF-16
 * or UTF-32 has them among zeros, and fills every second vector.
 */
#include <wasm_simd128.h>

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

/* What an entry tells, in its lowest bits; the place is above. As in ../sieve.ts. */
enum kind { NIX, WIDE, ZLIB, GZIP, XZ, BZIP2, ZSTD, LZ4, SEVEN_ZIP, SQUASHFS, ZIP, LZMA, HASHES, HASHES_END, WIDE_HASHES };
#define KIND_BITS 4

#define VECTOR 16
#define UNROLLED 4
/* Rows of hash characters that are as close are told as one: there are many where digits are. In bytes. */
#define GAP 256

#define A (1 << 0)
#define B (1 << 1)
#define C (1 << 2)
#define D (1 << 3)
#define E (1 << 4)
#define F (1 << 5)
#define G (1 << 6)
#define H (1 << 7)
/*
 *  A  x{/ % &}             a slash behind `nix`
 *  B  x{01 5e 9c da \}     zlib; escaped slashes
 *  C  / 00                 wide encodings
 *  D  ] 00                 lzma
 *  E  1f 8b, 2f fd         gzip, zstd
 *  F  04 22, af 27         lz4, 7z
 *  G  &S, qs               bzip2, squashfs
 *  H  XZ, PK               xz, zip
 */
static inline v128_t low_first(void) {
  return wasm_u8x16_make(/*0*/ H, G /*q*/, 0, 0, F /*04*/, 0, G /*&*/, 0, A | B | H, 0, 0, 0, 0, D, 0, C | E | F);
}
static inline v128_t high_first(void) {
  return wasm_u8x16_make(F /*04*/, E, C | E | G, 0, 0, D | H, 0, A | B | G, 0, 0, F /*af*/, 0, 0, 0, 0, 0);
}
static inline v128_t low_second(void) {
  return wasm_u8x16_make(C | D, B, F, G, 0, A, A, F, 0, 0, B | H, E | H, B, E, B, A);
}
static inline v128_t high_second(void) {
  return wasm_u8x16_make(B | C | D, 0, A | F, 0, H, B | G | H, 0, G, E, B, 0, 0, 0, B, 0, E);
}
/* 0-9; a-d, f-n; p-s, v-z */
static inline v128_t low_digit(void) {
  return wasm_u8x16_make(5, 7, 7, 7, 3, 1, 7, 7, 7, 7, 6, 2, 2, 2, 2, 0);
}
static inline v128_t high_digit(void) {
  return wasm_u8x16_make(0, 0, 0, 1, 0, 0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0);
}

static inline u32 word(const u8 *p) {
  u32 value;
  __builtin_memcpy(&value, p, 4);
  return value;
}
static inline u64 words(const u8 *p) {
  u64 value;
  __builtin_memcpy(&value, p, 8);
  return value;
}

/* `/nix/store` in characters that lie `width` bytes apart, whose second slash is at `at`. */
static int is_wide(const u8 *bytes, u32 length, u32 at, u32 width) {
  static const u8 store[] = "/nix/store";
  const u32 before = 4 * width;
  if (at < before || at + 5 * width >= length) return 0;
  const u8 *p = bytes + at - before;
  for (u32 k = 0; k < 10; k++) {
    if (p[k * width] != store[k]) return 0;
    if (k < 9)
      for (u32 i = 1; i < width; i++)
        if (p[k * width + i] != 0) return 0;
  }
  return 1;
}

/* As ../deflate-head.ts; of a block that is packed, that judges. */
static int may_be_deflate(const u8 *p, u32 left) {
  const u32 type = left ? p[0] >> 1 & 3 : 1;
  if (type || left < 5) return type != 3;
  const u32 length = p[1] | p[2] << 8;
  return (length ^ (p[3] | p[4] << 8)) == 0xffff && length >= (p[0] & 1 ? 11 : 1);
}

#define TELL(kind, place) (*out++ = (u32)(place) << KIND_BITS | (kind))

/* What the neighbours at `at` are of. */
static u32 *judge(const u8 *bytes, u32 length, u32 at, u32 *out) {
  const u8 *p = bytes + at;
  const u32 left = length - at;
  if (left < 2) return out;
  switch (p[0]) {
  case 'x':
    if (p[1] == 0x01 || p[1] == 0x5e || p[1] == 0x9c || p[1] == 0xda) {
      if (may_be_deflate(p + 2, left - 2)) TELL(ZLIB, at);
    } else if ((p[1] == '/' || p[1] == '\\' || p[1] == '%' || p[1] == '&') && at >= 2 && p[-1] == 'i' && p[-2] == 'n')
      TELL(NIX, at - 2);
    break;
  case '/':
    if (p[1] == 0) {
      if (is_wide(bytes, length, at, 2)) TELL(WIDE, at - 8);
      else if (is_wide(bytes, length, at, 4)) TELL(WIDE, at - 16);
    } else if (p[1] == 0xfd && at >= 2 && p[-1] == 0xb5 && p[-2] == 0x28) TELL(ZSTD, at - 2);
    break;
  case ']':
    if (left >= 13 && p[1] == 0 && p[2] == 0 && words(p + 5) == ~0ull) TELL(LZMA, at);
    break;
  case 0x1f:
    if (left >= 3 && p[1] == 0x8b && p[2] == 8) TELL(GZIP, at);
    break;
  case 0x04:
    if (left >= 4 && word(p) == 0x184d2204) TELL(LZ4, at);
    break;
  case 0xaf:
    if (left >= 3 && at >= 3 && p[1] == 0x27 && p[2] == 0x1c && p[-1] == 0xbc) TELL(SEVEN_ZIP, at - 3);
    break;
  case '&':
    if (at >= 7 && p[1] == 'S' && p[-1] == 'Y' && p[-2] == 'A') TELL(BZIP2, at - 7);
    break;
  case 'q':
    if (at >= 2 && p[1] == 's' && p[-1] == 's' && p[-2] == 'h') TELL(SQUASHFS, at - 2);
    break;
  case 'X':
    if (at >= 3 && p[1] == 'Z' && p[-1] == 'z' && p[-2] == '7') TELL(XZ, at - 3);
    break;
  case 'P':
    if (left >= 4 && word(p) == 0x04034b50) TELL(ZIP, at);
    break;
  }
  return out;
}

static inline v128_t digits_of(v128_t low, v128_t high) {
  return wasm_v128_and(wasm_i8x16_swizzle(low_digit(), low), wasm_i8x16_swizzle(high_digit(), high));
}

/* Lanes that are not zero. */
static inline u32 bits_of(v128_t digits) {
  return wasm_i8x16_bitmask(wasm_i8x16_ne(digits, wasm_i8x16_const_splat(0)));
}

/* Whether a vector with hash characters at `bits` may be the first full one of a hash in UTF-16 or UTF-32: more follow. */
static int is_wide_row(const u8 *bytes, u32 length, u32 at, u32 bits) {
  u32 more = 0;
  if (bits == 0x5555 || bits == 0xaaaa) more = 1;
  if (bits == 0x1111 || bits == 0x2222 || bits == 0x4444 || bits == 0x8888) more = 3;
  if (!more || at + (more + 1) * VECTOR > length) return 0;
  for (u32 k = 1; k <= more; k++) {
    const v128_t v = wasm_v128_load(bytes + at + k * VECTOR);
    const v128_t fifteen = wasm_u8x16_const_splat(15);
    if (bits_of(digits_of(wasm_v128_and(v, fifteen), wasm_u8x16_shr(v, 4))) != bits) return 0;
  }
  return 1;
}

/*
 * Tells what there is of neighbours whose second one lies in [from, to), and the vectors from `from` on, before `to`, that
 * hash characters fill. Behind the bytes there may be anything, as long as a step can read it.
 * @return how many entries there are
 */
static inline u32 search(const u8 *bytes, u32 length, u32 from, u32 to, u32 *entries, const int hashes) {
  const v128_t fifteen = wasm_u8x16_const_splat(15);
  const v128_t a = low_first(), b = high_first(), c = low_second(), d = high_second();
  u32 *out = entries;
  v128_t carried = wasm_i8x16_const_splat(0);
  /* Behind the last row of hash characters, and the entry of its end. */
  u32 open = 0, *row = 0;
  if (from > 0) {
    const v128_t v = wasm_u8x16_splat(bytes[from - 1]);
    carried = wasm_v128_and(wasm_i8x16_swizzle(a, wasm_v128_and(v, fifteen)),
                            wasm_i8x16_swizzle(b, wasm_u8x16_shr(v, 4)));
  }
  for (u32 at = from; at < to; at += UNROLLED * VECTOR) {
    v128_t met[UNROLLED], any, digits[UNROLLED];
#pragma clang loop unroll(full)
    for (int k = 0; k < UNROLLED; k++) {
      const v128_t v = wasm_v128_load(bytes + at + k * VECTOR);
      const v128_t low = wasm_v128_and(v, fifteen);
      const v128_t high = wasm_v128_and(wasm_u16x8_shr(v, 4), fifteen);
      const v128_t first = wasm_v128_and(wasm_i8x16_swizzle(a, low), wasm_i8x16_swizzle(b, high));
      const v128_t second = wasm_v128_and(wasm_i8x16_swizzle(c, low), wasm_i8x16_swizzle(d, high));
      const v128_t before = wasm_i8x16_shuffle(carried, first, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
      met[k] = wasm_v128_and(before, second);
      carried = first;
      if (hashes) digits[k] = digits_of(low, high);
    }
    any = wasm_v128_or(wasm_v128_or(met[0], met[1]), wasm_v128_or(met[2], met[3]));
    if (__builtin_expect(wasm_v128_any_true(any), 0)) {
      for (int k = 0; k < UNROLLED; k++)
        for (u32 bits = bits_of(met[k]); bits; bits &= bits - 1) {
          /* The bit is of the second of two. */
          const u32 second = at + k * VECTOR + __builtin_ctz(bits);
          if (second < to) out = judge(bytes, length, second - 1, out);
        }
    }
    if (hashes) {
      int full = 0;
#pragma clang loop unroll(full)
      for (int k = 0; k < UNROLLED; k++) full |= wasm_i8x16_all_true(digits[k]);
#pragma clang loop unroll(full)
      for (int k = 0; k < UNROLLED; k += 2) {
        const v128_t v = wasm_v128_load(bytes + at + k * VECTOR);
        full |= wasm_i8x16_all_true(wasm_v128_or(digits[k], wasm_i8x16_eq(v, wasm_i8x16_const_splat(0)))) &&
                wasm_i32x4_all_true(digits[k]);
      }
      if (__builtin_expect(full, 0))
        for (int k = 0; k < UNROLLED; k++) {
          const u32 here = at + k * VECTOR;
          if (here + VECTOR > length || here >= to) break;
          const u32 bits = bits_of(digits[k]);
          if (bits == 0xffff) {
            if (row && here - open <= GAP) *row = here << KIND_BITS | HASHES_END;
            else {
              TELL(HASHES, here);
              row = out;
              TELL(HASHES_END, here);
            }
            open = here + VECTOR;
          } else if (k % 2 == 0 && is_wide_row(bytes, length, here, bits))
            TELL(WIDE_HASHES, here);
        }
    }
  }
  return out - entries;
}

__attribute__((export_name("references"))) u32 references(const u8 *bytes, u32 length, u32 from, u32 to, u32 *entries) {
  return search(bytes, length, from, to, entries, 0);
}
__attribute__((export_name("hashes"))) u32 hashes(const u8 *bytes, u32 length, u32 from, u32 to, u32 *entries) {
  return search(bytes, length, from, to, entries, 1);
}
