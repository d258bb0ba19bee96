/*
 * secret.h: keys derived from the one secret that all nodes of a cluster share.
 *
 * Ticket keys and sticky cookies come from it by HKDF-SHA256 (RFC 5869) with
 * a label each, so nodes agree without talking.
 */
#ifndef BASCULE_TLS_SECRET_H
#define BASCULE_TLS_SECRET_H

#include "base/err.h"
#include "base/sv.h"

enum { SECRET_MIN = 32, SECRET_MAX = 512 }; /* bytes of a secret */

struct secret {
	unsigned char bytes[SECRET_MAX];
	size_t n;
};

/* out = HKDF(secret, info = label "\0" context); n at most 255*32. False when OpenSSL fails. */
MUST_CHECK bool
secret_derive(const struct secret *s, const char *label, struct sv context, unsigned char *out, size_t n);

/* base64url without padding (RFC 4648, 5); `out` holds 4*((n+2)/3)+1 bytes. Returns the length. */
size_t base64url(const unsigned char *p, size_t n, char *out);

MUST_CHECK bool random_bytes(void *p, size_t n);

/* Constant-time comparison. */
bool secret_eq(const void *a, const void *b, size_t n);

#endif
