/* What single values can not tell: references, doubles, contradictions. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "try.h"

TRY_SUITE(conf_check);

#define UPSTREAM ", \"upstreams\": { \"nodes\": { \"servers\": [ \"h:1\" ] } }"
#define NOTIFY(text) "\"bundles\": { \"b\": { \"combined\": \"b\", \"rotation\": { \"notify\": " text " } } } }"
#define SITE(rest) "\"sites\": [ { \"names\": \"a\", " rest " } ]" UPSTREAM
#define TO_NODES "\"upstream\": \"nodes\", "

static const struct try_fault faults[] = {
	/* listeners */
	{"{}", "c.json: listeners: there is none: say where clients connect, as in \"listeners\": [ { \"address\": \"*:443\", \"tls\": true } ]\n"},
	{"{ \"listeners\": [] }", "c.json:1:16: listeners: is empty: say where clients connect\n"},
	{"{ \"listeners\": [ { \"tls\": false } ] }", "c.json:1:18: listeners[0]: \"address\" is missing; write \"address\": \"*:443\"\n"},
	{"{ \"listeners\": [ { \"adress\": \"*:80\" } ] }", "c.json:1:20: listeners[0].adress: unknown key; did you mean \"address\"?\n"},
	{"{ \"listeners\": [ { \"address\": \"*:80\" },\n{ \"address\": \"*:80\" } ] }",
	    "c.json:2:14: listeners[1].address: \"*:80\" is the address of a listener already, at c.json:1:31; keep one of the two\n"},
	{"{ \"listeners\": [ { \"address\": \"*:1\", \"tls\": true }, { \"address\": \"*:2\", \"tls\": true } ] }",
	    "c.json:1:45: listeners[0].tls: no site has a certificate to show: give one a \"bundle\", or add a bundle with a \"directory\"\n"},
	{"{ \"listeners\": [ { \"address\": \"*:1\", \"redirect_port\": 8443 } ] }",
	    "c.json:1:55: listeners[0].redirect_port: has no effect without \"redirect\": \"https\"\n"},
	{"{ \"listeners\": [ { \"address\": \"*:1\", \"tls\": true, \"redirect\": \"https\" } ], \"bundles\": { \"b\": { \"combined\": \"b\" } },\n"
	 "  \"sites\": [ { \"names\": \"a\", \"bundle\": \"b\", \"upstream\": \"nodes\" } ]" UPSTREAM " }",
	    "c.json:1:63: listeners[0].redirect: clients speak TLS here already; redirect from a listener without \"tls\"\n"},
	{"{ \"listeners\": 5 }", "c.json:1:16: listeners: expected a list of objects, not 5; write [ { \"address\": \"*:443\", \"tls\": true } ]\n"},
	/* listeners that would share addresses, which the kernel gives to one only */
	{"{ \"listeners\": [ { \"address\": \"*:1\" }, { \"address\": \"127.0.0.1:1\" } ] }",
	    "c.json:1:53: listeners[1].address: shares addresses with \"*:1\" at c.json:1:31; keep one of the two\n"},
	{"{ \"listeners\": [ { \"address\": \"127.0.0.1:1\" }, { \"address\": \"0.0.0.0:1\" }, { \"address\": \"[::]:1\" }, { \"address\": \"127.0.0.1:2\" },\n"
	 "{ \"address\": \"[::1]:1\" } ] }",
	    "c.json:1:61: listeners[1].address: shares addresses with \"127.0.0.1:1\" at c.json:1:31; keep one of the two\n"
	    "c.json:2:14: listeners[4].address: shares addresses with \"[::]:1\" at c.json:1:89; keep one of the two\n"},
	{"{ \"listeners\": [ { \"address\": \"unix:/a\" }, { \"address\": \"unix:/b\" } ], \"admin\": { \"socket\": \"/b\" } }",
	    "c.json:1:57: listeners[1].address: is the admin socket already; name another path\n"},
	/* bundles */
	{TRY_BEGIN "\"bundles\": { \"b\": {} } }",
	    "c.json:2:19: bundles.b: names no file; give \"certificate\" and \"key\", \"combined\", \"pkcs12\" or \"directory\"\n"},
	{TRY_BEGIN "\"bundles\": { \"b\": { \"certificate\": \"c\" } } }",
	    "c.json:2:36: bundles.b.certificate: needs \"key\" beside it, which is missing; a file with both goes into \"combined\"\n"},
	{TRY_BEGIN "\"bundles\": { \"b\": { \"key\": \"k\" } } }", "c.json:2:28: bundles.b.key: needs \"certificate\" beside it, which is missing\n"},
	{TRY_BEGIN "\"bundles\": { \"b\": { \"chain\": \"k\" } } }", "c.json:2:30: bundles.b.chain: needs \"certificate\" beside it, which is missing\n"},
	{TRY_BEGIN "\"bundles\": { \"b\": { \"password_file\": \"p\" } } }", "c.json:2:38: bundles.b.password_file: needs \"pkcs12\" beside it, which is missing\n"},
	{TRY_BEGIN "\"bundles\": { \"b\": { \"directory\": \"d\", \"key\": \"k\" } } }",
	    "c.json:2:34: bundles.b.directory: can not stand beside \"key\"; a bundle is a certificate and a key or a directory\n"},
	/* names of sites */
	{TRY_BEGIN "\"sites\": [ { \"names\": [ \"x\", \"A.b\" ], " TO_NODES "\"default\": true },\n"
		   "{ \"names\": [ \"a.B\" ], " TO_NODES "\"default\": true } ]" UPSTREAM " }",
	    "c.json:3:14: sites[1].names[0]: \"a.b\" is a name of a site already, at c.json:2:30; keep one of the two\n"
	    "c.json:3:55: sites[1].default: the site at c.json:2:12 is the default already; there can be one\n"},
	{TRY_BEGIN "\"sites\": [ { \"upstream\": \"nodes\" } ]" UPSTREAM " }",
	    "c.json:2:12: sites[0]: has no \"names\"; give it some, or \"default\": true\n"},
	/* where requests go */
	{TRY_BEGIN SITE("\"upstream\": \"nods\"") " }", "c.json:2:40: sites[0].upstream: there is no upstream \"nods\"; did you mean \"nodes\"?\n"},
	{TRY_BEGIN SITE("\"upstream\": \"api\"") " }", "c.json:2:40: sites[0].upstream: there is no upstream \"api\"\n"},
	{TRY_BEGIN SITE("\"routes\": [ { \"path\": \"x\", \"upstream\": \"api\" } ]") " }",
	    "c.json:2:67: sites[0].routes[0].upstream: there is no upstream \"api\"\n"},
	{TRY_BEGIN SITE("\"routes\": []") " }", "c.json:2:12: sites[0]: leads nowhere: give it an \"upstream\" or \"routes\"\n"},
	{TRY_BEGIN SITE("\"routes\": [ { \"path\": \"x\" } ]") " }",
	    "c.json:2:40: sites[0].routes[0]: leads nowhere: give it or its site an \"upstream\"\n"},
	{TRY_BEGIN SITE(TO_NODES "\"routes\": [ { \"host\": \"x\", \"rewrite\": \"/\" } ]") " }",
	    "c.json:2:87: sites[0].routes[0].rewrite: needs \"path\": it takes the place of what that matches\n"},
	/* bundles of sites */
	{TRY_BEGIN "\"bundles\": { \"shop\": { \"combined\": \"b\" } }, " SITE(TO_NODES "\"bundle\": [ \"shop\", \"shp\", \"shop\" ]") " }",
	    "c.json:2:113: sites[0].bundle[1]: there is no bundle \"shp\"; did you mean \"shop\"?\n"
	    "c.json:2:120: sites[0].bundle[2]: \"shop\" is given twice\n"},
	{TRY_BEGIN "\"bundles\": { \"all\": { \"directory\": \"d\" } }, " SITE(TO_NODES "\"bundle\": [ \"all\", \"perhaps_in_it\" ]") " }",
	    "c.json:2:105: sites[0].bundle[0]: \"all\" is a directory; name a bundle in it, or leave \"bundle\" out to take the one that "
	    "covers the name\n"},
	{TRY_BEGIN "\"bundles\": { \"all\": { \"directory\": \"d\" } }, " SITE(TO_NODES "\"bundle\": [ \"a\", \"b\", \"c\", \"d\", \"e\", \"f\" ]") " }",
	    "c.json:2:125: sites[0].bundle[4]: is one too many: a site has at most 4 bundles\n"},
	/* client certificates */
	{TRY_BEGIN SITE(TO_NODES "\"client_certificate\": { \"mode\": \"required\" }") " }",
	    "c.json:2:81: sites[0].client_certificate.mode: needs \"pins\": say which CA clients must have, as in \"pins\": [ { \"ca\": "
	    "\"devices-ca.pem\" } ]\n"},
	{TRY_BEGIN SITE(TO_NODES "\"client_certificate\": { \"pins\": [ { \"ca\": \"x\" } ] }") " }",
	    "c.json:2:81: sites[0].client_certificate.pins: has no effect, because no certificate is asked for; set \"mode\" to \"required\" or \"optional\"\n"},
	{TRY_BEGIN SITE(TO_NODES "\"client_certificate\": { \"crls\": \"x\" }") " }",
	    "c.json:2:81: sites[0].client_certificate.crls: has no effect, because no certificate is asked for; set \"mode\" to \"required\" or \"optional\"\n"},
	{TRY_BEGIN SITE(TO_NODES "\"client_certificate\": { \"mode\": \"required\", \"pins\": [ { \"ca\": \"x\" } ], \"crl_check\": \"leaf\" }") " }",
	    "c.json:2:133: sites[0].client_certificate.crl_check: has no effect without \"crls\"\n"},
	{TRY_BEGIN SITE(TO_NODES "\"client_certificate\": { \"mode\": \"requird\", \"pins\": [ {} ] }") " }",
	    "c.json:2:81: sites[0].client_certificate.mode: expected one of \"none\", \"optional\", \"required\", not \"requird\"; did you mean "
	    "\"required\"?\n"
	    "c.json:2:102: sites[0].client_certificate.pins[0]: \"ca\" is missing; write \"ca\": \"devices-ca.pem\"\n"},
	/* who is told of rotations */
	{TRY_BEGIN NOTIFY("{}"), "c.json:2:62: bundles.b.rotation.notify: tells nobody; give \"command\", \"url\" or both\n"},
	{TRY_BEGIN NOTIFY("{ \"url\": \"http://h\", \"ca\": \"c\" }"),
	    "c.json:2:89: bundles.b.rotation.notify.ca: has no use without a \"url\" that begins with https://\n"},
	{TRY_BEGIN NOTIFY("{ \"command\": \"/c\", \"authorization\": \"a\" }"),
	    "c.json:2:98: bundles.b.rotation.notify.authorization: has no use without \"url\"\n"},
	/* fields */
	{TRY_BEGIN SITE(TO_NODES "\"request_headers\": { \"set\": { \"X-Y\": \"\" }, \"remove\": [ \"a\", \"x-y\" ] }") " }",
	    "c.json:2:109: sites[0].request_headers.remove[1]: \"x-y\" is set as well; to set a field replaces it\n"},
	/* upstreams */
	{TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [] } } }",
	    "c.json:2:34: upstreams.u.servers: is empty: an upstream has at least one server\n"},
	{TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\", { \"address\": \"H:1\" } ] } } }",
	    "c.json:2:56: upstreams.u.servers[1].address: \"h:1\" is a server of this upstream already, at c.json:2:36; keep one of the two\n"},
	{TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"ca\": \"c\", \"verify\": false } } } }",
	    "c.json:2:75: upstreams.u.tls.verify: contradicts \"ca\", which would not be looked at; remove one of the two\n"},
	{TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"verify\": false,\n"
		   "\"pin\": \"sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\" } } } }",
	    "c.json:2:64: upstreams.u.tls.verify: contradicts \"pin\", by which the servers are verified; remove one of the two\n"},
	{TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"bundle\": \"b\" } } } }",
	    "c.json:2:64: upstreams.u.tls.bundle: there is no bundle \"b\"\n"},
};

