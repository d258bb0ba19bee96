#include <criterion/criterion.h>

#include "http/head.h"

Test(syntax, every_byte_of_a_token_and_a_value_and_a_target)
{
	static const char tchars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		struct sv s = sv_of(&byte, 1);
		cr_expect_eq(http_is_token(s), c != 0 && strchr(tchars, c) != NULL, "token 0x%02x", c);
		cr_expect_eq(http_is_value(s), c == '\t' || (c >= 0x20 && c != 0x7f), "value 0x%02x", c);
		cr_expect_eq(http_is_target(s), c > 0x20 && c < 0x7f && c != '#', "target 0x%02x", c);
	}
}

Test(syntax, a_value_may_be_empty_but_a_token_and_a_target_may_not)
{
	cr_expect_not(http_is_token(SV_NONE));
	cr_expect_not(http_is_target(SV_NONE));
	cr_expect(http_is_value(SV_NONE));
}

Test(syntax, authorities_that_are_split)
{
	static const struct {
		struct sv authority, host;
		uint16_t port;
	} cases[] = {
	    {SV("a"), SV("a"), 0},
	    {SV("www.Example.com"), SV("www.Example.com"), 0},
	    {SV("a.b.:1"), SV("a.b."), 1},
	    {SV("a_b~-.c:65535"), SV("a_b~-.c"), 65535},
	    {SV("192.0.2.1:8443"), SV("192.0.2.1"), 8443},
	    {SV("[::1]"), SV("[::1]"), 0},
	    {SV("[2001:DB8::192.0.2.1]:443"), SV("[2001:DB8::192.0.2.1]"), 443},
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct sv host;
		uint16_t port;
		cr_assert(http_split_authority(cases[i].authority, &host, &port), "%.*s", SV_FMT(cases[i].authority));
		cr_expect(sv_eq(host, cases[i].host), "%.*s", SV_FMT(cases[i].authority));
		cr_expect_eq(port, cases[i].port, "%.*s", SV_FMT(cases[i].authority));
	}
}

Test(syntax, authorities_that_are_refused)
{
	static const struct sv cases[] = {
	    SV(""), SV(":"), SV(":80"), SV("a:"), SV("a:0"), SV("a:00"), SV("a:080"), SV("a:65536"), SV("a:100000"),
	    SV("a:-1"), SV("a:+1"), SV("a: 1"), SV("a:1 "), SV("a:1:2"), SV("a:x"), SV(" a"), SV("a "), SV("a b"),
	    SV("."), SV(".a"), SV("a..b"), SV("a.."), SV("a@b"), SV("a/b"), SV("a?b"), SV("a#b"), SV("a\\b"),
	    SV("a,b"), SV("a;b"), SV("a%41"), SV("\xc3\xa9"), SV("a\0b"), SV("["), SV("[]"), SV("[:"), SV("[]:80"),
	    SV("[::1"), SV("::1]"), SV("::1"), SV("[::1]a"), SV("[::1]:"), SV("[::1]:0"), SV("[[::1]]"), SV("[a]"),
	    SV("[127.0.0.1]"), SV("[v1.a]"), SV("[fe80::1%eth0]"), SV("[::1\0]"), SV("[1:2:3:4:5:6:7:8:9]"), SV("a]"),
	};
	char name[257];
	struct sv host;
	uint16_t port;

	for (size_t i = 0; i < COUNTOF(cases); i++)
		cr_expect_not(http_split_authority(cases[i], &host, &port), "%.*s", SV_FMT(cases[i]));
	memset(name, 'a', sizeof(name));
	cr_expect(http_split_authority(sv_of(name, 255), &host, &port));
	cr_expect_not(http_split_authority(sv_of(name, 256), &host, &port));
	cr_expect_not(http_split_authority(SV_NONE, &host, &port));
}
