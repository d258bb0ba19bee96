/*
 * held.h: a loop that runs in a thread of its own and stands still while the test looks at it.
 *
 * Between two turns the loop's thread waits inside a message, so the test may call and read whatever belongs to the loop
 * as if from one of its callbacks. HELD_UNTIL lets turns go by; it is bounded, so no test hangs.
 */
#ifndef BASCULE_TEST_NET_HELD_H
#define BASCULE_TEST_NET_HELD_H

#include "net/loop.h"

/* A new loop; one of the caller's own. Held from now on. */
struct net_loop *held_new(void);
void held_start(struct net_loop *loop);

/* Let it go, and hold it again in a later turn. */
void held_turn(void);
void held_turns(unsigned n);

/* Stop it and wait for its thread; _end() frees the loop, too. */
void held_stop(void);
void held_end(void);

/* After a while the test fails, naming what did not come. */
void held_expect_soon(uint64_t since_ms, const char *what);
uint64_t held_now(void);

#define HELD_UNTIL(condition)                                        \
	do {                                                         \
		uint64_t held_since = held_now();                    \
		while (!(condition)) {                               \
			held_expect_soon(held_since, #condition);    \
			held_turn();                                 \
		}                                                    \
	} while (0)

#endif
