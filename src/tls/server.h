/*
 * server.h: TLS towards clients, as a transform over a net_stream.
 *
 * One SSL_CTX a thread. At the ClientHello the owner is asked once which
 * bundles and which client-certificate policy the server name needs; the
 * certificate itself is set only when the handshake is a full one. The
 * session cache is off; tickets are keyed from the shared secret.
 */
#ifndef BASCULE_TLS_SERVER_H
#define BASCULE_TLS_SERVER_H

#include "certs/bundle.h"
#include "conf/config.h"
#include "net/stream.h"
#include "tls/policy.h"
#include "tls/secret.h"

/* The per-thread server context: SSL_CTX and ticket keys. Reference-counted. */
struct tls_server;

struct tls_choice {
	struct tls_bundle *bundles[4]; /* borrowed until the handshake ends: the owner keeps the snapshot */
	struct tls_policy *policy; /* borrowed for the life of the connection */
	unsigned n_bundles;
	uint16_t min_version;      /* 0: the server's */
	bool h2;                   /* HTTP/2 may be agreed on (ALPN) */
};

/* A ClientHello, during the choice only. */
struct tls_hello {
	struct sv name; /* SNI in lower case without a trailing dot; empty: none was sent, or what is no host name */
	struct ssl_st *ssl;
};

/*
 * How it is made up: versions, ciphers, extensions, groups, signature algorithms and ALPN, whatever their order, without
 * GREASE (RFC 8701) and without what changes from one connection of a client to the next. The same on all machines.
 */
uint64_t tls_hello_fingerprint(const struct tls_hello *h);

/* Does it name authorities (RFC 8446, 4.2.4), and one of the bundle's chain among them? */
bool tls_hello_has_authorities(const struct tls_hello *h);
bool tls_hello_trusts(const struct tls_hello *h, const struct tls_bundle *b);

/* Which site? False: unrecognized_name. */
typedef bool (*tls_choose_fn)(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out);

/* NULL with err set (a cipher list that does not parse names its key). `secret` is copied into derived keys only. */
struct tls_server *tls_server_new(struct tls_thread *thread, const struct conf_tls *conf, const struct secret *secret,
    tls_choose_fn choose, struct err *err);
struct tls_server *tls_server_ref(struct tls_server *s); /* its own thread only, as unref */
void tls_server_unref(struct tls_server *s); /* NULL is fine; connections keep it alive */
bool tls_server_fits(const struct tls_server *s, const struct conf_tls *conf); /* made from an equal config? */

/* Put TLS over a stream that was accepted. False when memory is out. */
MUST_CHECK bool tls_server_accept(struct tls_server *server, struct net_stream *s);

/* --- after on_open --- */

struct tls_session_facts {
	const char *version; /* "TLSv1.3" */
	const char *cipher;
	bool resumed;
};
void tls_stream_facts(const struct net_stream *s, struct tls_session_facts *out);

/*
 * Which of the choice's bundles was shown in the handshake, that goes on, has just ended or has failed: valid in on_open
 * and in on_failed. -1: none, because it resumed, or did not come so far.
 */
int tls_stream_shown(const struct net_stream *s);

/* Has HTTP/2 been agreed on? In on_open and later. */
bool tls_stream_is_h2(const struct net_stream *s);

/* The name the client asked for, as given to choose. */
struct sv tls_stream_server_name(const struct net_stream *s);

enum {
	TLS_PEER_NAME_MAX = 4096, /* a certificate whose subject or issuer is longer as text is refused */
	TLS_PEER_SERIAL_MAX = 20, /* octets */
	/*
	 * Bytes of the certificates that a client sends: who sends more is turned away before any is looked at. A device's with nine
	 * intermediates, all with RSA keys of 4096 bits, has some 20 KB; one with two, all signed by ML-DSA-87, the same. OpenSSL's
	 * own bound is 100 KB.
	 */
	TLS_PEER_CERTIFICATES_MAX = 32 * 1024,
};

/* The verified client certificate. One allocation: free() it. */
struct tls_peer {
	const char *subject, *issuer; /* RFC 2253, printable ASCII only */
	const char *serial;           /* upper-case hex; "..." behind the first TLS_PEER_SERIAL_MAX octets of a longer one */
	const char *common_name;      /* the first of the subject, UTF-8; "": it has none, or one with a NUL in it */
	char fingerprint[65];         /* SHA-256 of the DER, lower-case hex */
	unsigned char sha256[32];     /* the same */
	int64_t not_after;            /* seconds of the epoch */
	char text[];
};

/* NULL: none was shown, or memory is out (*shown tells which). Also after a resumption. */
struct tls_peer *tls_stream_peer(const struct net_stream *s, struct tls_thread *thread, bool *shown);

/*
 * Which pin of the handshake's policy vouches for that certificate, in on_open. After a resumption, which has no chain, it
 * is told by the issuer alone. NULL: not known.
 */
const struct tls_pin *tls_stream_pin(const struct net_stream *s, struct tls_thread *thread);

/*
 * The certificate for which the client has been refused, which nobody vouches for and which need not even be its own: in
 * on_failed. NULL: it was not refused for one, or memory is out. free() it.
 */
struct tls_peer *tls_stream_refused(const struct net_stream *s, struct tls_thread *thread, bool *revoked);

/*
 * Would the client be let in by this policy as well, with the certificate it has shown, or none? As a handshake would
 * decide it now; after a resumption its intermediates are not there, and one that needs them is not let in.
 */
bool tls_stream_satisfies(const struct net_stream *s, struct tls_policy *p, struct tls_thread *thread);

/*
 * Why the handshake failed, or reading or writing did, for the log: in on_failed or after NET_ERROR, until the stream
 * is closed. Streams of clients (tls/client.h) as well; empty for a plain one.
 */
struct tls_failure {
	char text[160];
	unsigned peer_alert;    /* the alert that the peer sent, + 1; 0: none */
	bool no_protocol;       /* that alert: the peer speaks nothing that ALPN has offered (RFC 7301, 3.2) */
	bool unrecognized_name; /* choose refused */
	bool peer_left;         /* the peer ended the connection without an alert */
};
void tls_stream_failure(const struct net_stream *s, struct tls_failure *out);

#endif
