/*
 * Weighted round robin: the turns are laid out at load, each server as often
 * as its weight says and spread as evenly as can be, and one counter for all
 * threads walks over them. A server that may not be chosen loses its turn, so
 * the others share it by their weights.
 */
#include <stdlib.h>

#include "balance/algorithm.h"

enum { TURNS_MAX = 1024 }; /* of one round, but for rounding up; a longer one is scaled down to it */

struct round {
	unsigned n;
	uint8_t server[]; /* whose turn it is */
};

_Static_assert(UPSTREAM_SERVERS_MAX - 1 <= UINT8_MAX, "the number of a server fits a turn");

static uint64_t
greatest_common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* The turns of each server, and their sum: the weights in lowest terms, or near them if the round were too long. */
static unsigned
count_turns(const struct upstream_server *servers, unsigned n, int turns[UPSTREAM_SERVERS_MAX])
{
	uint64_t weight[UPSTREAM_SERVERS_MAX], divisor = 0, sum = 0;
	unsigned all = 0;

	for (unsigned i = 0; i < n; i++) {
		weight[i] = MIN_OF(servers[i].conf->weight, UINT32_MAX); /* so that nothing below overflows */
		divisor = greatest_common_divisor(divisor, weight[i]);
		sum += weight[i];
	}
	for (unsigned i = 0; i < n; i++) {
		if (weight[i] == 0)
			turns[i] = 0;
		else if (sum / divisor <= TURNS_MAX)
			turns[i] = (int)(weight[i] / divisor);
		else
			turns[i] = (int)MAX_OF(weight[i] * TURNS_MAX / sum, UINT64_C(1));
		all += (unsigned)turns[i];
	}
	return all;
}

/*
 * Smooth weighted round robin: at each turn every server gains its weight, the richest one takes the turn and pays
 * for it what all gained. So 5:1:1 gives a a b a c a a, not a a a a a b c.
 */
static void *
new_round(const struct upstream_server *servers, unsigned n)
{
	int turns[UPSTREAM_SERVERS_MAX], gained[UPSTREAM_SERVERS_MAX] = {0};
	unsigned all = count_turns(servers, n, turns);
	struct round *r = malloc(sizeof(*r) + all);

	if (r == NULL)
		return NULL;
	r->n = all;
	for (unsigned t = 0; t < all; t++) {
		unsigned richest = 0;
		for (unsigned i = 0; i < n; i++) {
			gained[i] += turns[i];
			if (gained[i] > gained[richest])
				richest = i;
		}
		gained[richest] -= (int)all;
		r->server[t] = (uint8_t)richest;
	}
	return r;
}

static int
pick_next(const void *table, const struct choice *c)
{
	const struct round *r = table;
	uint64_t *position = &c->servers[0].state->turns, turn = 0;

	if (r->n == 0)
		return -1;
	for (unsigned draws = 0; draws < c->n; draws++) {
		turn = __atomic_fetch_add(position, 1, __ATOMIC_RELAXED);
		unsigned server = r->server[turn % r->n];
		if (choice_allows(c, server))
			return (int)server;
	}
	/* Few are left, or other threads took the turns between: look at each turn from here on. */
	for (unsigned i = 1; i <= r->n; i++) {
		unsigned server = r->server[(turn + i) % r->n];
		if (choice_allows(c, server))
			return (int)server;
	}
	return -1;
}

const struct algorithm round_robin = {new_round, pick_next};
