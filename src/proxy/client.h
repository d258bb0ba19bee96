/*
 * client.h: a client's connection: accepted, TLS, its deadlines, its end.
 *
 * Owns its stream; on the list thread->clients until it is freed after the
 * loop turn in which it was closed. What it says is read by a codec, which
 * turns it into exchanges.
 */
#ifndef BASCULE_PROXY_CLIENT_H
#define BASCULE_PROXY_CLIENT_H

#include "proxy/client_h1.h"
#include "proxy/client_h2.h"
#include "proxy/client_told.h"

enum client_phase {
	CLIENT_TOLD, /* a proxy in front is to tell first whom it speaks for; the stream is a plain one, TLS comes behind */
	CLIENT_HANDSHAKE,
	CLIENT_OPEN,   /* the codec reads, writes and waits */
	CLIENT_LINGER, /* our end has been sent: what still comes is thrown away until the client closes too */
};

/* A version of HTTP, towards clients. All but begin() only while the connection is open, and never after gone(). */
struct client_codec {
	/* The connection is open. False: out of memory. */
	bool (*begin)(struct client *c);
	void (*readable)(struct client *c);
	void (*drained)(struct client *c); /* all that waited for the socket has been taken */

	/* By whose timeouts? And how long may the client now do nothing (ms, 0: as long as it likes), before expired()? */
	const struct conf_timeouts *(*timeouts)(const struct client *c);
	uint64_t (*patience)(const struct client *c, const struct conf_timeouts *t);
	void (*expired)(struct client *c);

	void (*drain)(struct client *c);                /* the proxy ends: close as soon as that cuts nothing off */
	bool (*awaits_more)(const struct client *c);    /* is the client perhaps sending what will not be read? */
	void (*gone)(struct client *c, const char *why); /* it is being closed: so are its exchanges */
	void (*free)(struct client *c);
};

struct client_stay {
	struct rotation *rotation; /* NULL: nobody's that is known, or c->rotation has them */
	struct client_record *record;
};

struct client {
	struct net_stream stream;
	LIST_ENTRY(client) link;
	struct px_thread *thread;
	const struct client_codec *codec; /* NULL until the connection is open */
	struct px_view *view;        /* during the handshake only: what TLS borrows is in its snapshot */
	struct tls_policy *policy;   /* of the handshake's site; referenced; NULL without TLS */
	struct client_stay stay;     /* once nothing more is to be learned: whose connection it is */
	struct client_rotation *rotation; /* from the ClientHello on; NULL: nothing to learn of it, nor is it known */
	struct client_told *told;    /* owned; what a proxy in front told of it; NULL: nothing */
	LIST_HEAD(, origin) bound;   /* connections to origins that serve this client alone, see origin_bound.h */
	struct holder *holder;       /* the client certificate, where it is noted that it came; NULL: none, or not noted */
	struct tls_peer *peer;       /* the client certificate; made on first use; NULL: not looked, or none */
	struct net_deferred later;   /* to free it, or to go on with bytes that were read already */
	struct client_h1 h1;
	struct client_h2 *h2;        /* NULL: HTTP/1 */
	uint64_t linger_until;       /* ms; while lingering */
	uint64_t sent_mark;          /* stream.sent when the send deadline was set: tells progress */
	uint32_t requests;           /* begun on this connection */
	/* What the listener says of its connections, copied: it may go. */
	px_service_fn service;
	void *service_arg;
	uint16_t port, redirect_port;
	bool redirect;
	bool is_tls;                 /* to us; see client_is_secure() as well */

	uint8_t phase;               /* enum client_phase */
	uint8_t reason;              /* enum close_reason, when closed */
	bool over_limit;             /* accepted above the limit, to be told 503 */
	bool linger;                 /* while lingering: wait for the client's end, not only for what is pending */
	bool logged;                 /* why it ends has been said */
	bool ends;                   /* no request follows the present one: see origin_bound.h */
	bool cut_off;                /* a response was begun that can not be completed */
	bool closed;
	bool peer_looked;
	bool untold;                 /* how it takes its certificate: the first byte of a request will tell its rotation */
	struct net_ip from;          /* the peer, or the one told in its place */
	uint8_t address_n;           /* the length of its text */
	uint16_t from_port;
	char address_text[NET_IP_TEXT]; /* without port */
};

/* For people and for fields; lasts as long as the client does, or until another is told in its place. */
static inline struct sv
client_address(const struct client *c)
{
	return sv_of(c->address_text, c->address_n);
}

static inline bool
client_is_open(const struct client *c)
{
	return !c->closed && c->phase == CLIENT_OPEN;
}

/* Has it come by TLS, to us or to the proxy in front that tells so? */
static inline bool
client_is_secure(const struct client *c)
{
	return c->is_tls || (c->told != NULL && c->told->header.tls.used);
}

/* What a listener does with a new connection. */
void client_accept(struct px_listener *l, int fd, const struct net_address *peer);

/* Close now; freed after the turn. Idempotent. An exchange that runs is ended first. `detail` is for the log. */
void client_close(struct client *c, enum close_reason why);
void client_close_with(struct client *c, enum close_reason why, const char *detail);

/* Send what is left with the end of the stream behind it, then close; lingers when the client may still be sending. */
void client_finish(struct client *c, enum close_reason why);

/*
 * No request is to follow: at once when none runs, else behind the response, which says so when it has not begun. From
 * within any callback of the client's or of one of its origins.
 */
void client_end(struct client *c);

/* --- for client_told.c --- */

void client_set_address(struct client *c, const struct net_ip *ip, uint16_t port);

/* In CLIENT_TOLD: TLS, or at once the codec. */
void client_begin(struct client *c);

/* Set the deadline that holds now. */
void client_arm(struct client *c);

/* Read on, and throw it away: for a codec that finds its connection in CLIENT_LINGER. */
void client_linger(struct client *c);

/* Which site's certificate and rule a handshake needs: for tls_server_new. */
bool client_choose_site(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out);

/*
 * The rule of the site that the handshake was for may have changed since, by a CRL that was renewed, say: a client that
 * it would let in goes on under the new one. False: it would not let this one in, which is to make a new connection.
 */
MUST_CHECK bool client_renew_policy(struct client *c, const struct snapshot *s);

/* A new snapshot is in force: end those whose site wants that done at once to clients that it would not let in. */
void client_policies_changed(struct px_thread *t);

/* Look again, once the turn is over, at bytes that have been read already. */
void client_later(struct client *c);

/* The client certificate's facts; *out NULL: none was shown. False: memory is out, and none must not be said. */
MUST_CHECK bool client_peer(struct client *c, const struct tls_peer **out);

/*
 * --- client_rotation.c ---
 *
 * The choice may put other generations in place of the bundles; then one of the others tells how the client took it. Who is
 * known is seen until the connection ends.
 */
void client_rotation_choose(struct client *c, const struct tls_hello *hello, struct tls_choice *out);
void client_rotation_opened(struct client *c, bool resumed);
void client_rotation_failed(struct client *c, const struct tls_failure *f);
void client_rotation_spoke(struct client *c); /* the first byte of a request has come: what follows says nothing new */
void client_rotation_left(struct client *c, bool by_itself);

/*
 * --- client_certificate.c ---
 *
 * For sites that ask for client certificates it is noted which come, of which CA, and which are refused.
 */
void client_certificate_opened(struct client *c, bool resumed); /* c->view is still there */
void client_certificate_refused(struct client *c);              /* the same */
void client_certificate_left(struct client *c);

#endif
