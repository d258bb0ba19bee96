#include "fleet.h"

TestSuite(decide, .init = fleet_begin, .fini = fleet_end);

static const struct visitor old = {"192.0.2.1", 1, OLD, ALOUD}, new = {"192.0.2.2", 1, NEW, ALOUD}, both = {"192.0.2.3", 1, BOTH, ALOUD};
static const struct visitor quiet = {"192.0.2.4", 1, OLD, SILENT};

Test(decide, without_a_rotation_all_get_the_one)
{
	cr_expect_not(rotation_is_active(r));
	cr_expect_eq(visit(&old), 1);
	cr_expect_eq(visit(&new), 1);
}

Test(decide, who_refuses_is_rescued_by_the_next_connection)
{
	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect(rotation_is_active(r));
	cr_expect_not(gets_in(&old));
	cr_expect_eq(visit(&old), 1);
	cr_expect_eq(visit(&both), 2);
	cr_expect_eq(visit(&new), 2);
}

Test(decide, a_stranger_is_rescued_as_well)
{
	swap_to(2);
	cr_expect_not(gets_in(&old));
	cr_expect(gets_in(&old));
}

Test(decide, silence_is_believed_the_second_time_of_a_client_that_was_known_good)
{
	cr_expect(gets_in(&quiet));
	swap_to(2);
	cr_expect_not(gets_in(&quiet));
	cr_expect_not(gets_in(&quiet));
	cr_expect(gets_in(&quiet));
	struct client_identity who = identity(&quiet);
	cr_expect(clients_find(&r->clients, who.key)->suspected);
}

Test(decide, silence_of_a_stranger_proves_nothing)
{
	swap_to(2);
	for (unsigned i = 0; i < 10; i++)
		cr_expect_eq(visit(&quiet), 2);
}

Test(decide, spare_connections_of_a_good_client_prove_nothing)
{
	struct client_identity who = identity(&both);

	cr_expect(gets_in(&both));
	swap_to(2);
	cr_expect(gets_in(&both));
	for (unsigned i = 0; i < 5; i++)
		rotation_silent(r, &who, 2, 0, now);
	cr_expect_eq(visit(&both), 2);
}

Test(decide, spare_connections_of_a_rescued_client_do_not_take_it_off_the_list)
{
	struct client_identity who = identity(&old);

	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	for (unsigned i = 0; i < 5; i++)
		rotation_silent(r, &who, 1, 0, now);
	cr_expect(gets_in(&old));
	cr_expect(gets_in(&old));
}

Test(decide, who_stays_for_a_while_did_not_leave_for_the_certificate)
{
	struct client_identity who = identity(&quiet);

	cr_expect(gets_in(&quiet));
	swap_to(2);
	for (unsigned i = 0; i < 5; i++)
		rotation_silent(r, &who, 2, 60000, now);
	cr_expect_eq(visit(&quiet), 2);
}

Test(decide, an_acceptance_between_two_silent_ends_clears_it)
{
	struct client_identity who = identity(&quiet);

	cr_expect(gets_in(&quiet));
	swap_to(2);
	cr_expect_not(gets_in(&quiet));
	rotation_accepted(r, &who, 2, SV_NONE, now);
	rotation_silent(r, &who, 2, 0, now);
	rotation_silent(r, &who, 2, 0, now);
	cr_expect_eq(visit(&quiet), 2);
}

Test(decide, a_rescued_client_is_offered_the_current_one_again_at_growing_intervals)
{
	unsigned tried = 0;
	uint64_t last = 0, gap = 0;

	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	for (unsigned minutes = 0; minutes < 60 * 24 * 4; minutes += 10) {
		pass_seconds(600);
		if (visit(&old) == 2) {
			tried++;
			cr_expect_eq(visit(&old), 1, "one connection only");
			if (last != 0)
				cr_expect_geq(now.ms - last, gap);
			gap = last != 0 ? now.ms - last : 0;
			last = now.ms;
		}
	}
	/* After 1, 2, 4, 8, 16 hours, then every 24. */
	cr_expect_geq(tried, 5);
	cr_expect_leq(tried, 8);
}

