/* The store over time: reuse, generations, holding, directories, names, what to watch. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "certs/watch.h"

TestSuite(store, .init = fixture_setup, .fini = fixture_teardown);

static void
make_directory(const char *path)
{
	cr_assert_eq(mkdir(path, 0700), 0);
}

/* A directory "all" as the only bundle of the config. */
static void
configure_directory(void)
{
	make_directory(IN_DIR("all"));
	fixture_bundle("*")->directory = IN_DIR("all");
}

static struct conf_bundle *
configure_pair(void)
{
	struct conf_bundle *b = fixture_bundle("site");

	b->certificate = IN_DIR("cert.pem");
	b->key = IN_DIR("key.pem");
	return b;
}

static void
write_pair(const struct test_cert *leaf)
{
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(leaf, &fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), leaf->key);
}

static struct tls_bundle *
bundle(const char *name)
{
	return tls_store_bundle(fix.store, name);
}

Test(store, unchanged_files_are_not_read)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	write_pair(&leaf);
	fixture_load();
	struct tls_bundle *first = bundle("site");
	/* Same inode, size and times would be needed to fool it; unreadable content proves that it is not opened. */
	struct files blind = *files_direct();
	blind.open_read = NULL;
	struct tls_outcomes outcomes;
	struct tls_store *again = fixture_load_with(&blind, &outcomes);
	cr_expect_eq(outcomes.n, 0);
	cr_expect_eq(tls_store_bundle(again, "site"), first);
	tls_outcomes_free(&outcomes);
	tls_store_unref(again);
	pki_free(&leaf);
}

Test(store, generations)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), next = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	write_pair(&leaf);
	fixture_load();
	struct tls_bundle *first = tls_bundle_ref(bundle("site"));
	/* New files, same content: the same object, and not read a third time. */
	write_pair(&leaf);
	fixture_load();
	cr_expect_eq(fix.outcomes.n, 0);
	cr_expect_eq(bundle("site"), first);
	struct files blind = *files_direct();
	blind.open_read = NULL;
	struct tls_outcomes outcomes;
	struct tls_store *again = fixture_load_with(&blind, &outcomes);
	cr_expect_eq(outcomes.n, 0);
	tls_outcomes_free(&outcomes);
	tls_store_unref(again);
	/* New content. */
	write_pair(&next);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	cr_expect_neq(bundle("site"), first);
	cr_expect_eq(bundle("site")->generation, 2);
	cr_expect_eq(bundle("site")->chain[1], first->chain[1], "the intermediate is shared");
	write_pair(&leaf);
	fixture_load();
	cr_expect_eq(bundle("site")->generation, 3);
	cr_expect_arr_eq(bundle("site")->fingerprint, first->fingerprint, sizeof(first->fingerprint));
	tls_bundle_unref(first);
	pki_free(&leaf), pki_free(&next);
}

Test(store, half_written_pair_is_pending)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), next = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	write_pair(&leaf);
	fixture_load();
	struct tls_bundle *first = bundle("site");
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&next, &fix.intermediate));
	for (int i = 0; i < 2; i++) {
		fixture_load();
		fixture_expect("site", TLS_HELD, "pending: certificate and key do not match yet; ");
		cr_expect_eq(bundle("site"), first);
		cr_expect_eq(fix.outcomes.failed, 1);
	}
	pki_write_key(IN_DIR("key.pem"), next.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	pki_free(&leaf), pki_free(&next);
}

