/*
 * server.h: what is known of an origin server while the proxy runs.
 *
 * Live state: outlives snapshots and reloads, keyed by upstream name and
 * address, shared by all threads, reference-counted. Fields are atomics with
 * relaxed order: a choice may be a little out of date, never torn.
 */
#ifndef BASCULE_BALANCE_SERVER_H
#define BASCULE_BALANCE_SERVER_H

#include "base/err.h"
#include "base/sv.h"

struct server_state {
	/* constant */
	const char *upstream, *address;
	int refs; /* atomic */
	/* Written by every loop thread, atomically; on a cache line of its own. */
	_Alignas(64) uint32_t in_flight; /* requests given to it and not ended */
	uint32_t failures;         /* in a row */
	uint32_t address_turn;     /* which of the addresses of its name is connected to */
	uint64_t ejected_until_ms; /* monotonic; 0: in service */
	uint64_t requests, errors; /* totals, for status */
	uint64_t out_since_ms;     /* when it was left out, while it is */
	uint64_t told_ms;          /* when it was last said that it fails */
	const char *version;       /* of HTTP, of its last response; static; NULL: none yet */
	uint64_t turns;            /* position in the round-robin of its upstream; used in the first server only */
	char names[]; /* what `upstream` and `address` point to */
};

/* All states of the process. Any thread; a mutex inside. */
struct server_registry;
struct server_registry *server_registry_new(void);
void server_registry_free(struct server_registry *r); /* NULL is fine; the states live on while referenced */

/* The state of this server, made when it is new; referenced. NULL: out of memory. */
struct server_state *server_registry_get(struct server_registry *r, const char *upstream, const char *address);
static inline struct server_state *
server_state_ref(struct server_state *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}
void server_state_unref(struct server_state *s); /* any thread; NULL is fine */
/* Forget those that only the registry holds. After a reload, when the snapshot before has been freed. */
void server_registry_sweep(struct server_registry *r);

/* A request was given to it; it has ended, however. */
void server_begin(struct server_state *s);
void server_end(struct server_state *s);

/* Which of its addresses to connect to, a turn that is taken modulo their number; and that this one has failed. */
uint32_t server_address_turn(const struct server_state *s);
void server_leave_address(struct server_state *s, uint32_t turn);

/*
 * It answered, in this version of HTTP (static): in service. Returns since when it had been left out (monotonic) if this
 * brings it back; 0: no news.
 */
uint64_t server_succeeded(struct server_state *s, const char *version);

enum server_news {
	SERVER_FAILED,      /* but is in service */
	SERVER_LEFT_OUT,    /* from now on */
	SERVER_STILL_FAILS, /* and is left out for another while; not more often than once in each */
	SERVER_OUT,         /* no news: all has been told */
};

/* No connection, no answer or a malformed one. `limit` failures in a row leave it out for `time_ms`. limit 0: never. */
enum server_news server_failed(struct server_state *s, uint64_t now_ms, uint64_t limit, uint64_t time_ms);

/* In service, or its time out is over and it may be tried. */
bool server_usable(const struct server_state *s, uint64_t now_ms);

/*
 * Take a usable server for a request. One whose time out is over goes to one request at a time: whoever takes it puts
 * the next trial off by `time_ms`, within which the request decides by server_succeeded() or server_failed(). False:
 * another took it.
 */
MUST_CHECK bool server_take(struct server_state *s, uint64_t now_ms, uint64_t time_ms);

#endif
