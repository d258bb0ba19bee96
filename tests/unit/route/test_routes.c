#include <criterion/criterion.h>

#include "try.h"

Test(routes, none)
{
	struct try t;

	try_begin(&t, NULL, 0);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), ROUTE_NONE);
	try_end(&t);
}

Test(routes, first_path_that_matches)
{
	struct try t;

	try_begin(&t, ROUTES({.path = "^/api/v1/"}, {.path = "^/api/"}, {.path = "\\.php$"}));
	cr_expect_eq(try_match(&t, "GET", "a.test", "/api/v1/x"), 0);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/api/x?y=/api/v1/"), 1);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/x/api/"), ROUTE_NONE);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/deep/index.php?q"), 2, "the query is no part of the path");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/index?x.php"), ROUTE_NONE);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/API/"), ROUTE_NONE, "a path has case");
	cr_expect_eq(try_match(&t, "OPTIONS", "a.test", "*"), ROUTE_NONE);
	try_end(&t);
}

Test(routes, one_path_in_any_spelling)
{
	static const char *const spellings[] = {"/admin/x", "//admin/x", "/%61dmin/x", "/./admin/x", "/a/../admin/x",
	    "/a/%2e%2e/admin/x", "/a/..//admin/./x?q"};
	struct try t;

	try_begin(&t, ROUTES({.path = "^/admin/"}));
	for (size_t i = 0; i < COUNTOF(spellings); i++)
		cr_expect_eq(try_match(&t, "GET", "a.test", spellings[i]), 0, "%s", spellings[i]);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/admin/../public"), ROUTE_NONE);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/public?/../admin/"), ROUTE_NONE);
	try_end(&t);
}

Test(routes, host_and_method)
{
	struct try t;
	const char *methods[] = {"GET", "HEAD"};

	try_begin(&t, ROUTES({.host = "^Shop\\."}, {.methods = {methods, 2}, .path = "^/x"}, {.methods = {methods,
	    1}}));
	cr_expect_eq(try_match(&t, "POST", "shop.test", "/x"), 0, "hosts have no case");
	cr_expect_eq(try_match(&t, "HEAD", "a.test", "/x"), 1);
	cr_expect_eq(try_match(&t, "HEAD", "a.test", "/y"), ROUTE_NONE);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/y"), 2);
	cr_expect_eq(try_match(&t, "get", "a.test", "/y"), ROUTE_NONE, "methods have case");
	cr_expect_eq(try_match(&t, "POST", "a.test", "/x"), ROUTE_NONE);
	cr_expect_eq(try_match(&t, "GET", "", "/y"), 2);
	try_end(&t);
}

static void
add(struct try *t, const char *name, const char *value)
{
	cr_assert(http_head_add(&t->head, sv_cstr(name), sv_cstr(value)));
}

Test(routes, fields)
{
	struct try t;
	struct conf_match both[] = {{"X-Plan", "^gold$"}, {"User-Agent", "curl"}};
	struct conf_match upgrade[] = {{"upgrade", "websocket"}};

	try_begin(&t, ROUTES({.headers = both, .n_headers = 2}, {.headers = upgrade, .n_headers = 1}));
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), ROUTE_NONE);
	add(&t, "x-plan", "gold");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), ROUTE_NONE, "all conditions must hold");
	add(&t, "x-plan", "gold");
	add(&t, "User-Agent", "curl/8");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), 0);
	add(&t, "x-plan", "silver");
	add(&t, "X-Plan", "gold");
	add(&t, "User-Agent", "curl/8");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), 0, "one of several lines is enough");
	add(&t, "x-plan", "gold");
	add(&t, "User-Agent", "curl/8");
	http_head_drop_name(&t.head, SV("x-plan"));
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), ROUTE_NONE, "a field that was removed does not count");
	add(&t, "Upgrade", "websocket");
	add(&t, "Connection", "upgrade");
	cr_assert(http_head_strip(&t.head));
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), 1, "a hop-by-hop field counts");
	try_end(&t);
}

Test(routes, forwarding_fields_that_were_removed_do_not_count)
{
	struct try t;
	struct conf_match inside[] = {{"X-Forwarded-For", "^10\\."}};

	try_begin(&t, ROUTES({.headers = inside, .n_headers = 1}));
	add(&t, "X-Forwarded-For", "10.0.0.1");
	http_head_drop(&t.head, HTTP_X_FORWARDED_FOR);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), ROUTE_NONE);
	try_end(&t);
}

