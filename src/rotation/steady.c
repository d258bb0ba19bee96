#include "rotation/steady.h"

int64_t
steady_wall(struct steady *s, struct moment now)
{
	/* Threads take the time before they take the lock. */
	uint64_t passed = now.ms > s->ms ? now.ms - s->ms : 0;
	int64_t expected = s->wall + (int64_t)(passed / 1000);
	bool leaps = s->wall != 0 && now.wall - expected > STEADY_LEAP_S;

	if (leaps && !s->believed) {
		s->leapt_s = 0;
		if (s->leapt_ms == 0)
			s->leapt_ms = now.ms;
		s->believed = now.ms >= s->leapt_ms + STEADY_BELIEVED_MS; /* from the next call on */
		return expected;
	}
	*s = (struct steady){.wall = now.wall, .ms = now.ms, .leapt_s = leaps ? now.wall - expected : 0};
	return now.wall;
}
