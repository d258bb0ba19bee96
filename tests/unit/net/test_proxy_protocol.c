/* The PROXY protocol, as bytes and what they mean; sections are those of its specification. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "net/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

#define LAST_V6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static enum proxy_outcome outcome;
static struct proxy_header header;
static size_t used;
static const char *why;
static char *exact; /* what the header's views look into */

/* From memory that ends where the bytes do, so that a sanitizer sees a read beyond. */
static enum proxy_outcome
read_bytes(struct sv bytes)
{
	free(exact);
	exact = malloc(bytes.n > 0 ? bytes.n : 1);
	memcpy(exact, bytes.p, bytes.n);
	outcome = proxy_header_read(sv_of(exact, bytes.n), &header, &used, &why);
	return outcome;
}

static void
forget(void)
{
	free(exact);
}

TestSuite(proxy_protocol, .fini = forget);

static void
expect_ends(const char *from, unsigned from_port, const char *to, unsigned to_port)
{
	char text[NET_IP_TEXT];

	net_ip_text(&header.from.ip, text);
	cr_expect_str_eq(text, from);
	net_ip_text(&header.to.ip, text);
	cr_expect_str_eq(text, to);
	cr_expect_eq(header.from.port, from_port);
	cr_expect_eq(header.to.port, to_port);
}

/* Every beginning of it is incomplete, and what stands behind it is not looked at. */
static void
expect_whole(struct sv bytes)
{
	char more[PROXY_HEADER_MAX + 64];

	for (size_t n = 0; n < bytes.n; n++)
		cr_assert_eq(read_bytes(sv_of(bytes.p, n)), PROXY_MORE, "%zu of %zu bytes: %s", n, bytes.n, why);
	cr_assert_leq(bytes.n + 20, sizeof(more));
	memcpy(more, bytes.p, bytes.n);
	memcpy(more + bytes.n, "GET / HTTP/1.1\r\n\r\nPR", 20);
	cr_assert_eq(read_bytes(sv_of(more, bytes.n + 20)), PROXY_DONE, "%s", why);
	cr_assert_eq(used, bytes.n);
	cr_assert_eq(read_bytes(bytes), PROXY_DONE, "%s", why);
	cr_assert_eq(used, bytes.n);
}

static void
expect_bad(struct sv bytes, const char *reason)
{
	cr_expect_eq(read_bytes(bytes), PROXY_BAD, "%.*s", SV_FMT(bytes));
	cr_expect_str_eq(why, reason, "%.*s: %s", SV_FMT(bytes), why);
}

/* --- version 1 ---------------------------------------------------------------------------------------------- */

Test(proxy_protocol, version_1)
{
	expect_whole(SV("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"));
	expect_ends("192.0.2.1", 56324, "198.51.100.2", 443);
	cr_expect_not(header.tls.used);
	expect_whole(SV("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"));
	expect_ends("255.255.255.255", 65535, "255.255.255.255", 65535);
	expect_whole(SV("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"));
	expect_ends("0.0.0.0", 0, "0.0.0.0", 0);
	expect_whole(SV("PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 1 2\r\n"));
	expect_ends("2001:db8::1", 1, "2001:db8::2", 2);
	expect_whole(SV("PROXY TCP6 " LAST_V6 " " LAST_V6 " 65535 65535\r\n"));
	/* A sender that listens on both families tells an IPv4 client like this. */
	expect_whole(SV("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n"));
	expect_ends("192.0.2.1", 1, "192.0.2.2", 2);
}

