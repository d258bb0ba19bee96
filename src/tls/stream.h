/*
 * stream.h: what server and client have in common: a transform that runs an
 * SSL over a net_stream.
 *
 * The BIO reads with net_raw_read() and writes into the thread's cipher
 * buffer, which is sent once per step. So the records of a step leave in one
 * system call, no read is made for a record's header alone, and an idle
 * connection owns no buffer.
 *
 * Loop thread of the stream only. No other layer includes this.
 */
#ifndef BASCULE_TLS_STREAM_H
#define BASCULE_TLS_STREAM_H

#include <openssl/ssl.h>

#include "certs/thread.h"
#include "net/stream.h"

/* First in the state of either side, which hangs at net_stream.state. */
struct tls_stream {
	SSL *ssl;           /* owned */
	char *failure;      /* why it broke, malloc'ed; NULL: it did not, or memory was out */
	uint64_t received;  /* bytes of data */
	uint64_t messages;  /* since the handshake: those of another, and other records that were no data */
	int error;          /* errno with NET_ERROR */
	int deaf;           /* errno: the peer takes no more; what it said before that can still be read. 0: it does */
	int8_t end;         /* 0, or what every read returns from now on: NET_ERROR, or 1 for NET_EOF */
	bool open;          /* the handshake is over */
	bool left;          /* it broke because the peer ended the connection, without an alert */
	bool starved;       /* OpenSSL asked the socket, and it had nothing */
	uint16_t alert;     /* the peer's alert that broke it, + 1; 0: none */
	bool unrecognized;  /* refused because no site serves the name */
};

/* An SSL of `context`, which is the thread's, into t; false when memory is out. The caller sets accept or connect state. */
MUST_CHECK bool tls_stream_init(struct tls_stream *t, SSL_CTX *context, struct tls_thread *thread);
void tls_stream_clear(struct tls_stream *t);

/* Has the peer sent more that is no data than anybody needs? Noted as the failure; what reads from the socket stops then. */
bool tls_stream_is_flooded(struct tls_stream *t);

/* OpenSSL's callback for what comes and goes. */
void tls_stream_on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg);

/* The stream under an SSL: for OpenSSL's callbacks, and known in these only. */
struct net_stream *tls_stream_of(const SSL *ssl);

/* Note why the connection will fail, ahead of OpenSSL's own reason: for OpenSSL's callbacks. The first note stays. */
void tls_stream_note(struct tls_stream *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For a verification callback: notes which certificate was refused, and why. `whose` is "client" or "server". */
void tls_stream_note_refused(struct tls_stream *t, X509_STORE_CTX *x, const char *whose);

/*
 * RFC 2253, all beyond printable ASCII escaped. A name that does not fit is left out: cut off, it could be taken for
 * another's.
 */
void tls_name_text(const X509_NAME *name, char *out, size_t size);

/* Do its names fit in TLS_PEER_NAME_MAX? An origin is told all of them or is not asked: cut off they are another's. */
bool tls_peer_is_nameable(const X509 *cert);

/* The calls of struct net_transform; each side adds its own free, and the server its own handshake. */
int tls_stream_handshake(struct net_stream *s);
ssize_t tls_stream_read(struct net_stream *s, void *p, size_t n);
int tls_stream_write(struct net_stream *s, const struct iovec *v, int n, bool last);
bool tls_stream_pending(const struct net_stream *s);

#endif
