/* The background thread goes through a table in slices while loop threads change it. */
#include <pthread.h>

#include "fleet.h"

TestSuite(threads, .init = fleet_begin, .fini = fleet_end, .timeout = 120);

enum { THREADS = 3, STRANGERS = 12000, UNTESTED = 1500, ORPHANS = 60 };

static bool over;
static unsigned done;

static struct visitor
at(char text[32], unsigned net, unsigned i, unsigned trusts)
{
	(void)snprintf(text, 32, "%u.%u.%u.%u", net, i >> 16 & 255, i >> 8 & 255, i & 255);
	return (struct visitor){text, 1, trusts, ALOUD};
}

static void
come(unsigned net, unsigned n, unsigned trusts)
{
	char text[32];

	for (unsigned i = 0; i < n; i++) {
		struct visitor v = at(text, net, i, trusts);
		(void)visit(&v);
	}
}

/* Strangers, more and more of them: the table grows below the reader. */
static void *
strangers(void *arg)
{
	unsigned net = *(unsigned *)arg;
	char text[32];

	for (unsigned i = 0; i < STRANGERS; i++) {
		struct visitor v = at(text, net, i, BOTH);
		cr_expect_eq(visit(&v), 2);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return NULL;
}

/* Connections that stay open over others that come, in a table that has no room for all of them. */
static void *
connected(void *arg)
{
	enum { OPEN = 64 };
	unsigned net = *(unsigned *)arg;
	struct client_record *open[OPEN] = {NULL};
	char text[32];

	for (unsigned i = 0; i < STRANGERS; i++) {
		struct visitor v = at(text, net, i % 400, BOTH);
		struct client_record **c = &open[i % OPEN];
		if (*c != NULL)
			rotation_left(r, *c, now);
		(void)visit(&v);
		*c = stays(&v);
	}
	for (unsigned i = 0; i < OPEN; i++)
		if (open[i] != NULL)
			rotation_left(r, open[i], now);
	__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int
by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct report_client *)a)->record.who.key, y = ((const struct report_client *)b)->record.who.key;

	return x < y ? -1 : x > y ? 1 : 0;
}

static bool
has_twice(struct report_client *list, size_t n)
{
	bool twice = false;

	qsort(list, n, sizeof(*list), by_key);
	for (size_t i = 1; i < n; i++)
		twice |= by_key(&list[i - 1], &list[i]) == 0;
	return twice;
}

static void
expect_exact(bool lists)
{
	struct rotation_report o;

	cr_assert(rotation_report(r, lists, now, &o));
	cr_expect_eq(o.n_untested, UNTESTED);
	cr_expect_eq(o.n_orphans, ORPHANS);
	if (lists) {
		cr_expect_not(has_twice(o.untested, o.n_untested));
		cr_expect_not(has_twice(o.orphans, o.n_orphans));
	}
	rotation_report_free(&o);
}

Test(threads, who_does_not_change_is_met_once_while_others_come)
{
	pthread_t threads[THREADS];
	unsigned nets[THREADS] = {20, 21, 22};

	settings.rollback.clients = 0;
	settings.clients_max = settings.network_max = 100000;
	rotation_set(r, &settings, now);
	come(10, UNTESTED, BOTH);
	come(11, ORPHANS, OLD);
	swap_to(2);
	come(11, ORPHANS, OLD);
	expect_exact(true);
	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, strangers, &nets[i]), 0);
	for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++)
		expect_exact(i % 2 == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	expect_exact(true);
	cr_expect_eq(r->counts[SLOT_CURRENT].clients, THREADS * STRANGERS);
}

Test(threads, connections_end_whatever_became_of_their_clients)
{
	pthread_t threads[THREADS];
	unsigned nets[THREADS] = {20, 21, 22};
	struct rotation_report o;

	settings.clients_max = settings.network_max = 300;
	rotation_set(r, &settings, now);
	swap_to(2);
	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, connected, &nets[i]), 0);
	while (__atomic_load_n(&done, __ATOMIC_RELAXED) < THREADS) {
		cr_assert(rotation_report(r, true, now, &o));
		rotation_report_free(&o);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(r->open, 0);
	cr_expect_eq(r->clients.n, 300);
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		cr_expect_eq(c->open, 0);
}
