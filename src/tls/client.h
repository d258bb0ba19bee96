/*
 * client.h: TLS towards origins, as a transform over a net_stream.
 *
 * One object per upstream, shared by threads, reference-counted; its SSL_CTX
 * are made per thread on first use. Servers are verified against the
 * upstream's CA or key pins unless the config says verify: false.
 */
#ifndef BASCULE_TLS_CLIENT_H
#define BASCULE_TLS_CLIENT_H

#include "certs/bundle.h"
#include "conf/config.h"
#include "net/stream.h"

struct tls_client; /* reference-counted */

/*
 * Reads the CA file; `bundle` is the client certificate or NULL (referenced). `previous` (may be NULL) is returned,
 * referenced, when nothing has changed. NULL with err set.
 */
struct tls_client *tls_client_load(const struct conf_upstream_tls *c, struct tls_bundle *bundle,
    struct tls_client *previous, struct files *files, struct err *err);
struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client *c);

/* Do both verify servers by the same CAs, pins and name? What they show of themselves may differ. */
bool tls_client_trusts_same(const struct tls_client *a, const struct tls_client *b);

/*
 * A session to resume, one per thread and server; owned by the caller, freed by tls_client_session_free. It may outlive
 * the client that it was made with: it is dropped by itself where the name or the trust has changed since.
 */
struct tls_client_session {
	void *ssl_session;
};
void tls_client_session_free(struct tls_client_session *s);

/*
 * Put TLS over a stream, right after net_stream_connect(). `host` is the server's host name or address as configured
 * (for SNI and verification unless the config names another); `session` may be NULL, else it is used and refreshed, and
 * must outlive the stream. False when memory is out or the client certificate can not be used (logged): close the
 * stream. How a connection failed, tls_stream_failure() of tls/server.h tells. With `h2` HTTP/2 is offered beside HTTP/1.1.
 */
MUST_CHECK bool tls_client_connect(struct tls_client *c, struct tls_thread *thread, struct net_stream *s,
    const char *host, bool h2, struct tls_client_session *session);

/* Has the server chosen HTTP/2? Once the handshake is complete. */
bool tls_client_is_h2(const struct net_stream *s);

#endif
