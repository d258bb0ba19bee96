/*
 * clock.h: time in milliseconds.
 *
 * Durations and deadlines are in the monotonic clock; only what a person or
 * another machine reads is in wall-clock time.
 */
#ifndef BASCULE_BASE_CLOCK_H
#define BASCULE_BASE_CLOCK_H

#include "base/defs.h"

/* Milliseconds since an arbitrary moment; never goes back. A vDSO call; a loop caches it per turn. */
uint64_t clock_mono_ms(void);

/* Microseconds since the epoch, wall clock. */
uint64_t clock_wall_us(void);

enum { CLOCK_TEXT_SIZE = 32 };

/* "2026-11-21T10:20:30.123Z" into `out`. */
void clock_text(uint64_t wall_us, char out[CLOCK_TEXT_SIZE]);

enum { CLOCK_DURATION_SIZE = 24 };

/* A duration as the config writes it, in the largest unit that leaves no rest: "10s", "90s", "1500ms", "0s". */
const char *clock_duration(uint64_t ms, char out[CLOCK_DURATION_SIZE]);

#endif
