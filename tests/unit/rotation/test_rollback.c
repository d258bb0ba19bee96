/* When a rotation is rolled back without asking: fleets that refuse, and attackers that say they do. */
#include "fleet.h"

TestSuite(rollback, .init = fleet_begin, .fini = fleet_end);

/* So many clients in each of so many networks, the first of which is 10.0.`first`.0; `hellos` at each address. */
struct crowd {
	unsigned first, networks, addresses, hellos;
};

static void
come(struct crowd c, unsigned trusts)
{
	for (unsigned n = c.first; n < c.first + c.networks; n++)
		for (unsigned a = 1; a <= c.addresses; a++)
			for (unsigned h = 1; h <= MAX_OF(c.hellos, 1u); h++) {
				char text[32];
				(void)snprintf(text, sizeof(text), "10.%u.%u.%u", n >> 8, n & 255, a);
				(void)visit(&(struct visitor){text, h, trusts, ALOUD});
			}
}

static bool
is_back(void)
{
	return r->phase == ROTATION_BACK;
}

/* --- a certificate that is refused --------------------------------------------------------------------------- */

Test(rollback, ten_clients_of_ten_networks)
{
	const struct crowd fleet = {0, 100, 1, 1};
	struct rotation_news news;

	come(fleet, BOTH);
	swap_to(2);
	come((struct crowd){0, 30, 1, 1}, BOTH);
	come((struct crowd){30, 9, 1, 1}, OLD);
	cr_expect_not(rotation_tick(r, now, &news) && news.rolled_back, "nine are not ten");
	come((struct crowd){39, 1, 1, 1}, OLD);
	cr_expect(rotation_tick(r, now, &news));
	cr_expect(news.rolled_back);
	cr_expect_eq(news.refusing, 10);
	cr_expect_eq(news.tested, 40);
	cr_expect_eq(news.networks, 10);
	cr_expect_eq(r->phase, ROTATION_BACK);
	cr_expect_eq(visit(&(struct visitor){"10.0.7.1", 1, BOTH, ALOUD}), 1);
}

Test(rollback, thirty_clients_in_five_networks)
{
	come((struct crowd){0, 5, 6, 1}, OLD);
	swap_to(2);
	come((struct crowd){0, 2, 6, 1}, OLD);
	cr_expect_not(is_back(), "two networks may be one man's");
	come((struct crowd){2, 1, 1, 1}, OLD);
	cr_expect(is_back(), "at the thirteenth client, of a third network");
}

Test(rollback, a_part_of_each_network)
{
	come((struct crowd){0, 40, 10, 1}, BOTH);
	swap_to(2);
	/* Of the ten in each network two have an old list of authorities. */
	for (unsigned n = 0; n < 20 && !is_back(); n++) {
		char text[32];
		come((struct crowd){n, 1, 10, 1}, BOTH);
		for (unsigned a = 1; a <= 2; a++) {
			(void)snprintf(text, sizeof(text), "10.0.%u.%u", n, a);
			struct client_identity who = identity(&(struct visitor){text, 1, OLD, ALOUD});
			rotation_rejected(r, &who, 2, 48, now);
		}
	}
	cr_expect(is_back());
}

Test(rollback, a_site_with_three_clients)
{
	come((struct crowd){0, 3, 1, 1}, OLD);
	swap_to(2);
	come((struct crowd){0, 2, 1, 1}, OLD);
	cr_expect_not(is_back(), "two are rescued, and no more");
	come((struct crowd){2, 1, 1, 1}, OLD);
	cr_expect(is_back());
}

Test(rollback, a_site_with_three_clients_and_one_of_them_has_the_new_authority)
{
	come((struct crowd){0, 3, 1, 1}, BOTH);
	swap_to(2);
	come((struct crowd){0, 2, 1, 1}, OLD);
	come((struct crowd){2, 1, 1, 1}, BOTH);
	for (unsigned i = 0; i < 10; i++)
		come((struct crowd){0, 2, 1, 1}, OLD);
	cr_expect_not(is_back());
}

Test(rollback, all_behind_one_address)
{
	come((struct crowd){0, 1, 1, 30}, OLD);
	swap_to(2);
	come((struct crowd){0, 1, 1, 30}, OLD);
	cr_expect(is_back(), "nobody else is known");
}

