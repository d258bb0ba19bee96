#include "certs/facts.h"

#include <time.h>

/* Contents of the object identifiers that matter here. */
static const unsigned char oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const unsigned char oid_rsa_pss[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a};
static const unsigned char oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const unsigned char oid_ed25519[] = {0x2b, 0x65, 0x70};
static const unsigned char oid_ed448[] = {0x2b, 0x65, 0x71};
static const unsigned char oid_common_name[] = {0x55, 0x04, 0x03};

static const unsigned char oid_authority_info[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01};
static const unsigned char oid_ca_issuers[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02};

#define OID_IS(oid, known) asn1_eq((oid), (struct asn1){(known), sizeof(known)})

enum {
	KEY_USAGE_CERT_SIGN = 0x04, /* bit 5 of the first byte */
	HOST_NAME_MAX_BYTES = 253,
};

/* --- validity --- */

static bool
digits(const unsigned char *p, size_t n, int *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		*out = *out * 10 + (p[i] - '0');
	}
	return true;
}

/* UTCTime or GeneralizedTime in the one form each that RFC 5280, 4.1.2.5 allows. */
static bool
next_time(struct asn1 *rest, int64_t *out)
{
	struct asn1 v;
	unsigned tag;
	struct tm tm = {0};
	int year;

	if (!asn1_take(rest, &tag, &v, NULL) || (tag != DER_UTC && tag != DER_GENERALIZED))
		return false;
	size_t year_digits = tag == DER_UTC ? 2 : 4;
	if (v.n != year_digits + 11 || v.p[v.n - 1] != 'Z' || !digits(v.p, year_digits, &year))
		return false;
	if (tag == DER_UTC)
		year += year < 50 ? 2000 : 1900;
	const unsigned char *p = v.p + year_digits;
	if (!digits(p, 2, &tm.tm_mon) || !digits(p + 2, 2, &tm.tm_mday) || !digits(p + 4, 2, &tm.tm_hour) ||
	    !digits(p + 6, 2, &tm.tm_min) || !digits(p + 8, 2, &tm.tm_sec))
		return false;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 59)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon--;
	*out = timegm(&tm);
	return true;
}

/* --- the key --- */

static unsigned
rsa_bits(struct asn1 key)
{
	struct asn1 sequence, modulus;

	if (!asn1_next(&key, DER_SEQUENCE, &sequence) || !asn1_next_unsigned(&sequence, &modulus) ||
	    modulus.p[0] == 0 || modulus.n > UINT16_MAX)
		return 0;
	return (unsigned)modulus.n * 8 - (unsigned)(__builtin_clz(modulus.p[0]) - 24);
}

/* From the length of the point (SEC 1, 2.3.3), so no table of curves is needed; P-521 alone does not fill its bytes. */
static unsigned
ec_bits(struct asn1 point)
{
	if (point.n < 2 || point.n > UINT16_MAX)
		return 0;
	size_t bytes = point.p[0] == 4 ? (point.n - 1) / 2 : point.n - 1;
	return bytes == 66 ? 521 : (unsigned)bytes * 8;
}

static bool
parse_key(struct asn1 info, struct cert_view *out)
{
	struct asn1 algorithm, oid;

	if (!asn1_next_whole(&info, DER_SEQUENCE, &out->algorithm) || !asn1_next_bits(&info, &out->public_key) ||
	    info.n != 0)
		return false;
	struct asn1 whole = out->algorithm;
	if (!asn1_next(&whole, DER_SEQUENCE, &algorithm) || !asn1_next(&algorithm, DER_OID, &oid))
		return false;
	if (OID_IS(oid, oid_rsa) || OID_IS(oid, oid_rsa_pss)) {
		out->key_type = TLS_KEY_RSA;
		out->key_bits = rsa_bits(out->public_key);
	} else if (OID_IS(oid, oid_ec)) {
		out->key_type = TLS_KEY_EC;
		out->key_bits = ec_bits(out->public_key);
	} else if (OID_IS(oid, oid_ed25519) || OID_IS(oid, oid_ed448)) {
		out->key_type = TLS_KEY_ED;
		out->key_bits = OID_IS(oid, oid_ed25519) ? 253 : 456;
	} else {
		out->key_type = TLS_KEY_OTHER;
	}
	return true;
}

/* --- extensions --- */

