/* Clocks that jump: what time it is to a rotation, and that nothing is skipped, rushed or lost by it. */
#include "fleet.h"

TestSuite(steady, .init = fleet_begin, .fini = fleet_end);

enum { HOUR = 3600, DAY = 24 * HOUR, YEAR = 365 * DAY };

static const int64_t jumps[] = {-YEAR, -DAY, -HOUR, HOUR, DAY, 30 * DAY, YEAR, 10 * YEAR};

/* --- the clock itself ---------------------------------------------------------------------------------------- */

static struct steady s;

static int64_t
at(uint64_t seconds, int64_t wall)
{
	return steady_wall(&s, (struct moment){.ms = 5000000 + seconds * 1000, .wall = wall});
}

Test(steady, goes_with_the_clock_while_that_goes_right)
{
	cr_expect_eq(at(0, 1800000000), 1800000000);
	cr_expect_eq(at(10, 1800000010), 1800000010);
	cr_expect_eq(at(DAY, 1800000000 + DAY + 90), 1800000000 + DAY + 90, "a little fast");
	cr_expect_eq(at(DAY, 1800000000 + 2 * DAY), 1800000000 + 2 * DAY, "set right by a day");
}

Test(steady, what_goes_back_is_believed_at_once)
{
	cr_expect_eq(at(0, 1800000000), 1800000000);
	cr_expect_eq(at(1, 1800000000 - YEAR), 1800000000 - YEAR);
	cr_expect_eq(at(2, 1800000001 - YEAR), 1800000001 - YEAR);
}

Test(steady, a_leap_is_believed_when_it_has_stood_for_an_hour)
{
	const int64_t then = 1800000000;

	cr_expect_eq(at(0, then), then);
	cr_expect_eq(at(1, then + YEAR), then + 1);
	cr_expect_eq(at(1800, then + YEAR + 1800), then + 1800);
	cr_expect_eq(at(3602, then + YEAR + 3602), then + 3602);
	cr_expect_eq(at(3603, then + YEAR + 3603), then + YEAR + 3603);
}

Test(steady, a_leap_is_told_once)
{
	const int64_t then = 1800000000;

	s = (struct steady){.wall = 0};
	(void)at(0, then);
	cr_expect_eq(s.leapt_s, 0);
	(void)at(1, then + YEAR + 1);
	(void)at(3601, then + YEAR + 3601);
	cr_expect_eq(s.leapt_s, 0);
	(void)at(3602, then + YEAR + 3602);
	cr_expect_eq(s.leapt_s, YEAR);
	(void)at(3603, then + 2 * YEAR + 3603);
	cr_expect_eq(s.leapt_s, 0, "another one, that is not believed yet");
}

Test(steady, a_leap_that_is_taken_back_was_none)
{
	const int64_t then = 1800000000;

	cr_expect_eq(at(0, then), then);
	cr_expect_eq(at(1, then + YEAR), then + 1);
	cr_expect_eq(at(3000, then + 3000), then + 3000);
	cr_expect_eq(at(3601, then + YEAR + 3601), then + 3601, "the hour begins anew");
	cr_expect_eq(at(7000, then + YEAR + 7000), then + 7000);
}

Test(steady, threads_may_be_late)
{
	const int64_t then = 1800000000;

	cr_expect_eq(at(10, then), then);
	cr_expect_eq(at(9, then), then, "a moment that was taken before");
	cr_expect_eq(at(5, then + YEAR), then);
}

/* --- a rotation ---------------------------------------------------------------------------------------------- */

static const struct visitor old = {"192.0.2.1", 1, OLD, ALOUD}, both = {"192.0.2.3", 1, BOTH, ALOUD}, rare = {"192.0.2.5", 1, OLD, ALOUD};

static void
stages(void)
{
	settings.stages[0] = (struct rotation_stage){1, 100 * 1000};
	settings.stages[1] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 2;
	rotation_set(r, &settings, now);
}

Test(steady, no_stage_is_skipped_or_rushed)
{
	struct rotation_news news;

	stages();
	for (unsigned i = 0; i < COUNTOF(jumps); i++) {
		fleet_end();
		fleet_begin();
		stages();
		swap_to(2);
		now.wall += jumps[i];
		pass_seconds(50);
		cr_expect_not(rotation_tick(r, now, &news), "%lld", (long long)jumps[i]);
		cr_expect_eq(r->phase, ROTATION_STAGED);
		cr_expect_eq(visit(&both), 1);
		now.wall -= jumps[i];
		pass_seconds(49);
		cr_expect_not(rotation_tick(r, now, &news), "%lld", (long long)jumps[i]);
		pass_seconds(1);
		cr_expect(rotation_tick(r, now, &news) && news.completed && !news.expired, "%lld", (long long)jumps[i]);
	}
}