Test(store, a_bad_bundle_holds_back_only_itself)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), next = pki_leaf("a.b.c", &fix.intermediate);
	struct test_cert old = pki_make(&(struct pki_spec){.cn = "a.b.c", .not_before = -9, .not_after = -5});

	configure_pair();
	fixture_bundle("other")->combined = IN_DIR("other.pem");
	write_pair(&leaf);
	pki_write_combined(IN_DIR("other.pem"), PKI_CERTS(&leaf));
	fixture_load();
	struct tls_bundle *first = bundle("site");
	write_pair(&old);
	pki_write_combined(IN_DIR("other.pem"), PKI_CERTS(&next));
	fixture_load();
	fixture_expect("site", TLS_HELD, "does not belong to the chain");
	fixture_expect("other", TLS_LOADED, "generation 2");
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&old));
	fixture_load();
	fixture_expect("site", TLS_HELD, "expired on");
	cr_expect_eq(unlink(IN_DIR("key.pem")), 0);
	fixture_load();
	fixture_expect("site", TLS_HELD, "key.pem: No such file or directory");
	cr_expect_eq(bundle("site"), first);
	cr_expect_null(fixture_outcome("other"));
	pki_free(&leaf), pki_free(&next), pki_free(&old);
}

Test(store, bundle_taken_out_of_the_config)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	write_pair(&leaf);
	fixture_load();
	fix.conf.n_bundles = 0;
	fixture_load();
	fixture_expect("site", TLS_GONE, "no longer configured");
	cr_expect_eq(fix.outcomes.failed, 0);
	cr_expect_null(bundle("site"));
	cr_expect_eq(tls_store_count(fix.store), 0);
	pki_free(&leaf);
}

/* --- directories --- */

Test(store, layouts)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	static const char *const nested[][3] = {{"certbot", "fullchain.pem", "privkey.pem"},
	    {"kubernetes", "tls.crt", "tls.key"}, {"plain", "cert.pem", "key.pem"}};

	configure_directory();
	for (size_t i = 0; i < COUNTOF(nested); i++) {
		make_directory(IN_DIR("all/%s", nested[i][0]));
		pki_write_certs(IN_DIR("all/%s/%s", nested[i][0], nested[i][1]), PKI_CERTS(&leaf));
		pki_write_key(IN_DIR("all/%s/%s", nested[i][0], nested[i][2]), leaf.key);
	}
	pki_write_certs(IN_DIR("all/plain/chain.pem"), PKI_CERTS(&fix.intermediate));
	pki_write_certs(IN_DIR("all/certbot/cert.pem"), PKI_CERTS(&leaf));
	pki_write_combined(IN_DIR("all/www.example.com.pem"), PKI_CERTS(&leaf));
	pki_write_certs(IN_DIR("all/two.crt"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("all/two.key"), leaf.key);
	pki_write_certs(IN_DIR("all/pair.pem"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("all/pair.key"), leaf.key);
	pki_write_pkcs12(IN_DIR("all/twelve.p12"), PKI_CERTS(&leaf), "x", false);
	pki_write_text(IN_DIR("all/twelve.pass"), "x\n");
	pki_write_text(IN_DIR("all/README"), "certbot's\n");
	pki_write_text(IN_DIR("all/.hidden"), "not looked at\n");
	make_directory(IN_DIR("all/lost+found"));
	fixture_load();
	static const char *const names[] = {
	    "certbot", "kubernetes", "pair", "plain", "twelve", "two", "www.example.com"};
	cr_assert_eq(tls_store_count(fix.store), COUNTOF(names));
	cr_expect_eq(fix.outcomes.n, COUNTOF(names));
	cr_expect_eq(fix.outcomes.failed, 0);
	for (size_t i = 0; i < COUNTOF(names); i++) {
		cr_expect_str_eq(tls_store_at(fix.store, i)->name, names[i]);
		fixture_expect(names[i], TLS_LOADED, "generation 1");
	}
	cr_expect_eq(bundle("plain")->n_chain, 2);
	cr_expect_eq(bundle("certbot")->n_chain, 1);
	pki_free(&leaf);
}

Test(store, what_is_not_understood_is_reported)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_directory();
	pki_write_combined(IN_DIR("all/good.pem"), PKI_CERTS(&leaf));
	pki_write_text(IN_DIR("all/good"), "same NAME, but no bundle\n");
	pki_write_text(IN_DIR("all/strange.xyz"), "?\n");
	pki_write_certs(IN_DIR("all/alone.crt"), PKI_CERTS(&leaf));
	make_directory(IN_DIR("all/empty"));
	make_directory(IN_DIR("all/both"));
	for (int i = 0; i < 2; i++) {
		pki_write_certs(IN_DIR("all/both/%s", i ? "tls.crt" : "cert.pem"), PKI_CERTS(&leaf));
		pki_write_key(IN_DIR("all/both/%s", i ? "tls.key" : "key.pem"), leaf.key);
	}
	make_directory(IN_DIR("all/twice"));
	pki_write_combined(IN_DIR("all/twice.pem"), PKI_CERTS(&leaf));
	fixture_load();
	fixture_expect("strange.xyz", TLS_MISSING, "not understood: strange.xyz; a bundle is NAME/");
	fixture_expect("alone", TLS_MISSING, "not understood: alone.crt; ");
	fixture_expect("empty", TLS_MISSING, "all/empty: holds none of fullchain.pem with privkey.pem");
	fixture_expect("both", TLS_MISSING, "all/both: holds more than one of ");
	fixture_expect("twice", TLS_MISSING, "not understood: twice, twice.pem");
	cr_expect_not_null(bundle("good"));
	cr_expect_eq(tls_store_count(fix.store), 1);
	pki_free(&leaf);
}

