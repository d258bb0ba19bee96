/*
 * wire.h: a TLS connection of ours on an event loop, and a blocking OpenSSL peer in a thread at the other end.
 *
 * The stream under test echoes what it reads, with back-pressure. The loop runs until the stream has ended (the end
 * of the peer, or a failure), and the peer until its function returns; then what happened can be looked at.
 */
#ifndef BASCULE_TESTS_WIRE_H
#define BASCULE_TESTS_WIRE_H

#include <openssl/ssl.h>

#include "net/loop.h"
#include "../certs/pki.h"
#include "tls/client.h"
#include "tls/policy.h"
#include "tls/secret.h"
#include "tls/server.h"

enum { WIRE_SITES = 4 };

struct wire_site {
	const char *name; /* what choose answers to; "" is for no name */
	struct tls_bundle *bundles[4];
	unsigned n_bundles;
	struct tls_policy *policy;
	uint16_t min_version;
};

/* What our side saw. */
struct wire_seen {
	bool opened, eof, broken, failed;
	int error;
	struct tls_failure failure;
	struct tls_session_facts facts;
	bool has_peer;
	struct tls_peer *peer; /* owned, until the next connection */
	char name[256];     /* tls_stream_server_name */
	unsigned chosen;    /* calls of choose */
	uint64_t fingerprint;
	bool has_authorities, trusts[4];
	int shown;          /* tls_stream_shown, when it opened or failed */
	size_t bytes, reads, pauses;
	char first[64];     /* bytes that came first */
};

struct wire {
	struct net_loop *loop;
	struct tls_thread *thread;
	struct net_stream stream;
	struct wire_site sites[WIRE_SITES];
	char *dir;
	struct wire_seen seen;
	size_t greeting; /* our side sends that many bytes 'g' on_open, in one write */
	bool finish_on_eof;   /* answer the peer's end with ours */
	bool finish_after_first; /* end our side with the first echo */
	int peer_fd;
};

void wire_init(struct wire *w);
void wire_done(struct wire *w);

struct secret wire_secret(char fill);
struct tls_server *wire_server(struct wire *w, const struct secret *secret);
struct tls_server *wire_server_with(struct wire *w, const struct conf_tls *conf, const struct secret *secret);

/* A bundle with the leaf and its issuer's certificate when that is given. Owned by the caller. */
struct tls_bundle *wire_bundle(struct wire *w, const char *name, const struct test_cert *leaf, const struct test_cert *issuer);
struct tls_policy *wire_policy(struct wire *w, enum conf_client_certificate_mode mode, const struct test_cert *ca, X509_CRL *crl);

/* --- the peer as a client --- */

struct peer_config {
	const char *sni; /* NULL: none */
	int version;     /* TLS1_2_VERSION, …; 0: any */
	const char *ciphers, *sigalgs, *groups;
	const char *alpn; /* one protocol */
	const struct test_cert *cert;
	const struct test_cert *trust; /* CA to verify the server by; NULL: do not */
	const struct test_cert *authority; /* to be named in the ClientHello; NULL: none */
	SSL_SESSION *session;          /* to resume */
	void (*talk)(struct wire *w, SSL *ssl); /* NULL: peer_ping */
	BIO_callback_fn_ex on_io; /* on the peer's socket: to change what it sends */
};

struct peer_seen {
	bool connected, ponged, resumed;
	unsigned alert; /* of ours, + 1 */
	char cn[64];    /* of the certificate that was shown; empty: none */
	int key_type;   /* EVP_PKEY_RSA, … */
	char alpn[32];
	SSL_SESSION *session; /* the newest; to be freed */
	unsigned tickets;
	unsigned records; /* of application data that came */
	unsigned cas;     /* client CAs that were named */
};

/* One connection to `server`, from beginning to end. */
void wire_connect(struct wire *w, struct tls_server *server, const struct peer_config *c, struct peer_seen *out);

/* "ping", "ping" back, close_notify, wait for ours. */
void peer_ping(struct wire *w, SSL *ssl);

/* --- the peer as a server --- */

struct origin_config {
	const struct test_cert *cert;
	const struct test_cert *client_ca; /* demand a certificate of it */
	int version; /* the highest; 0: any */
};

struct origin_seen {
	bool accepted, resumed;
	char sni[256], alpn[32], client_cn[64];
	unsigned alert;
};

/* Kept between connections, so that tickets work. */
SSL_CTX *wire_origin_context(const struct origin_config *c);

/* Our client connects to `host` as it says, the origin echoes one message "ping". */
void wire_origin(struct wire *w, struct tls_client *client, const char *host, struct tls_client_session *session, SSL_CTX *origin,
    struct origin_seen *out);

#endif
