/* One dlopened library; what it says is a compile-time define. With DATA it
 * adds the first line of a data file, named by absolute store path. */
#include <stdio.h>
#include <string.h>

const char *speak(void) {
#ifdef DATA
  static char text[256];
  char line[128] = "no data file";
  FILE *f = fopen(DATA, "r");
  if (f) {
    if (!fgets(line, sizeof line, f)) strcpy(line, "empty data file");
    fclose(f);
    line[strcspn(line, "\n")] = 0;
  }
  snprintf(text, sizeof text, "%s, %s", SAYS, line);
  return text;
#else
  return SAYS;
#endif
}