Test(conf_check, faults)
{
	try_faults(&t, "", faults, COUNTOF(faults), "");
}

Test(conf_check, warnings_do_not_refuse)
{
	try_text(&t, TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"verify\": false } } },\n"
			       "\"sites\": [ { \"names\": \"a\", \"upstream\": \"u\", \"routes\": [ {}, { \"path\": \"x\" } ] } ] }");
	cr_expect_not_null(t.conf);
	cr_expect_eq(t.problems.warnings, 2);
	cr_expect_str_eq(t.text,
	    "c.json:2:64: warning: upstreams.u.tls.verify: any server can pose as one of these, and read and change what passes; give a "
	    "\"ca\" or a \"pin\" instead\n"
	    "c.json:3:57: warning: sites[0].routes[0]: has no condition, so it takes every request and the routes after it none\n");
}

static void
expect_warnings(const char *config, unsigned n, const char *says)
{
	try_text(&t, config);
	cr_expect_not_null(t.conf);
	cr_expect_eq(t.problems.warnings, n);
	cr_expect_str_eq(t.text, says, "%s", t.text);
}

Test(conf_check, connection_auth_is_not_for_http2)
{
	static const char ups[] = "\"upstreams\": { \"h2\": { \"servers\": [ \"h:1\" ], \"http2\": true },\n"
				  "\"tls\": { \"servers\": [ \"h:1\" ], \"http2\": true, \"tls\": {} }, \"h1\": { \"servers\": [ \"h:1\" ] } } }";
	char text[1024];

	(void)snprintf(text, sizeof(text), TRY_BEGIN "\"sites\": [ { \"names\": \"a\", \"upstream\": \"h2\", \"connection_auth\": true,\n"
	    "\"routes\": [ { \"path\": \"x\", \"upstream\": \"tls\" }, { \"path\": \"y\", \"upstream\": \"h1\" }, { \"path\": \"z\" } ] } ],\n%s", ups);
	expect_warnings(text, 2,
	    "c.json:3:40: warning: sites[0].routes[0].upstream: \"http2\" of \"tls\" has no effect here: with \"connection_auth\" of the "
	    "site its requests go by HTTP/1.1 alone, over connections of each client's own\n"
	    "c.json:2:40: warning: sites[0].upstream: \"http2\" of \"h2\" has no effect here: with \"connection_auth\" of the site its "
	    "requests go by HTTP/1.1 alone, over connections of each client's own; without \"tls\" the servers must take both versions "
	    "on one port\n");
	(void)snprintf(text, sizeof(text), TRY_BEGIN "\"sites\": [ { \"names\": \"a\", \"upstream\": \"h2\" } ],\n%s", ups);
	expect_warnings(text, 0, "");
}

