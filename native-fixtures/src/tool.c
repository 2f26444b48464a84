/* bin/tool in the bin output, linked to the library in the out output. */
#include "tool-x.h"
#include <stdio.h>

int main(void) {
  char line[128];
  printf("tool, libtool-x %s\n", tool_x_version());
  if (tool_x_data(line, sizeof line)) {
    fprintf(stderr, "tool: the data file cannot be read\n");
    return 1;
  }
  printf("data: %s\n", line);
  return 0;
}
