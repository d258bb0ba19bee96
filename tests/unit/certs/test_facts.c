#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "pki.h"
#include "certs/facts.h"
#include "certs/keys.h"

struct der {
	unsigned char *p;
	size_t n;
};

static struct der
der_of(const struct test_cert *c)
{
	struct der d = {NULL, 0};
	int n = i2d_X509(c->x509, &d.p);

	cr_assert_gt(n, 0);
	d.n = (size_t)n;
	return d;
}

static struct cert_view
view_of(const struct der *d)
{
	struct cert_view v;

	cr_assert(cert_parse(d->p, d->n, &v));
	return v;
}

Test(facts, of_a_leaf)
{
	struct test_cert ca = pki_ca("Root");
	struct test_cert leaf = pki_make(&(struct pki_spec){
	    .cn = "shop", .names = "Shop.Example.com,*.b.c", .issuer = &ca, .not_before = -60, .not_after = 3600});
	struct der d = der_of(&leaf), ca_der = der_of(&ca);
	struct cert_view v = view_of(&d), issuer = view_of(&ca_der);
	struct cert_names walk = {.started = false};
	char text[100];
	struct sv name;
	int64_t now = time(NULL);

	cr_expect(v.not_before >= now - 120 && v.not_before <= now);
	cr_expect(v.not_after > now + 3500 && v.not_after <= now + 3600);
	cr_expect_eq(v.key_type, TLS_KEY_EC);
	cr_expect_eq(v.key_bits, 256);
	cr_expect_not(cert_is_ca(&v));
	cr_expect(cert_is_ca(&issuer));
	cr_expect(cert_issued_by(&v, &issuer));
	cr_expect_not(cert_issued_by(&issuer, &v));
	cr_expect(cert_self_issued(&issuer));
	cert_name_text(v.subject, text, sizeof(text));
	cr_expect_str_eq(text, "CN=shop, O=Bascule Tests");
	cert_name_text(v.issuer, text, sizeof(text));
	cr_expect_str_eq(text, "CN=Root, O=Bascule Tests");
	cr_assert(cert_next_name(&v, &walk, &name));
	cr_expect(sv_eq(name, SV("Shop.Example.com")));
	cr_assert(cert_next_name(&v, &walk, &name));
	cr_expect(sv_eq(name, SV("*.b.c")));
	cr_expect_not(cert_next_name(&v, &walk, &name));
	OPENSSL_free(d.p);
	OPENSSL_free(ca_der.p);
	pki_free(&leaf);
	pki_free(&ca);
}

Test(facts, where_the_issuer_can_be_had)
{
	struct test_cert ca = pki_ca("Root");
	struct test_cert leaf = pki_make(
	    &(struct pki_spec){.cn = "a.b.c", .names = "a.b.c", .issuer = &ca, .issuer_url = "http://ca.test/issuer.der"});
	struct der d = der_of(&leaf), ca_der = der_of(&ca);
	struct cert_view v = view_of(&d), without = view_of(&ca_der);

	cr_expect(sv_eq(sv_of((const char *)v.issuer_url.p, v.issuer_url.n), SV("http://ca.test/issuer.der")));
	cr_expect_eq(without.issuer_url.n, 0);
	OPENSSL_free(d.p);
	OPENSSL_free(ca_der.p);
	pki_free(&leaf), pki_free(&ca);
}

Test(facts, serial_as_openssl_prints_it)
{
	struct test_cert c = pki_ca("Root");
	struct der d = der_of(&c);
	struct cert_view v = view_of(&d);
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c.x509), NULL);
	char *expected = BN_bn2hex(n), text[64];

	cert_serial_text(v.serial, text, sizeof(text));
	cr_expect_str_eq(text, expected);
	OPENSSL_free(expected);
	BN_free(n);
	OPENSSL_free(d.p);
	pki_free(&c);
}

Test(facts, key_types_and_bits)
{
	static const struct {
		enum pki_key key;
		enum tls_key_type type;
		unsigned bits;
	} rows[] = {
		{PKI_P256, TLS_KEY_EC, 256}, {PKI_P384, TLS_KEY_EC, 384}, {PKI_P192, TLS_KEY_EC, 192},
		{PKI_RSA2048, TLS_KEY_RSA, 2048}, {PKI_RSA1024, TLS_KEY_RSA, 1024}, {PKI_ED25519, TLS_KEY_ED, 253},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct test_cert c = pki_make(&(struct pki_spec){.cn = "k", .key = rows[i].key});
		struct der d = der_of(&c);
		struct cert_view v = view_of(&d);
		cr_expect_eq(v.key_type, rows[i].type);
		cr_expect_eq(v.key_bits, rows[i].bits, "%u", v.key_bits);
		OPENSSL_free(d.p);
		pki_free(&c);
	}
}

