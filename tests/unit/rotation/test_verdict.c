#include "fleet.h"

TestSuite(verdict, .init = fleet_begin, .fini = fleet_end);

enum { DAY = 86400 };

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

Test(verdict, tells_until_when_the_previous_one_is_kept)
{
	settings.keep_previous_ms = 60 * 1000;
	rotation_set(r, &settings, now);
	swap_to(2);
	cr_expect_not(may_retire());
	cr_expect_eq(report.ended_by, now.wall + 60);
	now = (struct moment){now.ms + 60 * 1000, now.wall + 60}; /* and no tick has come yet */
	cr_expect_not(may_retire());
	cr_expect_eq(report.ended_by, now.wall);
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

Test(verdict, who_is_connected_is_waited_for_and_then_for_as_long_as_anybody)
{
	cr_expect_null(stays(&old), "nobody knows it");
	cr_expect(gets_in(&old) && gets_in(&both));
	struct client_record *hanging = stays(&old);
	cr_assert_not_null(hanging);
	pass_seconds(DAY);
	swap_to(2);
	cr_expect(gets_in(&both));
	pass_seconds(20 * DAY);
	cr_expect_not(may_retire());
	cr_assert_eq(report.n_untested, 1);
	cr_expect_eq(report.untested[0].record.open, 1);
	cr_expect_eq(report.untested[0].record.last_seen, now.wall);
	rotation_left(r, hanging, now);
	pass_seconds(14 * DAY - 1);
	cr_expect_not(may_retire(), "it was there until then");
	cr_assert_eq(report.n_untested, 1);
	cr_expect_eq(report.untested[0].record.open, 0);
	cr_expect_eq(report.untested[0].record.last_seen, now.wall - 14 * DAY + 1);
	pass_seconds(1);
	cr_expect(may_retire());
	rotation_report_free(&report);
}

Test(verdict, the_last_of_its_connections_counts)
{
	const struct visitor refuses = {"192.0.2.4", 1, OLD, ALOUD};
	struct client_record *hanging[3];

	cr_expect(gets_in(&old) && gets_in(&both) && gets_in(&refuses));
	for (unsigned i = 0; i < COUNTOF(hanging); i++)
		hanging[i] = stays(i == 0 ? &refuses : &old);
	swap_to(2);
	cr_expect_not(gets_in(&refuses));
	cr_expect(gets_in(&both));
	pass_seconds(20 * DAY);
	rotation_left(r, hanging[1], now);
	pass_seconds(20 * DAY);
	cr_expect_not(may_retire());
	cr_assert(report.n_untested == 1 && report.n_orphans == 1);
	cr_expect_eq(report.untested[0].record.open, 1);
	cr_expect_eq(report.orphans[0].record.last_seen, now.wall);
	rotation_left(r, hanging[2], now);
	rotation_left(r, hanging[0], now);
	pass_seconds(14 * DAY);
	cr_expect_not(may_retire());
	cr_expect(report.n_untested == 0 && report.n_orphans == 1, "who refuses is waited for, come what may");
	rotation_report_free(&report);
}

/* It was opened long ago, and generations have come and gone since. */
Test(verdict, a_connection_outlives_rotations)
{
	const struct visitor all = {"192.0.2.5", 1, 0xff, ALOUD};
	struct err err = {""};

	cr_expect(gets_in(&all) && gets_in(&both));
	struct client_record *hanging = stays(&all);
	swap_to(2);
	cr_assert(rotation_rollback(r, 0, ROTATION_SAFELY, now, &err));
	cr_assert(rotation_resume(r, ROTATION_SAFELY, now, &err));
	cr_expect(gets_in(&all) && gets_in(&both));
	cr_assert(rotation_retire(r, ROTATION_FORCED, now, &err));
	swap_to(3);
	cr_assert(rotation_rollback(r, 1, ROTATION_FORCED, now, &err));
	cr_expect(gets_in(&all));
	cr_assert(rotation_commit(r, ROTATION_FORCED, now, &err));
	pass_seconds(20 * DAY);
	cr_expect_not(may_retire());
	cr_assert_eq(report.n_untested, 1);
	cr_expect_eq(report.untested[0].record.open, 1);
	rotation_left(r, hanging, now);
	cr_expect_eq(r->open, 0);
	pass_seconds(14 * DAY);
	(void)may_retire();
	cr_expect_eq(report.n_untested, 0);
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

/* --- and what is refused for its sake ---------------------------------------------------------------------------- */

static bool
retires(enum rotation_will will, struct err *err)
{
	*err = (struct err){""};
	return rotation_retire(r, will, now, err);
}

Test(verdict, retire_names_whom_it_would_lock_out)
{
	const struct visitor away = {"192.0.2.9", 1, OLD, ALOUD};
	const struct client_identity who = identity(&old);
	struct err err;

	cr_expect(gets_in(&old) && gets_in(&both) && gets_in(&away));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	rotation_accepted(r, &who, 1, SV("CN=till \033[1m7"), now);
	cr_expect(gets_in(&both));
	cr_expect_not(retires(ROTATION_SAFELY, &err));
	cr_expect_str_eq(err.text, "bundle \"shop\": the previous generation is not given up yet:\n"
		"  1 client refuses the current generation\n"
		"  1 client known from before has neither accepted nor refused the current generation\n"
		"  locked out for certain: 192.0.2.1 (CN=till ?[1m7)\n"
		"  perhaps: 192.0.2.9\n"
		"`bascule rotation status` with its name lists all; --force does it all the same");
	cr_expect(rotation_is_active(r) && gets_in(&old), "nothing has happened");
	cr_expect(retires(ROTATION_FORCED, &err), "%s", err.text);
	cr_expect_not(rotation_is_active(r));
}

Test(verdict, as_many_are_named_as_there_is_room_for)
{
	struct err err;
	char text[32], name[201];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	r->settings.rollback.clients = 0; /* it goes on */
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
		struct visitor v = {text, 1, OLD, ALOUD};
		struct client_identity who = identity(&v);
		rotation_accepted(r, &who, 1, i < 5 ? sv_cstr(name) : SV_NONE, now);
	}
	swap_to(2);
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
		cr_expect_not(gets_in(&(struct visitor){text, 1, OLD, ALOUD}));
	}
	cr_expect_not(retires(ROTATION_SAFELY, &err));
	cr_expect_not_null(strstr(err.text, "20 clients refuse"), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "locked out for certain: 192.0.2."), "%s", err.text);
	cr_expect_not_null(strstr(err.text, " more\n"), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "\n`bascule rotation status` with its name lists all; --force does it all the same"), "%s", err.text);
}

