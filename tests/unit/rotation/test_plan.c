#include "fleet.h"

TestSuite(plan, .init = fleet_begin, .fini = fleet_end);

static const struct visitor old = {"192.0.2.1", 1, OLD, ALOUD};
static struct err err;

static void
stages(void)
{
	settings.stages[0] = (struct rotation_stage){1000, 60000};
	settings.stages[1] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 2;
	rotation_set(r, &settings, now);
}

Test(plan, the_same_content_begins_nothing)
{
	struct tls_bundle again = *generation(1);

	again.refs = 1000;
	cr_expect_not(rotation_take(r, &again, now));
	cr_expect_not(rotation_is_active(r));
}

Test(plan, at_once_by_default)
{
	swap_to(2);
	cr_expect_eq(r->phase, ROTATION_COMPLETE);
	cr_expect(rotation_is_active(r));
}

Test(plan, stages_end_by_themselves)
{
	struct rotation_news news;

	stages();
	swap_to(2);
	cr_expect_eq(r->phase, ROTATION_STAGED);
	cr_expect_not(rotation_tick(r, now, &news));
	pass_seconds(61);
	cr_expect(rotation_tick(r, now, &news));
	cr_expect(news.completed && !news.next_stage);
	cr_expect_eq(r->phase, ROTATION_COMPLETE);
}

Test(plan, hold_and_resume)
{
	struct rotation_news news;

	stages();
	swap_to(2);
	pass_seconds(20);
	cr_assert(rotation_hold(r, now, &err), "%s", err.text);
	pass_seconds(1000);
	cr_expect_not(rotation_tick(r, now, &news));
	cr_expect_not(rotation_hold(r, now, &err));
	cr_assert(rotation_resume(r, ROTATION_SAFELY, now, &err), "%s", err.text);
	pass_seconds(39);
	cr_expect_not(rotation_tick(r, now, &news));
	pass_seconds(2);
	cr_expect(rotation_tick(r, now, &news));
}

Test(plan, a_clock_that_jumps_moves_no_stage)
{
	struct rotation_news news;

	stages();
	swap_to(2);
	now.wall += 86400; /* as after a suspended machine was set right; the monotonic one goes on */
	cr_expect_not(rotation_tick(r, now, &news));
	now.wall -= 2 * 86400;
	cr_expect_not(rotation_tick(r, now, &news));
}

