/*
 * steady.h: a wall clock that does not leap.
 *
 * Dates decide whether the previous generation may still be served, and who has been away for too long to be waited for. A
 * machine whose clock is set to next year by mistake would end its rotations, and those who need the generation before
 * would be left without. So a leap ahead is believed when it has stood for an hour; until then time goes on by the
 * monotonic clock. What goes back is believed at once: it ends nothing. But who was seen before a leap that is believed was not
 * seen so much longer ago: the clock may have been behind until then. What is dated is to be moved along. No lock of its own.
 */
#ifndef BASCULE_ROTATION_STEADY_H
#define BASCULE_ROTATION_STEADY_H

#include "rotation/rotation.h"

enum { STEADY_LEAP_S = 24 * 3600, STEADY_BELIEVED_MS = 3600 * 1000 };

struct steady {
	int64_t wall;      /* seconds of the epoch, as last believed; 0: never asked */
	uint64_t ms;       /* monotonic, then */
	uint64_t leapt_ms; /* monotonic: since when it has been ahead; 0: it is not */
	bool believed;     /* it has been so for long enough */
	int64_t leapt_s;   /* at this call it leapt so far; 0: it did not */
};

int64_t steady_wall(struct steady *s, struct moment now);

#endif
