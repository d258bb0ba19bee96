/*
 * origin.h: connections to origin servers, and the pools of idle ones.
 *
 * A connection belongs to one thread and one pool (a server with its TLS). It
 * either carries an exchange or is idle on its pool's list, last used first,
 * where an event of any kind means that the server closed it. One that is
 * bound to a client is never on that list: origin_bound.h.
 */
#ifndef BASCULE_PROXY_ORIGIN_H
#define BASCULE_PROXY_ORIGIN_H

#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the pool; it does not end the process */
#include <uthash.h>

#include "proxy/exchange.h"

struct origin_pool_key {
	const struct server_state *server;
	const struct tls_client *tls; /* NULL: plain */
};

struct origin_pool {
	struct origin_pool_key key;
	struct server_state *server; /* referenced: the key stays unique */
	struct tls_client *tls;      /* referenced */
	LIST_HEAD(, origin) idle;    /* last used first */
	unsigned n_idle, n_all;
	bool named;                  /* by the newest snapshot, as of its sweep */
	struct tls_client_session session;
	UT_hash_handle hh;
};

struct origin {
	struct net_stream stream;
	LIST_ENTRY(origin) link; /* of pool->idle, while idle; of client->bound, when bound */
	struct px_thread *thread;
	struct origin_pool *pool;
	struct exchange *exchange; /* NULL: idle */
	struct client *client;     /* it serves that one alone, origin_bound.h; NULL: anybody */
	struct net_deferred free_later;
	struct buf in;           /* the start of a response head */
	struct h1_scan scan;
	struct h1_body body;
	enum conf_proxy_protocol header; /* it has begun with */
	bool authenticated;      /* and bound for that reason */
	bool is_idle;            /* on pool->idle */
	bool reused;             /* has carried an exchange before */
	bool keep;               /* the response lets the connection stay open */
	bool answered;           /* a byte of the present response has come */
	bool in_body;            /* the final head has been passed on */
	bool request_chunked;    /* the present request is being sent in chunks */
	bool deaf;               /* takes no more of the request; an answer may have come before */
	uint64_t sent_mark;      /* stream.sent when the send deadline was set: tells progress */
	bool closed;
};

/*
 * A connection to x's server: an idle one (then *ready is true) or a new one that calls exchange_origin_ready() or
 * exchange_origin_failed() later. NULL with `why` set: it failed at once; *ours: for want of descriptors, ports or memory
 * here, which is no fault of the server.
 */
struct origin *origin_get(struct exchange *x, bool *ready, bool *ours, const char **why);

/* Close; freed after the turn. Idempotent. */
void origin_close(struct origin *o);

/* Keep a connection that is done with its exchange, on its pool's list or its client's, or close it when it can not be kept. */
void origin_release(struct origin *o, uint64_t idle_max, uint64_t idle_ms);

/* Close all idle ones, e.g. when the thread ends. */
void origin_pools_free(struct px_thread *t);

/* Forget pools without connections that the present snapshot no longer names. */
void origin_pools_sweep(struct px_thread *t);

/* --- origin_h1.c --- */

extern const struct side_ops origin_h1_back;
void origin_h1_readable(struct origin *o);

/* From now on the server has timeouts.send to take something of the request. */
void origin_h1_arm_send(struct origin *o);

#endif