Test(routes, bytes_not_utf8)
{
	struct try t;
	struct conf_match any[] = {{"X-Name", "^.\xc3$"}};

	try_begin(&t, ROUTES({.headers = any, .n_headers = 1}));
	add(&t, "X-Name", "\xff\xc3");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/"), 0);
	try_end(&t);
}

/* The next route would allow what the first one may forbid: so neither is taken. */
Test(routes, runaway_pattern_fails)
{
	struct try t;
	char path[4096] = "/";

	memset(path + 1, 'a', sizeof(path) - 3);
	path[sizeof(path) - 2] = '!';
	path[sizeof(path) - 1] = '\0';
	try_begin(&t, ROUTES({.path = "^/(a+)+$"}, {.path = "^/"}));
	for (int i = 0; i < 20; i++)
		cr_assert_eq(try_match(&t, "GET", "a.test", path), ROUTE_FAILED);
	/* This one would end, after some hundred thousand steps. */
	cr_expect_eq(try_match(&t, "GET", "a.test", "/aaaaaaaaaaaaaaaaaaaa!"), ROUTE_FAILED);
	cr_expect_eq(try_match(&t, "GET", "a.test", "/aaaa"), 0, "the scratch is good for the next request");
	cr_expect_eq(try_match(&t, "GET", "a.test", "/b"), 1);
	try_end(&t);
}

Test(routes, deep_recursion_fails)
{
	struct try t;
	char path[60000] = "/";

	memset(path + 1, '(', sizeof(path) - 2);
	path[sizeof(path) - 1] = '\0';
	try_begin(&t, ROUTES({.path = "^/(\\((?1)*\\))+$"}));
	int route = try_match(&t, "GET", "a.test", path);
	cr_expect(route == ROUTE_FAILED || route == ROUTE_NONE);
	try_end(&t);
}

/* Long paths, each needing a copy that is longer than the last. */
Test(routes, copies_grow)
{
	struct try t;
	static char path[20001];

	try_begin(&t, ROUTES({.path = "^/a+/b$"}));
	for (size_t n = 10; n < sizeof(path); n = n * 2) {
		memset(path, 'a', n);
		memcpy(path, "//", 2);
		memcpy(path + n - 2, "/b", 3);
		cr_assert_eq(try_match(&t, "GET", "a.test", path), 0, "%zu", n);
	}
	try_end(&t);
}

static void
expect_refused(struct conf_route *routes, size_t n, const char *why)
{
	struct try t;

	try_begin(&t, routes, n);
	cr_expect_null(t.set, "not refused: %s", why);
	cr_expect_not_null(strstr(try_problems(&t), why), "%s", try_problems(&t));
	try_end(&t);
}

Test(routes, refusals)
{
	const char *method[] = {"G T"};
	struct conf_match field[] = {{"X Plan", "x"}};
	struct conf_match pattern[] = {{"X-Plan", "x{2,1}"}};

	expect_refused(ROUTES({.path = "^/"}, {.path = "^/(a"}), "test.json:11:3: path: pattern \"^/(a\"");
	expect_refused(ROUTES({.host = "["}), "test.json:10:3: host: ");
	expect_refused(ROUTES({.path = "(*UTF)^/"}), "path: ");
	expect_refused(ROUTES({.methods = {method, 1}}), "methods: ");
	expect_refused(ROUTES({.headers = field, .n_headers = 1}), "headers: \"X Plan\"");
	expect_refused(ROUTES({.headers = pattern, .n_headers = 1}), "headers: pattern");
	expect_refused(ROUTES({.rewrite = "/x"}), "rewrite: ");
	expect_refused(ROUTES({.path = "^/(a)", .rewrite = "/$2"}), "rewrite: the pattern has no group \"2\"");
	expect_refused(ROUTES({.path = "^/(?<n>a)", .rewrite = "/${m}"}), "rewrite: the pattern has no group \"m\"");
	expect_refused(ROUTES({.path = "^/", .rewrite = "/a b"}), "rewrite: ");
	expect_refused(ROUTES({.path = "^/", .rewrite = "/a#b"}), "rewrite: ");
	expect_refused(ROUTES({.path = "^/", .rewrite = "/a\r\nX: y"}), "rewrite: ");
	expect_refused(ROUTES({.path = "^/", .rewrite = "/\xc3\xa4"}), "rewrite: ");
}

Test(routes, all_faults_are_reported)
{
	struct try t;

	try_begin(&t, ROUTES({.path = "("}, {.host = "("}, {.path = "^/", .rewrite = "$"}));
	cr_expect_eq(t.problems.errors, 3);
	try_end(&t);
}
