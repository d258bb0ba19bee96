#include "pki/words.h"

#include <stdio.h>
#include <time.h>

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

void
date_text(int64_t at, char out[DATE_TEXT])
{
	time_t seconds = (time_t)at;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, DATE_TEXT, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		out[0] = '\0';
}

/* "3 days": the largest unit that fits, rounded down. */
static void
span_text(int64_t s, char *out, size_t size)
{
	int64_t unit = s >= DAY_S ? DAY_S : s >= HOUR_S ? HOUR_S : MINUTE_S;
	const char *word = s >= DAY_S ? "day" : s >= HOUR_S ? "hour" : "minute";

	if (s < MINUTE_S)
		(void)snprintf(out, size, "less than a minute");
	else
		(void)snprintf(out, size, "%lld %s%s", (long long)(s / unit), word, s / unit == 1 ? "" : "s");
}

void
left_text(int64_t not_before, int64_t not_after, int64_t now, char out[LEFT_TEXT])
{
	char span[40];

	if (now > not_after) {
		span_text(now - not_after, span, sizeof(span));
		(void)snprintf(out, LEFT_TEXT, "expired %s ago", span);
	} else if (now < not_before) {
		span_text(not_before - now, span, sizeof(span));
		(void)snprintf(out, LEFT_TEXT, "not valid for another %s", span);
	} else {
		span_text(not_after - now, span, sizeof(span));
		(void)snprintf(out, LEFT_TEXT, "expires in %s", span);
	}
}

int64_t
days_left(int64_t not_after, int64_t now)
{
	int64_t s = not_after - now;

	return s >= 0 ? s / DAY_S : -1 - (-s - 1) / DAY_S;
}

void
fingerprint_text(const unsigned char sha256[32], char out[FINGERPRINT_TEXT])
{
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(out + i * 3, i < 31 ? 4 : 3, i < 31 ? "%02X:" : "%02X", sha256[i]);
}
