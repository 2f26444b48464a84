/* A multi-call program: the name it was started by chooses the applet. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  const char *slash = argc ? strrchr(argv[0], '/') : NULL;
  const char *name = slash ? slash + 1 : argc ? argv[0] : "";
  static const char *const known[] = {"multicall", "alpha", "beta", "gamma", "delta", "epsilon"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(name, known[i])) continue;
    printf("applet %s\n", name);
    for (int a = 1; a < argc; a++) printf("argument %d %s\n", a, argv[a]);
    return 0;
  }
  fprintf(stderr, "multicall: no applet called %s\n", name);
  return 1;
}
