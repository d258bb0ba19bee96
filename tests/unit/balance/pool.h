/*
 * pool.h: an upstream of a few servers on numeric addresses, for the tests.
 */
#ifndef BASCULE_TEST_BALANCE_POOL_H
#define BASCULE_TEST_BALANCE_POOL_H

#include "balance/upstream.h"

enum { POOL_MAX = UPSTREAM_SERVERS_MAX + 1, EJECT_FAILURES = 3, EJECT_TIME = 1000 };

struct pool {
	struct conf_upstream conf;
	struct conf_server servers[POOL_MAX];
	char addresses[POOL_MAX][24]; /* "192.0.2.N:80", N from 0 */
	struct server_registry *registry;
	struct secret secret;
	struct conf_problems problems; /* of the last pool_again() */
	struct upstream *upstream;
	struct upstream_tried tried; /* by the request of pool_choose() */
	struct http_head request;    /* of pool_choose() */
	uint64_t now, random;
};

/* As many servers as there are weights before the 0; pool_begin() makes the upstream, _again() as a reload does. */
void pool_init(struct pool *p, enum conf_balance balance, const uint64_t *weights);
void pool_begin(struct pool *p, enum conf_balance balance, const uint64_t *weights);
void pool_again(struct pool *p);
void pool_end(struct pool *p);

#define WEIGHTS(...) ((const uint64_t[]){__VA_ARGS__, 0})

int pool_choose(struct pool *p);
struct server_state *pool_state(struct pool *p, unsigned server);

/* Fail until it is left out. */
void pool_eject(struct pool *p, unsigned server);

/* Choose `rounds` times, and how often each server was chosen. */
void pool_count(struct pool *p, unsigned rounds, unsigned counts[POOL_MAX]);

#endif
