/*
 * The native launcher: a small static program in a program's place that sets up environment and arguments and then
 * executes another file of the bundle. It does what nixpkgs' makeWrapper scripts and makeBinaryWrapper programs do,
 * what the kernel does for a #! line, and what PT_INTERP does, where those would need an absolute path.
 *
 * Built by (the same for aarch64-linux-gnu-gcc; equal compilers give equal bytes):
 *
 *   gcc -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-ident -fno-pie -fno-stack-protector
 *     -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-tree-loop-distribute-patterns -fcf-protection=none
 *     -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -s -o launcher launcher.c
 *
 * What is built is not complete: launcher.ts puts a configuration behind it (see there, "The image").
 *
 * Why static and freestanding. A dynamic program would need a PT_INTERP, which is absolute: the very thing a relocatable
 * bundle cannot have. A static libc would be a hundred times the size, start locales and threads, and read environment
 * variables of its own (MALLOC_*, GLIBC_TUNABLES). Here nothing is read or set but what the configuration says. There is
 * no data, no bss and no relocation: the file is one segment, readable and executable.
 *
 * What the kernel hands over (fs/binfmt_elf.c, create_elf_tables): the stack pointer points at argc; then argc pointers
 * and NULL (argv), pointers and NULL (the environment), and pairs of words (the auxiliary vector) ended by AT_NULL.
 * The strings lie above, writable, each at most 128 KiB (MAX_ARG_STRLEN), all of it at most a quarter of the stack's
 * limit. So there is room on the stack for a second set of pointers; the strings stay where they are.
 *
 * What happens, in order:
 *
 * 1. AT_SECURE (set-user-ID, file capabilities): refuse. Whoever starts the program could move, link or rename the
 *    bundle around it, and so choose what runs with the raised privileges.
 * 2. The own path: the link /proc/self/exe, which names the file whatever argv[0] says and whatever links led here.
 *    Without /proc: AT_EXECFN, the path given to execve, its last component followed while it is a link and its
 *    directory made absolute by going there and asking (getcwd), because `..` behind a linked directory cannot be
 *    resolved in the text. The root is that path without the launcher's own place, by count of components.
 * 3. A first walk over the configuration adds up how much memory the strings need; it is then taken from the stack at
 *    once. No mmap, so nothing can fail half way. Each variable's string has room for all that later operations add to
 *    it, so a list grows in place: forty --prefix operations on a PATH of 100 KiB need 100 KiB, not four megabytes.
 * 4. A second walk carries out the operations.
 * 5. execve. What fails says so in one line on standard error and exits as a shell would: 126 when the file is there
 *    and cannot be executed, 127 else.
 *
 * The environment is an array of strings, not a map: it may hold a name twice, or a string without `=`. Everything that
 * is not named in the configuration passes through byte for byte and in order. As in glibc, a name means its first
 * string: `set` and the lists replace that one in place (or add one at the end), `unset` removes every one.
 *
 * The configuration: one byte, the number of components in the launcher's own place, then operations up to a NUL. Every
 * operation is a code, a name and a separator (both ended by NUL, often empty), and a template. A template is parts up
 * to a NUL: `r` the root, `R` the root by a way that command lines, lists and formats can hold (alias.h), where there is
 * one, `0` the caller's argv[0], `f` AT_EXECFN, `=` bytes up to a NUL, `n` the name that AT_EXECFN ends
 * in, if it is one of those that follow (each ended by a NUL, all by another), else the first of these. The codes:
 *
 *   x  the file to execute                     s  set           A..H  put into a list, 2 * rule + 1 if at its end
 *   c  change the directory                    d  set-default         rules: see `put_into_list`
 *   a  one argument (the first is argv[0])     e  set where it is AT_EXECFN
 *                                              u  unset
 *   @  the caller's arguments from argv[1] on
 */

#include "calls.h"
#include "alias.h"

