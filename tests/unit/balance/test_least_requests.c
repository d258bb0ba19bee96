#include <criterion/criterion.h>

#include "pool.h"

static unsigned counts[POOL_MAX];

Test(least_requests, of_two_the_idle_one)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 1));
	server_begin(pool_state(&p, 0));
	pool_count(&p, 1000, counts);
	cr_expect(counts[0] == 0 && counts[1] == 1000, "%u %u", counts[0], counts[1]);
	server_end(pool_state(&p, 0));
	server_begin(pool_state(&p, 1));
	pool_count(&p, 1000, counts);
	cr_expect(counts[0] == 1000 && counts[1] == 0, "%u %u", counts[0], counts[1]);
	pool_end(&p);
}

Test(least_requests, all_idle_share)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 1, 1, 1));
	pool_count(&p, 4000, counts);
	for (unsigned i = 0; i < 4; i++)
		cr_expect(counts[i] > 800 && counts[i] < 1200, "server %u: %u", i, counts[i]);
	pool_end(&p);
}

Test(least_requests, the_busiest_is_never_chosen)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 1, 1, 1));
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < i; k++)
			server_begin(pool_state(&p, i));
	pool_count(&p, 4000, counts);
	cr_expect_eq(counts[3], 0);
	cr_expect(counts[0] > counts[1] && counts[1] > counts[2] && counts[2] > 0, "%u %u %u", counts[0], counts[1],
	    counts[2]);
	pool_end(&p);
}

/* Requests that stay: what is in flight follows the weights. */
Test(least_requests, weights)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 3));
	for (int i = 0; i < 400; i++)
		server_begin(pool_state(&p, (unsigned)pool_choose(&p)));
	uint32_t light = pool_state(&p, 0)->in_flight;
	cr_expect(light >= 98 && light <= 102, "%u of 400", light);
	pool_end(&p);
}

Test(least_requests, weights_of_idle_ones)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 3));
	pool_count(&p, 4000, counts);
	cr_expect(counts[0] > 900 && counts[0] < 1100, "%u of 4000", counts[0]);
	pool_end(&p);
}

Test(least_requests, even_when_requests_stay)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 1, 1, 1, 1, 1, 1, 1));
	for (int i = 0; i < 800; i++)
		server_begin(pool_state(&p, (unsigned)pool_choose(&p)));
	for (unsigned i = 0; i < 8; i++)
		cr_expect(pool_state(&p, i)->in_flight >= 97 && pool_state(&p, i)->in_flight <= 103, "server %u has %u",
		    i, pool_state(&p, i)->in_flight);
	pool_end(&p);
}

Test(least_requests, left_out_ones_are_passed_over)
{
	struct pool p;

	pool_begin(&p, CONF_LEAST_REQUESTS, WEIGHTS(1, 1, 1));
	pool_eject(&p, 0);
	server_begin(pool_state(&p, 1));
	pool_count(&p, 1000, counts);
	cr_expect(counts[0] == 0 && counts[1] == 0 && counts[2] == 1000, "%u %u %u", counts[0], counts[1], counts[2]);
	upstream_mark_tried(&p.tried, 2);
	cr_expect_eq(pool_choose(&p), 1);
	pool_end(&p);
}
