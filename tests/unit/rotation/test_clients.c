#include <stdlib.h>

#include "fleet.h"

static struct clients c;

static void
begin(void)
{
	clients_init(&c, 100, 40);
}

static void
end(void)
{
	clients_free(&c);
}

TestSuite(clients, .init = begin, .fini = end);

static struct client_identity
someone(uint64_t n, uint64_t network)
{
	return (struct client_identity){.key = n * UINT64_C(0x9e3779b97f4a7c15), .network = network * UINT64_C(0xbf58476d1ce4e5b9), .fingerprint = (uint32_t)n};
}

static struct client_record *
note(uint64_t n, uint64_t network, int64_t at)
{
	struct client_identity who = someone(n, network);

	return clients_note(&c, &who, at);
}

Test(clients, each_is_found_again)
{
	for (uint64_t i = 1; i <= 100; i++)
		cr_assert_not_null(note(i, i, (int64_t)i));
	cr_expect_eq(c.n, 100);
	for (uint64_t i = 1; i <= 100; i++) {
		struct client_record *r1 = clients_find(&c, someone(i, i).key);
		cr_assert_not_null(r1, "%d", (int)i);
		cr_expect_eq(r1->who.fingerprint, i);
		cr_expect_eq(r1->first_seen, i);
	}
	cr_expect_null(clients_find(&c, someone(101, 1).key));
	size_t n = 0;
	for (struct client_record *r1 = clients_next(&c, NULL); r1 != NULL; r1 = clients_next(&c, r1))
		n++;
	cr_expect_eq(n, 100);
}

Test(clients, a_full_table_lets_go_of_what_matters_least)
{
	for (uint64_t i = 1; i <= 100; i++) {
		struct client_record *r1 = note(i, i, (int64_t)i);
		if (i <= 50)
			r1->by[SLOT_CURRENT].accepted = 1;
		if (i <= 25)
			r1->refuses[SLOT_CURRENT] = true;
	}
	/* Those that were never served go first, whatever they refuse; then those that are content; the others never. */
	unsigned content = 0;
	for (uint64_t i = 101; i <= 140; i++)
		note(i, i, 1000)->by[SLOT_CURRENT].accepted = 1;
	for (uint64_t i = 26; i <= 50; i++)
		content += clients_find(&c, someone(i, i).key) != NULL;
	cr_expect_geq(content, 22, "%u", content);
	for (uint64_t i = 151; i <= 400; i++) {
		struct client_record *r1 = note(i, i, 2000);
		if (r1 == NULL)
			continue;
		r1->by[SLOT_CURRENT].accepted = 1;
		r1->refuses[SLOT_CURRENT] = true;
	}
	for (uint64_t i = 1; i <= 25; i++)
		cr_expect_not_null(clients_find(&c, someone(i, i).key), "%d", (int)i);
	cr_expect_eq(c.n, 100);
	cr_expect_null(note(500, 500, 3000));
	cr_expect_gt(c.left_out, 100);
}

Test(clients, one_network_can_not_take_it_all)
{
	for (uint64_t i = 1; i <= 60; i++)
		(void)note(i, 7, 1);
	cr_expect_eq(c.n, 40);
	cr_expect_eq(c.left_out, 20);
	cr_expect_not_null(note(1000, 8, 1));
}

static unsigned met[2001];

static void
meet(void *arg, struct client_record *r1)
{
	(void)arg;
	met[r1->who.fingerprint <= 2000 ? r1->who.fingerprint : 0]++;
}

Test(clients, slices_meet_each_once_whatever_happens_between)
{
	struct clients_walk w = {.over = false};
	unsigned slices = 0;

	clients_free(&c);
	clients_init(&c, 20000, 20000);
	clients_slice(&c, &w, meet, NULL);
	cr_expect(w.over, "an empty one");
	for (uint64_t i = 1; i <= 2000; i++)
		(void)note(i, i, 1);
	for (w = (struct clients_walk){.over = false}; !w.over; slices++) {
		clients_slice(&c, &w, meet, NULL);
		/* It grows, more than once, and is moved to other buckets. */
		for (uint64_t i = 0; i < 300; i++)
			(void)note(10000 + 300 * slices + i, i, 1);
	}
	cr_expect_gt(slices, 4);
	for (unsigned i = 1; i <= 2000; i++)
		cr_expect_eq(met[i], 1, "%u: %u", i, met[i]);
}

/* All have been served, and refuse now: what a table is for. */
static unsigned
fill(uint64_t from, unsigned networks, unsigned each)
{
	unsigned n = 0;

	for (unsigned i = 0; i < networks * each; i++) {
		struct client_record *r1 = note(from + i, from + i % networks, 5);
		if (r1 == NULL)
			continue;
		r1->by[SLOT_PREVIOUS].accepted = 1;
		r1->refuses[SLOT_CURRENT] = true;
		n++;
	}
	return n;
}