Test(facts, common_name_only_without_dns_names)
{
	struct test_cert with = pki_make(&(struct pki_spec){.cn = "cn.example", .names = "san.example"});
	struct test_cert without = pki_make(&(struct pki_spec){.cn = "cn.example"});
	struct test_cert prose = pki_make(&(struct pki_spec){.cn = "My Server"});
	struct test_cert odd = pki_make(
	    &(struct pki_spec){.cn = "cn.example", .names = ".example,a*.example,*.*.example,fine.example"});
	struct {
		struct test_cert *c;
		const char *expected;
	} rows[] = {{&with, "san.example"}, {&without, "cn.example"}, {&prose, NULL}, {&odd, "fine.example"}};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct der d = der_of(rows[i].c);
		struct cert_view v = view_of(&d);
		struct cert_names walk = {.started = false};
		struct sv name;
		bool found = cert_next_name(&v, &walk, &name);
		cr_expect_eq(found, rows[i].expected != NULL);
		if (found)
			cr_expect(sv_eq(name, sv_cstr(rows[i].expected)));
		OPENSSL_free(d.p);
		pki_free(rows[i].c);
	}
}

/* The same bytes in a SEQUENCE, or in an OCTET STRING, are no text. */
Test(facts, common_name_that_is_no_text)
{
	const struct {
		unsigned char tag;
		bool is_name;
	} rows[] = {{0x0c, true}, {0x13, true}, {0x14, true}, {0x16, true}, {0x1e, false}, {0x04, false}, {0x30, false}};
	struct test_cert c = pki_make(&(struct pki_spec){.cn = "cn.example"});
	struct der d = der_of(&c);

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		for (unsigned char *at = d.p; (at = memmem(at, d.n - (size_t)(at - d.p), "\x0a" "cn.example", 11)) != NULL; at++)
			at[-1] = rows[i].tag; /* of subject and issuer */
		struct cert_view v = view_of(&d);
		struct cert_names walk = {.started = false};
		struct sv name;
		cr_expect_eq(cert_next_name(&v, &walk, &name), rows[i].is_name, "tag %02x", rows[i].tag);
	}
	OPENSSL_free(d.p);
	pki_free(&c);
}

Test(facts, version_1_root_is_a_ca_and_version_1_leaf_is_none)
{
	struct test_cert root = pki_make(&(struct pki_spec){.cn = "Old Root", .v1 = true});
	struct test_cert leaf = pki_make(&(struct pki_spec){.cn = "leaf", .v1 = true, .issuer = &root});
	struct der a = der_of(&root), b = der_of(&leaf);
	struct cert_view v = view_of(&a), w = view_of(&b);

	cr_expect(cert_is_ca(&v));
	cr_expect_not(cert_is_ca(&w));
	OPENSSL_free(a.p);
	OPENSSL_free(b.p);
	pki_free(&leaf);
	pki_free(&root);
}

/* Names reach logs and JSON: nothing in them may be a control byte or broken UTF-8. */
/* keyCertSign in a place that is said to be unused is none. */
Test(facts, unused_bits_of_a_key_usage_say_nothing)
{
	struct test_cert ca = pki_ca("Root");
	struct der d = der_of(&ca);
	struct cert_view v = view_of(&d);
	unsigned char *bits = memmem(d.p, d.n, "\x03\x02\x01\x06", 4);

	cr_assert_not_null(bits, "keyCertSign, cRLSign");
	cr_expect(v.signs && cert_is_ca(&v));
	bits[2] = 2;
	v = view_of(&d);
	cr_expect(v.signs);
	bits[2] = 3;
	v = view_of(&d);
	cr_expect_not(v.signs || cert_is_ca(&v));
	bits[2] = 8;
	cr_expect_not(cert_parse(d.p, d.n, &v));
	OPENSSL_free(d.p);
	pki_free(&ca);
}

Test(facts, hostile_name)
{
	static const unsigned char name[] = {0x30, 0x1a, 0x31, 0x18, 0x30, 0x16, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c,
	    0x0f, 'a', '\n', ',', 0xc3, 0xa9, 0xff, 0xe0, 0x80, 0x80, 0xc0, 0x80, 0xe0, 0x1b, 'z', 0x00};
	char text[64], cut[6];

	cert_name_text((struct asn1){name, sizeof(name)}, text, sizeof(text));
	cr_expect_str_eq(text, "CN=a\\0A\\,\xc3\xa9\\FF\\E0\\80\\80\\C0\\80\\E0\\1Bz\\00", "%s", text);
	cert_name_text((struct asn1){name, sizeof(name)}, cut, sizeof(cut));
	cr_expect_str_eq(cut, "CN=a\\");
	cert_name_text((struct asn1){name, 3}, text, sizeof(text));
	cr_expect_str_eq(text, "(no name)");
}

