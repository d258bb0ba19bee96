/*
 * algorithm.h: how a server is picked among those that may be.
 *
 * One file an algorithm, with two functions, and one row here. An algorithm
 * knows weights and live states; stickiness, ejection and retries are the
 * upstream's business.
 */
#ifndef BASCULE_BALANCE_ALGORITHM_H
#define BASCULE_BALANCE_ALGORITHM_H

#include "balance/upstream.h"

/* One choice: what to choose from, and what speaks against a server. */
struct choice {
	const struct upstream_server *servers;
	unsigned n; /* more than 0 */
	const struct upstream_tried *tried;
	uint64_t now_ms;
	uint64_t random;
	bool ejected_too; /* nobody else is left */
};

static inline bool
choice_allows(const struct choice *c, unsigned server)
{
	const struct upstream_server *s = &c->servers[server];

	return s->n_addresses > 0 && !(c->tried->bits[server / 64] >> (server % 64) & 1) &&
	    (c->ejected_too || server_usable(s->state, c->now_ms));
}

struct algorithm {
	/* Its table for these servers, which free() frees; NULL: out of memory. NULL here: it needs no table. */
	void *(*new_table)(const struct upstream_server *servers, unsigned n);
	/* The number of one that the choice allows, -1 when there is none. Any thread; no locks, no allocation. */
	int (*pick)(const void *table, const struct choice *c);
};

/* X(enum conf_balance, struct algorithm) */
#define ALGORITHMS(X)                           \
	X(CONF_ROUND_ROBIN, round_robin)        \
	X(CONF_LEAST_REQUESTS, least_requests)

#define X(id, name) extern const struct algorithm name;
ALGORITHMS(X)
#undef X

#endif
