/* Opens libraries at run time in the four ways packages do:
 *   - a plugin of its own package, by absolute store path,
 *   - a plugin of another package, by absolute store path,
 *   - a library by soname, found through RUNPATH (the name is only in .rodata),
 *   - a library by soname that a .note.dlopen also names.
 * Prints what each gave; says which one is missing and exits 1. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

/* https://uapi-group.org/specifications/specs/elf_dlopen_metadata/ */
#define NOTE_JSON                                                         \
  "[{\"feature\":\"noted\",\"description\":\"Notes, when asked for\","    \
  "\"priority\":\"recommended\",\"soname\":[\"libnoted.so.1\"]}]"
static const struct {
  struct { uint32_t namesz, descsz, type; } header;
  char owner[4];
  char json[(sizeof NOTE_JSON + 3) / 4 * 4];
} dlopen_note __attribute__((used, aligned(4), section(".note.dlopen"))) = {
    {sizeof "FDO", sizeof NOTE_JSON, 0x407c0c0a}, "FDO", NOTE_JSON};

static int load(const char *what, const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    printf("%s: missing\n", what);
    fprintf(stderr, "plugin-host: %s: %s\n", what, dlerror());
    return 1;
  }
  const char *(*speak)(void) = (const char *(*)(void))dlsym(library, "speak");
  if (!speak) {
    fprintf(stderr, "plugin-host: %s: %s\n", what, dlerror());
    return 1;
  }
  printf("%s: %s\n", what, speak());
  return 0;
}

int main(void) {
  int missing = 0;
  missing += load("hello", HELLO);
  missing += load("extra", EXTRA);
  missing += load("codec", "libcodec.so.1");
  missing += load("noted", "libnoted.so.1");
  return missing ? 1 : 0;
}
