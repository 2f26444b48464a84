#pragma once
/* Writes the first line of the package's data file into line. */
int tool_x_data(char *line, unsigned long size);
const char *tool_x_version(void);
