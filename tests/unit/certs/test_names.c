/* Who is served for a name, from one store to the next: by an index that is shared, or made anew, it is the same. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "certs/store_internal.h"

static EVP_PKEY *ec, *rsa;
static int64_t days; /* each certificate has its own: of two that are valid equally long it does not matter which is served */

static void
setup(void)
{
	fixture_setup();
	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("*")->directory = IN_DIR("all");
	fix.accept = FIXTURE_ACCEPT_ALL;
	ec = pki_new_key(PKI_P256);
	rsa = pki_new_key(PKI_RSA2048);
	days = 1;
}

static void
teardown(void)
{
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	fixture_teardown();
}

TestSuite(names, .init = setup, .fini = teardown);

static void
put_valid(const char *bundle, const char *names, EVP_PKEY *key, int64_t for_days)
{
	struct test_cert leaf = pki_make(&(struct pki_spec){.cn = "x", .names = names, .reuse_key = key, .issuer = &fix.intermediate,
	    .not_before = -60, .not_after = for_days * 86400});

	pki_write_combined(IN_DIR("all/%s.pem", bundle), PKI_CERTS(&leaf, &fix.intermediate));
	pki_free(&leaf);
}

static void
put(const char *bundle, const char *names, EVP_PKEY *key)
{
	put_valid(bundle, names, key, days++);
}

/* Is the index that of the store before? */
static bool
load_shares(void)
{
	struct names_index *before = fix.store != NULL ? names_ref(fix.store->names) : NULL;

	fixture_load();
	bool shares = fix.store->names == before;
	names_unref(before);
	return shares;
}

/* NULL: none. */
static void
expect(const char *host, const char *bundle)
{
	struct tls_bundle *found[2];

	if (bundle == NULL) {
		cr_expect_eq(tls_store_find_name(fix.store, sv_cstr(host), found), 0);
		return;
	}
	cr_assert_eq(tls_store_find_name(fix.store, sv_cstr(host), found), 1);
	cr_expect_str_eq(found[0]->name, bundle);
	cr_expect_eq(found[0], tls_store_bundle(fix.store, bundle), "the generation in service");
}

Test(names, a_renewal_shares_the_index)
{
	put("a", "a.test,*.a.test", ec), put("b", "b.test", ec), put("c", "c.test", rsa);
	load_shares();
	cr_expect(load_shares(), "nothing is new");
	put("b", "b.test", ec);
	cr_expect(load_shares());
	expect("b.test", "b");
	put("a", "a.test,*.a.test", ec), put("c", "c.test", rsa);
	cr_expect(load_shares());
	expect("x.a.test", "a"), expect("c.test", "c");
}

Test(names, an_index_that_does_not_fit_is_made_anew)
{
	put("a", "a.test", ec), put("b", "b.test", ec);
	load_shares();
	put("a", "a.test,more.test", ec);
	cr_expect_not(load_shares(), "one name more");
	expect("more.test", "a");
	put("a", "a.test", ec);
	cr_expect_not(load_shares(), "one name less");
	expect("more.test", NULL);
	put("a", "other.test", ec);
	cr_expect_not(load_shares(), "another name");
	put("a", "a.test,other.test", ec);
	load_shares();
	expect("other.test", "a");
	put("a", "a.test,other.test", rsa);
	cr_expect_not(load_shares(), "another kind of key");
	put("c", "c.test", ec);
	cr_expect_not(load_shares(), "one more");
	cr_assert_eq(rename(IN_DIR("all/c.pem"), IN_DIR("all/0.pem")), 0);
	cr_expect_not(load_shares(), "at another place");
	expect("c.test", "0"), expect("b.test", "b");
}

/* A bundle that the config names is served where a site names it, and to nobody else. */
Test(names, what_the_config_names_now_is_not_found_by_its_names)
{
	put("a", "a.test", ec), put("b", "b.test", ec);
	load_shares();
	cr_assert_eq(rename(IN_DIR("all/a.pem"), IN_DIR("a.pem")), 0);
	fixture_bundle("a")->combined = IN_DIR("a.pem");
	cr_expect_not(load_shares());
	expect("a.test", NULL), expect("b.test", "b");
}

/* Which one is served depends on both. */
Test(names, what_two_have_is_made_anew)
{
	put_valid("a", "both.test", ec, 10), put_valid("b", "both.test", ec, 20), put("c", "c.test", ec);
	load_shares();
	expect("both.test", "b");
	put_valid("b", "both.test", ec, 5);
	cr_expect_not(load_shares());
	expect("both.test", "a");
	put("c", "c.test", ec);
	cr_expect(load_shares(), "which have nothing to do with it");
}

/* --- whatever comes --- */

/* Of all that have this name the best one of its kind, as names.h has it; NULL: there is none. */
static const struct tls_bundle *
best(const char *name, bool of_rsa)
{
	const struct tls_bundle *found = NULL;

	for (size_t i = 0; i < tls_store_count(fix.store); i++) {
		const struct tls_bundle *b = tls_store_at(fix.store, i);
		for (size_t k = 0; k < b->facts.n_names; k++)
			if (strcmp(b->facts.names[k], name) == 0 && (b->facts.key_type == TLS_KEY_RSA) == of_rsa &&
			    (found == NULL || b->facts.not_after > found->facts.not_after))
				found = b;
	}
	return found;
}

/* xorshift64: the same in each run */
static size_t
random_below(size_t n)
{
	static uint64_t state = 7;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

Test(names, whatever_changes)
{
	static const char *const sets[] = {"a.test", "b.test", "c.test,c.test", "d.test,e.test", "e.test", "a.test,b.test", "c.test,d.test"};
	static const char *const names[] = {"a.test", "b.test", "c.test", "d.test", "e.test"};
	unsigned shared = 0, rounds = 300;

	for (unsigned round = 0; round < rounds; round++) {
		char bundle[] = {(char)('a' + random_below(5)), '\0'};
		/* Mostly a renewal: each bundle has names of its own liking. */
		size_t set = random_below(8) != 0 ? (size_t)(bundle[0] - 'a') : random_below(COUNTOF(sets));
		if (random_below(16) == 0)
			(void)unlink(IN_DIR("all/%s.pem", bundle));
		else
			put(bundle, sets[set], random_below(6) == 0 ? rsa : ec);
		shared += load_shares();
		for (size_t i = 0; i < COUNTOF(names); i++) {
			struct tls_bundle *found[2] = {NULL, NULL};
			const struct tls_bundle *first = best(names[i], true), *second = best(names[i], false);
			size_t n = tls_store_find_name(fix.store, sv_cstr(names[i]), found);
			cr_assert_eq(n, (size_t)(first != NULL) + (second != NULL), "round %u: %s", round, names[i]);
			cr_assert_eq(found[0], first != NULL ? first : second, "round %u: %s", round, names[i]);
			cr_assert(n < 2 || found[1] == second, "round %u: %s", round, names[i]);
		}
	}
	cr_expect(shared > rounds / 20 && shared < rounds - rounds / 20, "%u of %u", shared, rounds);
}
