#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/address.h"

/* A view without a NUL behind it, so that a sanitizer sees a read beyond its end. */
static struct sv
exactly(const char *text)
{
	size_t n = strlen(text);
	char *p = malloc(n > 0 ? n : 1);

	memcpy(p, text, n);
	return sv_of(p, n);
}

static void
drop(struct sv s)
{
	free((char *)s.p);
}

static bool
parse(const char *text, struct net_address *a, struct err *err)
{
	struct sv s = exactly(text);
	bool ok = net_address_parse(s, a, err);

	drop(s);
	return ok;
}

Test(address, what_is_parsed_is_written_the_same)
{
	static const char *const same[] = {"192.0.2.1:443", "0.0.0.0:1", "255.255.255.255:65535", "[2001:db8::1]:443", "[::]:80",
	    "[::1]:8443", "unix:/run/bascule.sock"};
	char text[NET_ADDRESS_TEXT];
	struct net_address a;
	struct err err = {""};

	for (size_t i = 0; i < COUNTOF(same); i++) {
		cr_assert(parse(same[i], &a, &err), "%s: %s", same[i], err.text);
		net_address_text(&a, true, text);
		cr_expect_str_eq(text, same[i]);
	}
}

Test(address, text_without_a_port)
{
	char text[NET_ADDRESS_TEXT];
	struct net_address a;

	cr_assert(parse("[2001:db8::1]:443", &a, NULL));
	net_address_text(&a, false, text);
	cr_expect_str_eq(text, "2001:db8::1");
	cr_expect_eq(net_address_port(&a), 443);
	cr_assert(parse("192.0.2.1:7", &a, NULL));
	net_address_text(&a, false, text);
	cr_expect_str_eq(text, "192.0.2.1");
	cr_expect_eq(net_address_port(&a), 7);
	cr_assert(parse("unix:/x", &a, NULL));
	cr_expect_eq(net_address_port(&a), 0);
}

Test(address, ipv4_over_an_ipv6_socket_is_written_as_ipv4)
{
	char text[NET_ADDRESS_TEXT];
	struct net_address a;

	cr_assert(parse("[::ffff:192.0.2.1]:80", &a, NULL));
	net_address_text(&a, true, text);
	cr_expect_str_eq(text, "192.0.2.1:80");
	net_address_text(&a, false, text);
	cr_expect_str_eq(text, "192.0.2.1");
}

Test(address, a_peer_without_a_name_and_one_of_unknown_family)
{
	struct net_address a = {.length = sizeof(sa_family_t)};
	char text[NET_ADDRESS_TEXT];

	a.u.sa.sa_family = AF_UNIX;
	net_address_text(&a, true, text);
	cr_expect_str_eq(text, "unix:");
	a = (struct net_address){.length = 0};
	net_address_text(&a, false, text);
	cr_expect_str_eq(text, "?");
	cr_expect_eq(net_address_port(&a), 0);
}

Test(address, malformed_ones_are_refused_by_name)
{
	static const char *const bad[] = {"", ":", ":80", "80", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
	    "192.0.2.1:-1", "192.0.2.1:+1", "192.0.2.1: 1", "192.0.2.1:1 ", "192.0.2.1:80x", "192.0.2.1:99999999999999999999999",
	    "192.0.2:80", "192.0.2.1.1:80", "192.0.2.256:80", "192.0.2.01:80", "0x7f.0.0.1:80", "::1:80", "2001:db8::1", "[::1]",
	    "[::1]80", "[::1:80", "::1]:80", "[]:80", "[:80", "]:80", "[[::1]]:80", "[::1%lo]:80", "[127.0.0.1]:80", "[*]:80",
	    "localhost:80", "*:80", "unix:", "unix:relative", "UNIX:/x"};
	struct net_address a;

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct err err = {""};
		cr_expect_not(parse(bad[i], &a, &err), "%s", bad[i]);
		cr_expect_not_null(strstr(err.text, bad[i]), "the text is named: %s", err.text);
	}
	cr_expect_not(parse("x", &a, NULL), "an error may be of no interest");
}

