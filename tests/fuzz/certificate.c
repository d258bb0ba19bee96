/* Our reader of certificates beside OpenSSL's: what both accept says the same to both. */
#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "certs/facts.h"
#include "certs/keys.h"
#include "made.h"

enum { NAMES_MAX = 64, TEXT_MAX = 512 };

void
fuzz_seeds(void)
{
	static const struct made seeds[] = {
	    {MADE_EC, "a.example", "DNS:a.example,DNS:*.B.example,IP:192.0.2.1,email:a@example,DNS:localhost", false, false},
	    {MADE_RSA, "only.in.the.cn", NULL, false, false},
	    {MADE_ED25519, "A CA \xc3\xa9", NULL, true, false},
	    {MADE_EC, "version.1", NULL, false, true},
	    {MADE_EC, "b.example", "URI:http://b.example/,RID:1.2.3.4", true, false},
	};
	char name[8] = "0";

	for (size_t i = 0; i < COUNTOF(seeds); i++, name[0]++) {
		struct buf cert;
		made_cert(&seeds[i], &cert, NULL);
		fuzz_seed(name, buf_view(&cert).p, buf_len(&cert));
		buf_clear(&cert);
	}
}

/* --- mutations that leave it DER --------------------------------------------------------------------------- */

enum { DEPTH_MAX = 24, VALUE_MAX = 4096 };

/* Are there elements in it? So it is with constructed ones, and with what an extension's OCTET STRING holds. */
static bool
opens(unsigned tag, struct asn1 value, unsigned depth)
{
	while (tag == DER_OCTETS && asn1_take(&value, NULL, NULL, NULL))
		;
	return depth < DEPTH_MAX && ((tag & 0x20) != 0 || (tag == DER_OCTETS && value.n == 0));
}

static void
put_length(struct buf *out, size_t n)
{
	const unsigned char two[3] = {0x82, (unsigned char)(n >> 8), (unsigned char)n};
	const unsigned char one[2] = {0x81, (unsigned char)n};
	const unsigned char none = (unsigned char)n;

	if (n >= 0x100)
		FUZZ_CHECK(n <= UINT16_MAX && buf_append(out, two, sizeof(two)));
	else if (n >= 0x80)
		FUZZ_CHECK(buf_append(out, one, sizeof(one)));
	else
		FUZZ_CHECK(buf_append(out, &none, 1));
}

/* The elements in `in`, of which number *n from here on is changed: its tag, its content, or that it is there twice or not. */
static void
mutate_elements(struct asn1 in, size_t *n, unsigned seed, unsigned depth, struct buf *out)
{
	unsigned char bytes[VALUE_MAX];
	struct asn1 value, whole;
	struct buf inner;
	unsigned tag;

	while (in.n > 0 && asn1_take(&in, &tag, &value, &whole)) {
		bool chosen = (*n)-- == 0, opened = opens(tag, value, depth);
		unsigned what = chosen ? seed % 8 : 8;
		if (what == 0)
			continue; /* left out */
		if (what == 1)
			FUZZ_CHECK(buf_append(out, whole.p, whole.n)); /* twice */
		unsigned char t = (unsigned char)(what == 2 ? seed >> 8 : tag);
		buf_init(&inner, UINT16_MAX);
		if (what > 2 && what < 8 && value.n < sizeof(bytes)) {
			memcpy(bytes, value.p, value.n);
			size_t size = LLVMFuzzerMutate(bytes, value.n, sizeof(bytes));
			FUZZ_CHECK(buf_append(&inner, bytes, size));
		} else if (opened) {
			mutate_elements(value, n, seed, depth + 1, &inner);
		} else {
			FUZZ_CHECK(buf_append(&inner, value.p, value.n));
		}
		FUZZ_CHECK(buf_append(out, &t, 1));
		put_length(out, buf_len(&inner));
		FUZZ_CHECK(buf_append(out, buf_view(&inner).p, buf_len(&inner)));
		buf_clear(&inner);
	}
	FUZZ_CHECK(buf_append(out, in.p, in.n)); /* what is no element */
}