enum { E2BIG = 7, ENOEXEC = 8, ENOMEM = 12, EACCES = 13, ENOTDIR = 20, ENAMETOOLONG = 36, ELOOP = 40 };
enum { O_CLOEXEC = 02000000, O_PATH = 010000000 };
enum { PATH_SIZE = PATH_MAX /* with the NUL */, LINKS = 40 /* as the kernel follows */ };

/* ---- Strings ----------------------------------------------------------------------------------------------------- */

static word length(const char *text) {
  word n = 0;
  while (text[n]) n++;
  return n;
}

/* Copies without the NUL; the end of the copy. */
static char *copy(char *to, const char *from) {
  while (*from) *to++ = *from++;
  return to;
}

static int same(const char *a, const char *b) {
  for (; *a == *b; a++, b++)
    if (!*a) return 1;
  return 0;
}

static int begins(const char *text, const char *with) {
  for (; *with; text++, with++)
    if (*text != *with) return 0;
  return 1;
}

static char *insert(char *at, const char *text) {
  word n = length(text);
  for (word i = length(at) + 1; i-- > 0;) at[i + n] = at[i];
  return copy(at, text);
}

static void append(char *at, const char *text) {
  *copy(at + length(at), text) = 0;
}

static void erase(char *at, word n) {
  do *at = at[n];
  while (*at++);
}

/* The first place where `middle` stands between two `side`s; 0 if there is none. Nothing is found everywhere. */
static char *find(char *text, const char *side, const char *middle) {
  for (;; text++) {
    const char *behind = text + length(side);
    if (begins(text, side) && begins(behind, middle) && begins(behind + length(middle), side)) return text;
    if (!*text) return 0;
  }
}

/* ---- Failing ----------------------------------------------------------------------------------------------------- */

struct chunk {
  const char *bytes;
  word size;
};

