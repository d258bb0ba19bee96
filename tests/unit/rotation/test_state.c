/* A rotation goes through bytes and comes back. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../certs/fixture.h"
#include "rotation/private.h"

static const unsigned char key[16] = "sixteen bytes..";
static struct rotation *r;
static struct moment now;
static struct tls_bundle *generations[4]; /* 1, 2, 3 */

static void
make_generation(uint64_t n)
{
	struct test_cert leaf = pki_leaf("shop.test", &fix.intermediate);

	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	pki_free(&leaf);
	fixture_load();
	generations[n] = tls_bundle_ref(tls_store_bundle(fix.store, "shop"));
	cr_assert_eq(generations[n]->generation, n);
}

static void
setup(void)
{
	struct rotation_settings s;

	fixture_setup();
	struct conf_bundle *b = fixture_bundle("shop");
	b->certificate = IN_DIR("cert.pem");
	b->key = IN_DIR("key.pem");
	for (uint64_t n = 1; n < COUNTOF(generations); n++)
		make_generation(n);
	now = moment_now();
	rotation_settings_default(&s);
	s.n_stages = 3;
	s.stages[0] = (struct rotation_stage){1000, 3600 * 1000};
	s.stages[1] = (struct rotation_stage){5000, 7200 * 1000};
	s.stages[2] = (struct rotation_stage){SHARE_ALL, 0};
	r = rotation_new("shop", &s, key);
	rotation_set_origin(r, "all");
	cr_assert_not(rotation_take(r, generations[1], now));
}

static void
teardown(void)
{
	rotation_free(r);
	for (uint64_t n = 1; n < COUNTOF(generations); n++)
		tls_bundle_unref(generations[n]);
	fixture_teardown();
}

TestSuite(state, .init = setup, .fini = teardown);

static void
pass(unsigned seconds)
{
	now.ms += seconds * UINT64_C(1000);
	now.wall += seconds;
}

static struct client_identity
identity(unsigned i)
{
	struct net_ip ip = {.bytes = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, .size = 4};
	struct client_identity who;

	if (i % 3 == 0)
		ip.size = 16;
	rotation_identify(key, &ip, i % 7, &who);
	return who;
}

/* Each does something else with what it is shown. */
static void
visit(unsigned i)
{
	struct client_identity who = identity(i);
	struct rotation_offer o = {.bundle = NULL};
	uint64_t n = r->bundles[SLOT_CURRENT]->generation;
	char name[300];

	if (rotation_is_active(r)) {
		rotation_choose(r, &who, NULL, now, &o);
		n = o.generation;
	}
	memset(name, 'n', sizeof(name));
	if (n == 1 || i % 4 == 0)
		rotation_accepted(r, &who, n, sv_of(name, i % 300), now);
	else if (i % 4 == 1)
		rotation_rejected(r, &who, n, 48, now);
	else
		rotation_silent(r, &who, n, 0, now);
	if (i % 5 == 0)
		rotation_resumed(r, &who, now);
	rotation_end_offer(&o);
}

static void
visits(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		visit(i);
}

struct bytes {
	unsigned char *p;
	size_t n;
};

static struct bytes
packed(struct rotation *of, struct moment at)
{
	struct pack measured = {.to = NULL};

	rotation_pack(of, at, &measured);
	struct bytes b = {malloc(measured.n), measured.n};
	struct pack p = {.to = b.p, .room = b.n};
	rotation_pack(of, at, &p);
	cr_assert(!p.failed && p.n == b.n);
	return b;
}

static struct rotation *
unpacked(const unsigned char *p, size_t n, const unsigned char with[16], struct moment at, size_t *strangers)
{
	struct unpack u = {.p = p, .n = n};
	struct err err = {""};
	struct rotation *back = rotation_unpack(&u, with, fix.thread, at, strangers, &err);

	cr_expect_eq(back == NULL, err.text[0] != '\0');
	return back;
}

static struct rotation *
through_bytes(struct moment at)
{
	size_t strangers = 1;
	struct bytes b = packed(r, now);
	struct rotation *back = unpacked(b.p, b.n, key, at, &strangers);

	cr_assert_not_null(back);
	cr_assert_eq(strangers, 0);
	rotation_set(back, &r->settings, now);
	free(b.p);
	return back;
}

