/*
 * pages.h: memory that is asked for in one piece, of which mostly little is used.
 */
#ifndef BASCULE_BASE_PAGES_H
#define BASCULE_BASE_PAGES_H

#include <stddef.h>

/*
 * malloc(), but what earlier users of that memory have left behind takes no room: a page comes when it is written to. A
 * system call, so it is for what is large and long-lived. NULL: no memory.
 */
void *pages_malloc(size_t n);

#endif
