/* libuser-red.so and libuser-blue.so: each needs a libtwin.so.1 of its own. */
const char *twin_colour(void);
const char *USER(void) { return twin_colour(); }
