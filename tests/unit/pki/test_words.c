#include <criterion/criterion.h>
#include <string.h>

#include "pki/words.h"

enum { DAY = 86400, HOUR = 3600 };

Test(words, what_is_left)
{
	static const struct {
		int64_t from, to;
		const char *text;
	} rows[] = {
		{-DAY, 3 * DAY, "expires in 3 days"},
		{-DAY, 3 * DAY - 1, "expires in 2 days"},
		{-DAY, DAY, "expires in 1 day"},
		{-DAY, DAY - 1, "expires in 23 hours"},
		{-DAY, HOUR, "expires in 1 hour"},
		{-DAY, 120, "expires in 2 minutes"},
		{-DAY, 59, "expires in less than a minute"},
		{-DAY, 0, "expires in less than a minute"},
		{-DAY, -1, "expired less than a minute ago"},
		{-9 * DAY, -2 * DAY, "expired 2 days ago"},
		{-9 * DAY, -HOUR, "expired 1 hour ago"},
		{2 * DAY, 9 * DAY, "not valid for another 2 days"},
	};
	char text[LEFT_TEXT];

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		left_text(1000000 + rows[i].from, 1000000 + rows[i].to, 1000000, text);
		cr_expect_str_eq(text, rows[i].text);
	}
}

/* What has expired a second ago has not "0 days left". */
Test(words, days_are_rounded_down)
{
	cr_expect_eq(days_left(DAY, 0), 1);
	cr_expect_eq(days_left(DAY - 1, 0), 0);
	cr_expect_eq(days_left(0, 0), 0);
	cr_expect_eq(days_left(-1, 0), -1);
	cr_expect_eq(days_left(-DAY, 0), -1);
	cr_expect_eq(days_left(-DAY - 1, 0), -2);
}

Test(words, dates_and_fingerprints)
{
	char date[DATE_TEXT], print[FINGERPRINT_TEXT];
	unsigned char digest[32] = {0xab, 0x01, [31] = 0xff};

	date_text(0, date);
	cr_expect_str_eq(date, "1970-01-01 00:00:00 UTC");
	date_text(INT64_MAX, date);
	cr_expect_str_eq(date, "");
	fingerprint_text(digest, print);
	cr_expect_eq(strlen(print), 95);
	cr_expect(strncmp(print, "AB:01:00:", 9) == 0 && strcmp(print + 90, "00:FF") == 0);
}