static size_t
count_elements(struct asn1 in, unsigned depth)
{
	struct asn1 value;
	unsigned tag;
	size_t n = 0;

	while (asn1_take(&in, &tag, &value, NULL))
		n += 1 + (opens(tag, value, depth) ? count_elements(value, depth + 1) : 0);
	return n;
}

/* Lengths are made to fit again, so that what is inside is looked at; now and then any bytes are changed. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct asn1 in = {data, size};
	size_t elements = count_elements(in, 0), chosen = elements > 0 ? seed / 64 % elements : 0;
	struct buf out;

	if (elements == 0 || seed % 16 == 0 || size > UINT16_MAX / 4)
		return LLVMFuzzerMutate(data, size, max_size);
	buf_init(&out, (size_t)UINT16_MAX * 2);
	mutate_elements(in, &chosen, seed / 64 / (unsigned)elements, 0, &out);
	size_t n = MIN_OF(buf_len(&out), max_size);
	if (n > 0)
		memcpy(data, buf_view(&out).p, n);
	buf_clear(&out);
	return n;
}

/* --- what OpenSSL says -------------------------------------------------------------------------------------- */

static struct asn1
of_string(const ASN1_STRING *s)
{
	return s != NULL ? (struct asn1){ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)} : ASN1_NONE;
}

static void
check_name(struct asn1 ours, X509_NAME *theirs)
{
	const unsigned char *der;
	size_t n;

	FUZZ_CHECK(X509_NAME_get0_der(theirs, &der, &n) == 1 && asn1_eq(ours, (struct asn1){der, n}));
}

static void
check_time(int64_t ours, const ASN1_TIME *theirs)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(theirs, &tm) == 1)
		FUZZ_CHECK(ours == timegm(&tm), "%lld, not %lld", (long long)ours, (long long)timegm(&tm));
}

static void
check_serial(struct asn1 ours, const ASN1_INTEGER *theirs)
{
	BIGNUM *a = BN_bin2bn(ours.p, (int)ours.n, NULL), *b = ASN1_INTEGER_to_BN(theirs, NULL);

	FUZZ_CHECK(a != NULL && b != NULL);
	FUZZ_CHECK((ours.p[0] & 0x80) != 0 || BN_cmp(a, b) == 0);
	BN_free(a);
	BN_free(b);
}

static void
check_key(const struct cert_view *v, X509 *x)
{
	EVP_PKEY *key = X509_get0_pubkey(x);

	FUZZ_CHECK(asn1_eq(v->public_key, of_string(X509_get0_pubkey_bitstr(x))));
	if (key == NULL)
		return; /* not on the curve, say: whoever builds it finds that out */
	int id = EVP_PKEY_get_base_id(key);
	bool rsa = id == EVP_PKEY_RSA || id == EVP_PKEY_RSA_PSS, ec = id == EVP_PKEY_EC;
	bool ed = id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448;
	FUZZ_CHECK((v->key_type == TLS_KEY_RSA) == rsa);
	FUZZ_CHECK((v->key_type == TLS_KEY_EC) == ec && (v->key_type == TLS_KEY_ED) == ed);
	/* 0: a modulus that is no positive number, which OpenSSL makes one of; too weak in any case. */
	int bits = EVP_PKEY_get_bits(key);
	FUZZ_CHECK(!rsa || v->key_bits == 0 || (int)v->key_bits == bits, "%u bits, not %d", v->key_bits, bits);
}

/* By the extensions, which OpenSSL judges as a whole: what it finds fault with is not compared. */
static void
check_purpose(const struct cert_view *v, X509 *x)
{
	uint32_t flags = X509_get_extension_flags(x);

	if ((flags & EXFLAG_INVALID) != 0)
		return;
	FUZZ_CHECK(v->ca == ((flags & EXFLAG_CA) != 0));
	FUZZ_CHECK(v->signs == ((X509_get_key_usage(x) & KU_KEY_CERT_SIGN) != 0));
	FUZZ_CHECK(asn1_eq(v->key_id, of_string(X509_get0_subject_key_id(x))));
	FUZZ_CHECK(asn1_eq(v->authority_key_id, of_string(X509_get0_authority_key_id(x))));
}

/* --- names -------------------------------------------------------------------------------------------------- */

