/* Rotations and a load: it is taken by all of them, or by none. */
#include <criterion/criterion.h>

#include "../certs/fixture.h"
#include "rotation/private.h"
#include "rotation/registry.h"

static const unsigned char key[16] = "sixteen bytes..";
static struct rotation_registry *registry;
static struct moment now;
static unsigned begun;

/* Names in falling order, please: the config looks them up in rising order. */
static struct conf_bundle *
configure(const char *name)
{
	static const struct conf_bundle *by_name[COUNTOF(fix.bundles)];
	struct conf_bundle *b = fixture_bundle(name);

	for (size_t i = 0; i < fix.conf.n_bundles; i++)
		by_name[i] = &fix.bundles[fix.conf.n_bundles - 1 - i];
	fix.conf.bundles_by_name = by_name;
	b->certificate = IN_DIR("%s.pem", name);
	b->key = IN_DIR("%s.key", name);
	b->rotation.track = true;
	b->rotation.keep_previous = 1000;
	b->rotation.clients = 100;
	return b;
}

static void
put_certificate(const char *name)
{
	struct test_cert leaf = pki_leaf("shop.test", &fix.intermediate);

	pki_write_certs(IN_DIR("%s.pem", name), PKI_CERTS(&leaf, &fix.intermediate));
	pki_write_key(IN_DIR("%s.key", name), leaf.key);
	pki_free(&leaf);
}

static void
on_began(void *arg, struct rotation *r, const struct tls_bundle *b)
{
	(void)arg;
	cr_expect_str_eq(rotation_name(r), b->name);
	begun++;
}

static void
load(void)
{
	fixture_load();
	cr_assert(rotation_registry_prepare(registry, &fix.conf, fix.store));
}

static void
commit(void)
{
	begun = 0;
	rotation_registry_commit(registry, now, on_began, NULL);
}

static void
setup(void)
{
	fixture_setup();
	now = moment_now();
	registry = rotation_registry_new(key);
	(void)configure("shop");
	put_certificate("shop");
	load();
	commit();
	cr_assert_eq(begun, 0, "the first generation replaces none");
}

static void
teardown(void)
{
	rotation_registry_free(registry);
	fixture_teardown();
}

TestSuite(registry, .init = setup, .fini = teardown);

static const struct tls_bundle *
current(const char *name)
{
	const struct rotation *r = rotation_registry_find(registry, name);

	return r != NULL ? r->bundles[SLOT_CURRENT] : NULL;
}

Test(registry, a_load_that_is_taken)
{
	put_certificate("shop");
	load();
	cr_expect_eq(current("shop")->generation, 1, "not before the commit");
	commit();
	cr_expect_eq(begun, 1);
	cr_expect_eq(current("shop"), tls_store_bundle(fix.store, "shop"));
	cr_expect(rotation_is_active(rotation_registry_find(registry, "shop")));
	cr_expect_eq(tls_store_bundle(fix.store, "shop")->rotation, rotation_registry_find(registry, "shop"));
}

Test(registry, a_load_that_is_refused_leaves_no_trace)
{
	struct rotation *r = rotation_registry_find(registry, "shop");
	struct conf_bundle *b = configure("more");

	put_certificate("shop"), put_certificate("more");
	fix.bundles[0].rotation.keep_previous = 5000;
	load();
	rotation_registry_abandon(registry);
	cr_expect_eq(current("shop")->generation, 1);
	cr_expect_eq(r->settings.keep_previous_ms, 1000, "the settings are those of before");
	cr_expect_not(rotation_is_active(r));
	cr_expect_null(rotation_registry_find(registry, "more"));
	cr_expect_eq(rotation_registry_next(registry, NULL), r);
	cr_expect_null(rotation_registry_next(registry, r));
	cr_expect_null(tls_store_bundle(fix.store, "shop")->rotation);
	cr_expect_null(tls_store_bundle(fix.store, "more")->rotation);
	rotation_registry_abandon(registry);

	/* And the next one is taken as if there had been none. */
	b->rotation.keep_previous = 7000;
	load();
	commit();
	cr_expect_eq(begun, 1, "for the one that was there");
	cr_expect_eq(current("shop"), tls_store_bundle(fix.store, "shop"));
	cr_expect_eq(current("more"), tls_store_bundle(fix.store, "more"));
	cr_expect_eq(r->settings.keep_previous_ms, 5000);
	cr_expect_eq(tls_store_bundle(fix.store, "more")->rotation, rotation_registry_find(registry, "more"));
}

Test(registry, a_refused_load_does_not_count_as_looked_at)
{
	struct rotation *r = rotation_registry_find(registry, "shop");

	fix.bundles[0].rotation.keep_previous = 5000;
	load();
	rotation_registry_abandon(registry);
	load(); /* by the same rules, and the bundle is as before */
	commit();
	cr_expect_eq(r->settings.keep_previous_ms, 5000);
}
