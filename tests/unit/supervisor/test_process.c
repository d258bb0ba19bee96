#include <criterion/criterion.h>
#include <unistd.h>

#include "supervisor/privileges.h"
#include "supervisor/process.h"

Test(backoff, at_once_then_ever_slower)
{
	static const uint64_t expected[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct backoff b = {0};

	for (size_t i = 0; i < COUNTOF(expected); i++)
		cr_expect_eq(backoff_next(&b, 29999), expected[i], "start %zu", i);
}

Test(backoff, a_worker_that_lived_makes_it_forget)
{
	struct backoff b = {0};

	for (int i = 0; i < 5; i++)
		(void)backoff_next(&b, 10);
	cr_expect_eq(backoff_next(&b, 30000), 0);
	cr_expect_eq(backoff_next(&b, 10), 100);
}

Test(identity, root_becomes_nobody)
{
	struct identity id;
	struct err err = {""};

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(identity_find(&id, NULL, NULL, &err), "%s", err.text);
	cr_expect(id.change);
	cr_expect_neq(id.uid, 0);
	cr_expect_neq(id.gid, 0);
}

Test(identity, by_number)
{
	struct identity id;
	struct err err = {""};

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(identity_find(&id, "12345", "23456", &err), "%s", err.text);
	cr_expect_eq(id.uid, 12345);
	cr_expect_eq(id.gid, 23456);
}

Test(identity, who_does_not_exist_is_named)
{
	struct identity id;
	struct err err = {""};

	cr_expect(!identity_find(&id, "no-such-user", NULL, &err));
	cr_expect_not_null(strstr(err.text, "no-such-user"));
	cr_expect(!identity_find(&id, NULL, "no-such-group", &err));
	cr_expect_not_null(strstr(err.text, "no-such-group"));
}

/* Each test is a process of its own, so this one may give up its rights. */
Test(identity, there_is_no_way_back)
{
	struct identity id;
	struct err err = {""};

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(identity_find(&id, "12345", "23456", &err), "%s", err.text);
	cr_assert(identity_take(&id, &err), "%s", err.text);
	cr_expect_eq(getuid(), 12345);
	cr_expect_eq(getegid(), 23456);
	cr_expect_eq(getgroups(0, NULL), 0);
	cr_expect_neq(setuid(0), 0);
	cr_expect_neq(seteuid(0), 0);
	cr_assert(identity_find(&id, "0", NULL, &err));
	cr_expect(!identity_is_possible(&id, &err), "only root may run as another");
	cr_expect_not_null(strstr(err.text, "start as root"));
}
