/* bin/red and bin/blue: linked to one libtwin.so.1 each. */
#include <stdio.h>

const char *twin_colour(void);

int main(void) {
  puts(twin_colour());
  return 0;
}
