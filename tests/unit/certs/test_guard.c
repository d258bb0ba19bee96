/* What a new certificate changes: each difference both ways, what is accepted, what a load does with it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "fixture.h"
#include "certs/guard.h"

enum { DAY_S = 86400, SITES_MAX = 3 };

static struct conf_site sites[SITES_MAX];
static struct guard_rules rules;
static struct guard_findings found;
static struct test_cert other_root;

/* Two bundles: the one in service, and what comes. Rules for the former. */
static void
setup(void)
{
	fixture_setup();
	other_root = pki_ca("Other Root");
	fixture_bundle("site")->combined = IN_DIR("old.pem");
	fixture_bundle("new")->combined = IN_DIR("new.pem");
	fix.conf.sites = sites;
	rules = (struct guard_rules){.conf = &fix.conf, .bundle = &fix.bundles[0], .now = time(NULL)};
}

static void
teardown(void)
{
	pki_free(&other_root);
	fixture_teardown();
}

TestSuite(guard, .init = setup, .fini = teardown, .timeout = 60);

/* One more site, which serves these names with the bundle "site". */
static void
serve(const char **names, size_t n)
{
	static const char *bundle = "site";
	struct conf_site *s = &sites[fix.conf.n_sites++];

	*s = (struct conf_site){.names = {names, n}, .bundles = {&bundle, 1}};
}
#define SERVE(...) serve((const char *[]){__VA_ARGS__}, COUNTOF(((const char *[]){__VA_ARGS__})))

static void
again(void)
{
	guard_compare(tls_store_bundle(fix.store, "site"), tls_store_bundle(fix.store, "new"), &rules, &found);
}

/* Each with its chain. */
static void
compare(const struct test_cert *const *old, size_t n_old, const struct test_cert *const *new, size_t n_new)
{
	pki_write_combined(IN_DIR("old.pem"), old, n_old);
	pki_write_combined(IN_DIR("new.pem"), new, n_new);
	tls_store_unref(fix.store); /* both are first ones: nothing is held back */
	fix.store = NULL;
	fixture_load();
	cr_assert_eq(fix.outcomes.failed, 0, "%s", fix.outcomes.v[0].text);
	again();
}

static const struct guard_finding *
finding(const char *kind)
{
	for (size_t i = 0; i < found.n; i++)
		if (strcmp(found.v[i].kind, kind) == 0)
			return &found.v[i];
	return NULL;
}

/* Exactly these losses. */
static void
expect_losses(unsigned expected)
{
	unsigned losses = 0;

	for (size_t i = 0; i < found.n; i++)
		for (unsigned k = 0; k < CONF_LOSSES_N; k++)
			if (strcmp(found.v[i].kind, conf_loss_words[k]) == 0) {
				losses |= 1u << k;
				cr_expect(found.v[i].lossy);
				cr_expect_eq(found.v[i].accepted, (found.refused & 1u << k) == 0);
			}
	cr_expect_eq(losses, expected, "%#x in place of %#x: %s", losses, expected, found.n > 0 ? found.v[0].text : "nothing");
}
#define LOSS(name) (1u << (name))

static void
expect_text(const char *kind, const char *part)
{
	const struct guard_finding *f = finding(kind);

	cr_assert_not_null(f, "no %s", kind);
	cr_expect_not_null(strstr(f->text, part), "\"%s\" is not in: %s", part, f->text);
}

Test(guard, a_renewal_loses_nothing)
{
	struct test_cert old = pki_leaf("a.b.c", &fix.intermediate), new = pki_make(&(struct pki_spec){
	    .cn = "a.b.c", .names = "a.b.c", .issuer = &fix.intermediate, .not_before = -60, .not_after = 180 * DAY_S});

	SERVE("a.b.c");
	compare(PKI_CERTS(&old, &fix.intermediate), PKI_CERTS(&new, &fix.intermediate));
	expect_losses(0);
	cr_expect_eq(found.refused, 0);
	expect_text("later-expiry", ", 90 days after");
	expect_text("new-key", "EC 256");
	expect_text("serial", tls_store_bundle(fix.store, "new")->facts.serial);
	cr_expect_eq(found.n, 3);
	compare(PKI_CERTS(&old, &fix.intermediate), PKI_CERTS(&old, &fix.intermediate));
	expect_text("same-key", "EC 256");
	cr_expect_eq(found.n, 1);
	pki_free(&old), pki_free(&new);
}

