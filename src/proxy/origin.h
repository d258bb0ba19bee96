/*
 * origin.h: a connection to an origin server: connected, TLS, what it carries, its end.
 *
 * It belongs to one thread and one pool (a server with its TLS). What goes over
 * it is read and written by a codec. With HTTP/1.1 it either carries an exchange
 * or is idle, on its pool's list, where an event of any kind means that the
 * server closed it; with HTTP/2 it carries many: origin_h2.h. One that is bound
 * to a client is on neither list of its pool: origin_bound.h.
 */
#ifndef BASCULE_PROXY_ORIGIN_H
#define BASCULE_PROXY_ORIGIN_H

#include "proxy/exchange.h"
#include "proxy/origin_h1.h"
#include "proxy/origin_h2.h"
#include "proxy/origin_pool.h"

/* A version of HTTP, towards origins. None is called once the connection is closed, but free(). */
struct origin_codec {
	bool (*attach)(struct origin *o, struct exchange *x); /* from now on it carries x, too: x->origin, x->back. False: no memory */
	void (*opened)(struct origin *o);
	void (*readable)(struct origin *o);
	void (*drained)(struct origin *o); /* all that waited for the socket has been taken */
	void (*expired)(struct origin *o); /* the stream's deadline */
	/* Not to be used any more, or it never could be: what has happened, and the particulars. */
	void (*failed)(struct origin *o, const char *what, const char *detail);
	void (*leave)(struct origin *o);   /* it is being closed: off the pool's list */
	void (*free)(struct origin *o);
};

struct origin {
	struct net_stream stream;
	LIST_ENTRY(origin) link; /* of pool->idle, while idle, or pool->shared; of client->bound, when bound */
	struct px_thread *thread;
	struct origin_pool *pool;
	const struct origin_codec *codec;
	struct exchange *exchange; /* of HTTP/1.1; NULL: idle */
	struct client *client;     /* it serves that one alone, origin_bound.h; NULL: anybody */
	struct net_deferred free_later;
	struct origin_h1 h1;
	struct origin_h2 *h2;      /* owned; NULL: HTTP/1.1 */
	enum conf_proxy_protocol header; /* it has begun with */
	bool authenticated;      /* and bound for that reason */
	bool is_idle;            /* open, and carries nothing: on pool->idle, or HTTP/2 */
	bool reused;             /* has carried an exchange before */
	bool blamed;             /* its end has been counted as a failure of its server */
	bool closed;
};

enum origin_outcome {
	ORIGIN_READY,
	ORIGIN_WAITS,  /* exchange_origin_ready() or exchange_origin_failed() follows */
	ORIGIN_FAILED, /* at once */
	ORIGIN_OURS,   /* the same, for want of descriptors, ports or memory here, which is no fault of the server */
};

/* Give x a connection to its server, an idle one or a new one: x->origin and x->back. `why` is set where there is none. */
enum origin_outcome origin_get(struct exchange *x, const char **why);

/* Close; freed after the turn. Idempotent. */
void origin_close(struct origin *o);

/* Keep a connection that is done with its exchange, on its pool's list or its client's, or close it when it can not be kept. */
void origin_release(struct origin *o, uint64_t idle_max, uint64_t idle_ms);

/* Has an exchange on it failed because it ended, as one may that was open before, and had crossed with the request? */
static inline bool
origin_was_stale(const struct origin *o)
{
	return o->reused && (o->h2 == NULL || o->closed);
}

/* "what: detail", which lives as long as x. */
const char *origin_explain(struct exchange *x, const char *what, const char *detail);

/* An answer it is, so the request is not sent again: 502. `detail`: NULL where a library has found out. */
void origin_malformed(struct exchange *x, const char *detail);

/* What to do about a server that knows HTTP/2 alone, where HTTP/1.1 was spoken. Lives as long as x. */
const char *origin_speaks_h2(struct exchange *x);

#endif
