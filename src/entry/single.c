/*
 * One file: a bundle behind a small static program (`-f exe`). It unpacks the bundle when it is started for the first time,
 * and executes the bundle's program; from then on it only executes it.
 *
 * Built by build.sh as launcher.c is, and for its reasons static and freestanding. What is built is not complete:
 * pack/exe.ts puts the payload behind it, a zlib stream, and a trailer at the very end:
 *
 *   SFONE01\0, then little-endian: where the stream begins (8 bytes), its length (8), the digest (16 characters), the
 *   default program's path in the bundle (256 bytes, NULs behind it)
 *
 * The stream is entries, one after another: a kind (`f` file, `x` executable file, `l` link, `d` empty directory), the
 * length of the path (2), the path, the length of the contents or of the link's text (8), and these; then a byte `e`. A parent that is not there
 * is made.
 *
 * Where to. `$XDG_CACHE_HOME/storefree/<digest>`, without that variable `$HOME/.cache/...`, and where neither can be had
 * `/tmp/storefree-<uid>/<digest>`. Each directory of ours has to be the user's own and nobody else may write it: else
 * another user could put a program there. The digest is of the payload, so two versions never meet.
 *
 * How. Under a lock (flock on `.lock` beside it), into `<digest>.partial`, with a checksum (zlib's Adler-32) before it is
 * renamed to `<digest>`. Then its data files are told where they lie (relocate.c), and `<digest>.ready` is made: what has
 * that beside it is whole, and a start looks at nothing else. Killed at any moment, the next start finds the lock free and clears
 * what was left. Two at once: the second waits, and finds all done. What fails says one line and ends with 127; nothing
 * half-made is ever executed.
 *
 * argv passes as it is; argv[0]'s last component picks the program where the bundle has one of that name in bin/. No
 * variable is added or taken away. `STOREFREE_EXTRACT=DIR` unpacks into a new directory DIR and ends.
 */

#include "calls.h"