Test(rollback, most_of_those_behind_one_address_take_it)
{
	come((struct crowd){0, 1, 1, 30}, BOTH);
	swap_to(2);
	come((struct crowd){0, 1, 1, 20}, BOTH);
	for (unsigned h = 21; h <= 30; h++)
		(void)visit(&(struct visitor){"10.0.0.1", h, OLD, ALOUD});
	cr_expect_not(is_back());
}

Test(rollback, five_offices_behind_an_address_each)
{
	come((struct crowd){0, 5, 1, 20}, OLD);
	swap_to(2);
	come((struct crowd){0, 2, 1, 20}, OLD);
	cr_expect_not(is_back());
	come((struct crowd){2, 1, 1, 20}, OLD);
	cr_expect(is_back(), "most of the five, though they are three addresses");
}

Test(rollback, in_the_first_stage)
{
	settings.stages[0] = (struct rotation_stage){1000, 60000};
	settings.stages[1] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 2;
	rotation_set(r, &settings, now);
	come((struct crowd){0, 300, 1, 1}, OLD);
	swap_to(2);
	come((struct crowd){0, 300, 1, 1}, OLD);
	cr_expect(is_back());
	cr_expect_leq(r->clients.networks.tested, 15, "of the thirty that are in the stage");
}

Test(rollback, whoever_refused_the_one_before_is_expected_to_refuse_again)
{
	come((struct crowd){0, 100, 1, 1}, BOTH);
	for (unsigned i = 0; i < 20; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.%u.1", i);
		struct client_identity who = identity(&(struct visitor){text, 1, OLD, ALOUD});
		rotation_rejected(r, &who, 1, 48, now);
	}
	swap_to(2);
	come((struct crowd){20, 80, 1, 1}, BOTH);
	come((struct crowd){0, 30, 1, 1}, OLD);
	cr_expect_not(is_back(), "30 %%, where it was 20 %%");
	come((struct crowd){30, 10, 1, 1}, OLD);
	for (unsigned i = 30; i < 40; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.%u.1", i);
		struct client_identity who = identity(&(struct visitor){text, 1, OLD, ALOUD});
		rotation_rejected(r, &who, 2, 48, now);
	}
	cr_expect(is_back());
}

Test(rollback, who_resumes_it_is_not_overruled_by_the_same_clients)
{
	struct err err;

	come((struct crowd){0, 100, 1, 1}, BOTH);
	swap_to(2);
	come((struct crowd){20, 80, 1, 1}, BOTH);
	come((struct crowd){0, 10, 1, 1}, OLD);
	cr_assert(is_back());
	cr_assert(rotation_resume(r, ROTATION_SAFELY, now, &err), "%s", err.text);
	come((struct crowd){0, 10, 1, 1}, OLD);
	come((struct crowd){20, 80, 1, 1}, BOTH);
	cr_expect_not(is_back(), "they are rescued");
	come((struct crowd){10, 10, 1, 1}, OLD);
	cr_expect_not(is_back());
	for (unsigned i = 20; i < 32; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "10.0.%u.1", i);
		struct client_identity who = identity(&(struct visitor){text, 1, OLD, ALOUD});
		rotation_rejected(r, &who, 2, 48, now);
	}
	cr_expect(is_back(), "twice as many, and more, are another matter");
}

Test(rollback, the_only_ones_that_are_known_are_not_the_only_ones)
{
	/* Nobody has come since the start but for these. */
	come((struct crowd){1000, 1, 1, 5}, BOTH);
	swap_to(2);
	come((struct crowd){0, 20, 1, 1}, BOTH);
	come((struct crowd){1000, 1, 1, 5}, OLD);
	cr_expect_not(is_back());
}

/* --- attackers ------------------------------------------------------------------------------------------------ */

/* They had themselves served before, come first, and refuse with all that they can make up; then comes the fleet. */
static bool
attack(struct crowd fleet, struct crowd attackers)
{
	bool back;

	come(fleet, BOTH);
	come(attackers, BOTH);
	swap_to(2);
	come(attackers, OLD);
	back = is_back();
	come(fleet, BOTH);
	come(attackers, OLD);
	return back || is_back();
}

static const struct crowd fleet = {0, 400, 2, 1};

Test(rollback, one_network_moves_nothing)
{
	cr_expect_not(attack(fleet, (struct crowd){1000, 1, 250, 8}));
}