Test(conf_check, trace_needs_the_site)
{
	expect_warnings(TRY_BEGIN SITE(TO_NODES "\"routes\": [ { \"methods\": [ \"GET\", \"TRACE\" ] } ]") " }", 1,
	    "c.json:2:83: warning: sites[0].routes[0].methods[1]: no TRACE goes further than here: it is answered 405, unless the site "
	    "has \"trace\": true\n");
	expect_warnings(TRY_BEGIN SITE(TO_NODES "\"trace\": true, \"routes\": [ { \"methods\": \"TRACE\" } ]") " }", 0, "");
}

/* Names that may be in a directory are not known until it is read. */
Test(conf_check, bundles_of_directories)
{
	try_text(&t, TRY_BEGIN "\"bundles\": { \"all\": { \"directory\": \"d\" } }, \"sites\": [ { \"names\": \"a\", \"bundle\": \"in_it\", \"upstream\": \"u\" } ],\n"
			       "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ], \"tls\": { \"bundle\": \"in_it_too\" } } } }");
	cr_expect_str_eq(t.text, "");
}

Test(conf_check, an_upstream_has_at_most_256_servers)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	cr_assert(buf_printf(&b, TRY_BEGIN "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\""));
	for (int i = 2; i <= 257; i++)
		cr_assert(buf_printf(&b, ", \"h:%d\"", i));
	cr_assert(buf_append(&b, " ] } } }", 9));
	try_text(&t, b.data);
	cr_expect_str_eq(t.text, "c.json:2:34: upstreams.u.servers: 257 servers; an upstream has at most 256\n");
	buf_clear(&b);
}

