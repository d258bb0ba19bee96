/* dates.c: moments in a config: "2026-12-31", or to the second, "2026-12-31T18:00:00Z". Always UTC. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conf/keys.h"

enum { DAY_S = 24 * 3600 };

/* Exactly `n` digits. */
static bool
number(const char **at, unsigned n, int *out)
{
	*out = 0;
	for (unsigned i = 0; i < n; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

static bool
mark(const char **at, char c)
{
	return *(*at)++ == c;
}

/* The date as it stands, and of a day that there is: timegm() would make the 31st of February one in March. */
static bool
seconds(struct tm *tm, int64_t *out)
{
	const struct tm given = *tm;

	*out = timegm(tm);
	return tm->tm_mday == given.tm_mday && tm->tm_mon == given.tm_mon &&
	    tm->tm_hour == given.tm_hour && tm->tm_min == given.tm_min &&
	       tm->tm_sec == given.tm_sec;
}

/* *day: it is a day, not a moment of it. */
static bool
parse(const char *text, int64_t *out, bool *day)
{
	struct tm tm = {0};

	if (!number(&text, 4, &tm.tm_year) || !mark(&text, '-') || !number(&text, 2, &tm.tm_mon) || !mark(&text, '-') ||
	    !number(&text, 2, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*day = *text == '\0';
	if (*day)
		return seconds(&tm, out);
	return mark(&text, 'T') && number(&text, 2, &tm.tm_hour) && mark(&text, ':') &&
	    number(&text, 2, &tm.tm_min) && mark(&text, ':') &&
	       number(&text, 2, &tm.tm_sec) && mark(&text, 'Z') && *text == '\0' && seconds(&tm, out);
}

bool
check_date(const char *value, struct err *err)
{
	int64_t at;
	bool day;

	return parse(value, &at, &day) ||
	       err_set(err, "is no date: write \"2026-12-31\", or \"2026-12-31T18:00:00Z\" for a moment of it (UTC)");
}

int64_t
conf_pin_from(const struct conf_pin *p)
{
	int64_t at;
	bool day;

	return p->from != NULL && parse(p->from, &at, &day) ? at : INT64_MIN;
}

int64_t
conf_pin_until(const struct conf_pin *p)
{
	int64_t at;
	bool day = false;

	if (p->until == NULL || !parse(p->until, &at, &day))
		return INT64_MAX;
	return day ? at + DAY_S : at;
}
