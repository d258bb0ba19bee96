/* Client CAs: whose certificates came, who has moved, and may a pin be dropped. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "rotation/client_ca_registry.h"
#include "rotation/client_cas_private.h"

enum { OLD, NEW, THIRD, PINS };

static struct tls_pin pins[PINS] = {
	[OLD] = {.id = "old", .sha256 = "old certificate", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=Old"},
	[NEW] = {.id = "new", .sha256 = "new certificate", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=New"},
	[THIRD] = {.id = "third", .sha256 = "third certificate", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=Third"},
};
static const uint64_t day = 24 * 3600;
static struct client_cas_settings settings;
static struct client_cas *s;
static struct moment now;

static void
set(size_t n)
{
	cr_assert(client_cas_set(s, &settings, pins, n, now));
}

static void
setup(void)
{
	settings = (struct client_cas_settings){.window_ms = 30 * day * 1000, .remember = 100};
	now = (struct moment){.ms = 1000, .wall = 2000000000};
	s = client_cas_new("site.test", &settings, now);
	cr_assert_not_null(s);
	set(2);
}

static void
teardown(void)
{
	client_cas_unref(s);
}

TestSuite(client_cas, .init = setup, .fini = teardown);

static void
pass(uint64_t seconds)
{
	now.ms += seconds * 1000;
	now.wall += (int64_t)seconds;
}

/* The certificate number n; its bytes are as good as a digest's. */
static struct client_sighting
certificate(unsigned n, const char *subject)
{
	static unsigned char digest[32];

	memset(digest, 0, sizeof(digest));
	memcpy(digest, &n, sizeof(n));
	return (struct client_sighting){.fingerprint = digest, .subject = subject, .issuer = "CN=Old", .serial = "C0FFEE",
	    .not_after = 3000000000, .from = {.bytes = {192, 0, 2, 1}, .size = 4}};
}

static struct holder *
connect_with(unsigned ca, unsigned n, const char *subject)
{
	struct client_sighting who = certificate(n, subject);

	return client_cas_came(s, &pins[ca], &who, false, now);
}

static void
come(unsigned ca, unsigned n, const char *subject)
{
	struct holder *h = connect_with(ca, n, subject);

	cr_assert_not_null(h);
	client_cas_left(h, now);
}

static void
refuse(unsigned n, const char *subject, bool revoked)
{
	struct client_sighting who = certificate(n, subject);

	client_cas_refused(s, &who, revoked, now);
}

static enum holder_status
status_of(unsigned n)
{
	struct client_sighting who = certificate(n, "");
	const struct holder *next, *h = holders_find(&s->holders, who.fingerprint);

	cr_assert_not_null(h, "%u", n);
	return holder_status(s, h, now, &next);
}

/* The report's answer; its reasons joined in `text`. */
static char text[4096];

static enum drop_verdict
verdict(unsigned ca)
{
	struct client_cas_report r;
	enum drop_verdict v = DROP_NO;

	text[0] = '\0';
	cr_assert(client_cas_report(s, true, now, &r));
	for (size_t i = 0; i < r.n_cas; i++) {
		if (strcmp(r.cas[i].name, pins[ca].name) != 0)
			continue;
		v = r.cas[i].verdict;
		for (unsigned k = 0; k < r.cas[i].n_reasons; k++) {
			strncat(text, r.cas[i].reasons[k].text, sizeof(text) - strlen(text) - 2);
			strncat(text, "\n", sizeof(text) - strlen(text) - 1);
		}
	}
	client_cas_report_free(&r);
	return v;
}

#define expect_status(n, wanted) \
	cr_expect_eq(status_of(n), wanted, "%u is %s", (unsigned)(n), holder_status_word(status_of(n)))
#define expect_told(part) cr_expect_not_null(strstr(text, part), "%s", text)

/* --- how it stands with each --- */

Test(client_cas, who_comes_with_one_of_another_ca_has_moved)
{
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=b");
	expect_status(1, HOLDER_CURRENT);
	come(NEW, 3, "CN=a");
	expect_status(1, HOLDER_MOVED);
	expect_status(2, HOLDER_CURRENT);
	expect_status(3, HOLDER_CURRENT);
}