Test(store, strange_file_that_bears_the_name_of_a_bundle)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_directory();
	pki_write_combined(IN_DIR("all/good.pem"), PKI_CERTS(&leaf));
	pki_write_text(IN_DIR("all/good"), "?\n");
	fixture_load();
	cr_expect_not_null(bundle("good"));
	cr_expect_eq(fix.outcomes.failed, 1);
	fixture_load();
	cr_expect_eq(tls_store_count(fix.store), 1);
	pki_free(&leaf);
}

Test(store, one_name_twice)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), other = pki_leaf("x.y", &fix.intermediate);

	fixture_bundle("shop")->combined = IN_DIR("shop.pem");
	configure_directory();
	pki_write_combined(IN_DIR("shop.pem"), PKI_CERTS(&leaf));
	pki_write_combined(IN_DIR("all/shop.pem"), PKI_CERTS(&other));
	fixture_load();
	cr_expect_eq(fix.outcomes.n, 2);
	cr_expect_eq(fix.outcomes.failed, 1);
	cr_assert_not_null(bundle("shop"));
	cr_expect_str_eq(bundle("shop")->facts.names[0], "a.b.c");
	cr_expect_eq(fix.outcomes.v[1].kind, TLS_MISSING);
	cr_expect_not_null(strstr(fix.outcomes.v[1].text, "all/shop.pem: the name \"shop\" is already that of "));
	fixture_load();
	cr_expect_eq(fix.outcomes.n, 1);
	cr_expect_eq(fix.outcomes.v[0].kind, TLS_MISSING);
	cr_expect_eq(tls_store_count(fix.store), 1);
	pki_free(&leaf), pki_free(&other);
}

Test(store, entries_come_and_go)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_directory();
	pki_write_combined(IN_DIR("all/a.pem"), PKI_CERTS(&leaf));
	fixture_load();
	pki_write_combined(IN_DIR("all/b.pem"), PKI_CERTS(&leaf));
	cr_expect_eq(unlink(IN_DIR("all/a.pem")), 0);
	fixture_load();
	fixture_expect("a", TLS_GONE, "the directory no longer has it");
	fixture_expect("b", TLS_LOADED, "generation 1");
	cr_expect_eq(tls_store_count(fix.store), 1);
	pki_free(&leaf);
}

