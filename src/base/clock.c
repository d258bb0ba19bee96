#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t
clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
clock_text(uint64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
	time_t sec = (time_t)(wall_us / 1000000);
	struct tm tm;
	char date[24];

	if (gmtime_r(&sec, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		date[0] = '\0';
	(void)snprintf(out, CLOCK_TEXT_SIZE, "%s.%03uZ", date, (unsigned)(wall_us / 1000 % 1000));
}

const char *
clock_duration(uint64_t ms, char out[CLOCK_DURATION_SIZE])
{
	static const struct {
		uint64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = ms == 0 ? 3 : 0; /* nothing is 0 of any unit: of seconds */

	while (ms % units[i].ms != 0)
		i++;
	(void)snprintf(out, CLOCK_DURATION_SIZE, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
	return out;
}