static bool
parse_basic_constraints(struct asn1 v, struct cert_view *out)
{
	struct asn1 sequence, flag;

	if (!asn1_next(&v, DER_SEQUENCE, &sequence))
		return false;
	out->ca = asn1_next(&sequence, DER_BOOLEAN, &flag) && flag.n == 1 && flag.p[0] != 0;
	return true;
}

/* The first byte tells how many bits of the last one are unused: set or not, they say nothing. */
static bool
parse_key_usage(struct asn1 v, struct cert_view *out)
{
	struct asn1 bits;

	if (!asn1_next(&v, DER_BITS, &bits) || bits.n == 0 || bits.p[0] > 7)
		return false;
	unsigned used = bits.n == 2 ? 0xffu << bits.p[0] : 0xffu;
	out->signs = bits.n > 1 && (bits.p[1] & used & KEY_USAGE_CERT_SIGN) != 0;
	return true;
}

static bool
parse_authority_key_id(struct asn1 v, struct cert_view *out)
{
	struct asn1 sequence;

	if (!asn1_next(&v, DER_SEQUENCE, &sequence))
		return false;
	(void)asn1_next(&sequence, DER_CONTEXT | 0, &out->authority_key_id);
	return true;
}

/* It is read for a hint to people only: what is malformed there tells nothing, and spoils no certificate. */
static void
parse_authority_info(struct asn1 v, struct cert_view *out)
{
	struct asn1 all, one, method;

	if (!asn1_next(&v, DER_SEQUENCE, &all))
		return;
	while (out->issuer_url.n == 0 && asn1_next(&all, DER_SEQUENCE, &one))
		if (asn1_next(&one, DER_OID, &method) && OID_IS(method, oid_ca_issuers))
			(void)asn1_next(&one, DER_CONTEXT | 6, &out->issuer_url);
}

static bool
parse_extension(struct asn1 extension, struct cert_view *out)
{
	struct asn1 oid, critical, v;

	if (!asn1_next(&extension, DER_OID, &oid))
		return false;
	(void)asn1_next(&extension, DER_BOOLEAN, &critical);
	if (!asn1_next(&extension, DER_OCTETS, &v) || extension.n != 0)
		return false;
	if (OID_IS(oid, oid_authority_info))
		parse_authority_info(v, out);
	if (oid.n != 3 || oid.p[0] != 0x55 || oid.p[1] != 0x1d) /* id-ce, 2.5.29 */
		return true;
	switch (oid.p[2]) {
	case 14:
		return asn1_next(&v, DER_OCTETS, &out->key_id);
	case 15:
		return parse_key_usage(v, out);
	case 17:
		return asn1_next(&v, DER_SEQUENCE, &out->alt_names);
	case 19:
		return parse_basic_constraints(v, out);
	case 35:
		return parse_authority_key_id(v, out);
	default:
		return true;
	}
}

static bool
parse_extensions(struct asn1 explicit, struct cert_view *out)
{
	struct asn1 all, one;

	if (!asn1_next(&explicit, DER_SEQUENCE, &all) || explicit.n != 0)
		return false;
	out->has_extensions = true;
	while (all.n > 0)
		if (!asn1_next(&all, DER_SEQUENCE, &one) || !parse_extension(one, out))
			return false;
	return true;
}

/* --- the certificate (RFC 5280, 4.1) --- */

static bool
parse_tbs(struct asn1 tbs, struct cert_view *out)
{
	struct asn1 version, signature, validity, key, extensions, unique_id;

	(void)asn1_next(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &version);
	if (!asn1_next(&tbs, DER_INTEGER, &out->serial) || out->serial.n == 0 ||
	    !asn1_next(&tbs, DER_SEQUENCE, &signature) || !asn1_next(&signature, DER_OID, &out->signature_oid) ||
	    !asn1_next_whole(&tbs, DER_SEQUENCE, &out->issuer) || !asn1_next(&tbs, DER_SEQUENCE, &validity) ||
	    !asn1_next_whole(&tbs, DER_SEQUENCE, &out->subject) || !asn1_next(&tbs, DER_SEQUENCE, &key))
		return false;
	if (!next_time(&validity, &out->not_before) || !next_time(&validity, &out->not_after) || validity.n != 0)
		return false;
	if (!parse_key(key, out))
		return false;
	(void)asn1_next(&tbs, DER_CONTEXT | 1, &unique_id);
	(void)asn1_next(&tbs, DER_CONTEXT | 2, &unique_id);
	if (asn1_next(&tbs, DER_CONTEXT_CONSTRUCTED | 3, &extensions) && !parse_extensions(extensions, out))
		return false;
	return tbs.n == 0;
}

