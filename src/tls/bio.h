/*
 * bio.h: OpenSSL's view of a net_stream.
 */
#ifndef BASCULE_TLS_BIO_H
#define BASCULE_TLS_BIO_H

#include <openssl/types.h>

#include "net/stream.h"

/* One for both directions; `s` outlives it. NULL when memory is out. */
BIO *tls_bio_new(struct net_stream *s);

/* Send what OpenSSL has written. 0, or NET_ERROR. Call after each of its calls that may write. */
MUST_CHECK int tls_bio_flush(struct net_stream *s);

#endif
