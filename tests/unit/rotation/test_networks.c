#include "fleet.h"

TestSuite(networks, .init = fleet_begin, .fini = fleet_end);

static struct networks all;

static struct net_ip
ip(const char *text)
{
	struct net_ip out;

	cr_assert(net_ip_parse(sv_cstr(text), &out), "%s", text);
	return out;
}

Test(networks, each_has_one_vote_that_its_clients_share)
{
	const struct client_vote yes = {true, true, false}, no = {true, true, true}, untested = {true, false, false}, stranger = {false, true, true};
	struct network *one = networks_enter(&all, 1), *two = networks_enter(&all, 2);
	struct net_ip at[] = {ip("192.0.2.1"), ip("192.0.2.2"), ip("198.51.100.1")};

	cr_assert(one != NULL && two != NULL);
	cr_expect_eq(networks_enter(&all, 1), one);
	networks_count(&all, one, &at[0], yes, 1);
	networks_count(&all, one, &at[1], untested, 1);
	cr_expect(all.known == 1 && all.tested == 1 && all.refusing == 0 && all.against == 0);
	networks_count(&all, one, &at[1], untested, -1);
	networks_count(&all, one, &at[1], no, 1);
	cr_expect(all.known == 1 && all.tested == 1 && all.refusing == 1);
	cr_expect_eq(all.against, VOTE / 2);
	networks_count(&all, two, &at[2], stranger, 1);
	cr_expect(all.known == 1 && all.refusing == 1, "strangers have none");
	networks_count(&all, two, &at[2], no, 1);
	networks_count(&all, two, &at[2], no, 1);
	cr_expect(all.known == 2 && all.tested == 2 && all.refusing == 2);
	cr_expect_eq(all.against, VOTE / 2 + VOTE);
	cr_expect_eq(all.refused_at, 2, "the two at one address are one");
	cr_expect(all.known_clients == 4 && all.tested_clients == 4 && all.refusing_clients == 3);
	networks_count(&all, two, &at[2], no, -1);
	networks_count(&all, two, &at[2], no, -1);
	networks_leave(&all, two);
	cr_expect_null(networks_find(&all, 2));
	cr_expect(all.n == 1 && all.refused_at == 1 && all.known == 1 && all.against == VOTE / 2);
	networks_untest(&all);
	cr_expect(all.known == 1 && all.known_clients == 2 && all.tested == 0 && all.against == 0 && all.refused_at == 0);
	networks_count_none(&all);
	cr_expect(all.known == 0 && all.known_clients == 0);
	networks_leave(&all, one);
	cr_expect_not_null(networks_find(&all, 1), "it was entered twice");
	networks_leave(&all, one);
	cr_expect_eq(all.n, 0);
	networks_free(&all);
}

/* The counts as they would be if all were counted anew. */
static struct networks
counted(void)
{
	struct networks was = r->clients.networks, is;

	networks_count_none(&r->clients.networks);
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		clients_count(&r->clients, c, 1);
	is = r->clients.networks;
	cr_expect_eq(is.n, was.n);
	return is;
}

static void
expect_right(const char *when)
{
	struct networks was = r->clients.networks, is = counted();

	cr_expect(was.known == is.known && was.tested == is.tested && was.refusing == is.refusing, "%s", when);
	cr_expect(was.known_clients == is.known_clients && was.tested_clients == is.tested_clients, "%s", when);
	cr_expect(was.refusing_clients == is.refusing_clients && was.against == is.against, "%s", when);
	size_t clients = 0;
	for (size_t i = 0; i < r->clients.networks.n_buckets; i++)
		for (const struct network *n = r->clients.networks.buckets[i]; n != NULL; n = n->next)
			clients += n->clients;
	cr_expect_eq(clients, r->clients.n, "%s", when);
}

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void
random_visits(uint64_t seed, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char text[32];
		uint64_t x = next_random(&seed);
		(void)snprintf(text, sizeof(text), "10.0.%u.%u", (unsigned)(x % 60), (unsigned)(x / 60 % 12));
		(void)visit(&(struct visitor){text, x / 720 % 2, (unsigned)next_random(&seed) & 7, next_random(&seed) % 3 == 0 ? SILENT : ALOUD});
	}
}

/* Whatever happens: what is counted while it changes is what would be counted of all of them now. */
Test(networks, counts_follow)
{
	struct err err;

	settings.rollback.clients = 0;
	settings.clients_max = 900; /* some have to go */
	rotation_set(r, &settings, now);
	random_visits(1, 3000);
	expect_right("before");
	swap_to(2);
	expect_right("after the swap");
	random_visits(2, 3000);
	expect_right("in the rotation");
	swap_to(3);
	expect_right("a third");
	random_visits(3, 3000);
	expect_right("with it");
	struct tls_bundle back = *generation(1);
	back.generation = 4;
	back.refs = 1000;
	cr_expect(rotation_take(r, &back, now));
	expect_right("the first again");
	random_visits(4, 3000);
	expect_right("with that");
	cr_assert(rotation_rollback(r, 2, ROTATION_FORCED, now, &err), "%s", err.text);
	expect_right("rolled back to the second");
	random_visits(5, 3000);
	expect_right("and then");
}
