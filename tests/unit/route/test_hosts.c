#include <criterion/criterion.h>
#include <stdio.h>

#include "route/hosts.h"

static const char *const three[] = {"a.b.c", "other.test"};
static const char *const suffix[] = {"*.b.c"};
static const char *const wide[] = {"*.c"};

static struct conf_site sites[] = {
	{.names = {(const char **)wide, 1}},
	{.names = {(const char **)suffix, 1}},
	{.names = {(const char **)three, 2}},
	{.names = {NULL, 0}, .is_default = true},
};

static int
find(const struct conf *conf, const char *host)
{
	struct host_index *index = host_index_new(conf);

	cr_assert_not_null(index);
	int site = host_index_find(index, sv_cstr(host));
	host_index_free(index);
	return site;
}

Test(hosts, exact_then_longest_suffix_then_default)
{
	struct conf conf = {.sites = sites, .n_sites = 4};

	cr_expect_eq(find(&conf, "a.b.c"), 2);
	cr_expect_eq(find(&conf, "other.test"), 2);
	cr_expect_eq(find(&conf, "z.b.c"), 1);
	cr_expect_eq(find(&conf, "x.y.b.c"), 1, "a wildcard covers any depth");
	cr_expect_eq(find(&conf, "x.a.b.c"), 1, "an exact name covers nothing below it");
	cr_expect_eq(find(&conf, "b.c"), 0, "a wildcard does not cover its own suffix");
	cr_expect_eq(find(&conf, "d.c"), 0);
	cr_expect_eq(find(&conf, "c"), 3);
	cr_expect_eq(find(&conf, "xb.c"), 0, "a suffix begins at a dot");
	cr_expect_eq(find(&conf, "elsewhere.test"), 3);
	cr_expect_eq(find(&conf, ""), 3);
}

Test(hosts, nothing_without_a_default)
{
	struct conf conf = {.sites = sites, .n_sites = 3};
	struct conf empty = {0};

	cr_expect_eq(find(&conf, "elsewhere.test"), -1);
	cr_expect_eq(find(&conf, "c"), -1);
	cr_expect_eq(find(&empty, "a.b.c"), -1);
}

Test(hosts, one_name_can_be_exact_and_a_suffix)
{
	const char *both[] = {"b.c"};
	struct conf_site two[] = {{.names = {both, 1}}, {.names = {(const char **)suffix, 1}}};
	struct conf conf = {.sites = two, .n_sites = 2};

	cr_expect_eq(find(&conf, "b.c"), 0);
	cr_expect_eq(find(&conf, "a.b.c"), 1);
	cr_expect_eq(find(&conf, "c"), -1);
}

Test(hosts, first_of_two_sites_with_a_name)
{
	struct conf_site two[] = {{.names = {(const char **)three, 2}}, {.names = {(const char **)three, 2}}};
	struct conf conf = {.sites = two, .n_sites = 2};

	cr_expect_eq(find(&conf, "a.b.c"), 0);
}

Test(hosts, ten_thousand_sites)
{
	enum { N = 10000 };
	static char text[N][2][32];
	static const char *names[N][2];
	static struct conf_site many[N];

	for (int i = 0; i < N; i++) {
		snprintf(text[i][0], sizeof(text[i][0]), "site%d.test", i);
		snprintf(text[i][1], sizeof(text[i][1]), "*.site%d.test", i);
		names[i][0] = text[i][0];
		names[i][1] = text[i][1];
		many[i].names = (struct conf_strings){names[i], 2};
	}
	struct conf conf = {.sites = many, .n_sites = N};
	struct host_index *index = host_index_new(&conf);
	cr_assert_not_null(index);
	for (int i = 0; i < N; i++) {
		char below[64];
		snprintf(below, sizeof(below), "a.b.site%d.test", i);
		cr_assert_eq(host_index_find(index, sv_cstr(text[i][0])), i);
		cr_assert_eq(host_index_find(index, sv_cstr(below)), i);
	}
	cr_expect_eq(host_index_find(index, SV("site10000.test")), -1);
	host_index_free(index);
}

static void
expect_normal(const char *host, const char *expected)
{
	char out[HOST_MAX + 1];
	struct sv normal;

	if (!host_normalize(sv_cstr(host), out, sizeof(out), &normal))
		cr_expect_null(expected, "%s was refused", host);
	else
		cr_expect(expected != NULL && sv_eq(normal, sv_cstr(expected)), "%s became %.*s", host, SV_FMT(normal));
}

Test(hosts, normal_form)
{
	expect_normal("Shop.Example", "shop.example");
	expect_normal("shop.example.", "shop.example");
	expect_normal("xn--bcher-kva.example", "xn--bcher-kva.example");
	expect_normal("_srv.a-b.test", "_srv.a-b.test");
	expect_normal("127.0.0.1", "127.0.0.1");
	expect_normal("[::1]", "[::1]");
	expect_normal("[2001:DB8:0::0001]", "[2001:db8::1]");
}

Test(hosts, what_is_no_host_name)
{
	static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a..", "*.a.test", "a b", "a/b", "a:80",
	    "\xc3\xbc.test", "a\rb", "[]", "[::1", "[::1]x", "[1.2.3.4]", "[fe80::1%eth0]", "::1", "a,b", "[::1\n]"};

	for (size_t i = 0; i < COUNTOF(bad); i++)
		expect_normal(bad[i], NULL);
}

Test(hosts, lengths)
{
	char out[HOST_MAX + 1], host[300];
	struct sv normal;

	memset(host, 'a', sizeof(host));
	cr_expect(host_normalize(sv_of(host, 63), out, sizeof(out), &normal));
	cr_expect_not(host_normalize(sv_of(host, 64), out, sizeof(out), &normal), "a label has at most 63 bytes");
	for (size_t i = 49; i < sizeof(host); i += 50)
		host[i] = '.';
	cr_expect(host_normalize(sv_of(host, 253), out, sizeof(out), &normal));
	cr_expect_eq(normal.n, 253);
	cr_expect_not(host_normalize(sv_of(host, 254), out, sizeof(out), &normal), "a name has at most 253 bytes");
	cr_expect_not(host_normalize(SV("abcd"), out, 4, &normal), "no room for the NUL");
	cr_expect_not(host_normalize(SV("[::1]"), out, 5, &normal));
	cr_expect(host_normalize(SV("[::1]"), out, 6, &normal));
	cr_expect_not(host_normalize(sv_of("a\0b", 3), out, sizeof(out), &normal));
}