static size_t
our_names(const struct cert_view *v, struct sv out[NAMES_MAX])
{
	struct cert_names walk = {.started = false};
	size_t n = 0;

	while (n < NAMES_MAX && cert_next_name(v, &walk, &out[n])) {
		FUZZ_CHECK(out[n].n > 0 && memchr(out[n].p, '\0', out[n].n) == NULL);
		n++;
	}
	return n;
}

/* A name that nobody could have a reason to pass over. */
static bool
is_plain(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_lower(s.p[i]) < 'a' || ascii_lower(s.p[i]) > 'z')
			return false;
	return s.n > 0 && s.n < 64;
}

/* Ours are their dNSNames, in that order; what they have besides is no host's name. */
static void
check_alt_names(const struct sv *names, size_t n, const GENERAL_NAMES *theirs)
{
	size_t at = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(theirs); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(theirs, i);
		if (g->type != GEN_DNS)
			continue;
		struct asn1 dns = of_string(g->d.dNSName);
		struct sv name = sv_of((const char *)dns.p, dns.n);
		if (at < n && sv_eq(names[at], name))
			at++;
		else
			FUZZ_CHECK(!is_plain(name), "passed over: %.*s", SV_FMT(name));
	}
	FUZZ_CHECK(at == n, "%zu names, found %zu", n, at);
}

static void
check_common_names(const struct sv *names, size_t n, X509_NAME *subject)
{
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		for (int at = -1; !found && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
			struct asn1 cn = of_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
			found = sv_eq(names[i], sv_of((const char *)cn.p, cn.n));
		}
		FUZZ_CHECK(found, "%.*s", SV_FMT(names[i]));
	}
}

static void
check_names(const struct cert_view *v, X509 *x)
{
	struct sv names[NAMES_MAX];
	size_t n = our_names(v, names);
	int times;
	GENERAL_NAMES *theirs = X509_get_ext_d2i(x, NID_subject_alt_name, &times, NULL);
	bool dns = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(theirs); i++)
		dns |= sk_GENERAL_NAME_value(theirs, i)->type == GEN_DNS;
	if (dns && n < NAMES_MAX)
		check_alt_names(names, n, theirs);
	else if (!dns && (theirs != NULL || times == -1) && n < NAMES_MAX)
		check_common_names(names, n, X509_get_subject_name(x));
	GENERAL_NAMES_free(theirs);
}

/* --- for people --------------------------------------------------------------------------------------------- */

/* JSON and terminals get it. */
static void
check_text(const char *text, size_t room)
{
	size_t n = strlen(text);

	FUZZ_CHECK(n < room);
	for (size_t i = 0; i < n;) {
		unsigned long c = 0;
		int length = UTF8_getc((const unsigned char *)text + i, (int)(n - i), &c);
		FUZZ_CHECK(length > 0 && c >= 0x20 && c != 0x7f, "%s", text);
		i += (size_t)length;
	}
}

static void
check_texts(const struct cert_view *v)
{
	char text[TEXT_MAX];

	for (size_t room = 1; room <= TEXT_MAX; room += 73) {
		cert_name_text(v->subject, text, room);
		check_text(text, room);
		cert_name_text(v->issuer, text, room);
		check_text(text, room);
		cert_serial_text(v->serial, text, room);
		FUZZ_CHECK(strspn(text, "0123456789ABCDEF") == strlen(text));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *der = (unsigned char *)fuzz_copy(sv_of((const char *)data, size));
	const unsigned char *p = der;
	struct cert_view v;

	if (cert_parse(der, size, &v)) {
		check_texts(&v);
		(void)key_claims(der, size, &v);
		X509 *x = d2i_X509(NULL, &p, (long)size);
		if (x != NULL) {
			FUZZ_CHECK(p == der + size);
			check_name(v.subject, X509_get_subject_name(x));
			check_name(v.issuer, X509_get_issuer_name(x));
			check_time(v.not_before, X509_get0_notBefore(x));
			check_time(v.not_after, X509_get0_notAfter(x));
			check_serial(v.serial, X509_get0_serialNumber(x));
			check_key(&v, x);
			check_purpose(&v, x);
			check_names(&v, x);
		}
		X509_free(x);
		ERR_clear_error();
	}
	free(der);
	return 0;
}
