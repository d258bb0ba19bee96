#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "balance/server.h"

Test(server, one_state_per_upstream_and_address)
{
	struct server_registry *r = server_registry_new();
	struct server_state *a = server_registry_get(r, "nodes", "a:1");
	struct server_state *again = server_registry_get(r, "nodes", "a:1");
	struct server_state *b = server_registry_get(r, "nodes", "b:1"), *other = server_registry_get(r, "api", "a:1");

	cr_assert(a != NULL && b != NULL && other != NULL);
	cr_expect_eq(a, again);
	cr_expect(a != b && a != other && b != other);
	cr_expect_str_eq(a->upstream, "nodes");
	cr_expect_str_eq(a->address, "a:1");
	server_registry_free(r); /* the states live on */
	cr_expect_str_eq(other->upstream, "api");
	server_state_unref(a);
	server_state_unref(again);
	server_state_unref(b);
	server_state_unref(other);
}

Test(server, sweep_forgets_what_nobody_holds)
{
	struct server_registry *r = server_registry_new();
	struct server_state *kept = server_registry_get(r, "nodes", "a:1");
	struct server_state *dropped = server_registry_get(r, "nodes", "b:1");

	server_begin(kept);
	server_begin(dropped);
	server_state_unref(dropped);
	server_registry_sweep(r);
	struct server_state *a = server_registry_get(r, "nodes", "a:1"), *b = server_registry_get(r, "nodes", "b:1");
	cr_expect_eq(a, kept);
	cr_expect_eq(a->requests, 1);
	cr_expect_eq(b->requests, 0, "a new state");
	server_state_unref(kept);
	server_state_unref(a);
	server_state_unref(b);
	server_registry_free(r);
	server_registry_free(NULL);
	server_state_unref(NULL);
}

Test(server, many)
{
	enum { N = 5000 };
	struct server_registry *r = server_registry_new();
	static struct server_state *states[N];

	for (int i = 0; i < N; i++) {
		char address[32];
		snprintf(address, sizeof(address), "node%d:443", i);
		states[i] = server_registry_get(r, "nodes", address);
		cr_assert_not_null(states[i]);
		cr_assert_eq((uintptr_t)&states[i]->in_flight % 64, 0, "shares a cache line with its neighbour");
	}
	for (int i = 0; i < N; i++)
		server_state_unref(states[i]);
	server_registry_sweep(r);
	server_registry_free(r);
}

static struct server_state *
lone(struct server_registry **r)
{
	*r = server_registry_new();
	return server_registry_get(*r, "nodes", "a:1");
}

Test(server, left_out_after_failures_in_a_row)
{
	struct server_registry *r;
	struct server_state *s = lone(&r);

	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_FAILED);
	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_FAILED);
	cr_expect_eq(server_succeeded(s, "HTTP/1.1"), 0);
	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_FAILED, "a success ends the row");
	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_FAILED);
	cr_expect(server_usable(s, 100));
	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_LEFT_OUT, "it is news");
	cr_expect_eq(server_failed(s, 100, 3, 1000), SERVER_OUT, "it is none any more");
	cr_expect_not(server_usable(s, 100));
	cr_expect_not(server_usable(s, 1099));
	cr_expect(server_usable(s, 1100));
	cr_expect_eq(s->errors, 6);
	server_state_unref(s);
	server_registry_free(r);
}

Test(server, never_left_out_without_a_limit)
{
	struct server_registry *r;
	struct server_state *s = lone(&r);

	for (int i = 0; i < 1000; i++)
		cr_assert_eq(server_failed(s, 100, 0, 1000), SERVER_FAILED);
	cr_expect(server_usable(s, 100));
	server_state_unref(s);
	server_registry_free(r);
}

Test(server, one_request_tries_it)
{
	struct server_registry *r;
	struct server_state *s = lone(&r);

	cr_expect(server_take(s, 100, 1000));
	cr_expect(server_take(s, 100, 1000), "in service everybody has it");
	cr_expect_eq(server_failed(s, 100, 1, 1000), SERVER_LEFT_OUT);
	cr_expect_not(server_take(s, 1099, 1000), "too early");
	cr_expect(server_take(s, 1100, 1000));
	cr_expect_not(server_take(s, 1100, 1000), "another is trying");
	cr_expect_not(server_usable(s, 2099));
	cr_expect(server_take(s, 2100, 1000), "the first trial never ended");
	cr_expect_eq(server_failed(s, 2200, 1, 1000), SERVER_STILL_FAILS, "once in each while");
	cr_expect_eq(server_failed(s, 2300, 1, 1000), SERVER_OUT);
	cr_expect_eq(server_failed(s, 2200, 1, 1000), SERVER_OUT);
	cr_expect_not(server_take(s, 3199, 1000));
	cr_expect(server_take(s, 3200, 1000));
	cr_expect_eq(server_succeeded(s, "HTTP/1.1"), 100, "when it was left out");
	cr_expect_eq(server_succeeded(s, "HTTP/1.1"), 0);
	cr_expect(server_take(s, 3200, 1000));
	cr_expect(server_take(s, 3200, 1000));
	cr_expect_eq(server_failed(s, 3200, 1, 1000), SERVER_LEFT_OUT, "news again");
	server_state_unref(s);
	server_registry_free(r);
}

struct crowd {
	struct server_registry *registry;
	struct server_state *state;
	int took, news;
};

static void *
one_of_a_crowd(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 1000; i++) {
		struct server_state *s = server_registry_get(c->registry, "nodes", "a:1");
		server_begin(s);
		server_end(s);
		server_state_unref(s);
		server_registry_sweep(c->registry);
	}
	if (server_take(c->state, 1100, 1000))
		__atomic_fetch_add(&c->took, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *
one_of_the_failing(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 100; i++)
		if (server_failed(c->state, 100, 3, 1000) == SERVER_LEFT_OUT)
			__atomic_fetch_add(&c->news, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void
run_crowd(struct crowd *c, void *(*what)(void *))
{
	pthread_t threads[4];

	for (size_t i = 0; i < COUNTOF(threads); i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, what, c), 0);
	for (size_t i = 0; i < COUNTOF(threads); i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

Test(server, threads)
{
	struct crowd c = {0};

	c.state = lone(&c.registry);
	run_crowd(&c, one_of_the_failing);
	cr_expect_eq(c.news, 1, "%d threads said that it is left out now", c.news);
	run_crowd(&c, one_of_a_crowd);
	cr_expect_eq(c.took, 1, "%d threads try it at once", c.took);
	cr_expect_eq(c.state->in_flight, 0);
	cr_expect_eq(c.state->requests, 4000);
	cr_expect_eq(c.state->refs, 2);
	server_state_unref(c.state);
	server_registry_free(c.registry);
}