/* All at once, and what is said of the rest does not follow from the first. */
Test(conf_check, all_problems_are_told)
{
	try_text(&t, TRY_BEGIN "\"thread\": 1,\n"
			       "\"sites\": [ { \"names\": \"a\", \"upsteram\": \"u\" },\n"
			       "{ \"names\": 5 } ],\n"
			       "\"bundles\": { \"b\": { \"certificat\": \"x\" } } }");
	cr_expect_str_eq(t.text, "c.json:2:1: thread: unknown key; did you mean \"threads\"?\n"
				 "c.json:3:28: sites[0].upsteram: unknown key; did you mean \"upstream\"?\n"
				 "c.json:4:12: sites[1].names: expected a string or a list of strings, not 5; write \"5\"\n"
				 "c.json:5:21: bundles.b.certificat: unknown key; did you mean \"certificate\"?\n");
	cr_expect_eq(t.problems.errors, 4);
}

Test(conf_check, what_is_told_is_bounded)
{
	static const char more[] = "\nmore problems are not shown; mend these first\n";

	for (int length = 1; length < 400; length += 57) {
		struct conf_problems p;
		conf_problems_init(&p);
		for (int i = 0; i < 200000; i++)
			conf_error(&p, NULL, NULL, "%*d", length, 1);
		struct sv text = buf_view(&p.text);
		cr_expect_eq(p.errors, 200000);
		cr_expect(text.n > 255 * 1024 && text.n <= 256 * 1024, "%zu bytes", text.n);
		cr_expect_eq(memmem(text.p, text.n, more, sizeof(more) - 1), text.p + text.n - (sizeof(more) - 1), "said once, at the end");
		conf_problems_free(&p);
	}
}