Test(rollback, one_network_moves_nothing_of_a_small_fleet)
{
	cr_expect_not(attack((struct crowd){0, 3, 1, 1}, (struct crowd){1000, 1, 250, 8}));
}

Test(rollback, eight_networks_move_nothing)
{
	cr_expect_not(attack(fleet, (struct crowd){1000, 8, 100, 8}));
}

Test(rollback, hellos_are_no_addresses)
{
	settings.rollback.share = 1;
	rotation_set(r, &settings, now);
	cr_expect_not(attack(fleet, (struct crowd){1000, 5, 1, 100}));
}

Test(rollback, one_network_of_the_fleets_own_has_one_vote)
{
	/* In the midst of five offices. */
	come((struct crowd){0, 40, 4, 1}, BOTH);
	come((struct crowd){3, 3, 1, 50}, BOTH);
	swap_to(2);
	come((struct crowd){3, 3, 1, 50}, OLD);
	cr_expect_not(is_back(), "three of forty");
}

Test(rollback, a_hundred_networks_move_nothing_that_a_fleet_ten_times_as_large_takes)
{
	come((struct crowd){0, 1100, 1, 1}, BOTH);
	come((struct crowd){2000, 100, 20, 3}, BOTH);
	swap_to(2);
	come((struct crowd){0, 1100, 1, 1}, BOTH);
	come((struct crowd){2000, 100, 20, 3}, OLD);
	cr_expect_not(is_back());
}

/* What is left to an attacker, told in docs/security.md: a tenth of the networks, and ten of them. */
Test(rollback, a_hundred_networks_are_a_fleet)
{
	cr_expect(attack(fleet, (struct crowd){1000, 100, 20, 3}));
}

Test(rollback, strangers_never_roll_it_back)
{
	come((struct crowd){0, 10, 1, 1}, BOTH);
	swap_to(2);
	for (unsigned i = 0; i < 5000; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "172.16.%u.%u", i / 250, i % 250);
		struct client_identity who = identity(&(struct visitor){text, 9, NEITHER, ALOUD});
		rotation_rejected(r, &who, 2, 48, now);
	}
	cr_expect_eq(r->phase, ROTATION_COMPLETE);
}

Test(rollback, a_flood_of_strangers_takes_nobodys_place)
{
	settings.clients_max = 600; /* of which two are each network's own */
	settings.network_max = 75;
	rotation_set(r, &settings, now);
	come((struct crowd){0, 20, 3, 1}, BOTH);
	swap_to(2);
	come((struct crowd){1, 19, 3, 1}, BOTH);
	come((struct crowd){0, 1, 3, 1}, OLD);
	for (unsigned round = 0; round < 20; round++)
		come((struct crowd){1000 + 1000 * round, 1000, 4, 1}, NEITHER);
	cr_expect_eq(r->clients.n, 600);
	for (unsigned n = 0; n < 20; n++)
		for (unsigned a = 1; a <= 3; a++) {
			char text[32];
			(void)snprintf(text, sizeof(text), "10.0.%u.%u", n, a);
			cr_expect_not_null(clients_find(&r->clients, identity(&(struct visitor){text, 1, 0, ALOUD}).key), "%s", text);
		}
}

Test(rollback, who_refused_the_one_before_can_not_keep_it_from_rolling_back)
{
	/* One network, in many guises, takes and refuses generation 1, so that refusals look usual. */
	come(fleet, OLD);
	come((struct crowd){1000, 1, 100, 8}, BOTH);
	for (unsigned a = 1; a <= 100; a++)
		for (unsigned h = 1; h <= 8; h++) {
			char text[32];
			(void)snprintf(text, sizeof(text), "10.3.232.%u", a);
			struct client_identity who = identity(&(struct visitor){text, h, OLD, ALOUD});
			rotation_rejected(r, &who, 1, 48, now);
		}
	swap_to(2);
	come(fleet, OLD);
	cr_expect(is_back());
}

Test(rollback, a_small_share_never_rolls_it_back)
{
	come((struct crowd){0, 250, 1, 1}, BOTH);
	swap_to(2);
	come((struct crowd){20, 230, 1, 1}, BOTH);
	come((struct crowd){0, 20, 1, 1}, OLD);
	cr_expect_not(is_back());
}
