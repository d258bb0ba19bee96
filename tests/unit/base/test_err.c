#include <criterion/criterion.h>
#include <stdio.h>

#include "base/err.h"

Test(err, set_and_prefix)
{
	struct err err = {""};

	cr_expect_not(err_set(&err, "port %d is taken", 80));
	cr_expect_str_eq(err.text, "port 80 is taken");
	cr_expect_not(err_prefix(&err, "listener %s", "*:80"));
	cr_expect_str_eq(err.text, "listener *:80: port 80 is taken");
	cr_expect_not(err_no_memory(&err));
	cr_expect_str_eq(err.text, "out of memory");
}

Test(err, null_is_nobody_who_asks)
{
	cr_expect_not(err_set(NULL, "x"));
	cr_expect_not(err_prefix(NULL, "x"));
	cr_expect_not(err_no_memory(NULL));
}

Test(err, long_texts_are_cut)
{
	char text[2000];
	struct err err;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, "%s", text);
	cr_expect_eq(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "%s", text);
	cr_expect_lt(strlen(err.text), sizeof(err.text));
}
