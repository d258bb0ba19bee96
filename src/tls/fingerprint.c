/* fingerprint.c: what a ClientHello tells of who sent it (RFC 8446, 4.1.2). */
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/siphash.h"
#include "tls/der.h"
#include "tls/facts.h"
#include "tls/server.h"

enum {
	VALUES_MAX = 256, /* of one list; what a longer one has beyond makes no difference */
	/* Extensions that come and go from one connection of a client to the next. */
	EXT_PADDING = 21,
	EXT_PRE_SHARED_KEY = 41,
	EXT_EARLY_DATA = 42,
	EXT_COOKIE = 44,
	EXT_AUTHORITIES = 47,
};

/* What has gathered of a hello: parts, each sorted, with a mark between. */
struct print {
	uint64_t hash;
};

/* No secret: the same on every machine. Who wants to look like another client can send that one's hello. */
static const unsigned char fixed[SIPHASH_KEY] = "bascule's hello";

static void
add(struct print *p, unsigned what, const void *bytes, size_t n)
{
	uint64_t all[3] = {p->hash, what, siphash(fixed, bytes, n)};

	p->hash = siphash(fixed, all, sizeof(all));
}

static int
by_value(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static bool
is_grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* Sorted and without GREASE. Little-endian bytes, so that all machines agree. */
static void
add_values(struct print *p, unsigned what, uint16_t *v, size_t n)
{
	unsigned char bytes[2 * VALUES_MAX];
	size_t out = 0;

	qsort(v, n, sizeof(*v), by_value);
	for (size_t i = 0; i < n; i++) {
		if (is_grease(v[i]))
			continue;
		bytes[out++] = (unsigned char)v[i];
		bytes[out++] = (unsigned char)(v[i] >> 8);
	}
	add(p, what, bytes, out);
}

/* A list of numbers of two bytes. */
static void
add_list(struct print *p, unsigned what, const unsigned char *bytes, size_t n)
{
	uint16_t v[VALUES_MAX];
	size_t count = MIN_OF(n / 2, (size_t)VALUES_MAX);

	for (size_t i = 0; i < count; i++)
		v[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	add_values(p, what, v, count);
}

/* An extension whose body is such a list behind its length of `head` bytes. */
static void
add_extension(struct print *p, SSL *ssl, unsigned type, size_t head)
{
	const unsigned char *body;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, type, &body, &n) == 1 && n >= head)
		add_list(p, type, body + head, n - head);
}

static bool
changes(int type)
{
	return type == EXT_PADDING || type == EXT_PRE_SHARED_KEY || type == EXT_EARLY_DATA || type == EXT_COOKIE;
}

static void
add_types(struct print *p, SSL *ssl)
{
	uint16_t v[VALUES_MAX];
	size_t count = 0, n = 0;
	int *types = NULL;

	if (SSL_client_hello_get1_extensions_present(ssl, &types, &n) != 1)
		return;
	for (size_t i = 0; i < n && count < VALUES_MAX; i++)
		if (!changes(types[i]))
			v[count++] = (uint16_t)types[i];
	OPENSSL_free(types);
	add_values(p, 0x10000, v, count);
}

uint64_t
tls_hello_fingerprint(const struct tls_hello *h)
{
	struct print p = {.hash = SSL_client_hello_get0_legacy_version(h->ssl)};
	const unsigned char *bytes;
	size_t n = SSL_client_hello_get0_ciphers(h->ssl, &bytes);

	add_list(&p, 0x10001, bytes, n);
	add_types(&p, h->ssl);
	add_extension(&p, h->ssl, TLSEXT_TYPE_supported_groups, 2);
	add_extension(&p, h->ssl, TLSEXT_TYPE_signature_algorithms, 2);
	add_extension(&p, h->ssl, TLSEXT_TYPE_supported_versions, 1);
	if (SSL_client_hello_get0_ext(h->ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &n) == 1)
		add(&p, TLSEXT_TYPE_application_layer_protocol_negotiation, bytes, n); /* in its order: a preference */
	return p.hash;
}

/* --- certificate_authorities -------------------------------------------------------------------------------- */

/* The names in it, one after the other: opaque DistinguishedName<1..2^16-1>, within a vector. */
static struct sv
authorities_of(const struct tls_hello *h)
{
	const unsigned char *body;
	size_t n;

	if (SSL_client_hello_get0_ext(h->ssl, EXT_AUTHORITIES, &body, &n) != 1 || n < 2)
		return SV_NONE;
	return sv_of((const char *)body + 2, n - 2);
}

bool
tls_hello_has_authorities(const struct tls_hello *h)
{
	return authorities_of(h).n > 0;
}

static bool
names(struct sv list, struct asn1 issuer)
{
	struct sv wanted = sv_of((const char *)issuer.p, issuer.n);


	while (list.n > 2) {
		size_t n = (size_t)(unsigned char)list.p[0] << 8 | (unsigned char)list.p[1];
		if (n > list.n - 2)
			return false;
		if (sv_eq(sv_of(list.p + 2, n), wanted))
			return true;
		list = sv_of(list.p + 2 + n, list.n - 2 - n);
	}
	return false;
}

bool
tls_hello_trusts(const struct tls_hello *h, const struct tls_bundle *b)
{
	struct sv list = authorities_of(h);
	struct cert_view v;

	for (unsigned i = 0; list.n > 0 && i < b->n_chain; i++)
		if (cert_parse(b->chain[i]->bytes, b->chain[i]->size, &v) && names(list, v.issuer))
			return true;
	return false;
}