Test(decide, who_has_moved_leaves_the_list)
{
	struct visitor moves = old;

	cr_expect(gets_in(&moves));
	swap_to(2);
	cr_expect_not(gets_in(&moves));
	cr_expect(gets_in(&moves));
	moves.trusts = BOTH;
	pass_seconds(3601);
	cr_expect_eq(visit(&moves), 2);
	for (unsigned i = 0; i < 10; i++)
		cr_expect_eq(visit(&moves), 2);
}

Test(decide, shorter_intervals_hold_at_once)
{
	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	cr_expect(gets_in(&old));
	settings.retry_ms = 60000;
	rotation_set(r, &settings, now);
	pass_seconds(59);
	cr_expect_eq(visit(&old), 1);
	pass_seconds(1);
	cr_expect_eq(visit(&old), 2);
	for (unsigned i = 0; i < 10; i++) {
		pass_seconds(3600);
		(void)visit(&old);
	}
	settings.retry_max_ms = 90000;
	rotation_set(r, &settings, now);
	pass_seconds(90);
	cr_expect_eq(visit(&old), 2);
	cr_expect_eq(visit(&old), 1);
	pass_seconds(90);
	cr_expect_eq(visit(&old), 2);
}

Test(decide, a_quiet_one_that_has_moved_is_not_kept_waiting)
{
	struct visitor moves = quiet;

	cr_expect(gets_in(&moves));
	swap_to(2);
	cr_expect_not(gets_in(&moves));
	cr_expect_not(gets_in(&moves));
	cr_expect(gets_in(&moves));
	moves.trusts = NEW;
	cr_expect_eq(visit(&moves), 1);
	cr_expect_eq(visit(&moves), 1);
	cr_expect_eq(visit(&moves), 2);
	cr_expect_not(clients_find(&r->clients, identity(&moves).key)->refuses[SLOT_CURRENT]);
}

Test(decide, a_quiet_one_with_spare_connections_stays_rescued)
{
	struct client_identity who = identity(&quiet);

	cr_expect(gets_in(&quiet));
	swap_to(2);
	cr_expect_not(gets_in(&quiet));
	cr_expect_not(gets_in(&quiet));
	for (unsigned i = 0; i < 2; i++)
		rotation_silent(r, &who, 1, 0, now);
	cr_expect_eq(visit(&quiet), 2, "one connection is the price");
	for (unsigned i = 0; i < 5; i++)
		cr_expect(gets_in(&quiet));
	cr_expect(clients_find(&r->clients, who.key)->suspected);
}

Test(decide, who_refuses_the_previous_one_gets_the_current_at_once)
{
	struct visitor moves = old;

	cr_expect(gets_in(&moves));
	swap_to(2);
	cr_expect_not(gets_in(&moves));
	cr_expect(gets_in(&moves));
	moves.trusts = NEW;
	cr_expect_not(gets_in(&moves));
	cr_expect_eq(visit(&moves), 2);
	cr_expect_eq(visit(&moves), 2);
}

Test(decide, two_behind_one_address_both_get_in)
{
	/* The same software on both: nothing tells them apart. */
	const struct visitor one = {"192.0.2.9", 5, OLD, ALOUD}, two = {"192.0.2.9", 5, NEW, ALOUD};
	unsigned in[2] = {0, 0};

	cr_expect(gets_in(&one));
	swap_to(2);
	for (unsigned i = 0; i < 200; i++) {
		in[0] += gets_in(&one);
		in[1] += gets_in(&two);
	}
	cr_expect_gt(in[0], 50);
	cr_expect_gt(in[1], 50);
}

Test(decide, two_behind_one_address_that_have_moved_see_no_more_lots)
{
	struct visitor one = old, two = old;

	cr_expect(gets_in(&one));
	swap_to(2);
	two.trusts = NEW;
	for (unsigned i = 0; i < 20; i++) {
		(void)visit(&one);
		(void)visit(&two);
	}
	one.trusts = NEW;
	for (unsigned i = 0; i < 100; i++)
		(void)visit(&one);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(visit(&one), 2);
}