Test(facts, every_cut_and_every_flipped_length_is_survived)
{
	struct test_cert c = pki_leaf("a.b.c,*.b.c", NULL);
	struct der d = der_of(&c);
	struct cert_view v;
	char text[64];

	for (size_t n = 0; n < d.n; n++) {
		unsigned char *exact = malloc(n + 1); /* so that a sanitizer sees a read past the end */
		memcpy(exact, d.p, n);
		cr_expect_not(cert_parse(exact, n, &v), "%zu", n);
		free(exact);
	}
	for (size_t i = 0; i < d.n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			d.p[i] ^= (unsigned char)(1u << bit);
			if (cert_parse(d.p, d.n, &v)) {
				struct cert_names walk = {.started = false};
				struct sv name;
				while (cert_next_name(&v, &walk, &name))
					cr_assert_leq(name.n, 253);
				cert_name_text(v.subject, text, sizeof(text));
				cert_serial_text(v.serial, text, sizeof(text));
			}
			d.p[i] ^= (unsigned char)(1u << bit);
		}
	}
	OPENSSL_free(d.p);
	pki_free(&c);
}

Test(facts, trailing_bytes_are_refused)
{
	struct test_cert c = pki_ca("Root");
	struct der d = der_of(&c);
	unsigned char *longer = calloc(1, d.n + 1);
	struct cert_view v;

	memcpy(longer, d.p, d.n);
	cr_expect_not(cert_parse(longer, d.n + 1, &v));
	free(longer);
	OPENSSL_free(d.p);
	pki_free(&c);
}

Test(facts, dates_around_2050)
{
	/* UTCTime until 2049, GeneralizedTime from then on. */
	struct test_cert c = pki_make(&(struct pki_spec){.cn = "x", .not_before = -60, .not_after = 40L * 366 * 86400});
	struct der d = der_of(&c);
	struct cert_view v = view_of(&d);
	int64_t now = time(NULL), expected = now + 40L * 366 * 86400;

	cr_expect(v.not_after > expected - 100 && v.not_after <= expected);
	OPENSSL_free(d.p);
	pki_free(&c);
}

/* --- keys --- */

static enum key_match
claims(EVP_PKEY *key, bool pkcs8, const struct test_cert *c)
{
	struct der d = der_of(c);
	struct cert_view v = view_of(&d);
	unsigned char *der = NULL;
	int n;

	if (pkcs8) {
		PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
		n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
		PKCS8_PRIV_KEY_INFO_free(info);
	} else {
		n = i2d_PrivateKey(key, &der);
	}
	cr_assert_gt(n, 0);
	enum key_match m = key_claims(der, (size_t)n, &v);
	for (int cut = 0; cut < n; cut++) {
		unsigned char *exact = malloc((size_t)cut + 1);
		memcpy(exact, der, (size_t)cut);
		cr_expect_neq(key_claims(exact, (size_t)cut, &v), KEY_MATCHES);
		free(exact);
	}
	OPENSSL_free(der);
	OPENSSL_free(d.p);
	return m;
}

Test(keys, claims)
{
	struct test_cert ec = pki_leaf("a", NULL), ec2 = pki_leaf("a", NULL), rsa = pki_rsa_leaf("a", NULL);
	struct test_cert rsa2 = pki_rsa_leaf("a", NULL),
	                 ed = pki_make(&(struct pki_spec){.cn = "a", .key = PKI_ED25519});
	struct test_cert p384 = pki_make(&(struct pki_spec){.cn = "a", .key = PKI_P384});

	for (int pkcs8 = 0; pkcs8 <= 1; pkcs8++) {
		cr_expect_eq(claims(ec.key, pkcs8, &ec), KEY_MATCHES);
		cr_expect_eq(claims(ec.key, pkcs8, &ec2), KEY_DIFFERS);
		cr_expect_eq(claims(ec.key, pkcs8, &p384), KEY_DIFFERS);
		cr_expect_eq(claims(ec.key, pkcs8, &rsa), KEY_DIFFERS);
		cr_expect_eq(claims(rsa.key, pkcs8, &rsa), KEY_MATCHES);
		cr_expect_eq(claims(rsa.key, pkcs8, &rsa2), KEY_DIFFERS);
		cr_expect_eq(claims(rsa.key, pkcs8, &ec), KEY_DIFFERS);
	}
	cr_expect_eq(claims(ed.key, true, &ed), KEY_UNSURE);
	pki_free(&ec), pki_free(&ec2), pki_free(&rsa), pki_free(&rsa2), pki_free(&ed), pki_free(&p384);
}