static void
expect_same_bundle(const struct tls_bundle *a, const struct tls_bundle *b)
{
	cr_assert_eq(a == NULL, b == NULL);
	if (a == NULL)
		return;
	cr_expect_eq(a->generation, b->generation);
	cr_expect_arr_eq(a->fingerprint, b->fingerprint, 32);
	cr_expect_arr_eq(a->private->files, b->private->files, 32);
	cr_assert_eq(a->private->key_size, b->private->key_size);
	cr_expect_arr_eq(a->private->key, b->private->key, a->private->key_size);
}

static void
expect_same_client(const struct client_record *a, const struct client_record *b)
{
	cr_assert_not_null(b);
	cr_expect_arr_eq(&a->who.ip, &b->who.ip, sizeof(a->who.ip));
	cr_expect(a->who.network == b->who.network && a->who.fingerprint == b->who.fingerprint);
	for (unsigned s = 0; s < SLOTS; s++) {
		const struct evidence *x = &a->by[s], *y = &b->by[s];
		cr_expect(x->accepted == y->accepted && x->rejected == y->rejected && x->silent == y->silent && x->at == y->at && x->alert == y->alert);
		cr_expect_eq(a->refuses[s], b->refuses[s]);
	}
	cr_expect(a->suspected == b->suspected && a->silent_in_row == b->silent_in_row && a->flips == b->flips && a->last_offered == b->last_offered);
	cr_expect(a->first_seen == b->first_seen && a->last_seen == b->last_seen && a->last_resumed == b->last_resumed);
	cr_expect_eq(a->retry_ms, b->retry_ms);
	cr_expect(a->name == NULL ? b->name == NULL : b->name != NULL && strcmp(a->name, b->name) == 0);
}

static bool
same_networks(const struct networks *a, const struct networks *b)
{
	return a->n == b->n && a->known == b->known && a->tested == b->tested && a->refusing == b->refusing && a->against == b->against &&
	       a->known_clients == b->known_clients && a->tested_clients == b->tested_clients && a->refusing_clients == b->refusing_clients;
}

static void
expect_same(const struct rotation *a, const struct rotation *b)
{
	cr_expect_str_eq(a->name, b->name);
	cr_expect_str_eq(rotation_origin(a), rotation_origin(b));
	cr_expect(a->active == b->active && a->phase == b->phase && a->stage == b->stage && a->compromised == b->compromised);
	cr_expect(a->may_retire == b->may_retire && a->begun.wall == b->begun.wall && a->resumed == b->resumed && a->draws == b->draws);
	cr_expect(same_networks(&a->clients.networks, &b->clients.networks));
	cr_expect_eq(a->before, b->before);
	cr_expect_arr_eq(a->counts, b->counts, sizeof(a->counts));
	for (unsigned s = 0; s < SLOTS; s++)
		expect_same_bundle(a->bundles[s], b->bundles[s]);
	cr_assert_eq(a->n_kept, b->n_kept);
	for (unsigned i = 0; i < a->n_kept; i++)
		expect_same_bundle(a->kept[i], b->kept[i]);
	cr_expect(a->clients.n == b->clients.n && a->clients.left_out == b->clients.left_out);
	for (struct client_record *c = clients_next(&a->clients, NULL); c != NULL; c = clients_next(&a->clients, c))
		expect_same_client(c, clients_find(&b->clients, c->who.key));
}

Test(state, all_of_it_comes_back)
{
	r->settings.network_max = 100000;
	r->settings.rollback.clients = 0;
	rotation_set(r, &r->settings, now);
	visits(3000);
	pass(10);
	cr_assert(rotation_take(r, generations[2], now));
	for (unsigned round = 0; round < 4; round++)
		visits(4000);
	cr_assert_gt(r->clients.networks.refusing_clients, 0);
	r->clients.left_out = 7;
	r->before = 4545;
	r->draws = 3;
	struct rotation *back = through_bytes(now);
	expect_same(r, back);
	/* And what follows is the same. */
	for (unsigned i = 0; i < 4000; i++) {
		struct rotation_offer a, b;
		struct client_identity who = identity(i);
		rotation_choose(r, &who, NULL, now, &a);
		rotation_choose(back, &who, NULL, now, &b);
		cr_expect(a.generation == b.generation && a.why == b.why);
		rotation_end_offer(&a);
		rotation_end_offer(&b);
	}
	rotation_free(back);
}