Test(client_cas, a_renewed_certificate_is_not_waited_for)
{
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=a");
	expect_status(1, HOLDER_RENEWED);
	expect_status(2, HOLDER_CURRENT);
	come(NEW, 3, "CN=a");
	expect_status(1, HOLDER_MOVED);
	expect_status(2, HOLDER_MOVED);
}

Test(client_cas, who_goes_back_has_not_moved_until_it_stays_away)
{
	come(OLD, 1, "CN=a");
	come(NEW, 2, "CN=a");
	pass(60);
	come(OLD, 1, "CN=a");
	expect_status(1, HOLDER_CURRENT);
	come(NEW, 2, "CN=a");
	expect_status(1, HOLDER_BOTH);
	pass(7 * day - 1);
	come(NEW, 2, "CN=a");
	expect_status(1, HOLDER_BOTH);
	pass(1);
	expect_status(1, HOLDER_MOVED);
}

Test(client_cas, two_devices_of_one_subject_can_not_be_told_apart)
{
	come(OLD, 1, "CN=device");
	come(OLD, 2, "CN=device");
	come(OLD, 1, "CN=device");
	come(NEW, 3, "CN=device");
	expect_status(1, HOLDER_SHARED);
	expect_status(2, HOLDER_SHARED);
	pass(30 * day);
	expect_status(1, HOLDER_ABSENT);
}

/* Not even one of each CA, where with a subject they would look like one device that has moved. */
Test(client_cas, certificates_without_a_subject_are_nobodys)
{
	come(OLD, 1, "");
	come(NEW, 2, "");
	expect_status(1, HOLDER_SHARED);
	expect_status(2, HOLDER_SHARED);
	pass(10 * day);
	come(OLD, 3, "");
	expect_status(1, HOLDER_SHARED);
	pass(25 * day);
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_status(1, HOLDER_ABSENT);
	pass(5 * day);
	cr_expect_eq(verdict(OLD), DROP_YES);
}

Test(client_cas, many_certificates_of_one_subject_are_not_walked_through)
{
	for (unsigned n = 0; n < 40; n++)
		come(OLD, n, "");
	expect_status(0, HOLDER_SHARED);
	expect_status(39, HOLDER_SHARED);
}

/* Not even when each comes once, so that they look like one device's, renewed again and again. */
Test(client_cas, devices_of_one_subject_that_come_one_after_the_other)
{
	for (unsigned round = 0; round < 2; round++)
		for (unsigned n = 0; n < 12; n++)
			come(OLD, n, "CN=device");
	for (unsigned n = 0; n < 12; n++)
		expect_status(n, HOLDER_SHARED);
	cr_expect_eq(s->cas->n_holders, 12);
}

Test(client_cas, a_certificate_a_day_takes_no_room)
{
	for (unsigned n = 0; n < 400; n++) {
		struct client_sighting who = certificate(n, "CN=a");
		who.not_after = now.wall + (int64_t)day;
		client_cas_left(client_cas_came(s, &pins[OLD], &who, false, now), now);
		pass(day);
	}
	cr_expect_leq(s->cas->n_holders, DEVICE_CERTIFICATES_MAX);
	cr_expect_eq(s->cas->left_out, 0);
	expect_status(399, HOLDER_CURRENT);
}

Test(client_cas, who_has_not_come_for_the_window_is_absent)
{
	come(OLD, 1, "CN=a");
	pass(30 * day - 1);
	expect_status(1, HOLDER_CURRENT);
	pass(1);
	expect_status(1, HOLDER_ABSENT);
	come(OLD, 1, "CN=a");
	expect_status(1, HOLDER_CURRENT);
}

Test(client_cas, an_open_connection_is_there)
{
	struct holder *h = connect_with(OLD, 1, "CN=a");

	come(NEW, 2, "CN=a");
	expect_status(1, HOLDER_BOTH);
	pass(60 * day);
	expect_status(1, HOLDER_BOTH);
	client_cas_left(h, now);
	expect_status(1, HOLDER_MOVED);
	come(OLD, 3, "CN=b");
	h = connect_with(OLD, 3, "CN=b");
	pass(60 * day);
	expect_status(3, HOLDER_CURRENT);
	client_cas_left(h, now);
	expect_status(3, HOLDER_CURRENT);
}