Test(clients, a_few_networks_can_not_fill_it)
{
	clients_free(&c);
	clients_init(&c, 5120, 640); /* of which 20 are each network's own */
	for (uint64_t i = 1; i <= 4900; i++)
		note(i, i / 2, 1)->by[SLOT_PREVIOUS].accepted = 1; /* a fleet that is content, two in a network */
	cr_expect_geq(fill(100000, 8, 640), 220);
	cr_expect_eq(c.n, 5120);
	unsigned stay = 0;
	for (uint64_t i = 1; i <= 4900; i++)
		stay += clients_find(&c, someone(i, i / 2).key) != NULL;
	cr_expect_geq(stay, 4900 - 8 * 20, "they push out no more of the fleet than is their own part: %u", stay);
}

Test(clients, what_a_few_networks_have_filled_others_find_room_in)
{
	clients_free(&c);
	clients_init(&c, 5120, 640);
	cr_expect_eq(fill(100000, 8, 640), 5120);
	cr_expect_eq(fill(200000, 1000, 1), 1000);
	cr_expect_eq(fill(300000, 200, 10), 2000);
	cr_expect_eq(c.n, 5120);
	for (uint64_t i = 0; i < 1000; i++)
		cr_expect_not_null(clients_find(&c, someone(200000 + i, 0).key), "%d", (int)i);
}

Test(clients, a_network_keeps_what_is_its_own)
{
	clients_free(&c);
	clients_init(&c, 5120, 640);
	cr_expect_eq(fill(1000, 256, 20), 5120);
	cr_expect_null(note(1, 1, 6), "all have their part, and all refuse");
	clients_find(&c, someone(1000, 0).key)->refuses[SLOT_CURRENT] = false;
	unsigned found = 0;
	for (uint64_t i = 2; i <= 200; i++)
		found += note(i, 1, 6) != NULL;
	cr_expect_geq(found, 1, "in turn it is met");
	cr_expect_null(clients_find(&c, someone(1000, 0).key));
}

/* All were served, and are worth the same. */
static void
fill_with_served(uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		note(i, i, (int64_t)i)->by[SLOT_CURRENT].accepted = 1;
}

Test(clients, of_equals_those_that_are_connected_stay)
{
	struct client_record *open[50];

	fill_with_served(1, 100);
	for (unsigned i = 0; i < COUNTOF(open); i++) {
		open[i] = clients_find(&c, someone(i + 1, i + 1).key); /* the others were seen later */
		open[i]->open = 1;
	}
	fill_with_served(101, 40);
	unsigned stay = 0;
	for (unsigned i = 0; i < COUNTOF(open); i++)
		stay += clients_find(&c, someone(i + 1, i + 1).key) != NULL;
	cr_expect_eq(stay, COUNTOF(open));
	cr_expect_eq(c.left_out, 0);
	for (unsigned i = 0; i < COUNTOF(open); i++)
		client_leave(open[i], 1);
	fill_with_served(201, 100);
	stay = 0;
	for (unsigned i = 0; i < COUNTOF(open); i++)
		stay += clients_find(&c, someone(i + 1, i + 1).key) != NULL;
	cr_expect_lt(stay, COUNTOF(open), "they have left");
}

/* The bound is one all the same, and what is not waited for any more is said. Who comes again is another. */
Test(clients, one_that_is_dropped_while_it_is_connected)
{
	struct client_record *first;

	clients_free(&c);
	clients_init(&c, 1, 1);
	fill_with_served(1, 1);
	first = clients_find(&c, someone(1, 1).key);
	first->open = 2;
	fill_with_served(2, 1);
	cr_expect_eq(c.n, 1);
	cr_expect_eq(c.left_out, 1);
	cr_expect_null(clients_find(&c, someone(1, 1).key));
	client_leave(first, 5);
	fill_with_served(1, 1);
	struct client_record *again = clients_find(&c, someone(1, 1).key);
	cr_assert(again != NULL && again != first);
	again->open = 1;
	client_leave(first, 6);
	cr_expect_eq(again->open, 1);
	again->by[SLOT_CURRENT].accepted = 0;
	fill_with_served(2, 1);
	cr_expect_eq(c.left_out, 1, "one that was never served is not missed");
	client_leave(again, 7);
}

Test(clients, a_name_is_cut_at_a_character)
{
	struct client_record *r1 = note(1, 1, 1);
	char text[300];

	memset(text, 'a', sizeof(text));
	memcpy(text + 255, "\xc3\xbc", 2);
	client_set_name(r1, sv_of(text, sizeof(text)));
	cr_expect_eq(strlen(r1->name), 255);
	client_set_name(r1, SV("short"));
	cr_expect_str_eq(r1->name, "short");
	client_set_name(r1, SV_NONE);
	cr_expect_str_eq(r1->name, "short");
}