Test(store, a_directory_that_can_not_be_listed_loses_nothing)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct tls_bundle *out[2];

	configure_directory();
	fixture_bundle("missing")->directory = IN_DIR("nowhere");
	pki_write_combined(IN_DIR("all/a.pem"), PKI_CERTS(&leaf));
	pki_write_combined(IN_DIR("all/b.pem"), PKI_CERTS(&leaf));
	fixture_load();
	fixture_expect("missing", TLS_MISSING, "nowhere: No such file or directory; ");
	cr_assert_eq(rename(IN_DIR("all"), IN_DIR("away")), 0);
	for (int i = 0; i < 2; i++) {
		fixture_load();
		fixture_expect("*", TLS_HELD, "all: No such file or directory; ");
		cr_expect_eq(tls_store_count(fix.store), 2);
		cr_expect_eq(tls_store_find_name(fix.store, SV("a.b.c"), out), 1);
	}
	/* One of its bundles is configured by itself meanwhile: there is one of that name. */
	fixture_bundle("a")->combined = IN_DIR("away/b.pem");
	fixture_load();
	cr_expect_eq(tls_store_count(fix.store), 2);
	fix.conf.n_bundles--;
	cr_assert_eq(rename(IN_DIR("away"), IN_DIR("all")), 0);
	fixture_load();
	cr_expect_null(fixture_outcome("*"));
	cr_expect_null(fixture_outcome("a"));
	cr_expect_eq(tls_store_count(fix.store), 2);
	pki_free(&leaf);
}

Test(store, three_hundred_share_one_intermediate)
{
	configure_directory();
	for (int i = 0; i < 300; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "host%d.example", i);
		struct test_cert leaf = pki_leaf(name, &fix.intermediate);
		pki_write_combined(IN_DIR("all/%s.pem", name), PKI_CERTS(&leaf, &fix.intermediate));
		pki_free(&leaf);
	}
	fixture_load();
	cr_assert_eq(tls_store_count(fix.store), 300);
	cr_expect_eq(fix.outcomes.failed, 0);
	const struct tls_der *shared = tls_store_at(fix.store, 0)->chain[1];
	for (size_t i = 0; i < 300; i++)
		cr_expect_eq(tls_store_at(fix.store, i)->chain[1], shared);
	cr_expect_eq(shared->refs, 300);
	for (int i = 0; i < 300; i++) {
		struct tls_bundle *out[2];
		char name[32];
		int n = snprintf(name, sizeof(name), "host%d.example", i);
		cr_assert_eq(tls_store_find_name(fix.store, sv_of(name, (size_t)n), out), 1);
		cr_expect_str_eq(out[0]->name, name);
	}
	cr_expect_not_null(tls_bundle_materials(bundle("host7.example"), fix.thread));
	fixture_load();
	cr_expect_eq(fix.outcomes.n, 0);
}

/* --- names --- */

Test(store, find_name)
{
	struct test_cert ec = pki_leaf("a.b.c,shared.b.c", &fix.root), rsa = pki_rsa_leaf("shared.b.c", &fix.root);
	struct test_cert wild = pki_leaf("*.b.c", &fix.root), configured = pki_leaf("configured.example", &fix.root);
	struct test_cert longer = pki_make(&(struct pki_spec){
	    .cn = "x", .names = "a.b.c", .issuer = &fix.root, .not_before = -60, .not_after = 400L * 86400});
	struct test_cert ed = pki_make(&(struct pki_spec){
	    .cn = "x", .names = "a.b.c", .key = PKI_ED25519, .not_before = -60, .not_after = 900L * 86400});
	struct tls_bundle *out[2];

	configure_directory();
	fixture_bundle("c")->combined = IN_DIR("c.pem");
	pki_write_combined(IN_DIR("c.pem"), PKI_CERTS(&configured));
	pki_write_combined(IN_DIR("all/ec.pem"), PKI_CERTS(&ec));
	pki_write_combined(IN_DIR("all/rsa.pem"), PKI_CERTS(&rsa));
	pki_write_combined(IN_DIR("all/wild.pem"), PKI_CERTS(&wild));
	pki_write_combined(IN_DIR("all/longer.pem"), PKI_CERTS(&longer));
	pki_write_combined(IN_DIR("all/ed.pem"), PKI_CERTS(&ed));
	fixture_load();
	cr_expect_eq(fix.outcomes.failed, 0);
	cr_assert_eq(tls_store_find_name(fix.store, SV("a.b.c"), out), 1);
	cr_expect_str_eq(out[0]->name, "longer", "exact before wildcard, the longest valid, EC before Ed25519");
	cr_assert_eq(tls_store_find_name(fix.store, SV("shared.b.c"), out), 2);
	cr_expect_eq(out[0]->facts.key_type, TLS_KEY_RSA);
	cr_expect_eq(out[1]->facts.key_type, TLS_KEY_EC);
	cr_assert_eq(tls_store_find_name(fix.store, SV("other.b.c"), out), 1);
	cr_expect_str_eq(out[0]->name, "wild");
	cr_expect_eq(tls_store_find_name(fix.store, SV("x.other.b.c"), out), 0);
	cr_expect_eq(tls_store_find_name(fix.store, SV("b.c"), out), 0);
	cr_expect_eq(tls_store_find_name(fix.store, SV(".b.c"), out), 0);
	cr_expect_eq(tls_store_find_name(fix.store, SV(""), out), 0);
	cr_expect_eq(tls_store_find_name(fix.store, SV("configured.example"), out), 0, "not from a directory");
	pki_free(&ec), pki_free(&rsa), pki_free(&wild), pki_free(&configured), pki_free(&longer), pki_free(&ed);
}

