#include <criterion/criterion.h>

#include "base/nearest.h"

Test(nearest, finds_what_was_meant)
{
	const char *const words[] = {"address", "backlog", "tls", "redirect", "redirect_port", "at", "u"};

#define NEAREST(w) nearest_word(w, words, COUNTOF(words))
	cr_expect_str_eq(NEAREST("adress"), "address");
	cr_expect_str_eq(NEAREST("Address"), "address");
	cr_expect_str_eq(NEAREST("tsl"), "tls");
	cr_expect_str_eq(NEAREST("redirct_port"), "redirect_port");
	cr_expect_str_eq(NEAREST("back"), "backlog");
	cr_expect_null(NEAREST("name"));
	cr_expect_null(NEAREST(""));
	cr_expect_null(NEAREST("x"));
	cr_expect_null(NEAREST("a_name_that_is_much_longer_than_any_key_is"));
}
