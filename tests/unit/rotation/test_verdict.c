#include "fleet.h"

TestSuite(verdict, .init = fleet_begin, .fini = fleet_end);

static const struct visitor old = {"192.0.2.1", 1, OLD, ALOUD}, both = {"192.0.2.3", 1, BOTH, ALOUD};
static struct rotation_report report;

static bool
may_retire(void)
{
	rotation_report_free(&report);
	cr_assert(rotation_report(r, true, now, &report));
	return report.may_retire;
}

static bool
says(const char *text)
{
	for (unsigned i = 0; i < report.n_reasons; i++)
		if (strstr(report.reasons[i].text, text) != NULL)
			return true;
	return false;
}

Test(verdict, yes_when_there_is_nothing_to_retire)
{
	cr_expect(may_retire());
}

Test(verdict, no_until_everybody_known_has_moved)
{
	struct visitor moves = old;

	cr_expect(gets_in(&moves) && gets_in(&both));
	swap_to(2);
	cr_expect_not(may_retire());
	cr_expect(says("2 clients known from before have neither accepted nor refused"));
	cr_expect_eq(report.n_untested, 2);
	cr_expect_not(gets_in(&moves));
	cr_expect(gets_in(&both));
	cr_expect_not(may_retire());
	cr_expect(says("1 client refuses the current generation"));
	cr_assert_eq(report.n_orphans, 1);
	cr_expect_eq(report.n_untested, 0);
	cr_expect_eq(report.orphans[0].record.by[SLOT_CURRENT].alert, 48);
	moves.trusts = NEW;
	pass_seconds(3601);
	cr_expect(gets_in(&moves));
	cr_expect(may_retire());
	cr_expect_eq(report.n_orphans, 0);
	cr_expect_eq(report.counts[SLOT_CURRENT].clients, 2);
	rotation_report_free(&report);
}

Test(verdict, no_while_nobody_has_been_shown_it)
{
	swap_to(2);
	cr_expect_not(may_retire());
	cr_expect(says("no client has accepted"));
	rotation_report_free(&report);
}

Test(verdict, no_in_the_midst_of_the_stages)
{
	settings.stages[0] = (struct rotation_stage){525, 60000};
	settings.stages[1] = (struct rotation_stage){SHARE_ALL, 0};
	settings.n_stages = 2;
	rotation_set(r, &settings, now);
	swap_to(2);
	cr_expect_not(may_retire());
	cr_expect(says("5.25 % of the clients"));
	rotation_report_free(&report);
}

Test(verdict, one_silent_end_is_no_word_on_it)
{
	const struct visitor quiet = {"192.0.2.4", 1, OLD, SILENT};

	cr_expect(gets_in(&quiet) && gets_in(&both));
	swap_to(2);
	cr_expect(gets_in(&both));
	cr_expect_not(gets_in(&quiet));
	cr_expect_not(may_retire());
	cr_expect_eq(report.n_untested, 1);
	cr_expect_not(gets_in(&quiet));
	cr_expect_not(may_retire());
	cr_expect(report.n_untested == 0 && report.n_orphans == 1);
	rotation_report_free(&report);
}

Test(verdict, who_was_never_served_and_refuses_both_is_not_waited_for)
{
	const struct visitor scanner = {"192.0.2.9", 1, NEITHER, ALOUD};

	cr_expect(gets_in(&both));
	swap_to(2);
	cr_expect(gets_in(&both));
	cr_expect_not(gets_in(&scanner));
	cr_expect_not(may_retire(), "it may be one that comes rarely");
	cr_expect_eq(report.n_orphans, 1);
	for (unsigned i = 0; i < 5; i++)
		cr_expect_not(gets_in(&scanner));
	cr_expect(may_retire());
	cr_expect_eq(report.n_orphans, 0);
	swap_to(3);
	cr_expect_eq(r->bundles[SLOT_PREVIOUS]->generation, 2, "nor does it hold up a newer one");
	rotation_report_free(&report);
}

Test(verdict, room_for_more_is_room_for_those_left_out)
{
	settings.clients_max = settings.network_max = 1;
	rotation_set(r, &settings, now);
	cr_expect(gets_in(&both) && gets_in(&old));
	swap_to(2);
	cr_expect(gets_in(&both));
	cr_expect_not(may_retire());
	cr_expect(says("raise rotation.clients"));
	settings.clients_max = settings.network_max = 16;
	rotation_set(r, &settings, now);
	cr_expect(gets_in(&both));
	cr_expect(may_retire());
	rotation_report_free(&report);
}

Test(verdict, who_has_been_away_for_long_is_not_waited_for)
{
	cr_expect(gets_in(&old) && gets_in(&both));
	pass_seconds(15 * 86400);
	swap_to(2);
	cr_expect(gets_in(&both));
	cr_expect(may_retire());
	rotation_report_free(&report);
}

Test(verdict, numbers_are_exact_for_ten_thousand)
{
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < 10000; i++) {
			char text[32];
			(void)snprintf(text, sizeof(text), "127.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
			(void)visit(&(struct visitor){text, 1, i % 50 == 0 ? OLD : BOTH, ALOUD});
		}
		if (k == 0)
			swap_to(2);
	}
	cr_expect_not(may_retire());
	cr_expect_eq(report.n_orphans, 200);
	cr_expect_eq(report.n_untested, 0);
	cr_expect_eq(report.counts[SLOT_PREVIOUS].clients, 10000);
	cr_expect_eq(report.counts[SLOT_CURRENT].clients, 9800);
	cr_expect_eq(report.counts[SLOT_CURRENT].rejected, 200);
	rotation_report_free(&report);
}
