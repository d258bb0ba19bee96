#include <criterion/criterion.h>

#include "tls/secret.h"

static struct secret
secret_of(unsigned char byte)
{
	struct secret s = {.n = SECRET_MIN};

	memset(s.bytes, byte, SECRET_MIN);
	return s;
}

/* HKDF-SHA256 of 32 bytes 0x0b, no salt, info "ticket\0" "7"; computed with Python's hmac. */
Test(secret, derive_is_hkdf)
{
	static const unsigned char expected[] = {
		0x1f, 0x79, 0x7e, 0xea, 0x48, 0xf8, 0x72, 0x55, 0x43, 0x86, 0xc4, 0x9c, 0xeb, 0x14, 0x48, 0x5d,
		0x6c, 0x9a, 0x76, 0x8b, 0xc7, 0xf6, 0x65, 0xc7, 0x78, 0x58, 0x8f, 0xa9, 0xc4, 0x98, 0xbd, 0x17,
		0xc6, 0x6a, 0x64, 0x92, 0x92, 0xa7, 0x51, 0xa5, 0x4c, 0x61
	};
	struct secret s = secret_of(0x0b);
	unsigned char out[42];

	cr_assert(secret_derive(&s, "ticket", SV("7"), out, sizeof(out)));
	cr_expect_arr_eq(out, expected, sizeof(out));
}

Test(secret, label_and_context_do_not_run_together)
{
	struct secret s = secret_of(1);
	unsigned char a[32], b[32], c[32];

	cr_assert(secret_derive(&s, "ab", SV("c"), a, sizeof(a)));
	cr_assert(secret_derive(&s, "a", SV("bc"), b, sizeof(b)));
	cr_assert(secret_derive(&s, "ab", SV("c"), c, sizeof(c)));
	cr_expect_arr_neq(a, b, sizeof(a));
	cr_expect_arr_eq(a, c, sizeof(a));
}

Test(secret, too_much_is_refused)
{
	static unsigned char out[255 * 32 + 1];
	static const char long_context[600];
	struct secret s = secret_of(1);

	cr_expect(secret_derive(&s, "a", SV_NONE, out, sizeof(out) - 1));
	cr_expect_not(secret_derive(&s, "a", SV_NONE, out, sizeof(out)));
	cr_expect_not(secret_derive(&s, "a", SV_NONE, out, 0));
	cr_expect_not(secret_derive(&s, "a", sv_of(long_context, sizeof(long_context)), out, 32));
}

Test(secret, base64url)
{
	/* RFC 4648, 10, and the two characters in which it differs from base64. */
	static const struct {
		struct sv in;
		const char *out;
	} rows[] = {
		{{"", 0}, ""}, {{"f", 1}, "Zg"}, {{"fo", 2}, "Zm8"}, {{"foo", 3}, "Zm9v"}, {{"foob", 4}, "Zm9vYg"},
		{{"fooba", 5}, "Zm9vYmE"}, {{"foobar", 6}, "Zm9vYmFy"}, {{"\xfb\xff\xfe", 3}, "-__-"},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		char out[16];
		cr_expect_eq(base64url((const unsigned char *)rows[i].in.p, rows[i].in.n, out), strlen(rows[i].out));
		cr_expect_str_eq(out, rows[i].out);
	}
}

Test(secret, random_and_compare)
{
	unsigned char a[32] = {0}, b[32] = {0};

	cr_expect(secret_eq(a, b, sizeof(a)));
	cr_assert(random_bytes(a, sizeof(a)));
	cr_expect_not(secret_eq(a, b, sizeof(a)));
}