Test(client_cas, an_expired_or_revoked_certificate_is_in_nobodys_way)
{
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=b");
	refuse(2, "CN=b", true);
	expect_status(2, HOLDER_REVOKED);
	refuse(2, "CN=b", false);
	expect_status(2, HOLDER_CURRENT);
	refuse(2, "CN=b", true);
	come(OLD, 2, "CN=b");
	expect_status(2, HOLDER_CURRENT);
	now.wall = 3000000001;
	expect_status(1, HOLDER_EXPIRED);
}

/* --- clocks --- */

Test(client_cas, a_clock_that_leaps_makes_nothing_expire)
{
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=b");
	pass(29 * day);
	come(OLD, 1, "CN=a");
	come(NEW, 3, "CN=b");
	pass(2 * day);
	cr_expect_eq(verdict(OLD), DROP_NO);
	now.wall += 40 * 365 * (int64_t)day;
	cr_expect_eq(verdict(OLD), DROP_NO);
	pass(1800);
	cr_expect_eq(verdict(OLD), DROP_NO);
	pass(1801);
	(void)verdict(OLD);
	pass(1);
	cr_expect_eq(verdict(OLD), DROP_YES, "it has stood for an hour");
	expect_told("expired (2)");
}

Test(client_cas, a_clock_that_is_set_makes_nobody_absent)
{
	come(OLD, 1, "CN=a");
	now.wall += 40 * (int64_t)day;
	expect_status(1, HOLDER_CURRENT);
	now.wall -= 400 * (int64_t)day;
	expect_status(1, HOLDER_CURRENT);
	come(NEW, 2, "CN=a");
	expect_status(1, HOLDER_MOVED);
	pass(30 * day);
	expect_status(2, HOLDER_ABSENT);
}

/* --- the verdict --- */

Test(client_cas, no_until_the_last_one_has_moved)
{
	pass(40 * day);
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=b");
	come(NEW, 3, "CN=a");
	cr_expect_eq(verdict(OLD), DROP_NO, "%s", text);
	expect_told("current (1): came within the window, and nothing of another CA with the same subject since");
	expect_told("the last of these expires by itself on 2065-01-24");
	come(NEW, 4, "CN=b");
	cr_expect_eq(verdict(OLD), DROP_YES, "%s", text);
	expect_told("nobody who came within 30d needs it");
	cr_expect_eq(verdict(NEW), DROP_NO);
}

Test(client_cas, nobody_can_tell_before_it_was_watched_for_the_window)
{
	come(OLD, 1, "CN=a");
	come(NEW, 2, "CN=a");
	pass(30 * day - 1);
	cr_expect_eq(verdict(OLD), DROP_UNKNOWN, "%s", text);
	expect_told("it has been watched for 29d of 30d only");
	pass(1);
	cr_expect_eq(verdict(OLD), DROP_YES, "%s", text);
}

Test(client_cas, the_only_pin_stays)
{
	set(1);
	pass(40 * day);
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_told("it is the only CA that is pinned");
}

Test(client_cas, one_who_found_no_room_leaves_it_unknown)
{
	char subject[32];

	settings.remember = 3;
	set(2);
	pass(40 * day);
	for (unsigned n = 0; n < 3; n++) {
		(void)snprintf(subject, sizeof(subject), "CN=%u", n);
		come(OLD, n, subject);
	}
	cr_expect_null(connect_with(OLD, 3, "CN=3"));
	cr_expect_eq(s->cas->n_holders, 3);
	for (unsigned n = 0; n < 3; n++) {
		(void)snprintf(subject, sizeof(subject), "CN=%u", n);
		come(NEW, 10 + n, subject);
	}
	cr_expect_eq(verdict(OLD), DROP_UNKNOWN, "%s", text);
	expect_told("1 handshakes with certificates that found no room: raise \"remember\" (now 3)");
	/* Those that have moved make room; and after the window nothing that mattered was missed. */
	cr_expect_not_null(connect_with(OLD, 3, "CN=3"));
	cr_expect_eq(s->cas->n_holders, 3);
	cr_expect_eq(verdict(OLD), DROP_NO);
}

Test(client_cas, with_nothing_remembered_nothing_is_known)
{
	settings.remember = 0;
	set(2);
	pass(40 * day);
	cr_expect_null(connect_with(OLD, 1, "CN=a"));
	cr_expect_eq(verdict(OLD), DROP_UNKNOWN);
	expect_told("nothing is remembered");
}

