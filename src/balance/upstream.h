/*
 * upstream.h: an upstream of a snapshot, and the choice of a server in it.
 *
 * Immutable but for the live states it points to; any thread chooses.
 */
#ifndef BASCULE_BALANCE_UPSTREAM_H
#define BASCULE_BALANCE_UPSTREAM_H

#include "balance/server.h"
#include "conf/config.h"
#include "http/head.h"
#include "net/address.h"
#include "tls/secret.h"

enum { UPSTREAM_SERVERS_MAX = 256, SERVER_ADDRESSES_MAX = 8, STICKY_VALUE = 22 /* characters */ };

/* What a choice looks at comes first. */
struct upstream_server {
	struct server_state *state; /* referenced */
	const struct conf_server *conf;
	unsigned n_addresses;          /* 0: could not be resolved; never chosen */
	char sticky[STICKY_VALUE + 1]; /* the cookie's value for it; empty without a sticky cookie */
	struct sv cookie[2];           /* the Set-Cookie value for it, without and with Secure; empty likewise */
	char host[256];                /* of the address, without port and brackets; "localhost" for a Unix socket */
	struct net_address addresses[SERVER_ADDRESSES_MAX];
};

struct upstream; /* the algorithm's table inside */

/*
 * Resolve (blocking) and prepare. A server whose name does not resolve is left out with a warning in `problems`;
 * `previous` (may be NULL) lends its addresses then. `conf` must outlive the upstream. NULL with err set when memory is out,
 * nothing can be derived from the secret, there are more than UPSTREAM_SERVERS_MAX servers, or an
 * address or the cookie is malformed.
 */
struct upstream *upstream_new(const struct conf_upstream *conf, struct server_registry *registry,
    const struct upstream *previous, const struct secret *secret, struct conf_problems *problems, struct err *err);
void upstream_free(struct upstream *u); /* NULL is fine */

const struct conf_upstream *upstream_conf(const struct upstream *u);
unsigned upstream_count(const struct upstream *u);
const struct upstream_server *upstream_at(const struct upstream *u, unsigned i);

/* Servers that were tried for this request: a bit each. */
struct upstream_tried {
	uint64_t bits[UPSTREAM_SERVERS_MAX / 64];
};

/*
 * The server for a request: the sticky one when the cookie names a usable one, else by the algorithm among those
 * usable and not tried; when none is usable, one that is left out rather than nobody (so that a whole upstream that
 * was ejected by a blip comes back). -1: all were tried, or there are none. `random` is fresh for each call. A server
 * that was left out is the caller's to try: the request must end in server_succeeded() or server_failed().
 */
int upstream_choose(const struct upstream *u, const struct http_head *request, const struct upstream_tried *tried,
    uint64_t now_ms, uint64_t random);

static inline void
upstream_mark_tried(struct upstream_tried *t, int server)
{
	t->bits[server / 64] |= UINT64_C(1) << (server % 64);
}

static inline bool
upstream_was_tried(const struct upstream_tried *t, int server)
{
	return (t->bits[server / 64] & UINT64_C(1) << (server % 64)) != 0;
}

static inline void
upstream_unmark_tried(struct upstream_tried *t, int server)
{
	t->bits[server / 64] &= ~(UINT64_C(1) << (server % 64));
}

/*
 * The Set-Cookie value to send when the request's cookie did not name `server`: "NAME=VALUE; Path=/; Secure; HttpOnly;
 * SameSite=Lax"; it lives as long as the upstream. `secure`: the client came by TLS. False: none is needed.
 */
bool upstream_sticky_cookie(const struct upstream *u, const struct http_head *request, int server, bool secure,
    struct sv *cookie);

#endif
