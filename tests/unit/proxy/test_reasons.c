#include <criterion/criterion.h>
#include <string.h>

#include "proxy/reasons.h"

Test(reasons, each_has_a_name_of_its_own_and_a_text)
{
	for (int i = 0; i < CLOSE_REASONS_N; i++) {
		const char *name = close_reason_name(i);
		cr_assert_not_null(name);
		cr_expect_gt(strlen(name), 0);
		/* A label of the metrics. */
		cr_expect_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
		cr_expect_gt(strlen(close_reason_text(i)), 0, "%s", name);
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(name, close_reason_name(k));
	}
}

Test(reasons, what_is_an_error)
{
	cr_expect_str_eq(close_reason_name(CLOSE_CLIENT), "client");
	cr_expect_eq(CLOSE_CLIENT, 0, "a zeroed connection has no other reason");
	cr_expect_not(close_reason_is_error(CLOSE_CLIENT));
	cr_expect_not(close_reason_is_error(CLOSE_IDLE));
	cr_expect_not(close_reason_is_error(CLOSE_DRAIN));
	cr_expect(close_reason_is_error(CLOSE_HANDSHAKE));
	cr_expect(close_reason_is_error(CLOSE_MALFORMED));
	cr_expect(close_reason_is_error(CLOSE_ORIGIN_BROKE));
	cr_expect(close_reason_is_error(CLOSE_NO_MEMORY));
	cr_expect_str_eq(close_reason_name(CLOSE_NO_MEMORY), "no_memory");
}