Test(decide, who_refuses_the_previous_one_is_not_asked_again)
{
	struct err err;

	cr_expect(gets_in(&both));
	swap_to(2);
	cr_expect(gets_in(&new));
	cr_assert(rotation_rollback(r, 0, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_not(gets_in(&new));
	for (unsigned hours = 0; hours < 100; hours++) {
		cr_expect_eq(visit(&new), 2);
		pass_seconds(3600);
	}
}

Test(decide, lots_end_with_a_newer_generation)
{
	struct visitor one = old, two = old;

	cr_expect(gets_in(&one));
	swap_to(2);
	two.trusts = NEW;
	for (unsigned i = 0; i < 20; i++) {
		(void)visit(&one);
		(void)visit(&two);
	}
	one.trusts = OLD | NEW | 4;
	while (visit(&old) == 2) /* an orphan is left, so the previous one stays */
		continue;
	swap_to(3);
	for (unsigned i = 0; i < 20; i++)
		cr_expect_eq(visit(&one), 3);
}

Test(decide, a_nat_with_a_good_and_an_orphaned_client_of_other_make)
{
	const struct visitor one = {"192.0.2.9", 5, OLD, ALOUD}, two = {"192.0.2.9", 6, BOTH, ALOUD};

	cr_expect(gets_in(&one) && gets_in(&two));
	swap_to(2);
	cr_expect_not(gets_in(&one));
	cr_expect_eq(visit(&two), 2);
	cr_expect_eq(visit(&one), 1);
}

/* Trusts the generations whose bits are set in *arg. */
static bool
trusts(const void *arg, const struct tls_bundle *b)
{
	return *(const unsigned *)arg & (1u << (b->generation - 1));
}

Test(decide, the_clients_own_word_on_authorities_comes_first)
{
	struct client_identity who = identity(&old);
	struct rotation_offer o;

	swap_to(2);
	rotation_choose(r, &who, &(struct rotation_hint){trusts, &(const unsigned){OLD}}, now, &o);
	cr_expect_eq(o.generation, 1);
	cr_expect_eq(o.why, OFFER_AUTHORITY);
	rotation_end_offer(&o);
	rotation_choose(r, &who, &(struct rotation_hint){trusts, &(const unsigned){BOTH}}, now, &o);
	cr_expect_eq(o.generation, 2);
	rotation_end_offer(&o);
}

Test(decide, nobody_is_rescued_by_what_has_expired)
{
	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	cr_expect(gets_in(&old));
	generation(1)->facts.not_after = now.wall;
	cr_expect_eq(visit(&old), 2);
}

Test(decide, ipv6_households_are_one_client)
{
	const struct visitor one = {"2001:db8:1:2::1", 1, OLD, ALOUD}, same = {"2001:db8:1:2:ffff::9", 1, OLD, ALOUD},
			     not_same = {"2001:db8:1:3::1", 1, OLD, ALOUD};

	cr_expect_eq(identity(&one).key, identity(&same).key);
	cr_expect_neq(identity(&one).key, identity(&not_same).key);
	cr_expect_eq(identity(&one).network, identity(&not_same).network);
}

/* --- shares -------------------------------------------------------------------------------------------------- */

static unsigned
count_current(unsigned of)
{
	unsigned n = 0;

	for (unsigned i = 0; i < of; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
		n += visit(&(struct visitor){text, 1, BOTH, ALOUD}) == 2;
	}
	return n;
}

Test(decide, a_share_is_a_share_and_sticky)
{
	settings.stages[0] = (struct rotation_stage){500, 600000};
	settings.stages[1] = (struct rotation_stage){5000, 3600000};
	settings.stages[2] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 3;
	rotation_set(r, &settings, now);
	swap_to(2);
	unsigned first = count_current(10000);
	cr_expect_geq(first, 400);
	cr_expect_leq(first, 600);
	cr_expect_eq(count_current(10000), first, "a client sees one certificate");
	struct rotation_news news;
	pass_seconds(601);
	cr_assert(rotation_tick(r, now, &news) && news.next_stage);
	unsigned second = count_current(10000);
	cr_expect_geq(second, 4700);
	cr_expect_leq(second, 5300);
}

Test(decide, the_share_leaves_those_behind_one_address_together)
{
	settings.stages[0] = (struct rotation_stage){5000, 600000};
	settings.stages[1] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 2;
	rotation_set(r, &settings, now);
	swap_to(2);
	for (unsigned i = 0; i < 50; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.0.%u", i);
		cr_expect_eq(visit(&(struct visitor){text, 1, BOTH, ALOUD}), visit(&(struct visitor){text, 2, BOTH, ALOUD}));
	}
}