Test(plan, commit_brings_all_and_goes_on_rescuing)
{
	stages();
	swap_to(2);
	cr_assert(rotation_commit(r, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_not(gets_in(&old));
	cr_expect(gets_in(&old));
}

Test(plan, rollback_serves_the_previous_one_and_resume_begins_anew)
{
	swap_to(2);
	cr_assert(rotation_rollback(r, 0, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_eq(visit(&(struct visitor){"192.0.2.8", 1, BOTH, ALOUD}), 1);
	/* Who trusts only the new one by now is rescued by it. */
	const struct visitor new = {"192.0.2.2", 1, NEW, ALOUD};
	cr_expect_not(gets_in(&new));
	cr_expect(gets_in(&new));
	cr_assert(rotation_resume(r, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_eq(visit(&(struct visitor){"192.0.2.8", 1, BOTH, ALOUD}), 2);
}

Test(plan, rollback_to_an_earlier_one)
{
	struct rotation_news news;

	swap_to(2);
	pass_seconds(31 * 86400);
	cr_expect(rotation_tick(r, now, &news) && news.expired);
	swap_to(3);
	pass_seconds(31 * 86400);
	cr_expect(rotation_tick(r, now, &news));
	cr_expect_not(rotation_rollback(r, 9, ROTATION_SAFELY, now, &err));
	cr_expect_not_null(strstr(err.text, "generation 9 is not kept; of the earlier ones are: 2, 1"), "%s", err.text);
	cr_assert(rotation_rollback(r, 1, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_eq(visit(&(struct visitor){"192.0.2.8", 1, 7, ALOUD}), 1);
}

Test(plan, what_has_expired_is_no_way_back)
{
	swap_to(2);
	generation(1)->facts.not_after = now.wall;
	cr_expect_not(rotation_rollback(r, 0, ROTATION_SAFELY, now, &err));
	cr_expect_not_null(strstr(err.text, "has expired"));
}

Test(plan, retire_ends_it)
{
	stages();
	swap_to(2);
	cr_expect_not(rotation_retire(r, ROTATION_SAFELY, now, &err), "clients have it by plan");
	cr_assert(rotation_commit(r, ROTATION_SAFELY, now, &err));
	cr_expect_not(gets_in(&old));
	cr_expect_not(rotation_retire(r, ROTATION_SAFELY, now, &err), "it needs the previous one");
	cr_assert(rotation_retire(r, ROTATION_FORCED, now, &err), "%s", err.text);
	cr_expect_not(rotation_is_active(r));
	cr_expect_not(gets_in(&old));
	cr_expect_not(rotation_retire(r, ROTATION_SAFELY, now, &err));
	cr_assert(rotation_rollback(r, 1, ROTATION_SAFELY, now, &err), "it is still kept: %s", err.text);
}

Test(plan, what_was_compromised_is_never_served_again)
{
	swap_to(2);
	cr_assert(rotation_retire(r, ROTATION_COMPROMISED, now, &err), "%s", err.text);
	cr_expect_not(rotation_rollback(r, 1, ROTATION_SAFELY, now, &err));
	cr_expect_not(rotation_is_active(r));
}

Test(plan, a_third_generation_leaves_those_rescued_where_they_are)
{
	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	cr_expect(gets_in(&old));
	swap_to(3);
	cr_expect_eq(r->bundles[SLOT_PREVIOUS]->generation, 1);
	cr_expect_not(gets_in(&old));
	cr_expect_eq(visit(&old), 1);
}

Test(plan, a_third_generation_follows_the_second_when_nobody_is_left_behind)
{
	swap_to(2);
	swap_to(3);
	cr_expect_eq(r->bundles[SLOT_PREVIOUS]->generation, 2);
}

Test(plan, files_put_back_change_places)
{
	const struct visitor moved = {"192.0.2.2", 1, 2 | 0, ALOUD};
	struct tls_bundle back = *generation(1);

	swap_to(2);
	cr_expect(gets_in(&moved));
	back.generation = 3;
	back.refs = 1000;
	cr_expect(rotation_take(r, &back, now));
	cr_expect_eq(r->bundles[SLOT_CURRENT]->generation, 3);
	cr_expect_eq(r->bundles[SLOT_PREVIOUS]->generation, 2);
	struct client_identity who = identity(&moved);
	struct rotation_offer o;
	rotation_rejected(r, &who, 3, 48, now);
	rotation_choose(r, &who, NULL, now, &o);
	cr_expect_eq(o.generation, 2, "who has moved already is rescued by what it moved to");
	rotation_end_offer(&o);
}

/* Else the first handshake after it would roll it back once more: those who refuse are still there, and were when it was begun anew. */
Test(plan, what_is_begun_anew_is_not_rolled_back_for_what_was_known_then)
{
	struct rotation_news news;
	struct visitor v[60];
	char text[60][32];

	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "10.%u.0.%u", i % 5, i + 1);
		v[i] = (struct visitor){text[i], 1, i < 40 ? BOTH : OLD, ALOUD};
		cr_expect(gets_in(&v[i]));
	}
	swap_to(2);
	for (unsigned i = 0; i < 50; i++)
		(void)visit(&v[i]);
	cr_assert(rotation_tick(r, now, &news) && news.rolled_back);
	cr_assert(rotation_resume(r, ROTATION_SAFELY, now, &err), "%s", err.text);
	cr_expect_eq(visit(&v[0]), 2);
	cr_expect_not(rotation_tick(r, now, &news));
	for (unsigned i = 40; i < 50; i++)
		cr_expect(gets_in(&v[i]), "its refusal is still known");
	for (unsigned i = 50; i < 55; i++)
		cr_expect_not(gets_in(&v[i]));
	cr_expect_not(rotation_tick(r, now, &news), "15 of 55, and it was 10 of 50");
	for (unsigned i = 0; i < 40; i++)
		v[i].trusts = OLD;
	for (unsigned i = 0; i < 10; i++)
		(void)visit(&v[i]);
	cr_expect(rotation_tick(r, now, &news) && news.rolled_back, "but when it is twice as bad");
}

/* Told once, and of one that was served before: scanners refuse all day. */
Test(plan, the_first_orphan_is_news)
{
	struct rotation_news news;
	const struct visitor stranger = {"192.0.2.77", 1, NEITHER, ALOUD}, other = {"192.0.2.9", 1, OLD, ALOUD};

	cr_expect(gets_in(&old) && gets_in(&other));
	swap_to(2);
	for (unsigned i = 0; i < 4; i++)
		(void)visit(&stranger);
	cr_expect_not(rotation_tick(r, now, &news));
	cr_expect_not(gets_in(&old));
	cr_expect(rotation_tick(r, now, &news) && news.orphan);
	cr_expect_not(gets_in(&other));
	cr_expect_not(rotation_tick(r, now, &news));
	cr_assert(rotation_retire(r, ROTATION_FORCED, now, &err));
	swap_to(3);
	cr_expect_not(gets_in(&(struct visitor){"192.0.2.9", 1, NEITHER, ALOUD}));
}