static bool over;

static void *
newcomers(void *arg)
{
	(void)arg;
	for (unsigned i = 3000; i < 30000; i++)
		visit(i);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return NULL;
}

/* Clients come while nobody holds the lock: what is packed is whole all the same, and who was there before is in it. */
Test(state, packed_while_clients_come)
{
	const size_t room = 16 << 20;
	pthread_t thread;

	r->settings.network_max = 100000;
	r->settings.rollback.clients = 0;
	rotation_set(r, &r->settings, now);
	visits(3000);
	cr_assert(rotation_take(r, generations[2], now));
	cr_assert_eq(pthread_create(&thread, NULL, newcomers, NULL), 0);
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		struct pack p = {.to = malloc(room), .room = room};
		size_t strangers;
		rotation_pack(r, now, &p);
		cr_assert_not(p.failed);
		struct rotation *back = unpacked(p.to, p.n, key, now, &strangers);
		cr_assert_not_null(back);
		cr_expect_geq(back->clients.n, 3000);
		for (unsigned i = 0; i < 3000; i += 100)
			cr_expect_not_null(clients_find(&back->clients, identity(i).key));
		rotation_free(back);
		free(p.to);
	}
	pthread_join(thread, NULL);
}

/* However much a client says of itself: how many can be kept is reckoned by that. */
Test(state, no_client_takes_more_than_its_bytes)
{
	enum { N = 50 };
	char name[CLIENT_NAME_MAX + 100];
	struct bytes none = packed(r, now);

	memset(name, 'x', sizeof(name));
	visits(N);
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		client_set_name(c, sv_of(name, sizeof(name)));
	cr_assert_eq(r->clients.n, N);
	struct bytes all = packed(r, now);
	cr_expect_gt(all.n - none.n, (size_t)N * CLIENT_NAME_MAX);
	cr_expect_leq(all.n - none.n, (size_t)N * ROTATION_PACKED_CLIENT_MAX);
	free(none.p);
	free(all.p);
}

Test(state, each_phase_comes_back)
{
	struct err err = {""};

	visits(10);
	for (unsigned i = 0; i < 7; i++) {
		if (i == 1)
			cr_assert(rotation_take(r, generations[2], now));
		cr_assert(i != 2 || rotation_hold(r, now, &err));
		cr_assert(i != 3 || rotation_rollback(r, 0, ROTATION_SAFELY, now, &err));
		cr_assert(i != 4 || rotation_commit(r, ROTATION_SAFELY, now, &err));
		cr_assert(i != 5 || rotation_retire(r, ROTATION_FORCED, now, &err));
		cr_assert(i != 6 || rotation_rollback(r, 1, ROTATION_SAFELY, now, &err));
		struct rotation *back = through_bytes(now);
		expect_same(r, back);
		rotation_free(back);
	}
}

