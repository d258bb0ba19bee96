/*
 * facts.h: what is read of a certificate's DER without building an X509.
 */
#ifndef BASCULE_CERTS_FACTS_H
#define BASCULE_CERTS_FACTS_H

#include "base/sv.h"
#include "certs/asn1.h"
#include "certs/bundle.h"

/* Views into the certificate's bytes. */
struct cert_view {
	struct asn1 serial;          /* the INTEGER's content */
	struct asn1 signature_oid;
	struct asn1 issuer, subject; /* whole Names, compared byte by byte */
	struct asn1 algorithm;       /* of the key: the whole AlgorithmIdentifier */
	struct asn1 public_key;      /* the content of subjectPublicKey */
	int64_t not_before, not_after;
	enum tls_key_type key_type;
	unsigned key_bits;
	struct asn1 key_id, authority_key_id; /* of the extensions; empty: absent */
	struct asn1 alt_names;                /* content of the GeneralNames; empty: absent */
	struct asn1 issuer_url;               /* where the issuer's certificate can be had (RFC 5280, 4.2.2.1); empty: not told */
	bool has_extensions;
	bool ca;         /* basicConstraints says so */
	bool signs;      /* keyUsage is absent or has keyCertSign */
};

/* False: not one complete certificate in DER. */
bool cert_parse(const unsigned char *der, size_t n, struct cert_view *out);

static inline bool
cert_self_issued(const struct cert_view *c)
{
	return asn1_eq(c->subject, c->issuer);
}

/* May `issuer` have issued `c`, by name and key identifiers? */
bool cert_issued_by(const struct cert_view *c, const struct cert_view *issuer);

/* May it issue others: a CA by basicConstraints, or a version 1 root? */
bool cert_is_ca(const struct cert_view *c);

/* "CN=…, O=…", the most specific first, escaped so that no control byte is left. Cut at `size` bytes. */
void cert_name_text(struct asn1 name, char *out, size_t size);

/* Upper-case hex. Cut at `size` bytes. */
void cert_serial_text(struct asn1 serial, char *out, size_t size);

/*
 * Walk the DNS names, starting with a zeroed walk. Names that can not be a host's are left out; lower-casing is left to
 * the caller.
 */
struct cert_names {
	struct asn1 rest;
	bool started, common_name;
};
bool cert_next_name(const struct cert_view *c, struct cert_names *walk, struct sv *out);

#endif