Test(conf_check, problems_of_others)
{
	const struct conf_where at = {.file = "/x.json", .line = 3, .column = 4};

	conf_problems_free(&t.problems);
	conf_problems_init(&t.problems);
	conf_error(&t.problems, &at, "sites[0].path", "bad %s", "pattern");
	conf_warning(&t.problems, &at, NULL, "odd");
	conf_error(&t.problems, NULL, NULL, "out of memory");
	cr_expect(sv_eq(buf_view(&t.problems.text), SV("/x.json:3:4: sites[0].path: bad pattern\n/x.json:3:4: warning: odd\nout of memory\n")));
	cr_expect_eq(t.problems.errors, 2);
	cr_expect_eq(t.problems.warnings, 1);
}

Test(conf_check, problems_one_by_one)
{
	const struct conf_where at = {.file = "/x.json", .line = 3, .column = 4}, whole = {.file = "/y.json"};
	static const struct {
		bool is_warning;
		const char *before, *after;
	} expected[] = {
		{false, "", "/x.json:3:4: path: no \"warning: \""},
		{true, "/x.json:3:4: ", "names: odd: very"},
		{true, "/y.json: ", "empty"},
		{true, "", "takes effect later"},
		{false, "", "out of memory"},
	};
	struct conf_problem p;
	size_t i = 0;

	conf_problems_free(&t.problems);
	conf_problems_init(&t.problems);
	conf_error(&t.problems, &at, "path", "no \"warning: \"");
	conf_warning(&t.problems, &at, "names", "odd: very");
	conf_warning(&t.problems, &whole, NULL, "empty");
	conf_warning(&t.problems, NULL, NULL, "takes effect later");
	conf_error(&t.problems, NULL, NULL, "out of memory");
	for (struct sv rest = buf_view(&t.problems.text); conf_problems_next(&rest, &p); i++) {
		cr_assert_lt(i, COUNTOF(expected));
		cr_expect_eq(p.is_warning, expected[i].is_warning, "%zu", i);
		cr_expect(sv_eq(p.before, sv_cstr(expected[i].before)), "%.*s", SV_FMT(p.before));
		cr_expect(sv_eq(p.after, sv_cstr(expected[i].after)), "%.*s", SV_FMT(p.after));
	}
	cr_expect_eq(i, COUNTOF(expected));
}

Test(conf_check, what_hardly_was_meant_is_a_warning)
{
	try_text(&t, TRY_BEGIN SITE("\"routes\": [ { \"methods\": [ \"GET\", \"Get\" ], \"upstream\": \"nodes\",\n"
		"\"path\": \"^/a\", \"rewrite\": \"b\" }, { \"path\": \"^/a\", \"rewrite\": \"$0\", \"upstream\": \"nodes\" } ]") " }");
	cr_expect_not_null(t.conf);
	cr_expect_str_eq(t.text,
	    "c.json:3:27: warning: sites[0].routes[0].rewrite: begins with no slash, in place of what begins with one; a path "
	    "without is answered 500\n"
	    "c.json:2:62: warning: sites[0].routes[0].methods[1]: \"Get\" is not in capitals, so hardly a request matches\n");
}