/* The machine was started anew: its clock is at five seconds. And somebody has set the other one back by years. */
Test(state, what_is_left_of_deadlines_is_left)
{
	const struct moment later = {.ms = 5000, .wall = now.wall - 100000000};
	struct client_identity who = identity(1);
	struct err err = {""};

	visits(10);
	cr_assert(rotation_take(r, generations[2], now));
	pass(600);
	struct rotation *back = through_bytes(later);
	cr_expect_eq(back->stage_ends_ms, later.ms + 3000 * 1000);
	cr_expect_eq(back->begun.wall, r->begun.wall);
	rotation_free(back);
	cr_assert(rotation_hold(r, now, &err));
	pass(600);
	back = through_bytes(later);
	cr_expect_eq(back->stage_ends_ms, 0);
	cr_expect_eq(back->stage_left_ms, 3000 * 1000);
	rotation_free(back);
	cr_assert(rotation_commit(r, ROTATION_SAFELY, now, &err));
	rotation_rejected(r, &who, 2, 48, now);
	pass(1000);
	back = through_bytes(later);
	cr_expect_eq(back->give_up_ms, later.ms + r->settings.keep_previous_ms - 1000 * 1000);
	cr_expect_eq(clients_find(&back->clients, who.key)->offer_again_ms, later.ms + r->settings.retry_ms - 1000 * 1000);
	cr_expect(rotation_previous_is_usable(back, later));
	rotation_free(back);
	/* One that is over stays over, and is not taken for none. */
	pass(400 * 86400);
	back = through_bytes(later);
	cr_expect_eq(back->give_up_ms, later.ms + 1);
	rotation_free(back);
}

/* The machine's clock is another when it comes back: at the next start, nobody is left behind by that. */
Test(state, the_clock_jumps_between_two_runs)
{
	const int64_t day = 86400, jumps[] = {-365 * day, -day, -3600, 3600, day, 30 * day, 365 * day};
	struct rotation_news news;

	r->settings.rollback.clients = 0;
	rotation_set(r, &r->settings, now);
	visits(400);
	pass(10);
	cr_assert(rotation_take(r, generations[2], now));
	visits(300);
	for (unsigned i = 0; i < COUNTOF(jumps); i++) {
		struct moment later = {.ms = 77, .wall = now.wall + jumps[i]};
		struct rotation *back = through_bytes(later);
		for (unsigned minutes = 0; minutes < 50; minutes += 10) {
			struct rotation_report report;
			later.ms += 600 * 1000;
			later.wall += 600;
			cr_expect_not(rotation_tick(back, later, &news), "%lld: expired %d", (long long)jumps[i], news.expired);
			cr_expect_eq(back->phase, ROTATION_STAGED);
			cr_assert(rotation_report(back, false, later, &report));
			cr_expect_gt(report.n_untested, 0, "%lld", (long long)jumps[i]);
			rotation_report_free(&report);
			for (unsigned k = 0; k < 300; k++) {
				struct rotation_offer o;
				struct client_identity who = identity(k);
				rotation_choose(back, &who, NULL, later, &o);
				const struct client_record *c = clients_find(&back->clients, who.key);
				cr_expect(!(c->refuses[SLOT_CURRENT] && !c->refuses[SLOT_PREVIOUS]) || o.generation == 1 || o.why == OFFER_RETRY || o.why == OFFER_MIXED);
				rotation_end_offer(&o);
			}
		}
		struct bytes b = packed(back, later);
		size_t strangers;
		struct rotation *again = unpacked(b.p, b.n, key, later, &strangers);
		cr_assert_not_null(again, "what is kept can be read");
		rotation_free(again);
		free(b.p);
		rotation_free(back);
	}
}

Test(state, another_key_knows_no_client)
{
	static const unsigned char other[16] = "another sixteen";
	size_t strangers = 0;

	visits(50);
	cr_assert(rotation_take(r, generations[2], now));
	struct bytes b = packed(r, now);
	struct rotation *back = unpacked(b.p, b.n, other, now, &strangers);
	cr_assert_not_null(back);
	cr_expect_eq(strangers, r->clients.n);
	cr_expect_eq(back->clients.n, 0);
	cr_expect_eq(back->phase, ROTATION_STAGED);
	rotation_free(back);
	free(b.p);
}

Test(state, what_is_cut_short_is_refused)
{
	size_t strangers;

	visits(4);
	cr_assert(rotation_take(r, generations[2], now));
	struct bytes b = packed(r, now);
	for (size_t n = 0; n < b.n; n++) {
		unsigned char *cut = malloc(n + 1); /* of its own, so that a byte too far is seen */
		memcpy(cut, b.p, n);
		cr_expect_null(unpacked(cut, n, key, now, &strangers), "%zu of %zu bytes", n, b.n);
		free(cut);
	}
	b.p = realloc(b.p, b.n + 1);
	b.p[b.n] = 0;
	cr_expect_null(unpacked(b.p, b.n + 1, key, now, &strangers), "more than all");
	free(b.p);
}