Test(address, a_path_of_a_socket_has_a_length)
{
	char text[200];
	struct net_address a;
	struct err err = {""};
	size_t max = sizeof(a.u.un.sun_path) - 1;

	memset(text, 'a', sizeof(text));
	memcpy(text, "unix:/", 6);
	cr_expect(net_address_parse(sv_of(text, 5 + max), &a, &err), "%s", err.text);
	cr_expect_eq(strlen(a.u.un.sun_path), max);
	cr_expect_not(net_address_parse(sv_of(text, 5 + max + 1), &a, &err));
	cr_expect_not_null(strstr(err.text, "107"), "%s", err.text);
}

Test(address, what_a_listener_may_say)
{
	struct net_address a;
	struct err err = {""};
	char text[NET_ADDRESS_TEXT];
	bool any = false;

	cr_assert(net_address_parse_listen(SV("*:443"), &a, &any, &err), "%s", err.text);
	net_address_text(&a, true, text);
	cr_expect(any);
	cr_expect_str_eq(text, "[::]:443");
	cr_assert(net_address_parse_listen(SV("[::]:443"), &a, &any, &err));
	cr_expect_not(any, "only \"*\" takes IPv4 as well");
	cr_assert(net_address_parse_listen(SV("unix:/x"), &a, &any, &err));
	cr_expect_eq(a.u.sa.sa_family, AF_UNIX);
	cr_expect_not(net_address_parse_listen(SV("localhost:80"), &a, &any, &err));
	cr_expect_not_null(strstr(err.text, "*:443"), "an example helps: %s", err.text);
	cr_expect_not(net_address_parse_listen(SV("**:80"), &a, &any, &err));
	cr_expect_not(net_address_parse_listen(SV("[*]:80"), &a, &any, &err));
	cr_expect_not(net_address_parse_listen(SV("*"), &a, &any, &err));
}

Test(address, numeric_ones_are_not_looked_up)
{
	struct net_address a[2];
	struct err err = {""};

	cr_expect_eq(net_address_resolve(SV("127.0.0.1:9000"), a, 2, &err), 1);
	cr_expect_eq(net_address_port(&a[0]), 9000);
	cr_expect_eq(net_address_resolve(SV("[::1]:9000"), a, 2, &err), 1);
	cr_expect_eq(a[0].u.sa.sa_family, AF_INET6);
	cr_expect_eq(net_address_resolve(SV("unix:/run/x"), a, 2, &err), 1);
	cr_expect_eq(a[0].u.sa.sa_family, AF_UNIX);
	cr_expect_eq(net_address_resolve(SV("127.0.0.1"), a, 2, &err), 0);
	cr_expect_eq(net_address_resolve(SV("[localhost]:80"), a, 2, &err), 0, "brackets are for IPv6");
	cr_expect_eq(net_address_resolve(SV("unix:x"), a, 2, &err), 0);
}

Test(address, names_are_looked_up_and_the_port_comes_along)
{
	struct net_address a[4];
	struct err err = {""};
	char name[400];
	size_t n = net_address_resolve(SV("localhost:81"), a, 4, &err);

	cr_assert(n >= 1 && n <= 4, "%s", err.text);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(net_address_port(&a[i]), 81);
	cr_expect_eq(net_address_resolve(SV("localhost:81"), a, 1, &err), 1, "never more than there is room for");
	cr_expect_eq(net_address_resolve(SV("no-such-host.invalid:81"), a, 4, &err), 0);
	cr_expect_not_null(strstr(err.text, "no-such-host.invalid"), "%s", err.text);
	memset(name, 'a', sizeof(name));
	memcpy(name + sizeof(name) - 3, ":80", 3);
	cr_expect_eq(net_address_resolve(sv_of(name, sizeof(name)), a, 4, &err), 0);
	cr_expect_not_null(strstr(err.text, "too long"), "%s", err.text);
}

/* --- networks ----------------------------------------------------------------------------------------------- */

