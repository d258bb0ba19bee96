#include "pool.h"

#include <criterion/criterion.h>
#include <stdio.h>

void
pool_init(struct pool *p, enum conf_balance balance, const uint64_t *weights)
{
	memset(p, 0, sizeof(*p));
	p->conf = (struct conf_upstream){.name = "nodes", .servers = p->servers, .balance = balance,
	    .eject = {EJECT_FAILURES, EJECT_TIME}};
	for (size_t i = 0; weights[i] != 0; i++) {
		cr_assert_lt(i, POOL_MAX);
		snprintf(p->addresses[i], sizeof(p->addresses[i]), "192.0.2.%zu:80", i % 256);
		p->servers[p->conf.n_servers++] =
		    (struct conf_server){.address = p->addresses[i], .weight = weights[i]};
	}
	p->registry = server_registry_new();
	p->secret.n = SECRET_MIN;
	p->now = 5000;
	http_head_init(&p->request, false);
}

void
pool_begin(struct pool *p, enum conf_balance balance, const uint64_t *weights)
{
	pool_init(p, balance, weights);
	pool_again(p);
}

void
pool_again(struct pool *p)
{
	struct err err = {""};

	conf_problems_free(&p->problems);
	conf_problems_init(&p->problems);
	struct upstream *next = upstream_new(&p->conf, p->registry, p->upstream, &p->secret, &p->problems, &err);

	cr_assert_not_null(next, "%s", err.text);
	upstream_free(p->upstream);
	p->upstream = next;
	server_registry_sweep(p->registry);
}

void
pool_end(struct pool *p)
{
	upstream_free(p->upstream);
	server_registry_free(p->registry);
	conf_problems_free(&p->problems);
}

/* splitmix64: the same row of numbers in every run. */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int
pool_choose(struct pool *p)
{
	return upstream_choose(p->upstream, &p->request, &p->tried, p->now, next_random(&p->random));
}

struct server_state *
pool_state(struct pool *p, unsigned server)
{
	return upstream_at(p->upstream, server)->state;
}

void
pool_eject(struct pool *p, unsigned server)
{
	for (int i = 0; i < EJECT_FAILURES; i++)
		(void)server_failed(pool_state(p, server), p->now, EJECT_FAILURES, EJECT_TIME);
	cr_assert_not(server_usable(pool_state(p, server), p->now));
}

void
pool_count(struct pool *p, unsigned rounds, unsigned counts[POOL_MAX])
{
	memset(counts, 0, POOL_MAX * sizeof(*counts));
	for (unsigned i = 0; i < rounds; i++) {
		int server = pool_choose(p);
		cr_assert(server >= 0 && (unsigned)server < upstream_count(p->upstream));
		counts[server]++;
	}
}
