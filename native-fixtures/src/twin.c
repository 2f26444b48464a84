/* libtwin.so.1 of twin-red and twin-blue: one soname, two contents. */
const char *twin_colour(void) { return COLOUR; }
