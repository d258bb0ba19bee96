/*
 * bio.h: OpenSSL's view of a net_stream.
 *
 * A thread has one BIO, which all its SSLs share: one of its own, with a lock, would be 200 bytes of each idle connection.
 * So it is told at each call of OpenSSL's which stream it stands for; what it tells of the last read or write (SSL_get_error) is
 * to be asked before the next SSL's turn.
 */
#ifndef BASCULE_TLS_BIO_H
#define BASCULE_TLS_BIO_H

#include <openssl/types.h>

#include "certs/thread.h"
#include "net/stream.h"

/* The thread's, for both directions, referenced for the caller. NULL when memory is out. */
BIO *tls_bio_ref(struct tls_thread *thread);

/* From now on the BIO of this SSL stands for `s`; NULL: for none. */
void tls_bio_set(const SSL *ssl, struct net_stream *s);

/* Send what OpenSSL has written. 0, or NET_ERROR. Call after each of its calls that may write. */
MUST_CHECK int tls_bio_flush(struct net_stream *s);

#endif