/* --- what to watch --- */

static bool
watches(const char *path)
{
	const struct watch_place *v;
	size_t n = tls_store_places(fix.store, &v);
	unsigned found = 0;

	for (size_t i = 0; i < n; i++) {
		char a[4096], b[4096];
		if (realpath(v[i].path, a) != NULL && realpath(path, b) != NULL)
			found += strcmp(a, b) == 0;
	}
	return found > 0;
}

/* Kubernetes: tls.crt -> ..data/tls.crt, ..data -> ..1, and the whole under a link "current". */
Test(store, directories_to_watch)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct conf_bundle *b = fixture_bundle("site");

	make_directory(IN_DIR("v1"));
	make_directory(IN_DIR("v1/..1"));
	make_directory(IN_DIR("archive"));
	make_directory(IN_DIR("live"));
	pki_write_certs(IN_DIR("v1/..1/tls.crt"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("archive/key.pem"), leaf.key);
	cr_assert_eq(symlink("..1", IN_DIR("v1/..data")), 0);
	cr_assert_eq(symlink("..data/tls.crt", IN_DIR("v1/tls.crt")), 0);
	cr_assert_eq(symlink("v1", IN_DIR("current")), 0);
	cr_assert_eq(symlink("../archive/key.pem", IN_DIR("live/key.pem")), 0);
	b->certificate = IN_DIR("current/tls.crt");
	b->key = IN_DIR("live/key.pem");
	fixture_load();
	fixture_expect("site", TLS_LOADED, "a.b.c");
	cr_expect(watches(fix.dir), "where \"current\" lies");
	cr_expect(watches(IN_DIR("v1")), "where ..data and tls.crt lie");
	cr_expect(watches(IN_DIR("v1/..1")), "where the file is");
	cr_expect(watches(IN_DIR("live")));
	cr_expect(watches(IN_DIR("archive")));
	cr_expect_not(watches("/"));
	pki_free(&leaf);
}

Test(store, directories_of_what_is_not_there_yet)
{
	struct conf_bundle *b = fixture_bundle("site");

	configure_directory();
	make_directory(IN_DIR("all/empty"));
	make_directory(IN_DIR("soon"));
	cr_assert_eq(symlink("loop", IN_DIR("loop")), 0);
	b->certificate = IN_DIR("soon/cert.pem");
	b->key = IN_DIR("loop/key.pem");
	fixture_load();
	cr_expect_eq(fix.outcomes.failed, 2);
	cr_expect(watches(IN_DIR("soon")));
	cr_expect(watches(IN_DIR("all")));
	cr_expect(watches(IN_DIR("all/empty")));
}
