/* bin/both: each user library has its own libtwin.so.1 in its RUNPATH, but the
 * loader takes the first libtwin.so.1 it has loaded for both. */
#include <stdio.h>

const char *user_red(void);
const char *user_blue(void);

int main(void) {
  printf("user-red: %s\nuser-blue: %s\n", user_red(), user_blue());
  return 0;
}