static bool
holds(const char *network, const char *address)
{
	struct net_cidr c;
	struct net_address a;
	struct err err = {""};
	struct sv s = exactly(network);

	cr_assert(net_cidr_parse(s, &c, &err), "%s", err.text);
	drop(s);
	cr_assert(parse(address, &a, &err), "%s", err.text);
	struct net_ip ip = net_ip_of(&a);
	return net_cidr_holds(&c, &ip);
}

Test(cidr, holds_what_it_says)
{
	static const struct {
		const char *network, *in, *out;
	} rows[] = {
		{"10.0.0.0/8", "10.255.255.255:1", "11.0.0.0:1"},
		{"10.1.2.3/8", "10.0.0.0:1", "9.255.255.255:1"},
		{"192.0.2.128/25", "192.0.2.128:1", "192.0.2.127:1"},
		{"192.0.2.4/30", "192.0.2.7:1", "192.0.2.8:1"},
		{"192.0.2.4/31", "192.0.2.5:1", "192.0.2.6:1"},
		{"192.0.2.4/32", "192.0.2.4:1", "192.0.2.5:1"},
		{"192.0.2.4", "192.0.2.4:1", "192.0.2.5:1"},
		{"0.0.0.0/0", "255.255.255.255:1", "[2001:db8::1]:1"},
		{"0.0.0.0/1", "127.0.0.1:1", "128.0.0.1:1"},
		{"2001:db8::/32", "[2001:db8:ffff::]:1", "[2001:db9::]:1"},
		{"2001:db8::/33", "[2001:db8:7fff::]:1", "[2001:db8:8000::]:1"},
		{"::1", "[::1]:1", "[::2]:1"},
		{"::1/128", "[::1]:1", "[::3]:1"},
		{"::/0", "[2001:db8::1]:1", "192.0.2.1:1"},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:1", "[::ffff:11.1.2.3]:1"},
		{"::ffff:10.0.0.0/104", "10.1.2.3:1", "11.1.2.3:1"},
		{"::ffff:10.0.0.1", "[::ffff:10.0.0.1]:1", "10.0.0.2:1"},
		{"10.0.0.0/8", "10.1.2.3:1", "[::10.1.2.3]:1"},
		{"0.0.0.0/0", "127.0.0.1:1", "unix:/x"},
		{"::/0", "[::1]:1", "unix:/x"},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		cr_expect(holds(rows[i].network, rows[i].in), "%s holds %s", rows[i].network, rows[i].in);
		cr_expect_not(holds(rows[i].network, rows[i].out), "%s does not hold %s", rows[i].network, rows[i].out);
	}
}

Test(cidr, every_length_of_a_prefix_ends_at_its_bit)
{
	for (unsigned bits = 1; bits <= 32; bits++) {
		struct net_cidr c;
		char text[40];

		(void)snprintf(text, sizeof(text), "170.170.170.170/%u", bits);
		cr_assert(net_cidr_parse(sv_cstr(text), &c, NULL));
		for (unsigned k = 0; k < 32; k++) {
			struct net_ip a = {.size = 4, .bytes = {0xaa, 0xaa, 0xaa, 0xaa}};
			a.bytes[k / 8] ^= (uint8_t)(0x80 >> k % 8);
			cr_expect_eq(net_cidr_holds(&c, &a), k >= bits, "%s with bit %u turned", text, k);
		}
	}
}

Test(cidr, malformed_ones_are_refused_by_name)
{
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/8 ",
	    " 10.0.0.0/8", "10.0.0.0/0x8", "10/8", "10.0.0/8", "2001:db8::/129", "[::1]/128", "::1/", "localhost", "fe80::1%lo/64",
	    "10.0.0.0/99999999999999999999999", "::ffff:0.0.0.0/95"};
	struct net_cidr c;

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct err err = {""};
		struct sv s = exactly(bad[i]);
		cr_expect_not(net_cidr_parse(s, &c, &err), "%s", bad[i]);
		cr_expect_not_null(strstr(err.text, bad[i]), "%s", err.text);
		drop(s);
	}
}
