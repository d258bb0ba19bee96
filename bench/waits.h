/* waits.h: how long a handshake waits for a lock that the background thread takes now and then. */
#ifndef BASCULE_BENCH_WAITS_H
#define BASCULE_BENCH_WAITS_H

#include <stdint.h>

uint64_t waits_now_ns(void);

/*
 * `work` over and over, for a second and three times at least, while another thread does what a handshake does, for each of
 * so many clients in turn; prints how long that took it. It ends the program when no thread can be had.
 */
void waits_measure(const char *what, void (*work)(void), void (*visit)(unsigned i), unsigned clients);

/* The work to compare with. */
void waits_nothing(void);

#endif
