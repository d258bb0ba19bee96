#include "certs/keys.h"

/* The public part that a private key carries. */
struct key_view {
	enum tls_key_type type;
	struct asn1 modulus, exponent; /* RSA */
	struct asn1 curve, point;      /* EC: the whole parameters, and the content of the public key */
};

/* RSAPrivateKey (RFC 8017, A.1.2), behind its version. */
static bool
parse_rsa(struct asn1 fields, struct key_view *out)
{
	out->type = TLS_KEY_RSA;
	return asn1_next_unsigned(&fields, &out->modulus) && asn1_next_unsigned(&fields, &out->exponent);
}

/* ECPrivateKey (RFC 5915, 3), behind its version. The curve may stand outside, in PKCS#8. */
static bool
parse_ec(struct asn1 fields, struct key_view *out)
{
	struct asn1 scalar, parameters, public;

	out->type = TLS_KEY_EC;
	if (!asn1_next(&fields, DER_OCTETS, &scalar))
		return false;
	if (asn1_next(&fields, DER_CONTEXT_CONSTRUCTED | 0, &parameters))
		out->curve = parameters;
	return asn1_next(&fields, DER_CONTEXT_CONSTRUCTED | 1, &public) && asn1_next_bits(&public, &out->point) &&
	    out->curve.n > 0;
}

/* By what follows the version: the scalar of an EC key, the modulus of an RSA key. */
static bool
parse_traditional(struct asn1 der, struct key_view *out)
{
	struct asn1 fields, version;

	if (!asn1_next(&der, DER_SEQUENCE, &fields) || !asn1_next(&fields, DER_INTEGER, &version) || fields.n == 0)
		return false;
	return fields.p[0] == DER_OCTETS ? parse_ec(fields, out) : parse_rsa(fields, out);
}

/* PrivateKeyInfo (RFC 5208, 5), behind its version: the algorithm, then a traditional key in an OCTET STRING. */
static bool
parse_pkcs8(struct asn1 fields, struct key_view *out)
{
	struct asn1 algorithm, oid, key;

	if (!asn1_next(&fields, DER_SEQUENCE, &algorithm) || !asn1_next(&fields, DER_OCTETS, &key) ||
	    !asn1_next(&algorithm, DER_OID, &oid))
		return false;
	out->curve = algorithm;
	return parse_traditional(key, out);
}

static bool
parse_key(struct asn1 der, struct key_view *out)
{
	struct asn1 whole = der, fields, version;

	*out = (struct key_view){.type = TLS_KEY_OTHER};
	if (!asn1_next(&der, DER_SEQUENCE, &fields) || !asn1_next(&fields, DER_INTEGER, &version) || fields.n == 0)
		return false;
	return fields.p[0] == DER_SEQUENCE ? parse_pkcs8(fields, out) : parse_traditional(whole, out);
}

static enum key_match
compare_rsa(const struct key_view *key, const struct cert_view *c)
{
	struct asn1 public = c->public_key, fields, modulus, exponent;

	if (!asn1_next(&public, DER_SEQUENCE, &fields) || !asn1_next_unsigned(&fields, &modulus) ||
	    !asn1_next_unsigned(&fields, &exponent))
		return KEY_UNSURE;
	return asn1_eq(modulus, key->modulus) && asn1_eq(exponent, key->exponent) ? KEY_MATCHES : KEY_DIFFERS;
}

static enum key_match
compare_ec(const struct key_view *key, const struct cert_view *c)
{
	struct asn1 whole = c->algorithm, parameters, oid;

	if (!asn1_next(&whole, DER_SEQUENCE, &parameters) || !asn1_next(&parameters, DER_OID, &oid))
		return KEY_UNSURE;
	if (!asn1_eq(parameters, key->curve))
		return KEY_DIFFERS;
	if (c->public_key.n != key->point.n)
		return KEY_UNSURE; /* compressed here, uncompressed there */
	return asn1_eq(c->public_key, key->point) ? KEY_MATCHES : KEY_DIFFERS;
}

enum key_match
key_claims(const unsigned char *key, size_t n, const struct cert_view *c)
{
	struct key_view view;

	if (!parse_key((struct asn1){key, n}, &view))
		return KEY_UNSURE;
	if (view.type != c->key_type)
		return KEY_DIFFERS;
	return view.type == TLS_KEY_RSA ? compare_rsa(&view, c) : compare_ec(&view, c);
}