Test(client_cas, a_resumption_that_nobody_can_place_leaves_it_unknown)
{
	struct client_sighting who = certificate(1, "CN=a");

	pass(40 * day);
	cr_expect_null(client_cas_came(s, NULL, &who, true, now));
	cr_expect_eq(verdict(OLD), DROP_UNKNOWN, "%s", text);
	pass(30 * day);
	cr_expect_eq(verdict(OLD), DROP_YES, "%s", text);
}

Test(client_cas, a_resumption_counts_for_the_ca_of_its_full_handshake)
{
	struct client_sighting who = certificate(1, "CN=a");

	come(OLD, 1, "CN=a");
	pass(29 * day);
	client_cas_left(client_cas_came(s, NULL, &who, true, now), now);
	pass(29 * day);
	expect_status(1, HOLDER_CURRENT);
	cr_expect_eq(s->cas->left_out, 0);
	who = certificate(1, "");
	cr_expect_eq(holders_find(&s->holders, who.fingerprint)->resumed, 1);
}

Test(client_cas, it_is_told_once_that_a_pin_may_be_dropped)
{
	struct client_cas_report r;
	unsigned told = 0;

	come(OLD, 1, "CN=a");
	pass(40 * day);
	come(OLD, 1, "CN=a");
	for (unsigned i = 0; i < 4; i++) {
		cr_assert(client_cas_report(s, false, now, &r));
		told += client_cas_note_verdict(s, &r.cas[OLD]) + 10 * client_cas_note_verdict(s, &r.cas[NEW]);
		client_cas_report_free(&r);
		if (i == 1)
			come(NEW, 2, "CN=a");
	}
	cr_expect_eq(told, 1);
}

Test(client_cas, the_list_begins_with_who_was_seen_last)
{
	struct client_cas_report r;

	for (unsigned i = 0; i < 10; i++)
		come(i % 3 == 0 ? NEW : OLD, i, "CN=a");
	pass(1);
	come(OLD, 2, "CN=a");
	cr_assert(client_cas_report(s, true, now, &r));
	static const unsigned char old[] = {2, 8, 7, 5, 4, 1}, new[] = {9, 6, 3, 0};
	cr_assert_eq(r.cas[OLD].certificates, COUNTOF(old));
	cr_assert_eq(r.cas[NEW].certificates, COUNTOF(new));
	for (unsigned i = 0; i < COUNTOF(old); i++)
		cr_expect_eq(r.cas[OLD].rows[i].fingerprint[0], old[i], "%u: %u", i, r.cas[OLD].rows[i].fingerprint[0]);
	for (unsigned i = 0; i < COUNTOF(new); i++)
		cr_expect_eq(r.cas[NEW].rows[i].fingerprint[0], new[i], "%u: %u", i, r.cas[NEW].rows[i].fingerprint[0]);
	client_cas_report_free(&r);
}

/* --- walks --- */

static unsigned met[3000];

static void
meet(void *arg, const struct holder *h)
{
	unsigned n;

	(void)arg;
	memcpy(&n, h->fingerprint, sizeof(n));
	met[n]++;
}

static void
drop(unsigned n)
{
	struct client_sighting who = certificate(n, "");

	holders_drop(&s->holders, holders_find(&s->holders, who.fingerprint));
}

Test(client_cas, slices_meet_each_once_whatever_happens_between)
{
	char subject[32];

	settings.remember = 10000;
	set(2);
	holders_walk(&s->holders);
	cr_expect_not(client_cas_slice(s, meet, NULL), "of none");
	for (unsigned n = 0; n < 2000; n++) {
		(void)snprintf(subject, sizeof(subject), "CN=%u", n);
		come(OLD, n, subject);
	}
	holders_walk(&s->holders);
	unsigned slices = 1, at = HOLDERS_SLICE; /* whom it meets next */
	for (; client_cas_slice(s, meet, NULL); slices++, at += HOLDERS_SLICE + 2) {
		cr_assert_eq(met[at - 1], 1);
		cr_assert_eq(met[at], 0, "a slice has its bound");
		drop(at - 1);
		drop(at);
		drop(at + 1);
		met[at] = met[at + 1] = 1; /* nobody meets them any more */
		/* Others are seen again, by another CA as well; new ones come. */
		for (unsigned n = at - 400; n < at - 200; n++)
			come(n % 2 == 0 ? NEW : OLD, n, "");
		for (unsigned n = at + 200; n < at + 400 && n < 2000; n++)
			come(n % 2 == 0 ? NEW : OLD, n, "");
		come(OLD, 2000 + slices, "CN=new");
	}
	cr_expect_eq(slices, 4);
	for (unsigned n = 0; n < 2000; n++)
		cr_expect_eq(met[n], 1, "%u: %u", n, met[n]);
}