/* --- names --- */

static void
compare_names(const char *old, const char *new)
{
	struct test_cert a = pki_leaf(old, &fix.root), b = pki_leaf(new, &fix.root);

	compare(PKI_CERTS(&a), PKI_CERTS(&b));
	pki_free(&a), pki_free(&b);
}

Test(guard, names_that_sites_serve)
{
	SERVE("a.b.c", "x.y");
	SERVE("*.wild.example");
	compare_names("a.b.c,x.y", "a.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	expect_text("lost-names", " x.y, served");
	compare_names("a.b.c", "a.b.c,x.y");
	expect_losses(0);
	expect_text("gained-names", " x.y as well");
	compare_names("a.b.c,not.served", "a.b.c");
	expect_losses(0);
	compare_names("*.b.c", "a.b.c");
	expect_losses(0);
	compare_names("*.b.c", "other.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	expect_text("lost-names", " a.b.c, served");
	compare_names("a.b.c", "*.b.c");
	expect_losses(0);
	compare_names("x.y", "*.y");
	expect_losses(0);
	compare_names("a.b.c", "q.r");
	expect_losses(LOSS(CONF_LOST_NAMES));
	/* At any depth below a site's wildcard, but not the suffix itself. */
	compare_names("x.wild.example,a.b.c", "a.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	compare_names("x.z.wild.example,a.b.c", "a.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	compare_names("*.wild.example,a.b.c", "a.b.c,only.wild.example");
	expect_losses(LOSS(CONF_LOST_NAMES));
	expect_text("lost-names", " *.wild.example, ");
	compare_names("wild.example,a.b.c", "a.b.c");
	expect_losses(0);
}

Test(guard, a_name_belongs_to_the_site_that_serves_it)
{
	static const char *elsewhere = "elsewhere", *own = "site";

	SERVE("*.b.c");
	SERVE("a.b.c");
	sites[1].bundles.v = &elsewhere;
	compare_names("a.b.c,x.b.c", "x.b.c");
	expect_losses(0);
	compare_names("a.b.c,x.b.c", "a.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	sites[0].bundles.v = &elsewhere;
	again();
	expect_losses(0);
	/* Whatever their order. */
	struct conf_site first = sites[0];
	sites[0] = sites[1], sites[1] = first;
	sites[1].bundles.v = &elsewhere;
	sites[0].bundles.v = &own;
	compare_names("a.b.c,x.b.c", "a.b.c");
	expect_losses(0);
	compare_names("a.b.c,x.b.c", "x.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	sites[0].bundles.v = &elsewhere;
	/* The default site serves what no other does. */
	SERVE("default");
	sites[2].is_default = true;
	sites[2].names.n = 0;
	compare_names("q.r,x.b.c", "x.b.c");
	expect_losses(LOSS(CONF_LOST_NAMES));
	compare_names("q.r,x.b.c", "q.r");
	expect_losses(0);
}

Test(guard, any_name_of_a_directory)
{
	compare_names("a.b.c,x.y,*.q.r", "x.y");
	expect_losses(0);
	fix.bundles[0].directory = "/there";
	again();
	expect_losses(LOSS(CONF_LOST_NAMES));
	expect_text("lost-names", " a.b.c, *.q.r, ");
}

Test(guard, many_names_are_counted)
{
	compare_names("a1.b.c,a2.b.c,a3.b.c,a4.b.c,a5.b.c,x.y", "x.y");
	fix.bundles[0].directory = "/there";
	again();
	expect_text("lost-names", " a1.b.c, a2.b.c, a3.b.c and 2 more, ");
}

/* --- dates --- */

static void
compare_ends(int64_t old, int64_t new)
{
	struct test_cert a = pki_make(&(struct pki_spec){
	    .cn = "a.b.c", .issuer = &fix.root, .not_before = -1000, .not_after = old});
	struct test_cert b = pki_make(&(struct pki_spec){
	    .cn = "a.b.c", .issuer = &fix.root, .not_before = -1000, .not_after = new});

	compare(PKI_CERTS(&a), PKI_CERTS(&b));
	pki_free(&a), pki_free(&b);
}

Test(guard, expiry)
{
	compare_ends(90 * DAY_S, 80 * DAY_S);
	expect_losses(LOSS(CONF_EARLIER_EXPIRY));
	expect_text("earlier-expiry", ", 10 days before");
	cr_expect_null(finding("later-expiry"));
	compare_ends(80 * DAY_S, 90 * DAY_S);
	expect_losses(0);
	expect_text("later-expiry", ", 10 days after");
	compare_ends(90 * DAY_S, 90 * DAY_S - 4000);
	expect_losses(LOSS(CONF_EARLIER_EXPIRY));
	/* Two of one batch. */
	compare_ends(90 * DAY_S, 90 * DAY_S - 3000);
	expect_losses(0);
}

Test(guard, freshness)
{
	struct test_cert old = pki_leaf("a.b.c", &fix.root), new = pki_make(&(struct pki_spec){
	    .cn = "a.b.c", .names = "a.b.c", .issuer = &fix.root, .not_before = -600, .not_after = 180 * DAY_S});

	compare(PKI_CERTS(&old), PKI_CERTS(&new));
	expect_losses(0);
	int64_t begin = tls_store_bundle(fix.store, "new")->facts.not_before;
	fix.bundles[0].rotation.fresh = 3600 * 1000;
	rules.now = begin + 3599;
	again();
	expect_losses(LOSS(CONF_TOO_FRESH));
	expect_text("too-fresh", "(fresh: 1 hour, until ");
	struct guard_findings before = found;
	rules.now = begin + 10;
	again();
	cr_expect_str_eq(found.v[0].text, before.v[0].text, "the time changes no text");
	rules.now = begin + 3600;
	again();
	expect_losses(0);
	pki_free(&old), pki_free(&new);
}

/* --- who issued it --- */

Test(guard, root_and_issuer)
{
	struct test_cert second = pki_intermediate("Second Intermediate", &fix.root), foreign = pki_intermediate("Foreign", &other_root);
	struct test_cert a = pki_leaf("a.b.c", &fix.intermediate), b = pki_leaf("a.b.c", &second), c = pki_leaf("a.b.c", &foreign);

	compare(PKI_CERTS(&a, &fix.intermediate), PKI_CERTS(&b, &second));
	expect_losses(0);
	expect_text("another-issuer", "\"CN=Second Intermediate, O=Bascule Tests\"");
	compare(PKI_CERTS(&a, &fix.intermediate), PKI_CERTS(&c, &foreign));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	expect_text("another-root", "ends at \"CN=Other Root, O=Bascule Tests\", that of the one in service at \"CN=Test Root,");
	cr_expect_not_null(finding("another-issuer"));
	compare(PKI_CERTS(&c, &foreign), PKI_CERTS(&a, &fix.intermediate));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	pki_free(&second), pki_free(&foreign), pki_free(&a), pki_free(&b), pki_free(&c);
}

Test(guard, an_intermediate_comes_or_goes)
{
	struct test_cert a = pki_leaf("a.b.c", &fix.intermediate), b = pki_leaf("a.b.c", &fix.intermediate);

	compare(PKI_CERTS(&a, &fix.intermediate), PKI_CERTS(&b));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	expect_text("another-root", "stops at \"CN=Test Intermediate, O=Bascule Tests\", whose certificate is missing");
	compare(PKI_CERTS(&a), PKI_CERTS(&b, &fix.intermediate));
	expect_losses(0);
	pki_free(&a), pki_free(&b);
}

/* Whoever trusts the old root finds it in the chain to the new one. */
Test(guard, a_cross_signed_root)
{
	struct test_cert crossed = pki_make(&(struct pki_spec){
	    .cn = "Test Root", .ca = true, .issuer = &other_root, .reuse_key = fix.root.key});
	struct test_cert a = pki_leaf("a.b.c", &fix.root), b = pki_leaf("a.b.c", &fix.root);

	compare(PKI_CERTS(&a), PKI_CERTS(&b, &crossed));
	expect_losses(0);
	compare(PKI_CERTS(&a, &crossed), PKI_CERTS(&b));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	pki_free(&crossed), pki_free(&a), pki_free(&b);
}

Test(guard, a_root_with_the_same_name_and_another_key)
{
	struct test_cert again_root = pki_ca("Test Root"), a = pki_leaf("a.b.c", &fix.root), b = pki_leaf("a.b.c", &again_root);

	compare(PKI_CERTS(&a), PKI_CERTS(&b));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	expect_text("another-root", "another key of \"CN=Test Root, O=Bascule Tests\"");
	pki_free(&again_root), pki_free(&a), pki_free(&b);
}

Test(guard, self_signed)
{
	struct test_cert a = pki_leaf("a.b.c", NULL), b = pki_leaf("a.b.c", NULL), c = pki_leaf("a.b.c", &fix.root);
	struct test_cert renewed = pki_make(&(struct pki_spec){.cn = "a.b.c", .names = "a.b.c", .reuse_key = a.key});

	compare(PKI_CERTS(&a), PKI_CERTS(&b));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	compare(PKI_CERTS(&a), PKI_CERTS(&renewed));
	expect_losses(0);
	expect_text("same-key", "EC 256");
	compare(PKI_CERTS(&a), PKI_CERTS(&c));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	compare(PKI_CERTS(&c), PKI_CERTS(&a));
	expect_losses(LOSS(CONF_ANOTHER_ROOT));
	pki_free(&a), pki_free(&b), pki_free(&c), pki_free(&renewed);
}

/* --- the key --- */

Test(guard, strength_of_keys)
{
	static const struct {
		enum pki_key old, new;
		bool weaker;
	} rows[] = {
		{PKI_RSA2048, PKI_P256, false}, {PKI_P256, PKI_RSA2048, true}, {PKI_RSA3072, PKI_RSA2048, true},
		{PKI_RSA2048, PKI_RSA3072, false}, {PKI_RSA3072, PKI_P256, false}, {PKI_P256, PKI_RSA3072, false},
		{PKI_P384, PKI_P256, true}, {PKI_P256, PKI_P384, false}, {PKI_P256, PKI_ED25519, false},
		{PKI_ED25519, PKI_P256, false}, {PKI_ED25519, PKI_RSA2048, true}, {PKI_P384, PKI_ED25519, true},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct test_cert a = pki_make(&(struct pki_spec){.cn = "a.b.c", .key = rows[i].old, .issuer = &fix.root});
		struct test_cert b = pki_make(&(struct pki_spec){.cn = "a.b.c", .key = rows[i].new, .issuer = &fix.root});
		compare(PKI_CERTS(&a), PKI_CERTS(&b));
		cr_expect_eq(finding("weaker-key") != NULL, rows[i].weaker, "row %zu", i);
		expect_losses(rows[i].weaker ? LOSS(CONF_WEAKER_KEY) : 0);
		pki_free(&a), pki_free(&b);
	}
	expect_text("weaker-key", "its key, Edwards 253, is as strong as 128 bits, that of the one in service, EC 384, as 192");
	expect_text("key-type", "its key is Edwards 253, the one before was EC 384");
}

/* --- what is accepted --- */

Test(guard, several_at_once_and_accepted_one_by_one)
{
	struct test_cert old = pki_leaf("a.b.c,x.y", &fix.root), new = pki_make(&(struct pki_spec){.cn = "a.b.c", .names = "a.b.c",
	    .key = PKI_RSA2048, .issuer = &other_root, .not_before = -60, .not_after = 10 * DAY_S});
	unsigned all = FIXTURE_ACCEPT_ALL;
	struct err err;

	SERVE("a.b.c", "x.y");
	fix.bundles[0].rotation.fresh = 3600 * 1000;
	compare(PKI_CERTS(&old), PKI_CERTS(&new));
	expect_losses(all);
	cr_expect_eq(found.refused, all);
	for (unsigned i = 0; i < CONF_LOSSES_N; i++) {
		rules.accept = 1u << i;
		again();
		expect_losses(all);
		cr_expect_eq(found.refused, all & ~(1u << i));
		rules.accept = 0;
		fix.bundles[0].rotation.accept = 1u << i;
		again();
		cr_expect_eq(found.refused, all & ~(1u << i));
		fix.bundles[0].rotation.accept = 0;
	}
	fix.bundles[0].rotation.accept = LOSS(CONF_LOST_NAMES) | LOSS(CONF_ANOTHER_ROOT);
	rules.accept = LOSS(CONF_TOO_FRESH) | LOSS(CONF_WEAKER_KEY);
	again();
	cr_expect_eq(found.refused, LOSS(CONF_EARLIER_EXPIRY));
	cr_expect_not(guard_passes(&found, tls_store_bundle(fix.store, "site"), "/new.pem", "site", "bascule reload", &err));
	cr_expect_not_null(strstr(err.text, "/new.pem: not taken in place of generation 1: it ends on "), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "--accept earlier-expiry`"), "%s", err.text);
	rules.accept = all;
	again();
	cr_expect(guard_passes(&found, tls_store_bundle(fix.store, "site"), "/new.pem", "site", "bascule reload", &err));
	/* All at once: the text tells how to accept them, whatever else has no room. */
	rules.accept = fix.bundles[0].rotation.accept = 0;
	again();
	cr_expect_not(guard_passes(&found, tls_store_bundle(fix.store, "site"), "/new.pem", "site", "bascule reload", &err));
	cr_expect_not_null(strstr(err.text, "--accept lost-names,earlier-expiry,another-root,weaker-key,too-fresh`"), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "bundle \"site\""), "%s", err.text);
	pki_free(&old), pki_free(&new);
}

#define LONG_LABEL "a-label-that-is-as-long-as-one-can-be-that-is-sixty-three-bytes"

/* How to accept it is told whatever else has no room. */
Test(guard, long_texts)
{
	struct test_cert root = pki_ca(LONG_LABEL), old = pki_leaf(LONG_LABEL ".b.c," LONG_LABEL "." LONG_LABEL ".q," LONG_LABEL ".r.s", &root);
	struct test_cert again_root = pki_ca(LONG_LABEL), new = pki_make(&(struct pki_spec){.cn = "a.b.c", .names = "a.b.c",
	    .key = PKI_RSA2048, .issuer = &again_root, .not_before = -60, .not_after = 10 * DAY_S});
	char path[600];
	struct err err;

	fix.bundles[0].rotation.fresh = 3600 * 1000;
	compare(PKI_CERTS(&old), PKI_CERTS(&new));
	fix.bundles[0].directory = "/there";
	again();
	cr_expect_eq(found.refused, FIXTURE_ACCEPT_ALL);
	for (size_t n = 1; n < 400; n++) {
		memset(path, 'p', n);
		path[n] = '\0';
		cr_expect_not(guard_passes(&found, tls_store_bundle(fix.store, "site"), path, "site", "bascule reload", &err));
		cr_expect(sv_ends(sv_cstr(err.text), SV(" --accept lost-names,earlier-expiry,another-root,weaker-key,too-fresh`, or the "
		    "same words as \"accept\" in \"rotation\" of bundle \"site\"")), "%s", err.text);
		cr_expect_not_null(strstr(err.text, "...; if that is meant: "), "%s", err.text);
	}
	pki_free(&root), pki_free(&old), pki_free(&again_root), pki_free(&new);
}

/* --- in a load --- */

static const struct tls_finding *
told(const char *bundle, const char *kind)
{
	const struct tls_outcome *o = fixture_outcome(bundle);

	for (size_t i = 0; o != NULL && i < o->n_findings; i++)
		if (strcmp(o->findings[i].kind, kind) == 0)
			return &o->findings[i];
	return NULL;
}

Test(guard, a_lossy_one_is_held_until_it_is_accepted)
{
	struct test_cert old = pki_leaf("a.b.c,x.y", &fix.root), new = pki_leaf("a.b.c", &fix.root), last = pki_leaf("q.r", &fix.root);

	SERVE("a.b.c", "x.y");
	pki_write_combined(IN_DIR("old.pem"), PKI_CERTS(&old));
	pki_write_combined(IN_DIR("new.pem"), PKI_CERTS(&old));
	fixture_load();
	cr_expect_eq(fixture_outcome("site")->n_findings, 0, "there was none to compare with");
	struct tls_bundle *first = tls_store_bundle(fix.store, "site");
	pki_write_combined(IN_DIR("old.pem"), PKI_CERTS(&new));
	pki_write_combined(IN_DIR("new.pem"), PKI_CERTS(&new));
	for (int i = 0; i < 2; i++) {
		fix.accept = i == 0 ? 0 : LOSS(CONF_ANOTHER_ROOT);
		fixture_load();
		fixture_expect("site", TLS_HELD, "--accept lost-names`");
		fixture_expect("site", TLS_HELD, "old.pem: ");
		cr_expect_eq(tls_store_bundle(fix.store, "site"), first);
		cr_assert_not_null(told("site", "lost-names"));
		cr_expect(told("site", "lost-names")->lossy);
		cr_expect_not(told("site", "lost-names")->accepted);
		cr_expect_eq(fix.outcomes.failed, 1);
	}
	cr_expect_eq(tls_store_bundle(fix.store, "new")->generation, 2, "no site serves it");
	fix.accept = LOSS(CONF_LOST_NAMES);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	cr_assert_not_null(told("site", "lost-names"));
	cr_expect(told("site", "lost-names")->accepted);
	/* It was accepted once. */
	fix.accept = 0;
	pki_write_combined(IN_DIR("old.pem"), PKI_CERTS(&last));
	fixture_load();
	fixture_expect("site", TLS_HELD, "a.b.c");
	fix.bundles[0].rotation.accept = LOSS(CONF_LOST_NAMES);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 3");
	cr_expect(told("site", "lost-names")->accepted);
	pki_free(&old), pki_free(&new), pki_free(&last);
}

Test(guard, bundles_of_a_directory_follow_its_rules)
{
	struct test_cert old = pki_leaf("a.b.c,x.y", &fix.root), new = pki_leaf("a.b.c", &fix.root);

	fix.conf.n_bundles = 0;
	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	struct conf_bundle *b = fixture_bundle("many");
	b->directory = IN_DIR("all");
	pki_write_combined(IN_DIR("all/one.pem"), PKI_CERTS(&old));
	pki_write_combined(IN_DIR("all/two.pem"), PKI_CERTS(&old));
	fixture_load();
	pki_write_combined(IN_DIR("all/one.pem"), PKI_CERTS(&new));
	fixture_load();
	fixture_expect("one", TLS_HELD, "x.y");
	fixture_expect("one", TLS_HELD, "in \"rotation\" of bundle \"many\"");
	cr_expect_null(fixture_outcome("two"));
	b->rotation.accept = LOSS(CONF_LOST_NAMES);
	fixture_load();
	fixture_expect("one", TLS_LOADED, "generation 2");
	pki_free(&old), pki_free(&new);
}
