/*
 * `relocate`, in the root of a bundle: writes where the bundle lies into its data files. A small static program, beside a
 * table of templates (`.templates`).
 *
 * Programs and scripts of a bundle find its root by themselves when they start. A configuration file cannot: fonts.conf,
 * php.ini, a systemd unit name absolute paths, and who reads them is not asked. In the bundle such a file names nothing
 * (`/var/empty/eeee...`); here it gets the root put in, once, after unpacking, and again after a move.
 *
 *   ./relocate            writes this place into the files
 *   ./relocate --check    says which files do not name this place; exit 1 if there are any
 *   ./relocate --undo     makes the files what they were when the bundle was unpacked
 *   ./relocate --force    also where somebody has changed a file (what was changed is lost), and where the path has
 *                         characters that mean something in such files: quotes, blanks, `<`, `$` ...
 *
 * Exit: 0 all is done, 1 some files were left alone, 2 nothing could be done. Built by build.sh as launcher.c is, and for
 * its reasons static and freestanding.
 *
 * What is never done. No file is touched that the table does not name; a name that leads out of the bundle (`..`, a link
 * on the way) is refused. No file is half written: all are written into `.relocating/` first, then each is renamed over
 * its old self. A file that is neither as unpacked nor as this program wrote it (for any root) has been edited, and is
 * left alone. Killed at any moment, it can be run again: whatever lies in `.relocating` when its lock is free is
 * left-overs, and goes. Two at once: the second waits for the first.
 *
 * The table, little-endian: `SFTPLT1\0`, a count of files, and for each: its path, its contents as unpacked, a count of
 * sites; each site an offset and a length in these contents and the path below the root that it stands for. Paths and
 * contents are a length of four bytes and so many bytes.
 */

#include "calls.h"

