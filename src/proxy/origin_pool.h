/*
 * origin_pool.h: the connections of one thread to one server, with its TLS: those that are open for the next request.
 *
 * A pool comes with the first connection and goes, once it has none and no
 * snapshot names it, with a sweep.
 */
#ifndef BASCULE_PROXY_ORIGIN_POOL_H
#define BASCULE_PROXY_ORIGIN_POOL_H

#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the pool; it does not end the process */
#include <uthash.h>

#include "proxy/thread.h"
#include "tls/client.h"

struct origin;

struct origin_pool_key {
	const struct server_state *server;
	const struct tls_client *tls; /* NULL: plain */
};

struct origin_pool {
	struct origin_pool_key key;
	struct server_state *server; /* referenced: the key stays unique */
	struct tls_client *tls;      /* referenced */
	LIST_HEAD(, origin) idle;    /* of HTTP/1.1, last used first */
	LIST_HEAD(, origin) shared;  /* of HTTP/2: those that take more requests, being made or open */
	unsigned n_idle, n_all;
	uint32_t streams;            /* at a time, that the server granted HTTP/2 last; 0: not known */
	uint32_t section_max;        /* the largest section that it took; UINT32_MAX: any, or not known */
	bool http1;                  /* where HTTP/2 was offered last, the server chose HTTP/1.1 */
	bool named;                  /* by the newest snapshot, as of its sweep */
	struct tls_client_session session;
	UT_hash_handle hh;
};

/* NULL: no memory. */
struct origin_pool *origin_pool_find(struct px_thread *t, struct server_state *server, struct tls_client *tls);

/* The idle connection that was used last, no longer idle. NULL: none. */
struct origin *origin_pool_take(struct origin_pool *p);

/* An open connection waits for the next request, `idle_ms` at most; and no longer (idempotent). */
void origin_pool_keep(struct origin *o, uint64_t idle_ms);
void origin_pool_leave(struct origin *o);

/* Close all idle ones, e.g. when the thread ends. */
void origin_pools_free(struct px_thread *t);

/* Forget pools without connections that the present snapshot no longer names. */
void origin_pools_sweep(struct px_thread *t);

#endif