/* One that is stolen ends, whoever needs it; of one that serves nobody any more nobody has to be asked. */
Test(verdict, retire_does_not_ask_when)
{
	struct err err;

	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(gets_in(&old));
	generation(1)->facts.not_after = now.wall;
	cr_expect(retires(ROTATION_SAFELY, &err), "%s", err.text);
	swap_to(3);
	cr_expect(retires(ROTATION_COMPROMISED, &err), "%s", err.text);
}

/* `keep_previous` 0: with the last stage the previous generation goes. */
Test(verdict, so_is_a_commit_that_gives_it_up)
{
	struct err err = {""};

	settings.stages[0] = (struct rotation_stage){SHARE_ALL / 2, 60000};
	settings.stages[1] = (struct rotation_stage){.share = SHARE_ALL};
	settings.n_stages = 2;
	settings.keep_previous_ms = 0;
	rotation_set(r, &settings, now);
	cr_expect(gets_in(&old));
	swap_to(2);
	cr_expect_not(rotation_commit(r, ROTATION_SAFELY, now, &err));
	cr_expect_not_null(strstr(err.text, "\"keep_previous\" is 0"), "%s", err.text);
	cr_assert(rotation_rollback(r, 0, ROTATION_SAFELY, now, &err));
	settings.n_stages = 0;
	rotation_set(r, &settings, now);
	cr_expect_not(rotation_resume(r, ROTATION_SAFELY, now, &err));
	cr_expect(gets_in(&old));
	cr_expect(rotation_commit(r, ROTATION_FORCED, now, &err));
	cr_expect_not(gets_in(&old));
}

/* The one gone back to takes the place of the previous one, which serves clients that refuse the current one. */
Test(verdict, so_is_a_way_back_beyond_the_previous_one)
{
	struct visitor second = {"192.0.2.9", 1, 1 << 1, ALOUD};
	struct err err = {""};

	swap_to(2);
	cr_expect(gets_in(&second));
	cr_assert(rotation_retire(r, ROTATION_FORCED, now, &err));
	swap_to(3);
	cr_expect_not(gets_in(&second));
	cr_expect(gets_in(&second));
	cr_expect_not(rotation_rollback(r, 1, ROTATION_SAFELY, now, &err));
	cr_expect_not_null(strstr(err.text, "locked out for certain: 192.0.2.9"), "%s", err.text);
	cr_expect(gets_in(&second));
	cr_expect(rotation_rollback(r, 1, ROTATION_FORCED, now, &err), "%s", err.text);
}
