#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"

Test(clock, text)
{
	static const struct {
		uint64_t wall_us;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {999, "1970-01-01T00:00:00.000Z"},
	    {1795256430123456, "2026-11-21T10:20:30.123Z"},
	    {951782399999999, "2000-02-28T23:59:59.999Z"},
	    {951782400000000, "2000-02-29T00:00:00.000Z"},
	};
	char text[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		clock_text(cases[i].wall_us, text);
		cr_expect_str_eq(text, cases[i].text);
	}
	clock_text(UINT64_MAX, text);
	cr_expect_lt(strlen(text), sizeof(text), "any number is safe");
}

Test(clock, duration)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
	    {0, "0s"}, {1, "1ms"}, {999, "999ms"}, {1000, "1s"}, {1500, "1500ms"}, {10000, "10s"}, {60000, "1m"},
	    {90000, "90s"}, {3600000, "1h"}, {86400000, "1d"}, {90000000, "25h"}, {UINT64_MAX, "18446744073709551615ms"},
	};
	char text[CLOCK_DURATION_SIZE];

	for (size_t i = 0; i < COUNTOF(cases); i++)
		cr_expect_str_eq(clock_duration(cases[i].ms, text), cases[i].text);
}

Test(clock, never_goes_back)
{
	uint64_t before = clock_mono_ms();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono_ms();
		cr_expect_geq(now, before);
		before = now;
	}
	cr_expect_gt(clock_wall_us(), 0);
}