Test(steady, nobody_is_orphaned_rolled_back_or_forgotten)
{
	struct rotation_news news;
	struct rotation_report report;

	for (unsigned i = 0; i < COUNTOF(jumps); i++) {
		long long by = jumps[i];
		fleet_end();
		fleet_begin();
		cr_expect(gets_in(&old) && gets_in(&both) && gets_in(&rare));
		swap_to(2);
		cr_expect_not(gets_in(&old));
		cr_expect(gets_in(&both));
		now.wall += jumps[i];
		for (unsigned minutes = 0; minutes < 55; minutes += 5) {
			cr_expect(gets_in(&old), "%lld", by);
			cr_expect_eq(visit(&both), 2, "%lld", by);
			cr_expect_not(rotation_tick(r, now, &news) && (news.expired || news.rolled_back), "%lld: expired %d, back %d", by, news.expired, news.rolled_back);
			cr_assert(rotation_report(r, true, now, &report));
			cr_expect(!report.may_retire && report.n_orphans == 1 && report.n_untested == 1, "%lld", by);
			rotation_report_free(&report);
			pass_seconds(300);
		}
		now.wall -= jumps[i];
		cr_expect_not(rotation_tick(r, now, &news) && (news.expired || news.rolled_back), "%lld", by);
		cr_expect_eq(visit(&old), 1, "%lld", by);
		cr_assert(rotation_report(r, true, now, &report));
		cr_expect(!report.may_retire && report.n_orphans == 1 && report.n_untested == 1, "%lld", by);
		cr_expect_leq(report.orphans[0].record.last_seen, now.wall, "%lld", by);
		rotation_report_free(&report);
		cr_expect_eq(r->phase, ROTATION_COMPLETE);
	}
}

Test(steady, an_order_does_not_begin_the_hour_anew)
{
	struct err err;
	struct rotation_news news;

	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	now.wall += YEAR;
	for (unsigned minutes = 0; minutes < 60; minutes += 20) {
		cr_expect_not(rotation_tick(r, now, &news) && news.expired);
		cr_expect_not(rotation_retire(r, ROTATION_SAFELY, now, &err));
		cr_expect_not(rotation_rollback(r, 7, ROTATION_SAFELY, now, &err));
		pass_seconds(1200);
	}
	cr_expect_not(rotation_tick(r, now, &news) && news.expired);
	cr_expect(rotation_tick(r, now, &news) && news.expired, "the leap has stood for an hour");
}

Test(steady, what_has_expired_has)
{
	struct rotation_news news;

	swap_to(2);
	pass_seconds(20 * DAY);
	cr_expect_not(rotation_tick(r, now, &news));
	generation(1)->facts.not_after = now.wall + 60;
	pass_seconds(59);
	cr_expect_not(rotation_tick(r, now, &news));
	pass_seconds(1);
	cr_expect(rotation_tick(r, now, &news) && news.expired);
}

Test(steady, a_leap_that_stays_is_the_time)
{
	struct rotation_news news;

	swap_to(2);
	now.wall += YEAR;
	cr_expect_not(rotation_tick(r, now, &news));
	pass_seconds(HOUR);
	(void)rotation_tick(r, now, &news);
	pass_seconds(1);
	cr_expect(rotation_tick(r, now, &news) && news.expired);
}

Test(steady, who_was_seen_in_the_future_is_not_waited_for_until_then)
{
	struct rotation_report report;

	now.wall += YEAR; /* wrong for so long that it is believed */
	cr_expect(gets_in(&both));
	pass_seconds(HOUR);
	cr_expect(gets_in(&both));
	pass_seconds(1);
	cr_expect(gets_in(&rare) && gets_in(&both));
	cr_expect_eq(clients_find(&r->clients, identity(&rare).key)->last_seen, now.wall);
	pass_seconds(10);
	now.wall -= YEAR;
	swap_to(2);
	cr_expect(gets_in(&both));
	cr_assert(rotation_report(r, false, now, &report));
	cr_expect_eq(report.n_untested, 1);
	rotation_report_free(&report);
	pass_seconds(15 * DAY);
	cr_expect(gets_in(&both));
	cr_assert(rotation_report(r, false, now, &report));
	cr_expect_eq(report.n_untested, 0);
	cr_expect(report.may_retire);
	rotation_report_free(&report);
}

/* Without a battery it begins in the past, and it takes a while until somebody tells it the time. */
Test(steady, nobody_has_been_away_because_the_clock_was_behind)
{
	struct rotation_report report;
	const unsigned behind[] = {60, 7200};

	for (unsigned i = 0; i < COUNTOF(behind); i++) {
		fleet_end();
		fleet_begin();
		cr_expect(gets_in(&old) && gets_in(&both) && gets_in(&rare));
		swap_to(2);
		now.wall -= YEAR;
		cr_expect(gets_in(&both));
		cr_assert(rotation_report(r, false, now, &report));
		cr_expect_eq(report.n_untested, 2);
		rotation_report_free(&report);
		pass_seconds(behind[i]);
		now.wall += YEAR;
		for (unsigned hours = 0; hours < 24; hours++) {
			cr_expect(gets_in(&both));
			cr_assert(rotation_report(r, false, now, &report));
			cr_expect(report.n_untested == 2 && !report.may_retire, "%u: hour %u", behind[i], hours);
			rotation_report_free(&report);
			pass_seconds(HOUR + 1);
		}
		cr_expect_leq(clients_find(&r->clients, identity(&rare).key)->last_seen, now.wall - DAY);
		pass_seconds(14 * DAY);
		cr_assert(rotation_report(r, false, now, &report));
		cr_expect(report.n_untested == 0 && report.may_retire, "%u: in the end nobody waits for them", behind[i]);
		rotation_report_free(&report);
	}
}