bool
cert_parse(const unsigned char *der, size_t n, struct cert_view *out)
{
	struct asn1 file = {der, n}, certificate, tbs, algorithm, signature;

	*out = (struct cert_view){.signs = true};
	return asn1_next(&file, DER_SEQUENCE, &certificate) && file.n == 0 &&
	    asn1_next(&certificate, DER_SEQUENCE, &tbs) && asn1_next(&certificate, DER_SEQUENCE, &algorithm) &&
	    asn1_next(&certificate, DER_BITS, &signature) && certificate.n == 0 && parse_tbs(tbs, out);
}

bool
cert_issued_by(const struct cert_view *c, const struct cert_view *issuer)
{
	if (!asn1_eq(c->issuer, issuer->subject))
		return false;
	/* Two CAs may bear one name, before and after a change of key: the key identifiers tell them apart. */
	return c->authority_key_id.n == 0 || issuer->key_id.n == 0 || asn1_eq(c->authority_key_id, issuer->key_id);
}

bool
cert_is_ca(const struct cert_view *c)
{
	return (c->ca && c->signs) || (!c->has_extensions && cert_self_issued(c));
}

/* --- DNS names --- */

/* Letters, digits, '-', '_', '.', and '*' as the whole first label. */
static bool
is_host_name(struct sv s)
{
	struct sv rest = s.n > 2 && s.p[0] == '*' && s.p[1] == '.' ? sv_of(s.p + 2, s.n - 2) : s;

	if (s.n == 0 || s.n > HOST_NAME_MAX_BYTES || rest.p[0] == '.')
		return false;
	for (size_t i = 0; i < rest.n; i++) {
		char c = ascii_lower(rest.p[i]);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

static bool
next_alt_name(struct asn1 *rest, struct sv *out, bool *any)
{
	struct asn1 v;
	unsigned tag;

	while (asn1_take(rest, &tag, &v, NULL)) {
		if (tag != (DER_CONTEXT | 2)) /* dNSName */
			continue;
		*any = true;
		*out = sv_of((const char *)v.p, v.n);
		if (is_host_name(*out))
			return true;
	}
	return false;
}

static bool
has_dns_names(const struct cert_view *c)
{
	struct asn1 rest = c->alt_names;
	struct sv name;
	bool any = false;

	return next_alt_name(&rest, &name, &any) || any;
}

/* The attribute and its value, when the RDN begins with them. */
static bool
next_rdn(struct asn1 *names, struct asn1 *oid, unsigned *tag, struct asn1 *value)
{
	struct asn1 set, pair;

	return asn1_next(names, DER_SET, &set) && asn1_next(&set, DER_SEQUENCE, &pair) &&
	    asn1_next(&pair, DER_OID, oid) && asn1_take(&pair, tag, value, NULL);
}

/* A type of text with a byte to a character of ASCII: what is wider is no host's name, and what is no text is no name at all. */
static bool
is_text(unsigned tag)
{
	return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_TELETEX || tag == DER_IA5;
}

static bool
next_common_name(struct asn1 *names, struct sv *out)
{
	struct asn1 oid, value;
	unsigned tag;

	while (next_rdn(names, &oid, &tag, &value)) {
		*out = sv_of((const char *)value.p, value.n);
		if (OID_IS(oid, oid_common_name) && is_text(tag) && is_host_name(*out))
			return true;
	}
	return false;
}

bool
cert_next_name(const struct cert_view *c, struct cert_names *walk, struct sv *out)
{
	bool any;

	if (!walk->started) {
		struct asn1 subject = c->subject;
		walk->started = true;
		walk->common_name = !has_dns_names(c); /* RFC 6125, 6.4.4: only when there are none */
		walk->rest = c->alt_names;
		if (walk->common_name && !asn1_next(&subject, DER_SEQUENCE, &walk->rest))
			return false;
	}
	return walk->common_name ? next_common_name(&walk->rest, out) : next_alt_name(&walk->rest, out, &any);
}
