#include <criterion/criterion.h>

#include "try.h"

static void
expect_rewrite(const char *pattern, const char *replacement, const char *path, const char *expected)
{
	struct try t;

	try_begin(&t, ROUTES({.path = pattern, .rewrite = replacement}));
	const char *result = try_rewrite(&t, path);
	if (expected == NULL)
		cr_expect_null(result, "%s became %s", path, result);
	else
		cr_expect(result != NULL && strcmp(result, expected) == 0, "%s became %s, not %s", path, result,
		    expected);
	try_end(&t);
}

Test(rewrite, what_matched_is_replaced)
{
	expect_rewrite("^/old", "/new", "/old/x", "/new/x");
	expect_rewrite("^/old/(.*)$", "/$1", "/old/x/y", "/x/y");
	expect_rewrite("^/(?<user>[^/]+)/(\\d+)", "/u/${user}/$2/${0}", "/ann/42/x", "/u/ann/42//ann/42/x");
	expect_rewrite("b", "B", "/abcb", "/aBcb");
	expect_rewrite("^/(a)?(b)?", "/[$1$2]", "/b", "/[b]");
	expect_rewrite("$", "/end", "/x", "/x/end");
	expect_rewrite("^", "/v1", "/x", "/v1/x");
	expect_rewrite("^/x", "/$$1", "/x", "/$1");
	expect_rewrite("^/api", "", "/api/x", "/x");
	expect_rewrite("^/no", "/new", "/old", NULL);
}

Test(rewrite, query)
{
	expect_rewrite("^/old", "/new", "/old?a=1&b=/old", "/new?a=1&b=/old");
	expect_rewrite("^/old", "/new", "/old?", "/new?");
	expect_rewrite("^/old/(\\d+)$", "/item?id=$1", "/old/7?a=1", "/item?id=7");
	expect_rewrite("^/old", "/new", "/old?../..", "/new?../..");
}

Test(rewrite, works_on_the_normal_form)
{
	expect_rewrite("^/old", "/new", "/x/..//%6fld/%2f", "/new/%2F");
	expect_rewrite("^/old", "/new", "/old/../else", NULL);
}

Test(rewrite, results_that_are_refused)
{
	expect_rewrite("^/old", "new", "/old/x", "failed");
	expect_rewrite("^/old$", "", "/old", "failed");
	/* The segment that the pattern cut in two would climb out of /files/. */
	expect_rewrite("^/img", "/files/", "/img../secret", "failed");
	expect_rewrite("^/img", "/files/", "/img./secret", "failed");
	expect_rewrite("^/img", "/files/../", "/img", "failed");
	expect_rewrite("^/img", "/files/", "/img..secret", "/files/..secret");
}

Test(rewrite, start_of_match_moved)
{
	expect_rewrite("^/a\\Kb", "X", "/abc", "/aXc");
}

Test(rewrite, length)
{
	struct try t;
	char out[9], path[] = "/aaaa?bc";
	struct sv result;
	bool failed;

	try_begin(&t, ROUTES({.path = "^/a", .rewrite = "/xy"}));
	cr_assert_eq(try_match(&t, "GET", "a.test", path), 0);
	cr_expect(route_rewrite(t.set, 0, t.scratch, &t.head, out, 9, &result, &failed));
	cr_expect(sv_eq(result, SV("/xyaaa?bc")));
	cr_expect_not(route_rewrite(t.set, 0, t.scratch, &t.head, out, 8, &result, &failed));
	cr_expect(failed);
	cr_expect_not(route_rewrite(t.set, ROUTE_NONE, t.scratch, &t.head, out, 9, &result, &failed));
	cr_expect_not(failed);
	try_end(&t);
}

Test(rewrite, more_groups_than_are_kept)
{
	struct try t;
	char pattern[400] = "^/";

	for (int i = 0; i < 70; i++)
		strncat(pattern, "(a)?", sizeof(pattern) - strlen(pattern) - 1);
	try_begin(&t, ROUTES({.path = pattern, .rewrite = "/x$63"}));
	char path[80] = "/";
	memset(path + 1, 'a', 70);
	cr_expect_str_eq(try_rewrite(&t, path), "/xa");
	try_end(&t);
	try_begin(&t, ROUTES({.path = pattern, .rewrite = "/x$64"}));
	cr_expect_null(t.set);
	try_end(&t);
}
