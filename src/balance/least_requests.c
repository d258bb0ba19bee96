/*
 * Least requests, by the power of two choices: of two servers drawn at random
 * the one with fewer requests in flight for its weight. Nearly as even as to
 * ask all of them, at the cost of two looks, and without the herd that runs
 * to the one that all threads see idle.
 */
#include "balance/algorithm.h"

/* The first allowed one at or behind a random place, but for `other`; -1: none. */
static int
draw(const struct choice *c, uint32_t random, int other)
{
	unsigned start = (unsigned)((uint64_t)random * c->n >> 32);

	for (unsigned i = 0; i < c->n; i++) {
		unsigned server = (start + i) % c->n;
		if ((int)server != other && c->servers[server].conf->weight > 0 && choice_allows(c, server))
			return (int)server;
	}
	return -1;
}

/*
 * What it would have to do for its weight with one request more. All idle ones are equal: else the heaviest would get
 * every request of a quiet hour.
 */
static double
load(const struct upstream_server *s)
{
	uint32_t in_flight = __atomic_load_n(&s->state->in_flight, __ATOMIC_RELAXED);

	return in_flight == 0 ? 0 : ((double)in_flight + 1) / (double)s->conf->weight;
}

/* Of two with the same load, by their weights. */
static bool
second_is_due(const struct choice *c, int first, int second)
{
	uint64_t a = c->servers[first].conf->weight, b = c->servers[second].conf->weight;
	double share = (double)b / ((double)a + (double)b);
	uint64_t fresh = c->random * UINT64_C(0x9e3779b97f4a7c15) >> 32; /* the draws have used the halves as they are */

	return (double)fresh < share * 0x1p32;
}

static int
pick_lighter(const void *table, const struct choice *c)
{
	(void)table;
	int first = draw(c, (uint32_t)c->random, -1);
	if (first < 0)
		return -1;
	int second = draw(c, (uint32_t)(c->random >> 32), first);
	if (second < 0)
		return first;
	double a = load(&c->servers[first]), b = load(&c->servers[second]);
	return b < a || (b == a && second_is_due(c, first, second)) ? second : first;
}

const struct algorithm least_requests = {NULL, pick_lighter};