enum { EEXIST = 17, ENOENT = 2, ELOOP = 40, ENOTDIR = 20, EACCES = 13, EPERM = 1, EROFS = 30, ENOSPC = 28, EDQUOT = 122 };
enum { AT_FDCWD = -100, AT_REMOVEDIR = 0x200, LOCK_EX = 2 };
enum { O_WRONLY = 1, O_CREAT = 0100, O_EXCL = 0200, O_NONBLOCK = 04000, O_CLOEXEC = 02000000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
enum { PATH_SIZE = 4096, S_IFMT = 0170000, S_IFREG = 0100000 };

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

static word length(const char *text) {
  word n = 0;
  while (text[n]) n++;
  return n;
}

static char *put(char *to, const char *from, word n) {
  while (n--) *to++ = *from++;
  return to;
}

static int equal(const char *a, const char *b, word n) {
  while (n--)
    if (*a++ != *b++) return 0;
  return 1;
}

static int is(const char *a, const char *b) {
  return length(a) == length(b) && equal(a, b, length(a));
}

struct bytes {
  const char *at;
  word size;
};

/* ---- What is said ------------------------------------------------------------------------------------------------ */

static void print(int to, const char *text, word n) {
  while (n) {
    long done = call(SYS_write, to, text, n, 0);
    if (done <= 0) return;
    text += done;
    n -= done;
  }
}

/* A line of up to five parts in one write; a control character of a path must not make it two. */
static void say(int to, const char *const *parts) {
  char line[2 * PATH_SIZE];
  word n = 0;
  for (; *parts; parts++)
    for (const char *c = *parts; *c && n < sizeof line - 1; c++) line[n++] = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
  line[n++] = '\n';
  print(to, line, n);
}
#define SAY(to, ...) say(to, (const char *const[]){"relocate: ", __VA_ARGS__, 0})

static NORETURN void leave(int status) {
  for (;;) call(SYS_exit_group, status, 0, 0, 0);
}
#define FAIL(...) do { SAY(2, __VA_ARGS__); leave(2); } while (0)

static const char *reason_of(long error) {
  switch (-error) {
  case ENOENT: return "is not there";
  case ELOOP: return "is a link, or lies behind one";
  case ENOTDIR: return "lies behind a link or a file";
  case EACCES:
  case EPERM: return "permission denied";
  case EROFS: return "read-only file system";
  case ENOSPC:
  case EDQUOT: return "no space left";
  default: return "cannot be read or written";
  }
}

static const char *number(char *to, word n) {
  char digits[24];
  int i = 0;
  do digits[i++] = '0' + n % 10;
  while (n /= 10);
  char *start = to;
  while (i) *to++ = digits[--i];
  *to = 0;
  return start;
}

/* ---- Memory and files -------------------------------------------------------------------------------------------- */

static char *memory(word size) {
  long at = call6(SYS_mmap, 0, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (word)-1, 0);
  if (at < 0 && at > -4096) FAIL("out of memory");
  return (char *)at;
}

static void release(struct bytes b) {
  call(SYS_munmap, b.at, b.size ? b.size : 1, 0, 0);
}

/* A regular file's bytes; the error of a system call, or -1 for what is no regular file. */
static long map(long fd, struct bytes *contents, struct status *status) {
  long error = call(SYS_fstat, fd, status, 0, 0);
  if (error < 0) return error;
  if ((status->mode & S_IFMT) != S_IFREG) return -1;
  contents->size = status->size;
  long at = call6(SYS_mmap, 0, contents->size ? contents->size : 1, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at < 0 && at > -4096) return at;
  contents->at = (const char *)at;
  return 0;
}

/* The directory that a path below `root` lies in, no link followed; its last component goes to `*name`. */
static long parent_of(long root, struct bytes path, char *name) {
  long at = root;
  word begin = 0;
  for (word i = 0; i <= path.size; i++) {
    if (i < path.size && path.at[i] != '/') continue;
    *put(name, path.at + begin, i - begin) = 0;
    if (i == path.size) return at;
    long next = call(SYS_openat, at, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (at != root) call(SYS_close, at, 0, 0, 0);
    if (next < 0) return next;
    at = next;
    begin = i + 1;
  }
  return -ENOENT;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

struct table {
  const char *at, *end;
};

static u32 word4(struct table *table) {
  if (table->end - table->at < 4) FAIL(".templates is damaged");
  const unsigned char *b = (const unsigned char *)table->at;
  table->at += 4;
  return b[0] | b[1] << 8 | b[2] << 16 | (u32)b[3] << 24;
}

static struct bytes counted(struct table *table) {
  struct bytes b;
  b.size = word4(table);
  if ((word)(table->end - table->at) < b.size) FAIL(".templates is damaged");
  b.at = table->at;
  table->at += b.size;
  return b;
}

struct file {
  struct bytes path, pristine;
  u32 sites;
  /* The first of them. */
  struct table first;
  /* Bytes of it without any root. */
  word size;
};

struct site {
  word offset, length;
  struct bytes target;
};

static struct site next_site(struct table *table) {
  struct site site;
  site.offset = word4(table);
  site.length = word4(table);
  site.target = counted(table);
  return site;
}

/* Plain components, nothing that leads out. */
static int leads_inside(struct bytes path) {
  if (!path.size || path.size >= PATH_SIZE) return 0;
  word begin = 0;
  for (word i = 0; i <= path.size; i++) {
    if (i < path.size && path.at[i] == 0) return 0;
    if (i < path.size && path.at[i] != '/') continue;
    word n = i - begin;
    const char *c = path.at + begin;
    if (!n || (n == 1 && c[0] == '.') || (n == 2 && c[0] == '.' && c[1] == '.')) return 0;
    begin = i + 1;
  }
  return 1;
}

static struct file next_file(struct table *table) {
  struct file file;
  file.path = counted(table);
  file.pristine = counted(table);
  file.sites = word4(table);
  file.first = *table;
  file.size = file.pristine.size;
  if (!leads_inside(file.path) || !file.sites) FAIL(".templates is damaged");
  word end = 0;
  for (u32 i = 0; i < file.sites; i++) {
    struct site site = next_site(table);
    if (site.offset < end || site.offset > file.pristine.size || site.length > file.pristine.size - site.offset ||
        !leads_inside(site.target))
      FAIL(".templates is damaged");
    end = site.offset + site.length;
    file.size += 1 + site.target.size - site.length;
  }
  /* Its size with any root is one. */
  if (file.sites > (-1ul - file.size) / PATH_SIZE) FAIL(".templates is damaged");
  return file;
}

/* Fills a file in for a root (without a slash at its end); where `to` is 0 compares with `with`. */
static int fill(const struct file *file, struct bytes root, char *to, struct bytes with) {
  word at = 0, done = 0;
  struct table table = file->first;
  if (!to && with.size != file->size + file->sites * root.size) return 0;
  for (u32 i = 0; i <= file->sites; i++) {
    struct site site = {file->pristine.size, 0, {0, 0}};
    if (i < file->sites) site = next_site(&table);
    struct bytes parts[4] = {{file->pristine.at + at, site.offset - at}, root, {"/", 1}, site.target};
    for (int p = 0; p < (i < file->sites ? 4 : 1); p++) {
      if (to) to = put(to, parts[p].at, parts[p].size);
      else if (!equal(with.at + done, parts[p].at, parts[p].size)) return 0;
      done += parts[p].size;
    }
    at = site.offset + site.length;
  }
  return 1;
}

enum state { PRISTINE, HERE, ELSEWHERE, CHANGED };

static enum state state_of(const struct file *file, struct bytes root, struct bytes now) {
  if (now.size == file->pristine.size && equal(now.at, file->pristine.at, now.size)) return PRISTINE;
  if (fill(file, root, 0, now)) return HERE;
  /* Its size says how long another root would have to be. */
  if (now.size >= file->size && (now.size - file->size) % file->sites == 0) {
    struct table table = file->first;
    struct bytes other = {now.at + next_site(&table).offset, (now.size - file->size) / file->sites};
    if (other.size < PATH_SIZE && (!other.size || other.at[0] == '/') && other.at + other.size <= now.at + now.size &&
        fill(file, other, 0, now))
      return ELSEWHERE;
  }
  return CHANGED;
}

/* ---- Where the bundle lies --------------------------------------------------------------------------------------- */

/* The directory of this program, without a slash at its end; `path` has PATH_SIZE bytes. */
static struct bytes own_root(char *path) {
  long n = call(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, PATH_SIZE);
  if (n <= 0 || n >= PATH_SIZE || path[0] != '/') FAIL("its own path is unknown: is /proc mounted?");
  while (path[n - 1] != '/') n--;
  path[n - 1] = 0;
  return (struct bytes){path, n - 1};
}

/* A character that means something in some format of texts, so that a path with it may be read as another. */
static int is_plain(unsigned char c) {
  return c > ' ' && c < 127 && c != '"' && c != '\'' && c != '\\' && c != '$' && c != '`' && c != '<' && c != '>' &&
         c != '&' && c != '%' && c != '#' && c != ';' && c != '{' && c != '}' && c != '*' && c != '?' && c != '[' &&
         c != ']' && c != '|' && c != '(' && c != ')' && c != '!';
}

/* ---- The work ---------------------------------------------------------------------------------------------------- */

static const char DIRECTORY[] = ".relocating";

struct entry {
  u64 inode, offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

static void empty(long directory) {
  char buffer[4096] __attribute__((aligned(8)));
  for (long n; (n = call(SYS_getdents64, directory, buffer, sizeof buffer, 0)) > 0;)
    for (long at = 0; at < n; at += ((struct entry *)(buffer + at))->size)
      call(SYS_unlinkat, directory, ((struct entry *)(buffer + at))->name, 0, 0);
}

/* `.relocating`, made, locked and empty. */
static long workplace(long root) {
  for (;;) {
    long made = call(SYS_mkdirat, root, DIRECTORY, 0700, 0);
    if (made < 0 && made != -EEXIST) FAIL(DIRECTORY, ": ", reason_of(made));
    long fd = call(SYS_openat, root, DIRECTORY, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd == -ENOENT) continue;
    if (fd < 0) FAIL(DIRECTORY, ": ", reason_of(fd));
    long locked = call(SYS_flock, fd, LOCK_EX, 0, 0);
    struct status status;
    /* Whoever had the lock has removed it. */
    if (locked == 0 && call(SYS_fstat, fd, &status, 0, 0) == 0 && status.links == 0) {
      call(SYS_close, fd, 0, 0, 0);
      continue;
    }
    if (locked == 0) empty(fd);
    return fd;
  }
}

static void tidy(long root, long place) {
  empty(place);
  call(SYS_unlinkat, root, DIRECTORY, AT_REMOVEDIR, 0);
}

static long write_new(long place, const char *name, struct bytes contents, const struct status *like) {
  long fd = call(SYS_openat, place, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fd;
  long error = 0;
  for (word done = 0; done < contents.size;) {
    long n = call(SYS_write, fd, contents.at + done, contents.size - done, 0);
    if (n <= 0) {
      error = n ? n : -ENOSPC;
      break;
    }
    done += n;
  }
  struct status own;
  if (!error) error = call(SYS_fstat, fd, &own, 0, 0);
  if (!error && (own.uid != like->uid || own.gid != like->gid)) error = call(SYS_fchown, fd, like->uid, like->gid, 0);
  if (!error) error = call(SYS_fchmod, fd, like->mode & 07777, 0, 0);
  if (!error) error = call(SYS_fsync, fd, 0, 0, 0);
  call(SYS_close, fd, 0, 0, 0);
  return error;
}

enum mode { WRITE, CHECK, UNDO };

__attribute__((used)) NORETURN void run(word *stack) {
  char **argv = (char **)(stack + 1);
  char **environment = argv + stack[0] + 1;
  while (*environment) environment++;
  for (word *pair = (word *)(environment + 1); pair[0] != AT_NULL; pair += 2)
    if (pair[0] == AT_SECURE && pair[1]) FAIL("not with the rights of another user (set-uid, capabilities)");

  enum mode mode = WRITE;
  int force = 0;
  for (char **arg = argv + (stack[0] ? 1 : 0); *arg; arg++) {
    if (is(*arg, "--check")) mode = CHECK;
    else if (is(*arg, "--undo")) mode = UNDO;
    else if (is(*arg, "--force")) force = 1;
    else if (is(*arg, "--help")) {
      static const char help[] =
          "Writes where this bundle lies into its data files, which name places of their own.\n"
          "Run it after unpacking, and again after a move.\n\n"
          "  ./relocate            write this place\n"
          "  ./relocate --check    say which files do not name this place\n"
          "  ./relocate --undo     the files as they were unpacked\n"
          "  ./relocate --force    also changed files, and places with special characters\n";
      print(1, help, sizeof help - 1);
      leave(0);
    } else
      FAIL("no option ", *arg, "; try --help");
  }

  char path[PATH_SIZE], name[PATH_SIZE];
  struct bytes root = own_root(path);
  const char *shown = root.size ? path : "/";
  if (mode != UNDO && !force)
    for (word i = 0; i < root.size; i++)
      if (!is_plain(path[i]))
        FAIL(shown, ": a character in this path may mean something in the files; move the bundle, or use --force");
  long base = call(SYS_openat, AT_FDCWD, shown, O_DIRECTORY | O_CLOEXEC, 0);
  if (base < 0) FAIL(shown, ": ", reason_of(base));
  struct bytes bytes;
  struct status status;
  long fd = call(SYS_openat, base, ".templates", O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
  long error = fd < 0 ? fd : map(fd, &bytes, &status);
  if (error < 0) FAIL(".templates: ", reason_of(error));
  struct table table = {bytes.at, bytes.at + bytes.size};
  if (bytes.size < 12 || !equal(table.at, "SFTPLT1", 8)) FAIL(".templates is damaged");
  table.at += 8;
  u32 count = word4(&table);
  struct table files = table;
  /* All of it is looked at before anything is done. */
  for (u32 i = 0; i < count; i++) next_file(&table);
  if (table.at != table.end) FAIL(".templates is damaged");

  word done = 0, already = 0, left = 0;
  long place = -1;
  char digits[24];
  /* First all are written, then all are put in their places. */
  for (int renaming = 0; renaming == 0 || (renaming == 1 && place >= 0); renaming++) {
    table = files;
    for (u32 i = 0; i < count; i++) {
      struct file file = next_file(&table);
      long directory = parent_of(base, file.path, name);
      char where[PATH_SIZE];
      *put(where, file.path.at, file.path.size) = 0;
      if (renaming) {
        long renamed = directory < 0 ? directory : call(SYS_renameat, place, number(digits, i), directory, name);
        if (renamed == 0) done++;
        else if (renamed != -ENOENT) {
          left++;
          SAY(2, where, ": ", reason_of(renamed));
        }
        if (directory >= 0 && directory != base) call(SYS_close, directory, 0, 0, 0);
        continue;
      }
      long error = directory;
      fd = directory < 0 ? directory : call(SYS_openat, directory, name, O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
      if (directory >= 0 && directory != base) call(SYS_close, directory, 0, 0, 0);
      error = fd < 0 ? fd : map(fd, &bytes, &status);
      if (error < 0) {
        left++;
        SAY(2, where, ": ", reason_of(error));
        if (fd >= 0) call(SYS_close, fd, 0, 0, 0);
        continue;
      }
      enum state state = state_of(&file, root, bytes);
      release(bytes);
      call(SYS_close, fd, 0, 0, 0);
      if (state == (mode == UNDO ? PRISTINE : HERE)) {
        already++;
        continue;
      }
      if (mode == CHECK) {
        left++;
        SAY(1, where, state == PRISTINE ? ": names no place yet" : state == ELSEWHERE ? ": names another place" : ": was changed");
        continue;
      }
      if (state == CHANGED && !force) {
        left++;
        SAY(2, where, ": was changed since it was unpacked, and is left alone (--force overwrites it)");
        continue;
      }
      if (place < 0) place = workplace(base);
      struct bytes contents = file.pristine;
      if (mode == WRITE) {
        contents.size = file.size + file.sites * root.size;
        char *to = memory(contents.size);
        fill(&file, root, to, contents);
        contents.at = to;
      }
      error = write_new(place, number(digits, i), contents, &status);
      if (mode == WRITE) release(contents);
      if (error < 0) {
        tidy(base, place);
        FAIL(where, ": ", reason_of(error), "; nothing was changed");
      }
    }
  }
  /* Of a run that was killed when all was done. */
  if (place < 0 && mode != CHECK && call(SYS_openat, base, DIRECTORY, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0) >= 0)
    place = workplace(base);
  if (place >= 0) tidy(base, place);
  char all[24], old[24];
  if (mode == CHECK) {
    if (!left) SAY(1, number(all, already), " files name ", shown);
  } else
    SAY(1, number(all, done), mode == UNDO ? " files are as they were unpacked again, " : " files written, ",
        number(old, already), mode == UNDO ? " were already" : " named this place already");
  leave(left ? 1 : 0);
}
