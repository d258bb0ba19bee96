/* The state of a rotation, as bytes. */
#include "fuzz.h"

#include "made.h"
#include "rotation/state.h"

static const unsigned char key[16] = "sixteen bytes..";
static const struct moment now = {.ms = 1000000, .wall = 1800000000};

struct bytes {
	unsigned char *p;
	size_t n;
};

static struct bytes
pack(struct rotation *r)
{
	struct pack measured = {.to = NULL};

	rotation_pack(r, now, &measured);
	struct bytes b = {fuzz_alloc(measured.n), measured.n};
	struct pack p = {.to = b.p, .room = b.n};
	rotation_pack(r, now, &p);
	FUZZ_CHECK(!p.failed && p.n == b.n);
	return b;
}

/* From a block of just its size. */
static struct rotation *
unpack(const void *p, size_t n)
{
	char *copy = fuzz_copy(sv_of(p, n));
	struct unpack u = {.p = (unsigned char *)copy, .n = n};
	struct err err = {""};
	size_t strangers = 0;
	struct rotation *r = rotation_unpack(&u, key, made_thread(), now, &strangers, &err);

	FUZZ_CHECK((r == NULL) == (err.text[0] != '\0'));
	FUZZ_CHECK(r == NULL || (u.n == 0 && !u.bad), "half read");
	free(copy);
	return r;
}

/* --- seeds -------------------------------------------------------------------------------------------------- */

static void
visit(struct rotation *r, unsigned i, uint64_t generation)
{
	const struct net_ip ip = {.bytes = {10, 0, (uint8_t)i, 1}, .size = i % 2 == 0 ? 4 : 16};
	struct client_identity who;

	rotation_identify(key, &ip, i % 3, &who);
	if (i % 3 == 0)
		rotation_accepted(r, &who, generation, SV("shop.example"), now);
	else if (i % 3 == 1)
		rotation_rejected(r, &who, generation, 48, now);
	else
		rotation_silent(r, &who, generation, 0, now);
}

static void
seed(const char *name, struct rotation *r)
{
	struct bytes b = pack(r);

	fuzz_seed(name, b.p, b.n);
	free(b.p);
}

void
fuzz_seeds(void)
{
	struct tls_bundle *bundles[2] = {made_bundle("shop", 1), made_bundle("shop", 2)};
	struct rotation_settings settings;
	struct err err = {""};

	rotation_settings_default(&settings);
	struct rotation *r = rotation_new("shop", &settings, key);
	FUZZ_CHECK(r != NULL && !rotation_take(r, bundles[0], now));
	rotation_set_origin(r, "all");
	seed("settled", r);
	for (unsigned i = 0; i < 6; i++)
		visit(r, i, 1);
	FUZZ_CHECK(rotation_take(r, bundles[1], now));
	seed("begun", r);
	for (unsigned i = 0; i < 6; i++)
		visit(r, i + 2, 2);
	seed("known", r);
	FUZZ_CHECK(rotation_rollback(r, 0, ROTATION_FORCED, now, &err), "%s", err.text);
	seed("back", r);
	rotation_free(r);
	tls_bundle_unref(bundles[0]);
	tls_bundle_unref(bundles[1]);
}

/* --- what must hold ----------------------------------------------------------------------------------------- */

/* Neither less nor more than the whole is taken for one. */
static void
check_ends(const uint8_t *data, size_t size)
{
	char *longer = fuzz_alloc(size + 1);

	for (size_t n = 1; n < size; n = n * 2 + 1)
		FUZZ_CHECK(unpack(data, size - n) == NULL, "without the last %zu bytes", n);
	memcpy(longer, data, size);
	longer[size] = '\0';
	FUZZ_CHECK(unpack(longer, size + 1) == NULL, "with a byte more");
	free(longer);
}

/* Whoever prints them goes by this. */
static void
check_told(const struct report_client *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct client_record *c = &v[i].record;
		FUZZ_CHECK(c->who.ip.size == 0 || c->who.ip.size == 4 || c->who.ip.size == 16);
		FUZZ_CHECK(c->last_offered < SLOTS && memchr(v[i].name, '\0', sizeof(v[i].name)) != NULL);
	}
}

static void
check_report(struct rotation *r)
{
	struct rotation_report report;

	FUZZ_CHECK(rotation_report(r, true, now, &report));
	FUZZ_CHECK(report.bundles[SLOT_CURRENT] != NULL && report.n_reasons <= REASONS_MAX && report.share <= SHARE_ALL);
	FUZZ_CHECK((report.bundles[SLOT_PREVIOUS] != NULL) == (report.phase != ROTATION_SETTLED));
	check_told(report.orphans, report.n_orphans);
	check_told(report.untested, report.n_untested);
	rotation_report_free(&report);
}

/* It can be asked, used and kept. */
static void
check_use(struct rotation *r)
{
	struct rotation_settings settings;
	struct rotation_news news;
	struct rotation_offer offer = {.bundle = NULL};
	struct client_identity who;

	rotation_settings_default(&settings);
	rotation_set(r, &settings, now);
	check_report(r);
	rotation_identify(key, &(struct net_ip){.bytes = {10, 0, 1, 1}, .size = 16}, 1, &who);
	if (rotation_is_active(r)) {
		rotation_choose(r, &who, NULL, now, &offer);
		FUZZ_CHECK(offer.bundle != NULL);
		rotation_accepted(r, &who, offer.generation, SV("x"), now);
		rotation_end_offer(&offer);
	}
	(void)rotation_tick(r, now, &news);
	struct bytes b = pack(r);
	struct rotation *again = unpack(b.p, b.n);
	FUZZ_CHECK(again != NULL, "what was made of it can not be kept");
	rotation_free(again);
	free(b.p);
}

/* What is kept of what was kept is the same. */
static void
check_keeping(struct rotation *r)
{
	struct bytes first = pack(r);
	struct rotation *again = unpack(first.p, first.n);

	FUZZ_CHECK(again != NULL);
	struct bytes second = pack(again);
	FUZZ_CHECK(first.n == second.n);
	rotation_free(again);
	free(first.p);
	free(second.p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rotation *r = unpack(data, size);

	if (r == NULL)
		return 0;
	check_ends(data, size);
	check_keeping(r);
	check_use(r);
	rotation_free(r);
	return 0;
}