enum { EPERM = 1, ENOENT = 2, ENOEXEC = 8, EACCES = 13, EEXIST = 17, ENOTDIR = 20, ENOSPC = 28, EROFS = 30, ELOOP = 40, EDQUOT = 122 };
enum { AT_FDCWD = -100, AT_REMOVEDIR = 0x200, AT_SYMLINK_NOFOLLOW = 0x100, LOCK_EX = 2 };
enum { O_RDWR = 2, O_WRONLY = 1, O_CREAT = 0100, O_EXCL = 0200, O_CLOEXEC = 02000000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
enum { PATH_SIZE = 4096, S_IFMT = 0170000, S_IFDIR = 0040000, PROGRAM = 256, TRAILER = 8 + 8 + 8 + 16 + PROGRAM };

/* ---- Bytes and words --------------------------------------------------------------------------------------------- */

static word length(const char *text) {
  word n = 0;
  while (text[n]) n++;
  return n;
}

static int equal(const char *a, const char *b, word n) {
  while (n--)
    if (*a++ != *b++) return 0;
  return 1;
}

/* Puts up to four texts one after another into PATH_SIZE bytes; 0 when they do not fit. */
static int join(char *to, const char *a, const char *b, const char *c, const char *d) {
  const char *parts[4];
  parts[0] = a, parts[1] = b, parts[2] = c, parts[3] = d;
  word n = 0;
  for (int i = 0; i < 4; i++)
    for (const char *from = parts[i]; *from; from++) {
      if (n + 1 >= PATH_SIZE) return 0;
      to[n++] = *from;
    }
  to[n] = 0;
  return 1;
}

static NORETURN void leave(int status) {
  for (;;) call(SYS_exit_group, status, 0, 0, 0);
}

static const char *own_name = "program";

static NORETURN void fail(const char *what, const char *why) {
  const char *parts[6];
  parts[0] = own_name, parts[1] = ": ", parts[2] = what, parts[3] = *why ? ": " : "", parts[4] = why, parts[5] = "\n";
  char line[2 * PATH_SIZE];
  word n = 0;
  for (int i = 0; i < 6; i++)
    for (const char *from = parts[i]; *from && n < sizeof line; from++)
      line[n++] = ((unsigned char)*from < ' ' && i < 5) || *from == 127 ? '?' : *from;
  call(SYS_write, 2, line, n, 0);
  leave(127);
}

static const char *reason_of(long error) {
  switch (-error) {
  case ENOENT: return "no such file or directory";
  case ENOTDIR:
  case ELOOP: return "not a directory";
  case EACCES:
  case EPERM: return "permission denied";
  case EROFS: return "read-only file system";
  case ENOSPC:
  case EDQUOT: return "no space left";
  case EEXIST: return "is there already";
  default: return "cannot be used";
  }
}

/* ---- What is unpacked -------------------------------------------------------------------------------------------- */

static const unsigned char *input, *input_end;
static const char DAMAGED[] = "this file is damaged";

/* Where entries go. */
static long root = -1;

/* An entry as far as it has come: its head, its path, its contents. */
static char head[PATH_SIZE + 16];
static word have;
static word wanted = 1;
static enum { HEAD, CONTENTS, DONE } stage = HEAD;
static u64 left;
static long out = -1;
static char text[PATH_SIZE];
static word text_size;

static void make_parents(char *path) {
  for (word i = 1; path[i]; i++)
    if (path[i] == '/') {
      path[i] = 0;
      long made = call(SYS_mkdirat, root, path, 0755, 0);
      path[i] = '/';
      if (made < 0 && made != -EEXIST) fail(path, reason_of(made));
    }
}

static int leads_inside(const char *path) {
  for (const char *part = path;;) {
    word n = 0;
    while (part[n] && part[n] != '/') n++;
    if (!n || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) return 0;
    if (!part[n]) return 1;
    part += n + 1;
  }
}

static u32 path_length(void) {
  return (unsigned char)head[1] | (unsigned char)head[2] << 8;
}

/* The times that all files have, as in the archives: compiled Python modules check their source's. */
static void settle(long fd, const char *path, int flags) {
  long times[4] = {1, 0, 1, 0};
  call(SYS_utimensat, fd, path, times, flags);
}

static void finish_entry(void) {
  if (head[0] == 'l') {
    text[text_size] = 0;
    long made = call(SYS_symlinkat, text, root, head + 3, 0);
    if (made < 0) fail(head + 3, reason_of(made));
  } else if (head[0] != 'd') {
    settle(out, 0, 0);
    call(SYS_close, out, 0, 0, 0);
  }
  stage = HEAD, have = 0, wanted = 1;
}

static void begin_contents(void) {
  u32 n = path_length();
  char *path = head + 3;
  left = 0;
  for (int i = 7; i >= 0; i--) left = left << 8 | (unsigned char)path[n + i];
  path[n] = 0;
  if (!n || n >= PATH_SIZE - 16 || length(path) != n || !leads_inside(path)) fail(DAMAGED, "");
  make_parents(path);
  text_size = 0;
  if (head[0] == 'l') {
    if (left >= PATH_SIZE) fail(DAMAGED, "");
  } else if (head[0] == 'd') {
    long made = call(SYS_mkdirat, root, path, 0755, 0);
    if (made < 0) fail(path, reason_of(made));
    if (left) fail(DAMAGED, "");
  } else if (head[0] == 'f' || head[0] == 'x') {
    out = call(SYS_openat, root, path, O_WRONLY | O_CREAT | O_EXCL | O_LARGEFILE | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) fail(path, reason_of(out));
    /* Whatever the umask says. */
    call(SYS_fchmod, out, head[0] == 'x' ? 0755 : 0644, 0, 0);
  } else
    fail(DAMAGED, "");
  stage = CONTENTS;
  if (!left) finish_entry();
}

static void emit(const char *bytes, word n) {
  while (n) {
    if (stage == DONE) fail(DAMAGED, "");
    if (stage == CONTENTS) {
      word take = n < left ? n : left;
      for (word done = 0; done < take && head[0] != 'l';) {
        long written = call(SYS_write, out, bytes + done, take - done, 0);
        if (written <= 0) fail(head + 3, reason_of(written ? written : -ENOSPC));
        done += written;
      }
      if (head[0] == 'l')
        for (word i = 0; i < take; i++) text[text_size++] = bytes[i];
      bytes += take, n -= take, left -= take;
      if (!left) finish_entry();
      continue;
    }
    head[have++] = *bytes++, n--;
    if (have < wanted) continue;
    if (have == 1) {
      if (head[0] == 'e') stage = DONE;
      else wanted = 3;
    } else if (have == 3) {
      if (path_length() >= PATH_SIZE - 16) fail(DAMAGED, "");
      wanted = 3 + path_length() + 8;
    } else
      begin_contents();
  }
}

/* ---- Inflate (RFC 1950, 1951) ------------------------------------------------------------------------------------ */

enum { WINDOW = 32768, CODES = 288 };

static char window[WINDOW];
static word window_at;
static u32 sum_a = 1, sum_b;
static u32 bits, bit_count;

static void flush(void) {
  /* So many bytes fit before the sums overflow (zlib's NMAX). */
  for (word i = 0; i < window_at; sum_a %= 65521, sum_b %= 65521)
    for (word n = 0; n < 5552 && i < window_at; n++) sum_b += sum_a += (unsigned char)window[i++];
  emit(window, window_at);
  window_at = 0;
}

static void output(char c) {
  window[window_at++] = c;
  if (window_at == WINDOW) flush();
}

static u32 take(int n) {
  while (bit_count < (u32)n) {
    if (input == input_end) fail(DAMAGED, "");
    bits |= (u32)*input++ << bit_count;
    bit_count += 8;
  }
  u32 value = bits & ((1u << n) - 1);
  bits >>= n, bit_count -= n;
  return value;
}

/* A canonical code: how many symbols have each length, and the symbols in order. */
struct code {
  unsigned short count[16], symbol[CODES];
};

static void build(struct code *code, const unsigned char *lengths, int n) {
  unsigned short offset[16];
  for (int i = 0; i < 16; i++) code->count[i] = 0;
  for (int i = 0; i < n; i++) code->count[lengths[i]]++;
  offset[1] = 0;
  for (int i = 1; i < 15; i++) offset[i + 1] = offset[i] + code->count[i];
  for (int i = 0; i < n; i++)
    if (lengths[i]) code->symbol[offset[lengths[i]]++] = i;
  int room = 1;
  for (int i = 1; i < 16; i++) {
    room = room * 2 - code->count[i];
    if (room < 0) fail(DAMAGED, "");
  }
}

static int decode(const struct code *code) {
  int value = 0, first = 0, index = 0;
  for (int n = 1; n < 16; n++) {
    value |= take(1);
    int count = code->count[n];
    if (value - count < first) return code->symbol[index + (value - first)];
    index += count, first = (first + count) << 1, value <<= 1;
  }
  fail(DAMAGED, "");
}

static struct code literals, distances;
/* The window's bytes before `window_at` are those of this block, and behind it those of the one before. */
static word written;

static void block(void) {
  static const unsigned short base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                        31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const unsigned char extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const unsigned short far[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                       193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  static const unsigned char more[] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
  for (;;) {
    int symbol = decode(&literals);
    if (symbol < 256) {
      output(symbol), written++;
      continue;
    }
    if (symbol == 256) return;
    symbol -= 257;
    if (symbol >= 29) fail(DAMAGED, "");
    word n = base[symbol] + take(extra[symbol]);
    symbol = decode(&distances);
    if (symbol >= 30) fail(DAMAGED, "");
    word distance = far[symbol] + take(more[symbol]);
    if (distance > written) fail(DAMAGED, "");
    while (n--) output(window[(window_at - distance) & (WINDOW - 1)]), written++;
  }
}

static void inflate(void) {
  u32 cmf = take(8), flg = take(8);
  if ((cmf & 15) != 8 || (cmf << 8 | flg) % 31 || flg & 32) fail(DAMAGED, "");
  u32 last;
  do {
    last = take(1);
    u32 kind = take(2);
    unsigned char lengths[CODES + 32];
    if (kind == 0) {
      bits = bit_count = 0;
      if (input_end - input < 4) fail(DAMAGED, "");
      u32 n = input[0] | input[1] << 8;
      if ((n ^ 0xffff) != (u32)(input[2] | input[3] << 8) || (word)(input_end - input) < 4 + n) fail(DAMAGED, "");
      input += 4;
      while (n--) output(*input++), written++;
      continue;
    }
    if (kind == 3) fail(DAMAGED, "");
    if (kind == 1) {
      for (int i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
      build(&literals, lengths, 288);
      for (int i = 0; i < 30; i++) lengths[i] = 5;
      build(&distances, lengths, 30);
    } else {
      static const unsigned char order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
      int n = take(5) + 257, d = take(5) + 1, c = take(4) + 4;
      if (n > 286 || d > 30) fail(DAMAGED, "");
      for (int i = 0; i < 19; i++) lengths[i] = 0;
      for (int i = 0; i < c; i++) lengths[order[i]] = take(3);
      build(&literals, lengths, 19);
      for (int i = 0; i < n + d;) {
        int symbol = decode(&literals);
        if (symbol < 16) {
          lengths[i++] = symbol;
          continue;
        }
        if (symbol == 16 && !i) fail(DAMAGED, "");
        unsigned char value = symbol == 16 ? lengths[i - 1] : 0;
        int again = symbol == 16 ? 3 + take(2) : symbol == 17 ? 3 + take(3) : 11 + take(7);
        if (i + again > n + d) fail(DAMAGED, "");
        while (again--) lengths[i++] = value;
      }
      unsigned char apart[32];
      for (int i = 0; i < d; i++) apart[i] = lengths[n + i];
      build(&literals, lengths, n);
      build(&distances, apart, d);
    }
    block();
  } while (!last);
  flush();
  bits = bit_count = 0;
  if (input_end - input != 4) fail(DAMAGED, "");
  u32 sum = (u32)input[0] << 24 | input[1] << 16 | input[2] << 8 | input[3];
  if (sum != (sum_b << 16 | sum_a) || stage != DONE) fail(DAMAGED, "");
}

/* ---- Directories ------------------------------------------------------------------------------------------------- */

struct entry {
  u64 inode, offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

/* Removes all below a directory; links are removed, never followed. */
static void empty(long directory) {
  char buffer[2048] __attribute__((aligned(8)));
  for (long n; (n = call(SYS_getdents64, directory, buffer, sizeof buffer, 0)) > 0;)
    for (long at = 0; at < n; at += ((struct entry *)(buffer + at))->size) {
      const char *name = ((struct entry *)(buffer + at))->name;
      if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
      if (call(SYS_unlinkat, directory, name, 0, 0) >= 0) continue;
      long below = call(SYS_openat, directory, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
      if (below < 0) continue;
      empty(below);
      call(SYS_close, below, 0, 0, 0);
      call(SYS_unlinkat, directory, name, AT_REMOVEDIR, 0);
    }
}

/* A directory of the user's own, made if need be, that nobody else may write; the error of a system call else. */
static long own_directory(const char *path, int made_by_us) {
  if (made_by_us) {
    long made = call(SYS_mkdirat, AT_FDCWD, path, 0700, 0);
    if (made < 0 && made != -EEXIST) return made;
  }
  long fd = call(SYS_openat, AT_FDCWD, path, O_DIRECTORY | (made_by_us ? O_NOFOLLOW : 0) | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct status status;
  long error = call(SYS_fstat, fd, &status, 0, 0);
  if (!error && made_by_us && (status.uid != (u32)call(SYS_geteuid, 0, 0, 0, 0) || status.mode & 022)) error = -EPERM;
  if (!error) return fd;
  call(SYS_close, fd, 0, 0, 0);
  return error;
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

struct trailer {
  char magic[8];
  u64 at, size;
  char digest[16], program[PROGRAM];
} __attribute__((packed)); /* it lies at any address */

static const char *variable(char **environment, const char *name) {
  word n = length(name);
  for (; *environment; environment++)
    if (equal(*environment, name, n) && (*environment)[n] == '=') return *environment + n + 1;
  return 0;
}

static const struct trailer *trailer;

static void open_self(void) {
  long fd = call(SYS_openat, AT_FDCWD, "/proc/self/exe", O_CLOEXEC, 0);
  if (fd < 0) fail("its own file cannot be read (is /proc mounted?)", reason_of(fd));
  struct status status;
  if (call(SYS_fstat, fd, &status, 0, 0) < 0 || status.size < TRAILER) fail(DAMAGED, "");
  long at = call6(SYS_mmap, 0, status.size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at < 0 && at > -4096) fail("its own file cannot be read", "");
  call(SYS_close, fd, 0, 0, 0);
  trailer = (const struct trailer *)(at + (word)status.size - TRAILER);
  if (!equal(trailer->magic, "SFONE01", 8) || trailer->at > (word)status.size || trailer->size > (word)status.size - trailer->at)
    fail(DAMAGED, "");
  input = (const unsigned char *)at + trailer->at;
  input_end = input + trailer->size;
}

/* Runs the bundle's `relocate`, where it has one, when it has been put in its place. */
static const char *relocate_of(char *path, const char *place) {
  return join(path, place, "/relocate", "", "") && call(SYS_faccessat, AT_FDCWD, path, 1, 0) == 0 ? path : 0;
}

static void relocate(const char *place, char **environment) {
  char path[PATH_SIZE];
  const char *program = relocate_of(path, place);
  if (!program) return;
  long child = call6(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0, 0);
  if (child == 0) {
    /* What it says goes where messages go, not into the program's output. */
    call(SYS_dup3, 2, 1, 0, 0);
    char *argv[3];
    argv[0] = (char *)program, argv[1] = 0, argv[2] = 0;
    call(SYS_execve, program, argv, environment, 0);
    leave(127);
  }
  int status = 0;
  if (child < 0 || call(SYS_wait4, child, &status, 0, 0) < 0 || status) fail(program, "could not tell the data files where they lie");
}

static void unpack_into(long directory) {
  root = directory;
  inflate();
}

/* `STOREFREE_EXTRACT`: into a new directory, and no further. */
static NORETURN void extract(const char *to) {
  long made = call(SYS_mkdirat, AT_FDCWD, to, 0755, 0);
  if (made < 0) fail(to, reason_of(made));
  long fd = call(SYS_openat, AT_FDCWD, to, O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) fail(to, reason_of(fd));
  unpack_into(fd);
  leave(0);
}

/* The directory that bundles lie in, into `path`; its descriptor. */
static long cache(char *path, char **environment) {
  const char *xdg = variable(environment, "XDG_CACHE_HOME"), *home = variable(environment, "HOME");
  long fd = -ENOENT;
  if (xdg && xdg[0] == '/') {
    call(SYS_mkdirat, AT_FDCWD, xdg, 0700, 0);
    if (join(path, xdg, "/storefree", "", "")) fd = own_directory(path, 1);
  } else if (home && home[0] == '/' && join(path, home, "/.cache", "", "")) {
    call(SYS_mkdirat, AT_FDCWD, path, 0700, 0);
    if (join(path, home, "/.cache/storefree", "", "")) fd = own_directory(path, 1);
  }
  if (fd >= 0) return fd;
  char digits[24];
  int i = 23;
  digits[i] = 0;
  word uid = call(SYS_geteuid, 0, 0, 0, 0);
  do digits[--i] = '0' + uid % 10;
  while (uid /= 10);
  join(path, "/tmp/storefree-", digits + i, "", "");
  fd = own_directory(path, 1);
  if (fd < 0) fail("there is no directory to unpack into; set XDG_CACHE_HOME. The last that was tried is not this user's own or cannot be written", path);
  return fd;
}

__attribute__((used)) NORETURN void run(word *stack) {
  char **argv = (char **)(stack + 1);
  char **environment = argv + stack[0] + 1;
  char **behind = environment;
  while (*behind) behind++;
  for (word *pair = (word *)(behind + 1); pair[0] != AT_NULL; pair += 2)
    if (pair[0] == AT_SECURE && pair[1]) fail("not with the rights of another user (set-uid, capabilities)", "");
  if (stack[0] && argv[0]) {
    own_name = argv[0];
    for (const char *c = argv[0]; *c; c++)
      if (*c == '/' && c[1]) own_name = c + 1;
  }

  open_self();
  const char *to = variable(environment, "STOREFREE_EXTRACT");
  if (to && *to) extract(to);

  char base[PATH_SIZE], digest[17], place[PATH_SIZE], partial[PATH_SIZE], ready[PATH_SIZE], program[PATH_SIZE];
  for (int i = 0; i < 16; i++) digest[i] = trailer->digest[i];
  digest[16] = 0;
  long fd = cache(base, environment);
  if (!join(place, base, "/", digest, "") || !join(partial, digest, ".partial", "", "") || !join(ready, digest, ".ready", "", "")) fail(base, "the path is too long");
  if (call(SYS_faccessat, fd, ready, 0, 0) < 0) {
    long lock = call(SYS_openat, fd, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0) fail(base, reason_of(lock));
    call(SYS_flock, lock, LOCK_EX, 0, 0);
    if (call(SYS_faccessat, fd, digest, 0, 0) < 0) {
      long old = call(SYS_openat, fd, partial, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
      if (old >= 0) {
        empty(old);
        call(SYS_close, old, 0, 0, 0);
        call(SYS_unlinkat, fd, partial, AT_REMOVEDIR, 0);
      }
      long made = call(SYS_mkdirat, fd, partial, 0755, 0);
      if (made < 0) fail(base, reason_of(made));
      long directory = call(SYS_openat, fd, partial, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
      if (directory < 0) fail(base, reason_of(directory));
      unpack_into(directory);
      call(SYS_close, directory, 0, 0, 0);
      long renamed = call(SYS_renameat, fd, partial, fd, digest);
      if (renamed < 0) fail(place, reason_of(renamed));
    }
    relocate(place, environment);
    long mark = call(SYS_openat, fd, ready, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (mark < 0) fail(base, reason_of(mark));
    call(SYS_close, mark, 0, 0, 0);
    call(SYS_close, lock, 0, 0, 0);
  }
  call(SYS_close, fd, 0, 0, 0);
  /* Called by the name of another program of the bundle, it is that one. */
  int is_named = own_name[0] != '.' && leads_inside(own_name);
  if (!is_named || !join(program, place, "/bin/", own_name, "") || call(SYS_faccessat, AT_FDCWD, program, 1, 0) < 0) {
    if (trailer->program[PROGRAM - 1] || !join(program, place, "/", trailer->program, "")) fail(DAMAGED, "");
  }
  long error = call(SYS_execve, program, argv, environment, 0);
  fail(program, error == -EACCES ? "cannot be executed; is its file system mounted noexec? Set XDG_CACHE_HOME" : reason_of(error));
}
