/*
 * thread.h: what one loop thread of the proxy owns.
 *
 * Nothing here is touched by another thread but the counters, which are read
 * with counter_read(), and the inbox of the loop.
 */
#ifndef BASCULE_PROXY_THREAD_H
#define BASCULE_PROXY_THREAD_H

#include <sys/queue.h>

#include "base/counters.h"
#include "http/h2_block.h"
#include "net/listener.h"
#include "proxy/access_log.h"
#include "proxy/outbox.h"
#include "proxy/reasons.h"
#include "proxy/snapshot.h"
#include "tls/server.h"

struct client;
struct exchange;
struct origin_pool;

/*
 * A snapshot as a thread holds it. The thread's own holders (exchanges, handshakes) are counted without atomics; the
 * last of them lets go of the snapshot itself.
 */
struct px_view {
	struct snapshot *snapshot; /* referenced once */
	struct tls_server *tls;    /* referenced; NULL when no listener has TLS */
	unsigned refs;
};

struct px_thread;

/* Answers requests of a listener without an origin: the admin API, the demo. Must respond before it returns. */
typedef void (*px_service_fn)(struct exchange *x, void *arg);

struct px_listener {
	LIST_ENTRY(px_listener) link;
	struct net_listener net;
	struct px_thread *thread;
	char address[NET_ADDRESS_TEXT]; /* as in the config: its identity across reloads */
	bool tls;
	bool redirect;          /* to https */
	uint16_t redirect_port;
	uint16_t port;          /* it listens on */
	const struct snap_networks *proxies; /* that speak the PROXY protocol to it, in the newest snapshot; NULL: none */
	px_service_fn service;  /* NULL: sites and origins */
	void *service_arg;
};

struct px_thread {
	/* set up once */
	struct net_loop *loop;
	struct tls_thread *tls;
	struct route_scratch *routes;
	unsigned number;

	/* shared by all threads of the process; never NULL */
	struct px_shared *shared;

	/* the thread's own */
	struct px_view *view; /* the newest; NULL before the first */
	LIST_HEAD(px_listeners, px_listener) listeners;
	struct px_view *next; /* between px_thread_prepare() and what follows it; else NULL */
	struct px_listeners next_listeners; /* the new ones of that; held */
	LIST_HEAD(, client) clients;
	struct origin_pool *pools;      /* uthash, by server and TLS */
	struct exchange *spare;         /* where the next request is parsed into */
	struct exchange *free_exchanges; /* bounded free list */
	unsigned n_free_exchanges;
	struct outbox to_client, to_origin;
	struct h2_block *block;         /* where the next head of HTTP/2 is put together; NULL: it is in use, or not made yet */
	struct http_head response;      /* the head being passed on or made; used within one callback only */
	struct access_log log;
	struct net_timer log_timer;     /* writes what has gathered; set while something has */
	uint64_t random;                /* xorshift state */
	uint64_t request_number;
	struct log_bound client_lines, origin_lines; /* on what clients do, and servers */
	uint64_t refused_told_ms;       /* when it was last logged that connections can not be accepted */
	bool draining;
	struct counters counters;
	uint64_t closed[CLOSE_REASONS_N]; /* connections closed, by reason; counted like counters */
};

/* What all threads share: the bound on connections, which a reload may change. */
struct px_shared {
	uint64_t connections;     /* open now; atomic */
	uint64_t max_connections; /* atomic */
	bool draining;            /* atomic */
	unsigned char rotation_key[16]; /* of clients' identities; constant */
};

/* NULL with err set. The loop's user pointer is the thread. `number` is its place among threads; `slot` its TLS slot. */
struct px_thread *px_thread_new(unsigned number, unsigned slot, struct px_shared *shared, struct err *err);

/* After the loop has ended: closes all that is open. */
void px_thread_free(struct px_thread *t);

/*
 * A new snapshot comes in two steps, so that all threads take it or none does. The first makes all that the thread needs for
 * it and changes nothing yet; a reference is made. New listeners are to listen on fds[i] (-1: none; for conf->listeners[i]),
 * which is -1 then; `fds` may be NULL. Commit or abandon follows; after false (see err) only abandon.
 */
MUST_CHECK bool px_thread_prepare(struct px_thread *t, struct snapshot *s, const struct secret *secret, int *fds,
    struct err *err);

/* It is served from now on: its listeners are the thread's. Those who hold the view before keep it. */
void px_thread_commit(struct px_thread *t);

/* Nothing has been. Also where nothing was prepared. */
void px_thread_abandon(struct px_thread *t);

/* Listen on a descriptor (owned from now on) for a listener of the config, or for a service (conf NULL then). */
MUST_CHECK bool px_thread_listen(struct px_thread *t, int fd, const char *address, const struct conf_listener *conf,
    px_service_fn service, void *arg);

/* Log requests to `fd` (-1: no more), which must stay open until the next call, or the thread's end. */
void px_thread_log(struct px_thread *t, int fd, enum conf_access_format format);

/* A request is over: its line. */
void px_thread_log_request(struct px_thread *t, const struct exchange *x);

/* Stop accepting; connections without a request are closed, the others after their response. */
void px_thread_drain(struct px_thread *t);

static inline struct px_view *
px_view_ref(struct px_view *v)
{
	v->refs++;
	return v;
}
void px_view_unref(struct px_view *v);

uint64_t px_random(struct px_thread *t);

#endif