/* --- pins come and go --- */

Test(client_cas, after_the_pin_was_dropped_it_is_told_who_was_refused)
{
	come(OLD, 1, "CN=a");
	come(OLD, 2, "CN=b");
	come(NEW, 3, "CN=a");
	cr_assert(client_cas_set(s, &settings, &pins[NEW], 1, now));
	cr_expect_eq(verdict(OLD), DROP_YES, "%s", text);
	refuse(1, "CN=a", false);
	cr_expect_eq(verdict(OLD), DROP_YES, "it has another: %s", text);
	refuse(2, "CN=b", false);
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_told("refused since (1): of devices that have not come with another");
	come(NEW, 4, "CN=b");
	cr_expect_eq(verdict(OLD), DROP_YES, "%s", text);
	refuse(77, "CN=nobody knows", false);
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_told("refused since, not seen before: 1 handshakes with certificates that say");
	cr_expect_eq(s->cas->n_holders, 2, "nothing is noted of what nobody vouches for");
}

Test(client_cas, a_pin_that_comes_back_is_watched_anew)
{
	pass(40 * day);
	cr_expect_eq(verdict(OLD), DROP_YES);
	cr_assert(client_cas_set(s, &settings, &pins[NEW], 1, now));
	set(2);
	cr_expect_eq(verdict(OLD), DROP_UNKNOWN);
	expect_told("watched for 0s of 30d only");
}

Test(client_cas, one_who_moved_to_a_ca_that_was_dropped_has_not)
{
	come(OLD, 1, "CN=a");
	come(NEW, 2, "CN=a");
	expect_status(1, HOLDER_MOVED);
	cr_assert(client_cas_set(s, &settings, &pins[OLD], 1, now));
	expect_status(1, HOLDER_CURRENT);
}

Test(client_cas, the_connections_of_a_ca_are_counted_wherever_their_certificates_go)
{
	struct holder *one = connect_with(OLD, 1, "CN=a"), *two = connect_with(OLD, 1, "CN=a");

	cr_expect_eq(s->cas->open, 2);
	struct holder *three = connect_with(NEW, 1, "CN=a"); /* cross-signed */
	cr_expect_eq(s->cas->open, 0);
	cr_expect_eq(s->cas->next->open, 3);
	client_cas_left(one, now);
	client_cas_left(two, now);
	client_cas_left(three, now);
	cr_expect_eq(s->cas->next->open, 0);
}