/* There is no checksum here: it may be taken, but must be something that can be used and packed. */
Test(state, damage_does_no_harm)
{
	size_t strangers, taken = 0;

	visits(4);
	cr_assert(rotation_take(r, generations[2], now));
	struct bytes b = packed(r, now);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= (unsigned char)(1u << i % 8);
		struct rotation *back = unpacked(b.p, b.n, key, now, &strangers);
		b.p[i] ^= (unsigned char)(1u << i % 8);
		if (back == NULL)
			continue;
		struct rotation_report report;
		struct rotation_news news;
		taken++;
		rotation_set(back, &r->settings, now);
		cr_expect(rotation_report(back, true, now, &report));
		rotation_report_free(&report);
		(void)rotation_tick(back, now, &news);
		struct bytes again = packed(back, now);
		free(again.p);
		rotation_free(back);
	}
	cr_expect_lt(taken, b.n);
	free(b.p);
}

Test(state, a_phase_that_can_not_be_is_refused)
{
	size_t strangers;

	cr_assert(rotation_take(r, generations[2], now));
	r->phase = ROTATION_SETTLED;
	struct bytes b = packed(r, now);
	cr_expect_null(unpacked(b.p, b.n, key, now, &strangers));
	free(b.p);
	r->phase = ROTATION_HELD; /* with a stage that ends */
	b = packed(r, now);
	struct rotation *back = unpacked(b.p, b.n, key, now, &strangers);
	cr_expect_null(back, "held, and yet its stage ends");
	rotation_free(back);
	free(b.p);
}

/* The next worker knows nothing of the connection. */
Test(state, who_is_connected_was_seen_when_it_was_packed)
{
	struct client_identity who = identity(4), gone = identity(8);

	visit(4);
	visit(8);
	struct client_record *c = rotation_came(r, &who);
	pass(20 * 86400);
	struct rotation *back = through_bytes(now);
	cr_expect_eq(clients_find(&back->clients, who.key)->last_seen, now.wall);
	cr_expect_eq(clients_find(&back->clients, who.key)->open, 0);
	cr_expect_eq(clients_find(&back->clients, gone.key)->last_seen, now.wall - 20 * 86400);
	rotation_free(back);
	/* Not when a clock that leaps says it is. */
	now.wall += 365 * 86400;
	pass(60);
	back = through_bytes(now);
	cr_expect_eq(clients_find(&back->clients, who.key)->last_seen, now.wall - 365 * 86400);
	rotation_free(back);
	rotation_left(r, c, now);
	cr_expect_eq(c->last_seen, now.wall - 365 * 86400);
}

Test(state, the_stamp_tells_who_is_connected_and_who_has_left)
{
	struct client_identity who = identity(4);

	visit(4);
	struct rotation_stamp before = rotation_stamp(r);
	cr_expect_not(before.connected);
	struct client_record *c = rotation_came(r, &who);
	cr_expect(rotation_stamp(r).connected);
	rotation_left(r, c, now);
	struct rotation_stamp after = rotation_stamp(r);
	cr_expect_not(after.connected);
	cr_expect_neq(before.evidence, after.evidence);
}

Test(state, the_stamp_tells_what_has_changed)
{
	struct err err = {""};

	struct rotation_stamp a = rotation_stamp(r);
	cr_expect_not(rotation_has_past(r));
	visit(4);
	struct rotation_stamp b = rotation_stamp(r);
	cr_expect(a.plan == b.plan && a.evidence != b.evidence);
	cr_expect(rotation_has_past(r));
	cr_assert(rotation_take(r, generations[2], now));
	a = rotation_stamp(r);
	cr_expect_neq(a.plan, b.plan);
	cr_assert(rotation_hold(r, now, &err));
	b = rotation_stamp(r);
	cr_expect_neq(a.plan, b.plan);
	cr_assert(rotation_retire(r, ROTATION_COMPROMISED, now, &err));
	cr_expect_neq(rotation_stamp(r).plan, b.plan);
}
