#include <criterion/criterion.h>

#include "pool.h"

static const enum conf_balance both[] = {CONF_ROUND_ROBIN, CONF_LEAST_REQUESTS};

/* What holds whatever the algorithm. */
#define EACH_ALGORITHM(p, weights)                                                                      \
	for (size_t each = 0; each < COUNTOF(both) && (pool_begin(p, both[each], weights), true); each++, pool_end(p))

Test(upstream, each_server_is_tried_once)
{
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(1, 2, 3, 1)) {
		for (int i = 0; i < 4; i++) {
			int server = pool_choose(&p);
			cr_assert(server >= 0 && !(p.tried.bits[0] >> server & 1));
			upstream_mark_tried(&p.tried, server);
		}
		cr_expect_eq(pool_choose(&p), -1);
		pool_eject(&p, 2);
		cr_expect_eq(pool_choose(&p), -1);
	}
}

Test(upstream, no_servers)
{
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(0)) {
		cr_expect_eq(upstream_count(p.upstream), 0);
		cr_expect_eq(pool_choose(&p), -1);
	}
}

Test(upstream, left_out_and_back)
{
	static unsigned n[POOL_MAX];
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(1, 1)) {
		pool_eject(&p, 0);
		p.now += EJECT_TIME - 1;
		pool_count(&p, 100, n);
		cr_expect(n[0] == 0 && n[1] == 100);
		p.now += 1;
		pool_count(&p, 100, n);
		cr_expect(n[0] == 1 && n[1] == 99, "one request tries it: %u %u", n[0], n[1]);
		server_succeeded(pool_state(&p, 0), "HTTP/1.1");
		pool_count(&p, 100, n);
		cr_expect(n[0] > 20 && n[1] > 20, "it is back: %u %u", n[0], n[1]);
	}
}

Test(upstream, rather_a_server_left_out_than_none)
{
	static unsigned n[POOL_MAX];
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(1, 1, 1)) {
		for (unsigned i = 0; i < 3; i++)
			pool_eject(&p, i);
		pool_count(&p, 300, n);
		cr_expect(n[0] > 50 && n[1] > 50 && n[2] > 50, "%u %u %u", n[0], n[1], n[2]);
		upstream_mark_tried(&p.tried, 0);
		upstream_mark_tried(&p.tried, 2);
		cr_expect_eq(pool_choose(&p), 1, "but none twice");
		upstream_mark_tried(&p.tried, 1);
		cr_expect_eq(pool_choose(&p), -1);
	}
}

Test(upstream, last_untried_one_is_left_out)
{
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(1, 1)) {
		pool_eject(&p, 0);
		cr_expect_eq(pool_choose(&p), 1);
		upstream_mark_tried(&p.tried, 1);
		cr_expect_eq(pool_choose(&p), 0);
	}
}

Test(upstream, state_survives_a_reload)
{
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(1, 1));
	pool_eject(&p, 0);
	server_begin(pool_state(&p, 1));
	pool_again(&p);
	cr_expect_not(server_usable(pool_state(&p, 0), p.now));
	cr_expect_eq(pool_state(&p, 1)->in_flight, 1);
	pool_end(&p);
}

Test(upstream, hosts)
{
	static const char *const rows[][2] = {{"192.0.2.1:80", "192.0.2.1"}, {"[2001:db8::1]:443", "2001:db8::1"},
		{"unix:/run/node.sock", "localhost"}};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct pool p;
		pool_init(&p, CONF_ROUND_ROBIN, WEIGHTS(1));
		p.servers[0].address = rows[i][0];
		pool_again(&p);
		cr_expect_str_eq(upstream_at(p.upstream, 0)->host, rows[i][1]);
		cr_expect_eq(upstream_at(p.upstream, 0)->n_addresses, 1);
		cr_expect_eq(pool_choose(&p), 0);
		pool_end(&p);
	}
}

/* "invalid." never resolves (RFC 6761, 6.4), whether or not there is a resolver to ask. */
Test(upstream, a_name_that_does_not_resolve)
{
	struct pool p;

	EACH_ALGORITHM(&p, WEIGHTS(1, 1)) {
		p.servers[0].address = "nobody.invalid:80";
		pool_again(&p);
		cr_expect_eq(upstream_at(p.upstream, 0)->n_addresses, 0);
		cr_expect_str_eq(upstream_at(p.upstream, 0)->host, "nobody.invalid");
		cr_expect_eq(p.problems.warnings, 1);
		struct sv told = buf_view(&p.problems.text), left_out = SV("it is left out until the next reload");
		cr_expect_not_null(memmem(told.p, told.n, left_out.p, left_out.n), "%.*s", SV_FMT(told));
		for (int i = 0; i < 10; i++)
			cr_expect_eq(pool_choose(&p), 1);
		upstream_mark_tried(&p.tried, 1);
		cr_expect_eq(pool_choose(&p), -1, "not even for want of others");
	}
}

Test(upstream, addresses_of_before_are_lent)
{
	struct pool p;

	pool_init(&p, CONF_ROUND_ROBIN, WEIGHTS(1));
	p.servers[0].address = "nobody.invalid:80";
	pool_again(&p);
	struct upstream_server *s = (struct upstream_server *)(uintptr_t)upstream_at(p.upstream, 0); /* as if it had */
	cr_assert(net_address_parse(SV("192.0.2.7:80"), &s->addresses[0], NULL));
	s->n_addresses = 1;
	pool_again(&p);
	cr_expect_eq(upstream_at(p.upstream, 0)->n_addresses, 1);
	cr_expect_eq(pool_choose(&p), 0);
	pool_end(&p);
}

static void
expect_refused(struct pool *p, const char *why)
{
	struct err err = {""};

	cr_expect_null(upstream_new(&p->conf, p->registry, NULL, &p->secret, &p->problems, &err));
	cr_expect_not_null(strstr(err.text, why), "%s", err.text);
	pool_end(p);
}

Test(upstream, refusals)
{
	uint64_t weights[POOL_MAX + 1] = {0};
	struct pool p;

	for (unsigned i = 0; i < POOL_MAX; i++)
		weights[i] = 1;
	pool_init(&p, CONF_ROUND_ROBIN, weights);
	expect_refused(&p, "upstream nodes: 257 servers; at most 256");

	static const char *const malformed[] = {"", ":80", "a b:80", "[::1:80", "a:b:80", "a:99999"};
	for (size_t i = 0; i < COUNTOF(malformed); i++) {
		pool_init(&p, CONF_ROUND_ROBIN, WEIGHTS(1));
		p.servers[0].address = malformed[i];
		expect_refused(&p, "not HOST:PORT");
	}

	pool_init(&p, CONF_ROUND_ROBIN, WEIGHTS(1));
	p.conf.sticky = (struct conf_sticky){true, "A;B", "/"};
	expect_refused(&p, "sticky");
	pool_init(&p, CONF_ROUND_ROBIN, WEIGHTS(1));
	p.conf.sticky = (struct conf_sticky){true, "A", "/; Domain=x"};
	expect_refused(&p, "sticky");
}
