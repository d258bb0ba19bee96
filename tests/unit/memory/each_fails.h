/*
 * each_fails.h: a piece of work with its first allocation failing, its second, and so on.
 */
#ifndef BASCULE_TEST_EACH_FAILS_H
#define BASCULE_TEST_EACH_FAILS_H

#include <stdbool.h>

/*
 * Call `fn` until it meets no failure; with one allocation failing, and with all from there; of those that are ours, and of
 * all. It says whether it did its work. Each time it must have given back all that it took. `expected`: so often, at the
 * least, it must have noticed where libraries' allocations failed, too.
 */
void each_fails_every_way(const char *what, bool (*fn)(void), long expected);

#endif
