/* Prints how it was started, one fact a line, strings escaped as in JSON:
 *   argc 2
 *   argv 0 "probe"
 *   exe "/nix/store/..."       /proc/self/exe
 *   comm "probe"               /proc/self/comm
 *   env "HOME=/root"           in the order of environ
 * Every argument is printed; these ones also do something:
 *   --sorted     environment sorted        --no-env    no environment
 *   --auxv       auxv execfn "...", auxv secure N
 *   --cwd        cwd "..."                 --fds       open descriptors
 *   --maps       every mapped file, sorted and once
 *   --thread-exit   a thread that ends by pthread_exit, for which libc opens
 *                   libgcc_s.so.1
 *   --user NAME     user NAME uid N (getpwnam: NSS)
 *   --resolve NAME  address "..." (getaddrinfo: NSS), numeric, the first one
 *   --self FILE  copies /proc/self/exe to FILE: what a program sees that reads
 *                its own bytes
 *   --exec FILE ARG...  executes FILE with argv[0] kept and the ARGs, printing
 *                nothing itself
 *   --reexec     executes /proc/self/exe with the same arguments, this one
 *                replaced by the marker --reexeced
 *   --exit N     exits with N              --signal N  raises signal N
 *   --           ends the options
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static void put(const char *s) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
    if (*c == '"' || *c == '\\') printf("\\%c", *c);
    else if (*c == '\n') fputs("\\n", stdout);
    else if (*c == '\t') fputs("\\t", stdout);
    else if (*c < 0x20 || *c == 0x7f) printf("\\u%04x", *c);
    else putchar(*c);
  }
  fputs("\"\n", stdout);
}

static void die(const char *what) {
  fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
  exit(125);
}

static void print_link(const char *label, const char *path) {
  char buffer[4096];
  ssize_t n = readlink(path, buffer, sizeof buffer - 1);
  if (n < 0) die(path);
  buffer[n] = 0;
  printf("%s ", label);
  put(buffer);
}

static int compare(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_env(int sorted) {
  size_t n = 0;
  while (environ[n]) n++;
  char **copy = calloc(n + 1, sizeof *copy);
  if (!copy) die("calloc");
  memcpy(copy, environ, n * sizeof *copy);
  if (sorted) qsort(copy, n, sizeof *copy, compare);
  for (size_t i = 0; i < n; i++) {
    fputs("env ", stdout);
    put(copy[i]);
  }
  free(copy);
}

static void print_maps(void) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[4600], *paths[512];
  size_t n = 0;
  if (!f) die("/proc/self/maps");
  while (fgets(line, sizeof line, f)) {
    char *path = strchr(line, '/');
    if (!path || n == 512) continue;
    path[strcspn(path, "\n")] = 0;
    if (!(paths[n++] = strdup(path))) die("strdup");
  }
  fclose(f);
  qsort(paths, n, sizeof *paths, compare);
  for (size_t i = 0; i < n; i++) {
    if (i && !strcmp(paths[i], paths[i - 1])) continue;
    fputs("map ", stdout);
    put(paths[i]);
  }
}

static void print_fds(void) {
  char path[64];
  for (int fd = 0; fd < 256; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char label[32];
    snprintf(label, sizeof label, "fd %d", fd);
    print_link(label, path);
  }
}

static void copy_self(const char *target) {
  char buffer[65536];
  ssize_t n;
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (from < 0 || to < 0) die(target);
  while ((n = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, n) != n) die(target);
  if (n < 0) die("/proc/self/exe");
  close(from);
  close(to);
}

static void *thread(void *unused) {
  pthread_exit(unused);
}

static void thread_exit(void) {
  pthread_t id;
  if ((errno = pthread_create(&id, NULL, thread, NULL))) die("pthread_create");
  if ((errno = pthread_join(id, NULL))) die("pthread_join");
  puts("thread exited");
}

static void print_user(const char *name) {
  errno = ENOENT;
  struct passwd *p = getpwnam(name);
  if (!p) die(name);
  printf("user %s uid %ld\n", name, (long)p->pw_uid);
}

static void print_address(const char *name) {
  struct addrinfo *list, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  char host[256];
  int error = getaddrinfo(name, NULL, &hints, &list);
  if (!error)
    error = getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
  if (error) {
    fprintf(stderr, "probe: %s: %s\n", name, gai_strerror(error));
    exit(125);
  }
  fputs("address ", stdout);
  put(host);
  freeaddrinfo(list);
}

int main(int argc, char **argv) {
  int env = 1, sorted = 0, auxv = 0, cwd = 0, fds = 0, maps = 0;
  int status = 0, sig = 0;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i], *next = argv[i + 1];
    if (!strcmp(a, "--")) break;
    else if (!strcmp(a, "--sorted")) sorted = 1;
    else if (!strcmp(a, "--no-env")) env = 0;
    else if (!strcmp(a, "--auxv")) auxv = 1;
    else if (!strcmp(a, "--cwd")) cwd = 1;
    else if (!strcmp(a, "--fds")) fds = 1;
    else if (!strcmp(a, "--maps")) maps = 1;
    else if (!strcmp(a, "--thread-exit")) thread_exit();
    else if (!strcmp(a, "--user") && next) print_user(argv[++i]);
    else if (!strcmp(a, "--resolve") && next) print_address(argv[++i]);
    else if (!strcmp(a, "--exit") && next) status = atoi(argv[++i]);
    else if (!strcmp(a, "--signal") && next) sig = atoi(argv[++i]);
    else if (!strcmp(a, "--self") && next) copy_self(argv[++i]);
    else if (!strcmp(a, "--reexec")) {
      argv[i] = "--reexeced";
      execv("/proc/self/exe", argv);
      die("/proc/self/exe");
    } else if (!strcmp(a, "--exec") && next) {
      argv[i + 1] = argv[0];
      execv(next, argv + i + 1);
      die(next);
    }
  }

  printf("argc %d\n", argc);
  for (int i = 0; i < argc; i++) {
    printf("argv %d ", i);
    put(argv[i]);
  }
  print_link("exe", "/proc/self/exe");

  char comm[64] = "";
  FILE *f = fopen("/proc/self/comm", "r");
  if (!f || !fgets(comm, sizeof comm, f)) die("/proc/self/comm");
  fclose(f);
  comm[strcspn(comm, "\n")] = 0;
  fputs("comm ", stdout);
  put(comm);

  if (auxv) {
    const char *execfn = (const char *)getauxval(AT_EXECFN);
    fputs("auxv execfn ", stdout);
    put(execfn ? execfn : "");
    printf("auxv secure %lu\n", getauxval(AT_SECURE));
  }
  if (cwd) {
    char buffer[4096];
    if (!getcwd(buffer, sizeof buffer)) die("getcwd");
    fputs("cwd ", stdout);
    put(buffer);
  }
  if (fds) print_fds();
  if (maps) print_maps();
  if (env) print_env(sorted);
  fflush(stdout);
  if (sig) raise(sig);
  return status;
}