Test(proxy_protocol, version_1_of_what_is_unknown)
{
	char longest[PROXY_V1_MAX + 1];

	expect_whole(SV("PROXY UNKNOWN\r\n"));
	cr_expect_eq(header.from.ip.size, 0);
	expect_whole(SV("PROXY UNKNOWN 192.0.2.1 whatever else \x01\xff\r\n"));
	cr_expect_eq(header.from.ip.size, 0);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "PROXY UNKNOWN ", 14);
	memcpy(longest + PROXY_V1_MAX - 2, "\r\n", 2);
	expect_whole(sv_of(longest, PROXY_V1_MAX));
	memcpy(longest + PROXY_V1_MAX - 2, "x\r\n", 3);
	expect_bad(sv_of(longest, PROXY_V1_MAX + 1), "its line does not end with CR LF");
	cr_expect_eq(read_bytes(sv_of(longest, PROXY_V1_MAX - 1)), PROXY_MORE);
	memset(longest + 14, 'x', sizeof(longest) - 14);
	expect_bad(sv_of(longest, PROXY_V1_MAX), "its line has no end within 107 bytes");
	expect_bad(sv_of(longest, PROXY_V1_MAX + 1), "its line has no end within 107 bytes");
}

Test(proxy_protocol, version_1_ends_with_both)
{
	static const struct sv cases[] = {
	    SV("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), SV("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n"),
	    SV("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx"), SV("PROXY UNKNOWN\n"), SV("PROXY UNKNOWN\rGET"),
	    SV("PROXY UNKNOWN a\nb\r\n"),
	    SV("PROXY \n\r\n"),
	};

	for (size_t i = 0; i < COUNTOF(cases); i++)
		expect_bad(cases[i], "its line does not end with CR LF");
}

Test(proxy_protocol, version_1_of_no_family)
{
	static const struct sv cases[] = {
	    SV("PROXY \r\n"), SV("PROXY TCP \r\n"), SV("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"),
	    SV("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"), SV("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
	    SV("PROXY UNKNOWNX\r\n"), SV("PROXY UNKNOWN\t\r\n"), SV("PROXY unknown\r\n"), SV("PROXY TCP4\r\n"),
	    SV("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), SV("PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"),
	};

	for (size_t i = 0; i < COUNTOF(cases); i++)
		expect_bad(cases[i], "its line names neither TCP4, TCP6 nor UNKNOWN");
}

Test(proxy_protocol, version_1_in_any_other_form)
{
	static const char *const ends[] = {
	    /* not four parts, or not five */
	    "TCP4 ", "TCP4 192.0.2.1", "TCP4 192.0.2.1 192.0.2.2", "TCP4 192.0.2.1 192.0.2.2 1", "TCP4 192.0.2.1 192.0.2.2 1 2 3",
	    "TCP4 192.0.2.1 192.0.2.2 1 2 ", "TCP4  192.0.2.1 192.0.2.2 1 2", "TCP4 192.0.2.1  192.0.2.2 1 2",
	    "TCP4 192.0.2.1 192.0.2.2  1 2", "TCP4 192.0.2.1 192.0.2.2 1  2", "TCP4 192.0.2.1\t192.0.2.2 1 2",
	    /* numbers that some read as octal, or not at all */
	    "TCP4 192.0.02.1 192.0.2.2 1 2", "TCP4 192.0.2.01 192.0.2.2 1 2", "TCP4 192.0.2.1 192.0.2.2 01 2",
	    "TCP4 192.0.2.1 192.0.2.2 1 02", "TCP4 192.0.2.1 192.0.2.2 00 2", "TCP4 192.0.2.1 192.0.2.2 65536 2",
	    "TCP4 192.0.2.1 192.0.2.2 1 65536", "TCP4 192.0.2.1 192.0.2.2 -1 2", "TCP4 192.0.2.1 192.0.2.2 +1 2",
	    "TCP4 192.0.2.1 192.0.2.2 0x1 2", "TCP4 192.0.2.1 192.0.2.2 1 2x",
	    "TCP4 192.0.2.1 192.0.2.2 99999999999999999999999 2",
	    /* addresses that are none */
	    "TCP4 192.0.2 192.0.2.2 1 2", "TCP4 192.0.2.1.5 192.0.2.2 1 2", "TCP4 256.0.2.1 192.0.2.2 1 2",
	    "TCP4 3221225985 192.0.2.2 1 2", "TCP4 a.b.c.d 192.0.2.2 1 2", "TCP4 192.0.2.1 - 1 2", "TCP6 :: 2001:db8 1 2",
	    "TCP6 2001:db8::1::2 :: 1 2", "TCP6 [::1] ::1 1 2", "TCP6 12345::1 ::1 1 2", "TCP6 1:2:3:4:5:6:7 ::1 1 2",
	    "TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2", "TCP6 fe80::1%eth0 ::1 1 2", "TCP6 ::g ::1 1 2", "TCP6 ::ffff:192.0.02.1 ::1 1 2",
	    /* of the other family */
	    "TCP4 ::1 ::1 1 2", "TCP6 192.0.2.1 192.0.2.2 1 2", "TCP4 192.0.2.1 ::1 1 2", "TCP6 ::1 192.0.2.1 1 2",
	};
	char line[256];

	for (size_t i = 0; i < COUNTOF(ends); i++) {
		int n = snprintf(line, sizeof(line), "PROXY %s\r\n", ends[i]);
		expect_bad(sv_of(line, (size_t)n), "its line does not hold two addresses and two ports in their canonical form");
	}
	expect_bad(SV("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"),
	    "its line does not hold two addresses and two ports in their canonical form");
}

Test(proxy_protocol, neither_of_the_two)
{
	static const struct sv cases[] = {
	    SV("G"), SV("GET / HTTP/1.1\r\n"), SV("\x16\x03\x01\x02\x00"), SV("PROXX"),
	    SV("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SV("PROXY\r\n"),
	    SV("proxy TCP4"), SV(" PROXY"), SV("\r\n\r\n\r\n"), SV("\r\n\r\n\0\r\nQUIT\r"), SV("\n"),
	    SV("POST / HTTP/1.1\r\n"), SV("\0"),
	};

	for (size_t i = 0; i < COUNTOF(cases); i++)
		expect_bad(cases[i], "there is none");
	cr_expect_eq(read_bytes(SV("")), PROXY_MORE);
}

/* --- version 2 ---------------------------------------------------------------------------------------------- */

#define ENDS_4 "\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define ENDS_6 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\xff\xff"

/* A header of these parts; its length is told right. */
static struct sv
make(unsigned command, unsigned family, struct sv ends, struct sv tlvs)
{
	static char out[8192];
	size_t n = ends.n + tlvs.n;

	cr_assert_leq(n + 16, sizeof(out));
	memcpy(out, SIGNATURE, 12);
	out[12] = (char)command;
	out[13] = (char)family;
	out[14] = (char)(n >> 8);
	out[15] = (char)n;
	memcpy(out + 16, ends.p, ends.n);
	if (tlvs.n > 0)
		memcpy(out + 16 + ends.n, tlvs.p, tlvs.n);
	return sv_of(out, 16 + n);
}

static struct sv
with_tlvs(struct sv tlvs)
{
	return make(0x21, 0x11, SV(ENDS_4), tlvs);
}

Test(proxy_protocol, version_2)
{
	expect_whole(make(0x21, 0x11, SV(ENDS_4), SV("")));
	expect_ends("192.0.2.1", 56324, "198.51.100.2", 443);
	expect_whole(make(0x21, 0x21, SV(ENDS_6), SV("")));
	expect_ends("2001:db8::1", 1, "2001:db8::2", 65535);
	/* a datagram's, as of QUIC */
	expect_whole(make(0x21, 0x12, SV(ENDS_4), SV("")));
	expect_ends("192.0.2.1", 56324, "198.51.100.2", 443);
	expect_whole(make(0x21, 0x22, SV(ENDS_6), SV("")));
	expect_ends("2001:db8::1", 1, "2001:db8::2", 65535);
	cr_expect_not(header.tls.used);
	cr_expect_eq(header.authority.n, 0);
	/* an IPv4 address in the form of IPv6 counts as IPv4 */
	static const unsigned char mapped[36] = {[10] = 0xff, 0xff, 192, 0, 2, 1, [31] = 1, 0, 1, 0, 2};
	expect_whole(make(0x21, 0x21, sv_of((const char *)mapped, sizeof(mapped)), SV("")));
	cr_expect_eq(header.from.ip.size, 4);
	expect_ends("192.0.2.1", 1, "::1", 2);
}

/* "Must use the real connection endpoints and discard the protocol block including the family which is ignored." */
Test(proxy_protocol, version_2_local)
{
	static const unsigned families[] = {0x00, 0x11, 0x21, 0x31, 0x12};

	for (size_t i = 0; i < COUNTOF(families); i++) {
		expect_whole(make(0x20, families[i], SV(""), SV("")));
		expect_whole(make(0x20, families[i], SV(ENDS_4), SV("no value at all")));
		cr_expect_eq(header.from.ip.size, 0);
	}
}

Test(proxy_protocol, version_2_without_addresses_of_the_internet)
{
	char ends[216] = "/run/client.sock";

	expect_whole(make(0x21, 0x00, SV(""), SV("")));
	expect_whole(make(0x21, 0x00, SV(ENDS_4), SV("ignored")));
	cr_expect_eq(header.from.ip.size, 0);
	expect_whole(make(0x21, 0x01, SV(ENDS_4), SV("")));
	cr_expect_eq(header.from.ip.size, 0);
	expect_whole(make(0x21, 0x10, SV(ENDS_4), SV("")));
	cr_expect_eq(header.from.ip.size, 0);
	expect_whole(make(0x21, 0x31, sv_of(ends, sizeof(ends)), SV("\x02\0\x01x")));
	cr_expect_eq(header.from.ip.size, 0);
	cr_expect(sv_eq(header.authority, SV("x")));
	expect_whole(make(0x21, 0x32, sv_of(ends, sizeof(ends)), SV("")));
	expect_bad(make(0x21, 0x31, sv_of(ends, sizeof(ends) - 1), SV("")), "it is too short for its addresses");
}

Test(proxy_protocol, version_2_too_short_for_its_addresses)
{
	for (size_t n = 0; n < SV(ENDS_4).n; n++)
		expect_bad(make(0x21, 0x11, sv_of(ENDS_4, n), SV("")), "it is too short for its addresses");
	for (size_t n = 0; n < SV(ENDS_6).n; n++)
		expect_bad(make(0x21, 0x21, sv_of(ENDS_6, n), SV("")), "it is too short for its addresses");
}

/* As soon as the byte is there. */
Test(proxy_protocol, version_2_of_another_kind)
{
	for (unsigned b = 0; b < 256; b++) {
		struct sv whole = make(b, 0x11, SV(ENDS_4), SV(""));
		if (b != 0x20 && b != 0x21)
			expect_bad(sv_of(whole.p, 13),
			    b >> 4 != 2 ? "its version is not 2" : "its command is neither LOCAL nor PROXY");
		else
			cr_expect_eq(read_bytes(sv_of(whole.p, 13)), PROXY_MORE);
		whole = make(0x21, b, SV(ENDS_4), SV(""));
		if (b >> 4 > 3 || (b & 15) > 2)
			expect_bad(sv_of(whole.p, 14), "its family or transport is unknown");
		else
			cr_expect_eq(read_bytes(sv_of(whole.p, 14)), PROXY_MORE);
	}
}

Test(proxy_protocol, version_2_of_the_largest_size)
{
	static char padding[PROXY_HEADER_MAX]; /* PP2_TYPE_NOOP */
	size_t n = PROXY_HEADER_MAX - 16 - 12;

	padding[0] = 0x04;
	padding[1] = (char)((n - 3) >> 8);
	padding[2] = (char)(n - 3);
	struct sv whole = with_tlvs(sv_of(padding, n));
	cr_assert_eq(whole.n, PROXY_HEADER_MAX);
	cr_expect_eq(read_bytes(sv_of(whole.p, whole.n - 1)), PROXY_MORE);
	cr_expect_eq(read_bytes(whole), PROXY_DONE, "%s", why);
	cr_expect_eq(used, PROXY_HEADER_MAX);
	whole = with_tlvs(sv_of(padding, n + 1));
	expect_bad(sv_of(whole.p, 16), "it is longer than 4096 bytes");
	expect_bad(sv_of(SIGNATURE "\x20\x00\xff\xff", 16), "it is longer than 4096 bytes"); /* LOCAL, too */
}

/* --- its values --------------------------------------------------------------------------------------------- */

Test(proxy_protocol, values)
{
	expect_whole(with_tlvs(SV("\x01\0\x02h2" "\x02\0\x09site.test" "\x04\0\0" "\x05\0\x03\x01\0\x02"
	    "\xe0\0\x01z" "\x30\0\x02ns" "\x04\0\x01 ")));
	cr_expect(sv_eq(header.alpn, SV("h2")));
	cr_expect(sv_eq(header.authority, SV("site.test")));
	cr_expect(sv_eq(header.unique_id, SV("\x01\0\x02")));
	cr_expect_not(header.tls.used);
	expect_ends("192.0.2.1", 56324, "198.51.100.2", 443);
}

Test(proxy_protocol, values_of_tls)
{
	expect_whole(with_tlvs(SV("\x20\0\x2e" "\x07\0\0\0\0" "\x21\0\x07TLSv1.3"
	    "\x22\0\x05J\xc3\xb6rg" "\x23\0\x0f" "ECDHE-RSA-AES12" "\x25\0\x02x1")));
	cr_expect(header.tls.used && header.tls.certificate && header.tls.certificate_now && header.tls.verified);
	cr_expect(sv_eq(header.tls.version, SV("TLSv1.3")));
	cr_expect(sv_eq(header.tls.cipher, SV("ECDHE-RSA-AES12")));
	cr_expect(sv_eq(header.tls.common_name, SV("J\xc3\xb6rg")));
}

Test(proxy_protocol, bits_of_tls)
{
	static const struct {
		struct sv value; /* client, verify */
		bool used, certificate, now, verified;
	} cases[] = {
	    {SV("\x20\0\x05\x00\0\0\0\0"), false, false, false, false},
	    {SV("\x20\0\x05\x06\0\0\0\0"), false, false, false, false}, /* without TLS there is no certificate */
	    {SV("\x20\0\x05\x01\0\0\0\0"), true, false, false, false},  /* "if the client presented a certificate" */
	    {SV("\x20\0\x05\x05\0\0\0\0"), true, true, false, true},
	    {SV("\x20\0\x05\x03\0\0\0\0"), true, true, true, true},
	    {SV("\x20\0\x05\x07\0\0\0\x01"), true, true, true, false},
	    {SV("\x20\0\x05\x07\x01\0\0\0"), true, true, true, false},
	    {SV("\x20\0\x05\xf9\0\0\0\0"), true, false, false, false}, /* bits that nobody has defined */
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		cr_assert_eq(read_bytes(with_tlvs(cases[i].value)), PROXY_DONE, "%zu: %s", i, why);
		cr_expect_eq(header.tls.used, cases[i].used, "%zu", i);
		cr_expect_eq(header.tls.certificate, cases[i].certificate, "%zu", i);
		cr_expect_eq(header.tls.certificate_now, cases[i].now, "%zu", i);
		cr_expect_eq(header.tls.verified, cases[i].verified, "%zu", i);
	}
}

Test(proxy_protocol, values_that_are_cut_off)
{
	static const struct sv cases[] = {
	    SV("\x02"), SV("\x02\0"), SV("\x02\0\x01"), SV("\x02\xff\xff" "abc"), SV("\xe0\0\x02x"), SV("\x04\0\0\x04"),
	};

	for (size_t i = 0; i < COUNTOF(cases); i++)
		expect_bad(with_tlvs(cases[i]), "a value in it is cut off");
	for (size_t n = 0; n < 5; n++) {
		char ssl[8] = {0x20, 0, (char)n, 1};
		expect_bad(with_tlvs(sv_of(ssl, 3 + n)), "its PP2_TYPE_SSL is cut off");
	}
	expect_bad(with_tlvs(SV("\x20\0\x06\x01\0\0\0\0\x21")), "a value in its PP2_TYPE_SSL is cut off");
	expect_bad(with_tlvs(SV("\x20\0\x08\x01\0\0\0\0\x21\0\x01" "\x04\0\0")), "a value in its PP2_TYPE_SSL is cut off");
}

Test(proxy_protocol, values_that_stand_there_twice)
{
	expect_bad(with_tlvs(SV("\x02\0\x01" "a\x02\0\x01" "b")), "a value stands in it twice");
	expect_bad(with_tlvs(SV("\x01\0\0\x01\0\0")), "a value stands in it twice");
	expect_bad(with_tlvs(SV("\x05\0\0\x05\0\0")), "a value stands in it twice");
	expect_bad(with_tlvs(SV("\x20\0\x05\x00\0\0\0\0\x20\0\x05\x01\0\0\0\0")), "a value stands in it twice");
	expect_bad(with_tlvs(SV("\x20\0\x0b\x01\0\0\0\0\x22\0\0\x22\0\0")), "a value stands twice in its PP2_TYPE_SSL");
	cr_expect_eq(read_bytes(with_tlvs(SV("\xe1\0\0\xe1\0\0\x04\0\0\x04\0\0"))), PROXY_DONE, "%s", why);
}

/* They go into logs and fields. */
Test(proxy_protocol, values_that_are_no_text_are_not_told)
{
	cr_assert_eq(read_bytes(with_tlvs(SV("\x02\0\x03" "a\nb"))), PROXY_DONE);
	cr_expect_eq(header.authority.n, 0);
	cr_assert_eq(read_bytes(with_tlvs(SV("\x02\0\x03" "a b"))), PROXY_DONE);
	cr_expect_eq(header.authority.n, 0);
	cr_assert_eq(read_bytes(with_tlvs(SV("\x20\0\x0f\x01\0\0\0\0\x21\0\x01\0\x23\0\x03" "a\r\n"))), PROXY_DONE);
	cr_expect(header.tls.used);
	cr_expect_eq(header.tls.version.n, 0);
	cr_expect_eq(header.tls.cipher.n, 0);
}

Test(proxy_protocol, unique_id)
{
	char tlv[3 + PROXY_UNIQUE_ID_MAX + 1] = {5, 0, (char)PROXY_UNIQUE_ID_MAX};

	cr_assert_eq(read_bytes(with_tlvs(sv_of(tlv, sizeof(tlv) - 1))), PROXY_DONE, "%s", why);
	cr_expect_eq(header.unique_id.n, PROXY_UNIQUE_ID_MAX);
	tlv[2]++;
	expect_bad(with_tlvs(sv_of(tlv, sizeof(tlv))), "its PP2_TYPE_UNIQUE_ID has more than 128 bytes");
}

/* 2.2.3: of the whole header, with zeroes in its own place. */
Test(proxy_protocol, checksum)
{
	struct sv whole = with_tlvs(SV("\x02\0\x01x" "\x03\0\x04\0\0\0\0" "\xe0\0\x02zz"));
	char bytes[64];

	memcpy(bytes, whole.p, whole.n);
	uint32_t crc = htonl(crc32c(0, whole.p, whole.n));
	memcpy(bytes + 16 + 12 + 4 + 3, &crc, 4);
	expect_whole(sv_of(bytes, whole.n));
	for (size_t i = 16; i < whole.n; i++) {
		if (i >= 28 && i != 31 && !(i >= 35 && i < 39) && i < 42)
			continue; /* a type or a length: something else is wrong then */
		bytes[i] ^= 0x10;
		expect_bad(sv_of(bytes, whole.n), "its checksum is wrong");
		bytes[i] ^= 0x10;
	}
	expect_bad(with_tlvs(SV("\x03\0\x03\0\0\0")), "its checksum is wrong");
	expect_bad(with_tlvs(SV("\x03\0\x05\0\0\0\0\0")), "its checksum is wrong");
	expect_bad(with_tlvs(SV("\x03\0\0")), "its checksum is wrong");
}

/* --- writing ------------------------------------------------------------------------------------------------ */

static struct proxy_end
end_of(const char *ip, uint16_t port)
{
	struct proxy_end e = {.port = port};

	cr_assert(net_ip_parse(sv_cstr(ip), &e.ip));
	return e;
}

static void
expect_line(const struct proxy_header *h, const char *line)
{
	char out[PROXY_V1_MAX + 1];
	size_t n = proxy_header_write_v1(h, out);

	cr_expect(sv_eq(sv_of(out, n), sv_cstr(line)), "%.*s", (int)n, out);
	expect_whole(sv_of(out, n));
}

Test(proxy_protocol, writes_version_1)
{
	struct proxy_header h = {.from = end_of("192.0.2.1", 1), .to = end_of("192.0.2.2", 65535)};

	expect_line(&h, "PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n");
	h.from = end_of("2001:db8::1", 2);
	expect_line(&h, "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 2 65535\r\n");
	h = (struct proxy_header){.from = end_of("192.0.2.1", 1), .to = end_of("2001:db8::1", 2)};
	expect_line(&h, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n");
	h.to = end_of(LAST_V6, 65535);
	h.from = end_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 65535);
	expect_line(&h, "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe " LAST_V6 " 65535 65535\r\n");
	h.from.ip.size = 0;
	expect_line(&h, "PROXY UNKNOWN\r\n");
}

static void
expect_same(const struct proxy_header *h)
{
	char out[PROXY_HEADER_MAX], a[NET_IP_TEXT], b[NET_IP_TEXT];
	size_t n = proxy_header_write_v2(h, out);

	expect_whole(sv_of(out, n));
	net_ip_text(&h->from.ip, a);
	net_ip_text(&h->to.ip, b);
	expect_ends(a, h->from.port, b, h->to.port);
	cr_expect_eq(header.tls.used, h->tls.used);
	cr_expect_eq(header.tls.certificate, h->tls.certificate);
	cr_expect_eq(header.tls.certificate_now, h->tls.certificate_now);
	cr_expect_eq(header.tls.verified, h->tls.verified);
	cr_expect(sv_eq(header.tls.version, h->tls.version));
	cr_expect(sv_eq(header.tls.cipher, h->tls.cipher));
	cr_expect(sv_eq(header.tls.common_name, h->tls.common_name));
	cr_expect(sv_eq(header.authority, h->authority));
	cr_expect(sv_eq(header.unique_id, h->unique_id));
}

Test(proxy_protocol, writes_version_2)
{
	struct proxy_header h = {.from = end_of("192.0.2.1", 1), .to = end_of("192.0.2.2", 65535)};

	expect_same(&h);
	h.from = end_of("2001:db8::1", 2);
	expect_same(&h);
	h.authority = SV("site.test");
	h.unique_id = SV("\x01\0");
	h.tls = (struct proxy_tls){.used = true, .version = SV("TLSv1.3"), .cipher = SV("TLS_AES_128_GCM_SHA256")};
	expect_same(&h);
	h.tls.certificate = true;
	expect_same(&h);
	h.tls.certificate_now = h.tls.verified = true;
	h.tls.common_name = SV("J\xc3\xb6rg");
	expect_same(&h);
}

Test(proxy_protocol, writes_version_2_of_nobody_it_knows)
{
	struct proxy_header h = {.to = end_of("192.0.2.2", 65535)};
	char out[PROXY_HEADER_MAX];

	cr_expect(sv_eq(sv_of(out, proxy_header_write_v2(&h, out)), sv_of(SIGNATURE "\x21\0\0\0", 16)));
}

Test(proxy_protocol, leaves_out_what_does_not_fit)
{
	static char large[PROXY_HEADER_MAX];
	struct proxy_header h = {.from = end_of("::1", 1), .to = end_of("::2", 2), .tls = {.used = true, .certificate = true}};
	char out[PROXY_HEADER_MAX];

	memset(large, 'x', sizeof(large));
	for (size_t n = PROXY_HEADER_MAX - 100; n <= PROXY_HEADER_MAX; n++) {
		h.tls.common_name = sv_of(large, n);
		h.authority = SV("site.test");
		h.unique_id = SV("12345678");
		cr_assert_eq(read_bytes(sv_of(out, proxy_header_write_v2(&h, out))), PROXY_DONE, "%zu: %s", n, why);
		expect_ends("::1", 1, "::2", 2);
		cr_expect(header.tls.common_name.n == 0 || header.tls.common_name.n == n);
		cr_expect(header.tls.common_name.n == 0 || n <= PROXY_HEADER_MAX - 16 - 36 - 8 - 3);
	}
}
