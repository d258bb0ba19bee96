/*
 * origin_h2.h: HTTP/2 on an origin's connection (RFC 9113): many exchanges at a time.
 *
 * A connection is on its pool's list `shared` from its beginning, and takes
 * requests as long as the server grants streams. Those that come while it is
 * being made wait for it together; where TLS agrees on HTTP/1.1 instead
 * (ALPN), the first of them has the connection and the others get their own.
 * Once it is retired it takes no more, and closes with its last stream: the
 * server has said so (GOAWAY) or is silent, too many of its requests have been
 * taken back, the config does not name it any more, or the proxy drains. A
 * stream's end, however bad, is not the connection's.
 *
 * origin_h2.c has the connection, origin_h2_stream.c its exchanges.
 */
#ifndef BASCULE_PROXY_ORIGIN_H2_H
#define BASCULE_PROXY_ORIGIN_H2_H

#include <sys/queue.h>

#include "proxy/exchange.h"
#include "proxy/h2_link.h"

struct origin_h2 {
	struct h2_link link; /* first */
	struct origin *origin;
	TAILQ_HEAD(origin_streams, origin_stream) streams; /* in the order in which they came */
	struct origin_stream *touched; /* of the data that is being received the last; to be flushed. NULL: none */
	uint64_t heard;                /* reads so far: tells whether the server lives */
	unsigned resets;               /* requests that were taken back */
	uint64_t shut_ms;              /* since when the server's window for all bodies is shut; 0: it is not */
	uint64_t shut_bytes;           /* how much of bodies had been sent when it was looked at */
	bool shared;                   /* on pool->shared */
	bool counted;                  /* among those open: the server has chosen HTTP/2 */
	bool deaf;                     /* the socket takes no more; what the server said before may still be there */
};

/* An exchange on the connection. Freed after the turn in which it is over. */
struct origin_stream {
	struct h2_stream h2; /* first */
	TAILQ_ENTRY(origin_stream) link;
	struct origin *origin;
	struct exchange *exchange; /* NULL: it has ended */
	struct net_timer timer;    /* the server is to take, to begin or to go on */
	struct net_deferred free_later;
	uint64_t sent_mark;        /* h2.sent_bytes when the timer was set */
	uint64_t heard_mark;       /* origin_h2.heard when the request was sent */
	bool began;                /* the connection was ready for it */
	bool ends_with_status;     /* its final head was one of gRPC, whose end can be told */
	bool read;                 /* the server has sent all of its response */
	bool paused;               /* its window is not given back */
};

extern const struct origin_codec origin_h2_codec;

/* A new connection is to speak it. False: no memory. */
MUST_CHECK bool origin_h2_init(struct origin *o);

/* One that x may share; it may still be connecting. NULL: none. */
struct origin *origin_h2_find(const struct origin_pool *p, const struct exchange *x);

/* It takes no more requests: closed now, or with its last stream. */
void origin_h2_retire(struct origin *o);

/* --- origin_h2_stream.c --- */

/* For x, which has it as its back from now on; not on the connection's list yet. NULL: no memory. */
struct origin_stream *origin_stream_new(struct origin *o, struct exchange *x);

/* Its exchange has let go of it. */
void origin_stream_free(struct origin_stream *st);

/* What the session tells, see struct h2_events. */
void origin_h2_on_response(struct h2 *s, struct h2_stream *h2, struct h2_block *b, bool bodiless);
void origin_h2_on_body(struct h2 *s, struct h2_stream *h2, struct sv data);
void origin_h2_on_end(struct h2 *s, struct h2_stream *h2, const struct http_head *trailers);
void origin_h2_on_closed(struct h2 *s, struct h2_stream *h2, uint32_t error);
void origin_h2_on_drained(struct h2 *s, struct h2_stream *h2);

/* What has been received for the last stream is passed on: before its bytes go away, or another has some. */
void origin_h2_settle(struct origin_h2 *oh);

/* --- origin_h2.c, for the streams --- */

/* Writing has failed. */
void origin_h2_unsent(struct origin *o);

/* Something may have been sent: is the server's window shut now? */
void origin_h2_note_window(struct origin_h2 *oh);

/* The last of its streams has gone. */
void origin_h2_idle(struct origin *o, uint64_t idle_max, uint64_t idle_ms);

#endif
