/* fingerprint.c: what a ClientHello tells of who sent it (RFC 8446, 4.1.2). */
#include <openssl/ssl.h>

#include "certs/der.h"
#include "certs/facts.h"
#include "tls/server.h"

/* Extensions that come and go from one connection of a client to the next. */
enum {
	EXT_PADDING = 21,
	EXT_PRE_SHARED_KEY = 41,
	EXT_EARLY_DATA = 42,
	EXT_COOKIE = 44,
	EXT_AUTHORITIES = 47,
};

/* What stands in a hello besides the lists that are numbered as their extensions. */
enum { PART_CIPHERS = 0x10000, PART_EXTENSIONS };

/* The sum of what its parts come to: their order makes no difference, and none has to be sorted. */
struct print {
	uint64_t sum;
};

/* A finalizer of splitmix64 (Steele, Lea, Flood 2014): each bit of x turns half of the others. */
static uint64_t
scramble(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static bool
is_grease(unsigned v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* No secret is in it: who wants to look like another client can send that one's hello. */
static void
add_value(struct print *p, unsigned part, unsigned v)
{
	if (!is_grease(v))
		p->sum += scramble((uint64_t)part << 32 | (v + 1));
}

/* A list of numbers of two bytes. */
static void
add_list(struct print *p, unsigned part, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		add_value(p, part, (unsigned)bytes[i] << 8 | bytes[i + 1]);
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
	int *types = NULL;
	size_t n = 0;

	if (SSL_client_hello_get1_extensions_present(ssl, &types, &n) != 1)
		return;
	for (size_t i = 0; i < n; i++)
		if (!changes(types[i]))
			add_value(p, PART_EXTENSIONS, (unsigned)types[i]);
	OPENSSL_free(types);
}

/* In its order, which is a preference. */
static void
add_alpn(struct print *p, SSL *ssl)
{
	const unsigned char *bytes;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &n) != 1)
		return;
	for (size_t i = 0; i < n; i++)
		p->sum = scramble(p->sum + bytes[i] + 1);
}

uint64_t
tls_hello_fingerprint(const struct tls_hello *h)
{
	struct print p = {.sum = SSL_client_hello_get0_legacy_version(h->ssl)};
	const unsigned char *bytes;
	size_t n = SSL_client_hello_get0_ciphers(h->ssl, &bytes);

	add_list(&p, PART_CIPHERS, bytes, n);
	add_types(&p, h->ssl);
	add_extension(&p, h->ssl, TLSEXT_TYPE_supported_groups, 2);
	add_extension(&p, h->ssl, TLSEXT_TYPE_signature_algorithms, 2);
	add_extension(&p, h->ssl, TLSEXT_TYPE_supported_versions, 1);
	add_alpn(&p, h->ssl);
	return p.sum;
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