Test(client_cas, of_the_dropped_cas_only_some_are_remembered)
{
	struct tls_pin each = pins[OLD];
	struct holder *open = connect_with(OLD, 1, "CN=a");
	unsigned n = 0;

	for (unsigned i = 0; i < 100; i++) {
		memcpy(each.id, &i, sizeof(i));
		pass(1);
		cr_assert(client_cas_set(s, &settings, &each, 1, now));
	}
	for (const struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		n++;
	cr_expect_eq(n, 17);
	client_cas_left(open, now); /* its CA is still there */
}

/* --- sites come and go --- */

Test(client_cas, a_site_that_no_config_has_is_let_go_after_its_window)
{
	struct client_ca_registry *registry = client_ca_registry_new();
	struct holder *open = connect_with(OLD, 1, "CN=a");

	cr_assert(client_ca_registry_adopt(registry, client_cas_ref(s)));
	pass(31 * day);
	client_ca_registry_sweep(registry, now);
	cr_expect_not_null(client_ca_registry_find(registry, "site.test"), "it is pinned");
	client_cas_drop_all(s, now);
	client_cas_unref(s); /* no snapshot has it any more */
	client_ca_registry_sweep(registry, now);
	cr_expect_not_null(client_ca_registry_find(registry, "site.test"), "a connection has a certificate of it");
	client_cas_left(open, now);
	pass(30 * day - 1);
	client_ca_registry_sweep(registry, now);
	cr_expect_eq(client_ca_registry_find(registry, "site.test"), s, "it may come back");
	pass(1);
	client_cas_ref(s);
	client_ca_registry_sweep(registry, now);
	cr_expect_eq(client_ca_registry_find(registry, "site.test"), s, "an old snapshot has it");
	client_cas_unref(s);
	client_ca_registry_sweep(registry, now);
	cr_expect_null(client_ca_registry_find(registry, "site.test"));
	s = NULL;
	client_ca_registry_free(registry);
}

Test(client_cas, the_state_of_a_site_that_comes_back_is_there)
{
	come(OLD, 1, "CN=a");
	come(NEW, 2, "CN=b");
	client_cas_drop_all(s, now);
	pass(20 * day);
	set(2);
	expect_status(1, HOLDER_CURRENT);
	expect_status(2, HOLDER_CURRENT);
	client_cas_drop_all(s, now);
	pass(29 * day);
	cr_expect_not(client_cas_is_past(s, now), "since a load had it last, not since somebody came");
	set(2);
	pass(31 * day);
	client_cas_drop_all(s, now);
	cr_expect_not(client_cas_is_past(s, now), "since it was dropped");
	pass(30 * day);
	cr_expect(client_cas_is_past(s, now));
}

/* --- through bytes --- */

static struct client_cas *
unpacked(const unsigned char *p, size_t n)
{
	struct unpack u = {.p = p, .n = n};
	struct err err = {""};
	struct client_cas *back = client_cas_unpack(&u, now, &err);

	cr_expect_eq(back == NULL, err.text[0] != '\0');
	return back;
}

static unsigned char *
packed(size_t *n)
{
	struct pack measured = {.to = NULL};

	client_cas_pack(s, now, &measured);
	unsigned char *p = malloc(measured.n);
	struct pack to = {.to = p, .room = measured.n};
	client_cas_pack(s, now, &to);
	cr_assert(!to.failed && to.n == measured.n);
	*n = to.n;
	return p;
}

static void
fill(void)
{
	char subject[32];

	for (unsigned n = 0; n < 60; n++) {
		(void)snprintf(subject, sizeof(subject), "CN=%u", n / 2);
		pass(n);
		come(n % 3 == 0 ? NEW : OLD, n, subject);
		if (n % 7 == 0)
			refuse(n, subject, n % 2 == 0);
	}
	s->cas->left_out = 3;
	s->cas->left_out_at = 5;
}

Test(client_cas, all_of_it_comes_back)
{
	size_t n;
	enum holder_status before[60];

	fill();
	for (unsigned i = 0; i < 60; i++)
		before[i] = status_of(i);
	unsigned char *p = packed(&n);
	client_cas_unref(s);
	now.ms = 77; /* the machine was off for a year, which does not count */
	now.wall += 365 * (int64_t)day;
	s = unpacked(p, n);
	free(p);
	cr_assert_not_null(s);
	set(2);
	for (unsigned i = 0; i < 60; i++)
		expect_status(i, before[i]);
	cr_expect_eq(s->cas->left_out, 3);
	cr_expect_str_eq(client_cas_site(s), "site.test");
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_told("it has been watched for 29m of 30d only");
	size_t m;
	p = packed(&m);
	cr_expect_eq(n, m);
	free(p);
}

Test(client_cas, one_who_comes_while_it_is_packed)
{
	struct moment later = now;
	struct client_sighting who = certificate(1, "CN=a");
	size_t n;

	later.ms += 5;
	client_cas_left(client_cas_came(s, &pins[OLD], &who, false, later), later);
	unsigned char *p = packed(&n);
	client_cas_unref(s);
	s = unpacked(p, n);
	free(p);
	cr_assert_not_null(s);
	set(2);
	expect_status(1, HOLDER_CURRENT);
}

/* Connections end with their worker; who had one for longer than the window was there until then. */
Test(client_cas, who_is_connected_while_it_is_packed)
{
	size_t n;
	struct holder *h = connect_with(OLD, 1, "CN=a");

	cr_assert_not_null(h);
	pass(60 * day);
	unsigned char *p = packed(&n);
	int64_t then = now.wall;
	client_cas_unref(s);
	now.wall += 3600;
	s = unpacked(p, n);
	free(p);
	cr_assert_not_null(s);
	set(2);
	expect_status(1, HOLDER_CURRENT);
	cr_expect_eq(TAILQ_FIRST(&s->cas->holders)->last_seen, then);
	cr_expect_eq(verdict(OLD), DROP_NO);
	pass(30 * day);
	expect_status(1, HOLDER_ABSENT);
}

/* What is noted can be kept, however long the subjects are. */
Test(client_cas, no_more_is_noted_than_can_be_kept)
{
	static char subject[4097];
	size_t n;

	memset(subject, 'x', sizeof(subject) - 1);
	s->packed_max = 64 * 1024;
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(subject, 8, "CN=%u", i);
		subject[strlen(subject)] = 'x';
		struct holder *h = connect_with(i % 2 == 0 ? OLD : NEW, i, subject);
		if (h != NULL)
			client_cas_left(h, now);
		cr_expect_eq(h == NULL, i > 14, "%u", i);
	}
	free(packed(&n));
	cr_expect_gt(n, 15 * 4096);
	cr_expect_lt(n, s->packed_max);
	cr_expect_eq(verdict(OLD), DROP_NO);
	expect_told("found no room: more than 0 MiB of a site can not be kept");
	/* One whose wait is over makes room. */
	pass(31 * day);
	client_cas_left(connect_with(OLD, 200, subject), now);
	cr_expect_eq(s->holders.n, 15);
	while (s->holders.n > 0)
		holders_drop(&s->holders, s->holders.by_fingerprint);
	cr_expect_eq(s->holders.subjects, 0);
}

