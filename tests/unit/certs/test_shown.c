/* What a proxy shows of its bundles, and what others make of it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "fixture.h"
#include "certs/shown.h"

TestSuite(shown, .init = fixture_setup, .fini = fixture_teardown, .timeout = 60);

enum { ROOM = 64 * 1024 };

/* As another process would have it. */
static struct tls_store *
shown(void)
{
	struct tls_shown v[4];
	struct buf pem[4];
	struct err err = {""};
	size_t n = tls_store_count(fix.store);

	for (size_t i = 0; i < n; i++) {
		const struct tls_bundle *b = tls_store_at(fix.store, i);
		buf_init(&pem[i], ROOM);
		cr_assert(tls_shown_pem(b, &pem[i]));
		v[i] = (struct tls_shown){b->name, b->generation, buf_view(&pem[i])};
	}
	struct tls_store *s = tls_shown_store(v, n, fix.thread, &err);
	cr_assert_not_null(s, "%s", err.text);
	for (size_t i = 0; i < n; i++)
		buf_clear(&pem[i]);
	return s;
}

static void
go_through_pem(void)
{
	struct tls_store *s = shown();

	tls_store_unref(fix.store);
	fix.store = s;
}

Test(shown, chains_go_through_pem)
{
	struct test_cert leaf = pki_rsa_leaf("a.b.c,*.x.y", &fix.intermediate), other = pki_leaf("q.r", &fix.root);

	fixture_bundle("site")->combined = IN_DIR("site.pem");
	fixture_bundle("other")->combined = IN_DIR("other.pem");
	pki_write_combined(IN_DIR("site.pem"), PKI_CERTS(&leaf, &fix.intermediate));
	pki_write_combined(IN_DIR("other.pem"), PKI_CERTS(&other));
	fixture_load();
	struct tls_store *s = shown();
	cr_assert_eq(tls_store_count(s), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct tls_bundle *a = tls_store_at(fix.store, i), *b = tls_store_at(s, i);
		cr_expect_str_eq(a->name, b->name);
		cr_expect_eq(a->generation, b->generation);
		cr_expect_arr_eq(a->fingerprint, b->fingerprint, sizeof(a->fingerprint));
		cr_expect_eq(a->n_chain, b->n_chain);
		cr_expect_null(b->private->key);
	}
	tls_store_unref(s);
	go_through_pem();
	fixture_load();
	cr_expect_eq(fix.outcomes.n, 0, "the same content is no news");
	pki_free(&leaf), pki_free(&other);
}

Test(shown, new_content_is_compared_with_it)
{
	struct test_cert old = pki_rsa_leaf("a.b.c", &fix.intermediate), new = pki_leaf("a.b.c", &fix.root);
	struct test_cert foreign = pki_leaf("a.b.c", NULL);

	fixture_bundle("site")->combined = IN_DIR("site.pem");
	pki_write_combined(IN_DIR("site.pem"), PKI_CERTS(&old, &fix.intermediate));
	fixture_load();
	go_through_pem();
	pki_write_combined(IN_DIR("site.pem"), PKI_CERTS(&new));
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	go_through_pem();
	pki_write_combined(IN_DIR("site.pem"), PKI_CERTS(&foreign));
	fixture_load();
	fixture_expect("site", TLS_HELD, "in place of generation 2: its chain ends at \"CN=a.b.c, O=Bascule Tests\"");
	pki_free(&old), pki_free(&new), pki_free(&foreign);
}

Test(shown, what_is_no_chain_is_refused)
{
	static const char *const bad[] = {"", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	    "-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n"};

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct tls_shown v = {"site", 1, sv_cstr(bad[i])};
		struct err err = {""};
		cr_expect_null(tls_shown_store(&v, 1, fix.thread, &err));
		cr_expect_neq(err.text[0], '\0', "row %zu", i);
	}
}

Test(shown, no_room)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root);
	struct buf small;

	fixture_bundle("site")->combined = IN_DIR("site.pem");
	pki_write_combined(IN_DIR("site.pem"), PKI_CERTS(&leaf));
	fixture_load();
	buf_init(&small, 100);
	cr_expect_not(tls_shown_pem(tls_store_at(fix.store, 0), &small));
	buf_clear(&small);
	pki_free(&leaf);
}