/* One line, in one write, so that it stays whole; a newline in a path must not make it two. */
static NORETURN void fail(char *path, const char *reason, word status) {
  for (char *c = path; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
  struct chunk line[5];
  const char *texts[5];
  texts[0] = "launcher: ";
  texts[1] = path;
  texts[2] = ": ";
  texts[3] = reason;
  texts[4] = "\n";
  for (int i = 0; i < 5; i++) {
    line[i].bytes = texts[i];
    line[i].size = length(texts[i]);
  }
  call(SYS_writev, 2, (word)line, 5, 0);
  for (;;) call(SYS_exit_group, status, 0, 0, 0);
}

static const char *reason_of(long error) {
  switch (-error) {
  case ENOENT: return "no such file or directory";
  case ENOTDIR: return "not a directory";
  case EACCES: return "permission denied";
  case ENOEXEC: return "not a program for this machine";
  case E2BIG: return "argument list too long";
  case ENOMEM: return "out of memory";
  case ENAMETOOLONG: return "file name too long";
  case ELOOP: return "too many levels of symbolic links";
  default: return "cannot be used";
  }
}

static NORETURN void fail_as(char *path, long error) {
  fail(path, reason_of(error), error == -EACCES || error == -ENOEXEC ? 126 : 127);
}

/* ---- Where the bundle lies --------------------------------------------------------------------------------------- */

/* What a link says, ended by NUL; 0 when `path` is none, or when it says too much. `text` has PATH_SIZE bytes. */
static int read_link(const char *path, char *text) {
  long n = call(SYS_readlinkat, (word)AT_FDCWD, (word)path, (word)text, PATH_SIZE);
  if (n <= 0 || n >= PATH_SIZE) return 0;
  text[n] = 0;
  return 1;
}

static char *last_slash(char *path) {
  char *slash = 0;
  for (; *path; path++)
    if (*path == '/') slash = path;
  return slash;
}

/* The absolute path of the file that was executed, into PATH_SIZE bytes; 0 when it cannot be known. */
static int own_path(char *path, const char *started) {
  /* In another root than the process' own the kernel puts "(unreachable)" first. */
  if (read_link("/proc/self/exe", path) && path[0] == '/') return 1;

  char link[PATH_SIZE];
  if (length(started) >= PATH_SIZE) return 0;
  *copy(path, started) = 0;
  for (int i = 0; i < LINKS && read_link(path, link); i++) {
    char *name = last_slash(path);
    name = link[0] == '/' || !name ? path : name + 1;
    if (length(link) >= (word)(path + PATH_SIZE - name)) return 0;
    *copy(name, link) = 0;
  }

  char *slash = last_slash(path);
  const char *name = slash ? slash + 1 : path;
  *copy(link, name) = 0;
  if (slash) *(slash == path ? slash + 1 : slash) = 0;
  long here = call(SYS_openat, (word)AT_FDCWD, (word) ".", O_PATH | O_CLOEXEC, 0);
  if (here < 0 || (slash && call(SYS_chdir, (word)path, 0, 0, 0) < 0)) return 0;
  long n = call(SYS_getcwd, (word)path, PATH_SIZE, 0, 0);
  if (call(SYS_fchdir, (word)here, 0, 0, 0) < 0 || n <= 0 || path[0] != '/') return 0;
  if (length(path) + 1 + length(link) >= PATH_SIZE) return 0;
  if (path[1]) append(path, "/");
  append(path, link);
  return 1;
}

/*
 * Fails if a bundle lies around the launcher, and the launcher elsewhere in it than by so many components: what had been
 * a link to it was copied as a file (scp -r, cp -rL, tools that know no links).
 */
static void fail_if_copied(char *started, int components) {
  char path[PATH_SIZE + sizeof "/bundle.json"];
  if (!own_path(path, started)) return;
  for (char *slash; (slash = last_slash(path)); *slash = 0) {
    *copy(slash, "/bundle.json") = 0;
    components--;
    if (call(SYS_openat, (word)AT_FDCWD, (word)path, O_PATH | O_CLOEXEC, 0) < 0) continue;
    if (components)
      fail(started, "this bundle was copied without its symbolic links; copy it with cp -a, tar or rsync -a", 127);
    return;
  }
}

/* ---- The configuration ------------------------------------------------------------------------------------------- */

/* Where the linker put the ELF header: at the beginning of the one segment. */
extern const struct ehdr __ehdr_start __attribute__((visibility("hidden")));

/* The last four bytes of the segment say how many bytes before them are the configuration. */
static const char *configuration(void) {
  const char *image = (const char *)&__ehdr_start;
  const struct phdr *segment = (const struct phdr *)(image + __ehdr_start.phoff);
  const struct {
    u32 length;
  } __attribute__((packed)) *end = (const void *)(image + segment->filesz - 4);
  return (const char *)end - end->length;
}

struct facts {
  const char *root, *argv0, *started;
  const word *euid;
  /* The root by another way: 0 until it is asked for; there is room of PATH_SIZE bytes. */
  const char *plain;
  char *room;
};

static const char *plain_root(struct facts *facts) {
  if (facts->plain) return facts->plain;
  facts->plain = facts->root;
  if (!is_plain(facts->root) && other_root(facts->room, facts->root, facts->started, facts->euid, PATH_SIZE - 1, 0))
    facts->plain = facts->room;
  return facts->plain;
}

struct operation {
  char code;
  const char *name, *separator, *template;
  /* Bytes of the template filled in. */
  word size;
};

/* What a part of a template stands for; steps to the part's last byte. */
static const char *text_of(struct facts *facts, const char **part) {
  const char *at = *part, *text = at + 1;
  if (*at == 'r') return facts->root;
  if (*at == 'R') return plain_root(facts);
  if (*at == '0') return facts->argv0;
  if (*at == 'f') return facts->started;
  if (*at == 'n') {
    const char *name = facts->started;
    for (const char *c = name; *c; c++)
      if (*c == '/') name = c + 1;
    const char *known = text;
    for (; *known; known += length(known) + 1)
      if (same(known, name)) text = known;
    *part = known;
    return text;
  }
  *part = text + length(text);
  return text;
}

/* Fills a template in, with a NUL. */
static char *fill(struct facts *facts, const char *template, char *to) {
  for (; *template; template++) to = copy(to, text_of(facts, &template));
  *to = 0;
  return to + 1;
}

/* Reads one operation and steps behind it; 0 at the end. */
static int next(struct facts *facts, const char **cursor, struct operation *operation) {
  const char *at = *cursor;
  operation->code = *at++;
  if (!operation->code) return 0;
  operation->name = at;
  at += length(at) + 1;
  operation->separator = at;
  at += length(at) + 1;
  operation->template = at;
  operation->size = 0;
  for (; *at; at++) operation->size += length(text_of(facts, &at));
  *cursor = at + 1;
  return 1;
}

/* Bytes that the operations from here on can add to a variable, and need while they do. */
static word growth(struct facts *facts, const char *cursor, const char *name) {
  struct operation operation;
  word bytes = 0;
  while (next(facts, &cursor, &operation))
    if (same(operation.name, name)) bytes += operation.size + 2 * length(operation.separator);
  return bytes;
}

/* ---- The environment --------------------------------------------------------------------------------------------- */

/* The value in an environment string of that name; 0 when it is another's. */
static char *value_in(char *entry, const char *name) {
  return begins(entry, name) && entry[length(name)] == '=' ? entry + length(name) + 1 : 0;
}

/* The first string of a name, or the NULL at the end. */
static char **lookup(char **environment, const char *name) {
  while (*environment && !value_in(*environment, name)) environment++;
  return environment;
}

/*
 * Puts an element before or behind a list. The rules are those of the programs that are replaced, to the byte:
 *
 *   0  makeWrapper at first: a separator between, unless the list is unset or empty
 *   1  makeBinaryWrapper at first: a separator between, unless the list is unset
 *   2  makeWrapper today: an element that is there already moves to the front, or stays where it is when it was to come
 *      last; one separator at either end goes
 *   3  makeBinaryWrapper today: an element that is there already moves to the front or the end; only the first place
 *      where its text stands counts
 */
static void put_into_list(char *list, int is_set, int code, const char *separator, const char *element) {
  int rule = (code - 'A') >> 1, last = (code - 'A') & 1;
  word between = length(separator), size = length(element);
  if (rule == 2) {
    if (*list) {
      insert(list, separator);
      append(list, separator);
    }
    char *found = find(list, separator, element);
    if (last) {
      if (!found) append(list, element);
    } else {
      if (found) erase(found, size + between);
      insert(list, element);
    }
    if (begins(list, separator)) erase(list, between);
    char *end = list + length(list) - between;
    if (end >= list && same(end, separator)) *end = 0;
    return;
  }
  if (rule == 3 && is_set) {
    char *found = find(list, "", element);
    if (found && (found == list || ((word)(found - list) >= between && begins(found - between, separator))) &&
        (!found[size] || begins(found + size, separator))) {
      if (last ? !found[size] : found == list) return;
      erase(last ? found : found - between, size + between);
    }
  }
  if (rule == 0 ? *list : is_set) {
    if (last) append(list, separator);
    else insert(list, separator);
  }
  if (last) append(list, element);
  else insert(list, element);
}

/* ---- The start --------------------------------------------------------------------------------------------------- */

__attribute__((used)) NORETURN void run(word *stack) {
  word count = *stack;
  char **arguments = (char **)(stack + 1);
  char **variables = arguments + count + 1;
  char **end = variables;
  while (*end) end++;
  word secure = 0;
  const word *euid = 0;
  /* A caller may pass no argv[0] at all (kernels before 5.18). */
  char *started = count ? arguments[0] : (char *)end;
  for (word *pair = (word *)(end + 1); pair[0] != AT_NULL; pair += 2) {
    if (pair[0] == AT_SECURE) secure = pair[1];
    if (pair[0] == AT_EUID) euid = &pair[1];
    if (pair[0] == AT_EXECFN) started = (char *)pair[1];
  }
  if (secure)
    fail(started, "set-user-ID programs and programs with capabilities cannot run from a relocatable bundle", 127);

  char root[PATH_SIZE], plain[PATH_SIZE];
  const char *operations = configuration();
  if (!own_path(root, started)) fail(started, "cannot find where it lies (is /proc mounted?)", 127);
  const int components = *operations++;
  for (int i = 0; i < components; i++) {
    char *slash = last_slash(root);
    if (!slash) fail_if_copied(started, components);
    if (!slash) fail(started, "does not lie in its bundle", 127);
    *slash = 0;
  }
  struct facts facts = {root, count ? arguments[0] : (const char *)end, started, euid, 0, plain};

  /* How much the strings need. A variable's string is made anew by each `set`, by the first operation on it, and by
     the first one after `unset`. */
  struct operation now, earlier;
  word bytes = 0, words = 0;
  for (const char *at = operations; next(&facts, &at, &now); words++) {
    bytes += now.size + 1;
    if (!*now.name) continue;
    bytes += length(now.name) + 2 + now.size + 2 * length(now.separator);
    int first = 1;
    for (const char *before = operations; next(&facts, &before, &earlier) && before < at;)
      if (same(earlier.name, now.name)) first = 0;
    char *entry = *lookup(variables, now.name);
    if (first && entry) bytes += length(entry);
    if (first || now.code >= 'a') bytes += growth(&facts, at, now.name);
  }
  word pointers = count + (word)(end - variables) + 2 * words + 2;
  char **argv = __builtin_alloca(pointers * sizeof *argv + bytes);
  char *memory = (char *)(argv + pointers);
  const char *strings = memory, *strings_end = memory + bytes;

  char **environment = argv + count + words + 1;
  for (word i = 0; i <= (word)(end - variables); i++) environment[i] = variables[i];

  char *program = 0;
  word argc = 0;
  for (const char *at = operations; next(&facts, &at, &now);) {
    if (now.code == '@') {
      for (word i = 1; i < count; i++) argv[argc++] = arguments[i];
      continue;
    }
    char *text = memory;
    memory = fill(&facts, now.template, memory);
    if (now.code == 'x') program = text;
    if (now.code == 'a') argv[argc++] = text;
    if (now.code == 'c') {
      long error = call(SYS_chdir, (word)text, 0, 0, 0);
      if (error < 0) fail_as(text, error);
    }
    if (!*now.name) continue;

    char **place = lookup(environment, now.name);
    if (now.code == 'u') {
      while (*place) {
        for (char **p = place; (*p = p[1]); p++);
        place = lookup(place, now.name);
      }
      continue;
    }
    int is_set = *place != 0;
    if (now.code == 'd' && is_set) continue;
    if (now.code == 'e' && !(is_set && same(value_in(*place, now.name), started))) continue;
    if (!is_set) place[1] = 0;
    /* Its string is made anew unless it is one of ours, which has room. */
    if (now.code >= 'a' || !is_set || *place < strings || *place >= strings_end) {
      char *entry = memory;
      memory = copy(copy(entry, now.name), "=");
      memory = copy(memory, now.code >= 'a' ? text : is_set ? value_in(*place, now.name) : "");
      *memory++ = 0;
      *place = entry;
      memory += growth(&facts, at, now.name);
      if (now.code < 'a') memory += now.size + 2 * length(now.separator);
    }
    if (now.code < 'a') put_into_list(value_in(*place, now.name), is_set, now.code, now.separator, text);
  }
  argv[argc] = 0;

  long error = call(SYS_execve, (word)program, (word)argv, (word)environment, 0);
  if (error == -ENOENT) fail_if_copied(started, components);
  fail_as(program, error);
}
