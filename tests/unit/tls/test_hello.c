#include <criterion/criterion.h>

#include "tls/hello.h"

/* The extension's body for one name. */
static size_t
extension(const char *name, unsigned char *out)
{
	size_t n = strlen(name);

	out[0] = (unsigned char)((n + 3) >> 8);
	out[1] = (unsigned char)(n + 3);
	out[2] = 0;
	out[3] = (unsigned char)(n >> 8);
	out[4] = (unsigned char)n;
	memcpy(out + 5, name, n);
	return n + 5;
}

static void
expect(const char *sent, const char *name)
{
	unsigned char ext[512];
	char out[HELLO_NAME_MAX + 1];

	cr_expect_eq(hello_server_name(ext, extension(sent, ext), out), HELLO_NAME, "%s", sent);
	cr_expect_str_eq(out, name);
}

static void
expect_none(const char *sent)
{
	unsigned char ext[512];
	char out[HELLO_NAME_MAX + 1];

	cr_expect_eq(hello_server_name(ext, extension(sent, ext), out), HELLO_NO_NAME, "%s", sent);
	cr_expect_str_empty(out);
}

Test(hello, names)
{
	expect("a.b.c", "a.b.c");
	expect("A.b.C", "a.b.c");
	expect("localhost", "localhost");
	expect("xn--mnchen-3ya.example", "xn--mnchen-3ya.example");
	expect("with_underscore.example", "with_underscore.example");
	expect("a.example.", "a.example");
	expect("1.2.3.4a", "1.2.3.4a");
}

Test(hello, no_names)
{
	expect_none("192.0.2.1");
	expect_none("2001:db8::1");
	expect_none(".");
	expect_none("a..b");
	expect_none(".a");
	expect_none("a.b..");
	expect_none("a b");
	expect_none("a/b");
	expect_none("*.example");
	expect_none("m\xc3\xbcnchen.example");
}

Test(hello, lengths)
{
	char name[300];

	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	name[253] = '\0';
	expect(name, name);
	name[253] = 'a';
	name[254] = '\0';
	expect_none(name);
	memset(name, 'a', 64);
	memcpy(name + 64, ".b", 3);
	expect_none(name);
	expect(name + 1, name + 1);
}

Test(hello, a_zero_byte_is_no_name)
{
	unsigned char ext[64];
	char out[HELLO_NAME_MAX + 1];
	size_t n = extension("a.example", ext);

	ext[6] = '\0';
	cr_expect_eq(hello_server_name(ext, n, out), HELLO_NO_NAME);
}

Test(hello, structure)
{
	unsigned char ext[64], bad[64];
	char out[HELLO_NAME_MAX + 1];
	size_t n = extension("a.example", ext);

	for (size_t cut = 0; cut < n; cut++)
		cr_expect_eq(hello_server_name(ext, cut, out), HELLO_MALFORMED, "cut to %zu", cut);
	cr_expect_eq(hello_server_name(ext, n + 1, out), HELLO_MALFORMED);
	for (size_t i = 0; i < 5; i++) {
		memcpy(bad, ext, n);
		bad[i]++;
		cr_expect_eq(hello_server_name(bad, n, out), HELLO_MALFORMED, "byte %zu", i);
	}
	cr_expect_eq(hello_server_name(ext, extension("", ext), out), HELLO_MALFORMED);
}
