#include <criterion/criterion.h>

#include "pool.h"

static void
expect_order(const uint64_t *weights, const char *order)
{
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, weights);
	for (const char *c = order; *c != '\0'; c++) {
		int server = pool_choose(&p);
		cr_assert_eq(server, *c - 'a', "turn %td of %s went to %c", c - order, order, 'a' + server);
	}
	pool_end(&p);
}

Test(round_robin, order)
{
	expect_order(WEIGHTS(1), "aaa");
	expect_order(WEIGHTS(1, 1, 1), "abcabcabc");
	expect_order(WEIGHTS(5, 1, 1), "aabacaaaabacaa");
	expect_order(WEIGHTS(200, 100), "abaaba");
}

Test(round_robin, exact_shares)
{
	static unsigned n[POOL_MAX];
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(3, 1, 2, 6));
	pool_count(&p, 12 * 100, n);
	cr_expect(n[0] == 300 && n[1] == 100 && n[2] == 200 && n[3] == 600, "%u %u %u %u", n[0], n[1], n[2], n[3]);
	pool_end(&p);
}

Test(round_robin, heavy_weights_are_scaled)
{
	static unsigned n[POOL_MAX];
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(100003, 50001, 1, UINT64_MAX));
	pool_count(&p, 100000, n);
	cr_expect(n[0] > 0 && n[1] > 0 && n[2] > 0 && n[3] > 99000, "%u %u %u %u", n[0], n[1], n[2], n[3]);
	pool_end(&p);
	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(100003, 50001));
	pool_count(&p, 150000, n);
	cr_expect(n[0] > 99500 && n[0] < 100500, "%u %u", n[0], n[1]);
	pool_end(&p);
}

Test(round_robin, the_others_share_what_a_server_loses)
{
	static unsigned n[POOL_MAX];
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(1, 1, 1));
	pool_eject(&p, 1);
	pool_count(&p, 600, n);
	cr_expect(n[0] == 300 && n[1] == 0 && n[2] == 300, "%u %u %u", n[0], n[1], n[2]);
	pool_end(&p);
}

/* Between two turns of a light server there are many of a heavy one, which was tried. */
Test(round_robin, finds_the_light_ones)
{
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(20, 1, 1));
	upstream_mark_tried(&p.tried, 0);
	for (int i = 0; i < 44; i++)
		cr_assert_gt(pool_choose(&p), 0);
	pool_end(&p);
}

Test(round_robin, goes_on_after_a_reload)
{
	struct pool p;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(1, 1, 1));
	cr_expect_eq(pool_choose(&p), 0);
	pool_again(&p);
	cr_expect_eq(pool_choose(&p), 1);
	pool_end(&p);
}

Test(round_robin, the_most_servers)
{
	uint64_t weights[UPSTREAM_SERVERS_MAX + 1] = {0};
	static unsigned n[POOL_MAX];
	struct pool p;

	for (unsigned i = 0; i < UPSTREAM_SERVERS_MAX; i++)
		weights[i] = 1000 + i;
	pool_begin(&p, CONF_ROUND_ROBIN, weights);
	pool_count(&p, UPSTREAM_SERVERS_MAX * 100, n);
	for (unsigned i = 0; i < UPSTREAM_SERVERS_MAX; i++)
		cr_assert_gt(n[i], 0, "server %u never had its turn", i);
	for (unsigned i = 0; i < UPSTREAM_SERVERS_MAX - 1; i++)
		upstream_mark_tried(&p.tried, (int)i);
	cr_expect_eq(pool_choose(&p), UPSTREAM_SERVERS_MAX - 1);
	pool_end(&p);
}
