/*
 * client_h2.h: HTTP/2 on a client's connection (RFC 9113).
 *
 * Each request is a stream with an exchange of its own: client_h2.c has the
 * connection, client_h2_stream.c the requests, client_h2_front.c the
 * responses, client_h2_connect.c what WebSocket needs.
 */
#ifndef BASCULE_PROXY_CLIENT_H2_H
#define BASCULE_PROXY_CLIENT_H2_H

#include <sys/queue.h>

#include "proxy/exchange.h"
#include "proxy/h2_link.h"

struct client_h2 {
	struct h2_link link; /* first */
	struct client *client;
	LIST_HEAD(, client_stream) streams; /* all that the peer has open, and those whose response is still on its way */
	struct net_timer drain;      /* the peer has been told; then no more requests are taken */
	size_t keep_max;             /* bytes of responses kept, of all streams, beyond which no more is read from origins */
};

/* A request and its response. Freed after the turn in which its last frame came or went. */
struct client_stream {
	struct h2_stream h2; /* first */
	LIST_ENTRY(client_stream) link;
	struct client *client;
	struct exchange *exchange;  /* NULL: it has ended */
	struct net_timer timer;     /* the peer is to send the rest of its request, or to take some of the response */
	struct net_deferred free_later;
	struct http_head *trailers; /* of the request; NULL: none */
	char *trailer_text;         /* what they look at */
	uint64_t sent_mark;         /* h2.sent_bytes when the timer was set */
	bool lingers;               /* answered, and the rest of its request is thrown away */
	bool read;                  /* the peer has sent all of its request, or of its direction of a tunnel */
	bool paused;                /* the peer's window is not given back: the origin takes nothing */
};

extern const struct client_codec client_h2_codec;
extern const struct side_ops client_h2_front;

static inline struct client_h2 *
client_h2_of(struct h2 *s)
{
	return CONTAINER_OF(s, struct client_h2, link.h2);
}

/* client_h2_stream.c: what the session tells, see struct h2_events. */
struct h2_stream *client_h2_on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless);
void client_h2_on_body(struct h2 *s, struct h2_stream *h2, struct sv data);
void client_h2_on_end(struct h2 *s, struct h2_stream *h2, const struct http_head *trailers);
void client_h2_on_closed(struct h2 *s, struct h2_stream *h2, uint32_t error);
void client_h2_on_drained(struct h2 *s, struct h2_stream *h2);

/* client_h2_connect.c: what extended CONNECT asks for (RFC 8441), as HTTP/1.1 asks for it. False: no room. */
MUST_CHECK bool client_h2_upgrade(struct exchange *x);
extern const struct h2_response client_h2_upgraded; /* and the answer to it */

/* Forget a stream whose exchange has ended. */
void client_stream_drop(struct client_stream *st);

/* Go on with a connection on which HTTP/1.1 was expected, and the preface of HTTP/2 came (RFC 9113, 3.3). */
void client_h2_take_over(struct client *c, struct sv bytes);

/* Set the deadline that holds for the stream now. */
void client_stream_arm(struct client_stream *st);

#endif