Test(client_cas, how_long_a_site_has_been_gone_comes_back)
{
	size_t n;

	come(OLD, 1, "CN=a");
	client_cas_drop_all(s, now);
	pass(20 * day);
	unsigned char *p = packed(&n);
	client_cas_unref(s);
	s = unpacked(p, n);
	free(p);
	cr_assert_not_null(s);
	cr_expect_not(client_cas_is_past(s, now));
	pass(10 * day - 1);
	cr_expect_not(client_cas_is_past(s, now));
	pass(1);
	cr_expect(client_cas_is_past(s, now));
}

/* Who has not been seen for longest is still the first to make room. */
Test(client_cas, the_order_in_which_they_were_seen_comes_back)
{
	size_t n;

	for (unsigned i = 0; i < 10; i++)
		come(OLD, i, "CN=a");
	pass(1);
	for (unsigned i = 5; i > 0; i--)
		come(i % 2 == 0 ? NEW : OLD, i, "CN=a");
	unsigned char *p = packed(&n);
	client_cas_unref(s);
	s = unpacked(p, n);
	free(p);
	cr_assert_not_null(s);
	static const unsigned char old[] = {0, 6, 7, 8, 9, 5, 3, 1}, new[] = {4, 2};
	const struct holder *h = TAILQ_FIRST(&s->cas->holders);
	for (unsigned i = 0; i < COUNTOF(old); i++, h = TAILQ_NEXT(h, link))
		cr_assert_eq(h->fingerprint[0], old[i], "%u: %u", i, h->fingerprint[0]);
	cr_expect_null(h);
	h = TAILQ_FIRST(&s->cas->next->holders);
	for (unsigned i = 0; i < COUNTOF(new); i++, h = TAILQ_NEXT(h, link))
		cr_assert_eq(h->fingerprint[0], new[i], "%u: %u", i, h->fingerprint[0]);
	cr_expect_null(h);
}

/* Whatever is cut off or changed: refused or whole, never a crash (the sanitizers look on). */
Test(client_cas, damaged_bytes_are_refused)
{
	size_t n;

	fill();
	unsigned char *p = packed(&n);
	for (size_t i = 0; i < n; i++)
		cr_assert_null(unpacked(p, i), "cut at %zu", i);
	for (size_t i = 0; i < n; i++) {
		p[i] ^= 0x81;
		client_cas_unref(unpacked(p, n));
		p[i] ^= 0x81;
	}
	free(p);
}

/* It would begin anew with the next one who comes, and what was kept then would be refused. */
Test(client_cas, a_count_that_is_about_to_overflow_is_refused)
{
	size_t n;

	come(OLD, 1, "CN=a");
	s->sightings = UINT64_MAX;
	unsigned char *p = packed(&n);
	cr_expect_null(unpacked(p, n));
	free(p);
}
