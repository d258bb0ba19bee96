/* A load of only what has changed makes the store, and tells the outcomes, that a look at everything would. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "certs/store_internal.h"

enum { LEAVES = 4 };

static struct test_cert leaves[LEAVES];
static struct tls_changes changes;
static unsigned lists; /* how many times the whole directory was listed */

static void
setup(void)
{
	fixture_setup();
	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("*")->directory = IN_DIR("all");
	for (int i = 0; i < LEAVES; i++)
		leaves[i] = pki_leaf(i % 2 ? "a.b.c" : "x.b.c", &fix.intermediate);
	fix.accept = FIXTURE_ACCEPT_ALL;
}

static void
teardown(void)
{
	for (int i = 0; i < LEAVES; i++)
		pki_free(&leaves[i]);
	tls_changes_forget(&changes);
	fixture_teardown();
}

TestSuite(delta, .init = setup, .fini = teardown);
TestSuite(survey, .init = setup, .fini = teardown);

static bool
counting_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	lists += strcmp(path, IN_DIR("all")) == 0;
	return files_direct()->list(f, path, to, err);
}

static struct tls_store *
load(const struct tls_changes *told, struct tls_changes *left, struct tls_outcomes *outcomes)
{
	struct files files = *files_direct();
	struct err err = {""};

	files.list = counting_list;
	const struct tls_load what = {.conf = &fix.conf, .files = &files, .thread = fix.thread, .previous = fix.store,
	    .accept = fix.accept, .changes = told, .left = left};
	struct tls_store *s = tls_store_load(&what, outcomes, &err);
	cr_assert_not_null(s, "%s", err.text);
	return s;
}

static void
expect_same_outcomes(const struct tls_outcomes *a, const struct tls_outcomes *b, const char *what)
{
	cr_assert_eq(a->n, b->n, "%s: %zu outcomes, of everything %zu", what, a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		cr_assert_eq(a->v[i].kind, b->v[i].kind, "%s: %s", what, b->v[i].name);
		cr_assert_str_eq(a->v[i].name, b->v[i].name, "%s", what);
		cr_assert_str_eq(a->v[i].text, b->v[i].text, "%s", what);
	}
}

static void
expect_same_stores(const struct tls_store *a, const struct tls_store *b, const char *what)
{
	cr_assert_eq(tls_store_count(a), tls_store_count(b), "%s", what);
	for (size_t i = 0; i < tls_store_count(a); i++) {
		const struct tls_bundle *x = tls_store_at(a, i), *y = tls_store_at(b, i);
		struct tls_bundle *found[2], *same[2];
		struct sv name = sv_cstr(x->facts.names[0]);
		cr_assert_str_eq(x->name, y->name, "%s", what);
		cr_assert_arr_eq(x->fingerprint, y->fingerprint, sizeof(x->fingerprint), "%s: %s", what, x->name);
		cr_assert_eq(x->generation, y->generation, "%s: %s", what, x->name);
		cr_assert_str_eq(tls_store_origin_at(a, i), tls_store_origin_at(b, i), "%s", what);
		cr_assert_eq(tls_store_find_name(a, name, found), tls_store_find_name(b, name, same), "%s", what);
	}
}

static bool
has_place(const struct tls_store *s, const struct watch_place *p)
{
	const struct watch_place *v;
	size_t n = tls_store_places(s, &v);

	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].path, p->path) == 0 && sv_eq(sv_cstr(v[i].owner.listing), sv_cstr(p->owner.listing)) &&
		    sv_eq(sv_cstr(v[i].owner.bundle), sv_cstr(p->owner.bundle)))
			return true;
	return false;
}

/* Some that the config no longer leads to may be left. */
static void
expect_all_places(const struct tls_store *delta, const struct tls_store *full, const char *what)
{
	const struct watch_place *v;
	size_t n = tls_store_places(full, &v);

	for (size_t i = 0; i < n; i++)
		cr_assert(has_place(delta, &v[i]), "%s: %s is not watched, or another's", what, v[i].path);
}

/* All of it, whatever the store before can tell. */
static struct tls_store *
load_all(struct tls_outcomes *outcomes)
{
	const char *listings = fix.store != NULL ? fix.store->listings : NULL;

	if (fix.store != NULL)
		fix.store->listings = NULL;
	struct tls_store *s = load(NULL, NULL, outcomes);
	if (fix.store != NULL)
		fix.store->listings = listings;
	return s;
}

static struct {
	unsigned told, sought, all;
} steps_lists; /* how often the directory was listed for each */

/* Load by the changes, by looking for some, and, of the same store before, everything; the first goes into service. */
static void
step(const char *what)
{
	struct tls_outcomes some, found, all;
	struct tls_changes left = TLS_CHANGES_UNKNOWN;

	lists = 0;
	struct tls_store *delta = load(&changes, &left, &some);
	steps_lists.told = lists;
	struct tls_store *looked = load(NULL, NULL, &found);
	steps_lists.sought = lists - steps_lists.told;
	struct tls_store *full = load_all(&all);
	steps_lists.all = lists - steps_lists.told - steps_lists.sought;
	expect_same_outcomes(&some, &all, what);
	expect_same_outcomes(&found, &all, what);
	expect_same_stores(delta, full, what);
	expect_same_stores(looked, full, what);
	expect_all_places(looked, full, what);
	if (steps_lists.sought == 1)
		cr_expect(watch_places_eq(looked->places, full->places, full->n_places) && looked->n_places == full->n_places, "%s", what);
	if (left.known)
		expect_all_places(delta, full, what);
	tls_store_unref(looked);
	tls_store_unref(full);
	tls_outcomes_free(&found);
	tls_outcomes_free(&all);
	tls_outcomes_free(&fix.outcomes);
	fix.outcomes = some;
	tls_store_unref(fix.store);
	fix.store = delta;
	tls_changes_forget(&changes);
	changes = left;
}

static void
changed(const char *entry)
{
	tls_changes_add(&changes, IN_DIR("all"), entry);
}

static void
put(const char *entry, int leaf)
{
	pki_write_combined(IN_DIR("all/%s", entry), PKI_CERTS(&leaves[leaf], &fix.intermediate));
	changed(entry);
}

Test(delta, one_of_three)
{
	put("a.pem", 0), put("b.pem", 1), put("c.pem", 2);
	step("first");
	cr_assert(changes.known);
	cr_expect_eq(changes.n, 0);
	struct tls_bundle *a = tls_store_at(fix.store, 0);
	put("b.pem", 3);
	step("changed");
	cr_expect_eq(steps_lists.told, 0);
	cr_expect_eq(steps_lists.all, 1);
	cr_expect_eq(steps_lists.sought, 2, "once to see that there is something, once to load it");
	fixture_expect("b", TLS_LOADED, "generation 2");
	cr_expect_eq(fix.outcomes.n, 1);
	cr_expect_eq(tls_store_at(fix.store, 0), a);
	put("aa.pem", 3);
	step("new");
	cr_expect_eq(tls_store_count(fix.store), 4);
	cr_assert_eq(unlink(IN_DIR("all/a.pem")), 0);
	changed("a.pem");
	step("removed");
	fixture_expect("a", TLS_GONE, "no longer has it");
	cr_expect_eq(steps_lists.told, 0);
	step("nothing");
	cr_expect_eq(steps_lists.told, 0);
	cr_expect_eq(steps_lists.sought, 1, "nothing is to be loaded");
}

/* What is not named is not looked at: who names too little is served too little. */
Test(delta, what_is_not_named_stays)
{
	struct tls_outcomes outcomes;

	put("a.pem", 0), put("b.pem", 1);
	step("first");
	unsigned char before[32];
	memcpy(before, tls_store_at(fix.store, 0)->fingerprint, sizeof(before));
	pki_write_combined(IN_DIR("all/a.pem"), PKI_CERTS(&leaves[2]));
	struct tls_store *s = load(&changes, NULL, &outcomes);
	cr_expect_arr_eq(tls_store_at(s, 0)->fingerprint, before, sizeof(before));
	cr_expect_eq(outcomes.n, 0);
	tls_outcomes_free(&outcomes);
	tls_store_unref(s);
}

Test(delta, what_is_refused_is_looked_at_again)
{
	put("a.pem", 0), put("b.pem", 1);
	step("first");
	pki_write_text(IN_DIR("all/b.pem"), "nothing\n");
	changed("b.pem");
	step("damaged");
	fixture_expect("b", TLS_HELD, "b.pem");
	cr_assert(changes.known);
	cr_expect_eq(changes.n, 1);
	step("again");
	fixture_expect("b", TLS_HELD, "b.pem");
	pki_write_text(IN_DIR("all/odd.xyz"), "?\n");
	changed("odd.xyz");
	step("odd");
	cr_expect_eq(fix.outcomes.n, 2);
	put("b.pem", 2);
	step("mended");
	fixture_expect("b", TLS_LOADED, "generation 2");
	fixture_expect("odd.xyz", TLS_MISSING, "not understood");
}

/* By its other name it can be written without an event in the directory. */
Test(delta, a_file_with_two_names_is_looked_at_each_time)
{
	put("a.pem", 0), put("b.pem", 1);
	cr_assert_eq(link(IN_DIR("all/b.pem"), IN_DIR("elsewhere.pem")), 0);
	step("first");
	cr_assert(changes.known);
	cr_assert_eq(changes.n, 1);
	cr_expect_str_eq(changes.v[0].entry, "b");
	step("unchanged");
	pki_write_combined(IN_DIR("new"), PKI_CERTS(&leaves[3]));
	size_t n;
	char *content = pki_read(IN_DIR("new"), &n);
	FILE *f = fopen(IN_DIR("elsewhere.pem"), "w");
	cr_assert(f != NULL && fputs(content, f) >= 0 && fclose(f) == 0);
	free(content);
	step("by the other name");
	fixture_expect("b", TLS_LOADED, "generation 2");
}

Test(delta, a_name_from_two_places_is_left_to_a_full_look)
{
	cr_assert_eq(mkdir(IN_DIR("more"), 0700), 0);
	fixture_bundle("+")->directory = IN_DIR("more");
	put("a.pem", 0), put("b.pem", 1);
	step("first");
	pki_write_combined(IN_DIR("more/a.pem"), PKI_CERTS(&leaves[2]));
	tls_changes_add(&changes, IN_DIR("more"), "a.pem");
	step("double");
	fixture_expect("a", TLS_MISSING, "is already that of");
	cr_assert_eq(unlink(IN_DIR("all/a.pem")), 0);
	changed("a.pem");
	step("the other one now");
	fixture_expect("a", TLS_LOADED, "generation 2");
}

/* A name of the one directory was looked for, and nothing found; the other one's bundle of that name is none of its. */
Test(delta, a_name_sought_in_vain_takes_nothing_from_another_directory)
{
	cr_assert_eq(mkdir(IN_DIR("more"), 0700), 0);
	fixture_bundle("+")->directory = IN_DIR("more");
	put("b.pem", 1);
	pki_write_combined(IN_DIR("more/a.pem"), PKI_CERTS(&leaves[2]));
	step("first");
	changed("a.pem");
	step("came and went");
	cr_expect_eq(tls_store_count(fix.store), 2);
	cr_expect_eq(fix.outcomes.n, 0);
}

Test(delta, a_name_of_the_config_as_well_is_left_to_a_full_look)
{
	struct conf_bundle *b = fixture_bundle("site");

	b->combined = IN_DIR("a-file.pem");
	put("a.pem", 0);
	step("a file that is not there");
	fixture_expect("site", TLS_MISSING, "a-file.pem");
	put("site.pem", 1);
	step("one of the directory by the same name");
	cr_expect_eq(steps_lists.told, 1, "at everything");
	cr_expect_str_eq(tls_store_bundle(fix.store, "site")->where, IN_DIR("all/site.pem"), "it comes first in the config");
	fixture_expect("site", TLS_LOADED, "generation 1");
}

/* What turned out to be bad when it was first used is loaded anew, whoever names it. */
Test(delta, what_can_not_be_used_is_left_to_a_full_look)
{
	put("a.pem", 0), put("b.pem", 1);
	step("first");
	__atomic_store_n(&tls_store_bundle(fix.store, "a")->private->unusable, true, __ATOMIC_RELAXED);
	put("b.pem", 2);
	step("another has changed");
	cr_expect_eq(steps_lists.told, 1, "at everything");
}

Test(delta, another_config_is_left_to_a_full_look)
{
	put("a.pem", 0);
	step("first");
	cr_assert_eq(mkdir(IN_DIR("more"), 0700), 0);
	pki_write_combined(IN_DIR("more/c.pem"), PKI_CERTS(&leaves[2]));
	fixture_bundle("+")->directory = IN_DIR("more");
	step("one more directory");
	fixture_expect("c", TLS_LOADED, "generation 1");
	struct conf_bundle *b = fixture_bundle("site");
	b->combined = IN_DIR("a-file.pem");
	pki_write_combined(b->combined, PKI_CERTS(&leaves[1]));
	step("a configured one beside");
	fixture_expect("site", TLS_LOADED, "generation 1");
	pki_write_combined(b->combined, PKI_CERTS(&leaves[3]));
	step("which is always looked at");
	fixture_expect("site", TLS_LOADED, "generation 2");
	fix.conf.n_bundles--;
	step("and goes with the config");
	fixture_expect("site", TLS_GONE, "no longer configured");
}

/* Folders and links have places of their own, which must be watched anew before it is known what changes. */
Test(delta, a_folder_is_watched_anew)
{
	put("a.pem", 0), put("b.pem", 1);
	cr_assert_eq(mkdir(IN_DIR("all/f"), 0700), 0);
	for (int i = 0; i < 2; i++) {
		pki_write_certs(IN_DIR("all/f/tls.crt"), PKI_CERTS(&leaves[i]));
		pki_write_key(IN_DIR("all/f/tls.key"), leaves[i].key);
		if (changes.known)
			changed("f");
		step("folder");
		cr_expect_eq(changes.known, i == 0);
	}
	fixture_expect("f", TLS_LOADED, "generation 2");
	const struct watch_place *v;
	size_t n = tls_store_places(fix.store, &v);
	cr_assert_eq(n, 2);
	cr_expect_null(v[0].owner.bundle);
	cr_expect_str_eq(v[0].owner.listing, IN_DIR("all"));
	cr_expect_str_eq(v[1].owner.bundle, "f");
	cr_expect(v[0].loose);
	cr_expect_not(v[1].loose, "its parent tells when it is replaced");
}

static void
make_folder(const char *name, int leaf)
{
	(void)mkdir(IN_DIR("all/%s", name), 0700);
	pki_write_certs(IN_DIR("all/%s/tls.crt", name), PKI_CERTS(&leaves[leaf]));
	pki_write_key(IN_DIR("all/%s/tls.key", name), leaves[leaf].key);
}

/* It is known what is left to look at only while no bundle with places of its own has come, changed or gone. */
Test(delta, folders_of_others_do_not_matter)
{
	put("a.pem", 0), put("b.pem", 1);
	make_folder("f", 2);
	step("first");
	cr_assert(changes.known);
	put("b.pem", 3);
	step("a file beside");
	cr_expect(changes.known);
	cr_expect_eq(changes.n, 0);

	make_folder("g", 0);
	changed("g");
	step("another folder comes");
	cr_expect_not(changes.known);
	step("looked at");
	cr_assert(changes.known);

	make_folder("g", 1);
	changed("g");
	step("and changes");
	cr_expect_not(changes.known);
	step("looked at");

	cr_assert(unlink(IN_DIR("all/g/tls.crt")) == 0 && unlink(IN_DIR("all/g/tls.key")) == 0 && rmdir(IN_DIR("all/g")) == 0);
	changed("g");
	step("and goes");
	cr_expect_not(changes.known);
}

Test(delta, what_several_depend_on_is_nobodys)
{
	const struct watch_place *v;

	put("a.pem", 0);
	pki_write_combined(IN_DIR("there.pem"), PKI_CERTS(&leaves[1]));
	cr_assert_eq(symlink("../there.pem", IN_DIR("all/b.pem")), 0);
	step("one link");
	cr_assert_eq(tls_store_places(fix.store, &v), 2);
	cr_expect_not_null(v[0].owner.listing);
	cr_expect_str_eq(v[1].owner.bundle, "b");
	cr_assert_eq(symlink("../there.pem", IN_DIR("all/c.pem")), 0);
	tls_changes_forget(&changes);
	step("two links");
	cr_assert_eq(tls_store_places(fix.store, &v), 2);
	cr_expect_null(v[1].owner.listing);
	cr_assert_eq(symlink("a.pem", IN_DIR("all/d.pem")), 0);
	changed("d.pem");
	step("a link to a neighbour");
	cr_assert_eq(tls_store_places(fix.store, &v), 2);
	cr_expect_null(v[0].owner.listing, "a.pem is not only that of a");
}

/* Kubernetes' volume as the directory itself: all change with ..data, whose events bear a name that is no bundle's. */
Test(delta, links_through_a_dotted_name)
{
	const struct watch_place *v;

	cr_assert_eq(mkdir(IN_DIR("all/..one"), 0700), 0);
	pki_write_combined(IN_DIR("all/..one/a.pem"), PKI_CERTS(&leaves[0]));
	cr_assert_eq(symlink("..one", IN_DIR("all/..data")), 0);
	cr_assert_eq(symlink("..data/a.pem", IN_DIR("all/a.pem")), 0);
	step("first");
	cr_expect_eq(tls_store_count(fix.store), 1);
	size_t n = tls_store_places(fix.store, &v);
	cr_assert_gt(n, 1);
	cr_expect_null(v[0].owner.listing);
	for (size_t i = 1; i < n; i++)
		cr_expect(v[i].loose, "%s", v[i].path);
}

static unsigned
draw(unsigned below)
{
	static unsigned state = 7;

	state = state * 1103515245 + 12345;
	return (state >> 16) % below;
}

static void
random_change(void)
{
	static const char *const suffixes[] = {".pem", ".crt", ".key", "", ".pem.pem", ".md", ".p12"};
	char entry[32];
	const char *path;
	int leaf = (int)draw(LEAVES);

	(void)snprintf(entry, sizeof(entry), "%c%s", 'a' + (char)draw(4), suffixes[draw(COUNTOF(suffixes))]);
	path = IN_DIR("all/%s", entry);
	(void)unlink(path);
	(void)unlink(IN_DIR("all/%s/tls.crt", entry));
	(void)unlink(IN_DIR("all/%s/tls.key", entry));
	(void)rmdir(path);
	switch (draw(6)) {
	case 0:
		break;
	case 1:
		cr_assert_eq(mkdir(path, 0700), 0);
		pki_write_certs(IN_DIR("all/%s/tls.crt", entry), PKI_CERTS(&leaves[leaf]));
		pki_write_key(IN_DIR("all/%s/tls.key", entry), leaves[leaf].key);
		break;
	case 2:
		pki_write_text(path, "nothing\n");
		break;
	case 3:
		pki_write_key(path, leaves[leaf].key);
		break;
	case 4:
		pki_write_certs(path, PKI_CERTS(&leaves[leaf]));
		break;
	default:
		pki_write_combined(path, PKI_CERTS(&leaves[leaf]));
	}
	changed(entry);
}

Test(delta, whatever_changes)
{
	unsigned known = 0;

	put("a.pem", 0), put("b.pem", 1);
	step("first");
	for (int i = 0; i < 600; i++) {
		char what[32];
		(void)snprintf(what, sizeof(what), "change %d", i);
		for (unsigned k = draw(3); k < 3; k++)
			random_change();
		step(what);
		known += changes.known;
	}
	cr_expect_gt(known, 200, "most are not for a look at everything");
}

/* --- what a look finds that was told nothing --- */

static void
expect_seen(const char *what)
{
	tls_changes_forget(&changes);
	step(what);
	cr_expect_eq(steps_lists.told, 2, "%s: it is seen that something is not as it was", what);
	step("nothing more");
	cr_expect_eq(steps_lists.sought, 1, "%s: and then that all is", what);
}

Test(survey, sees_whatever_changes)
{
	put("a.pem", 0), put("b.pem", 1), put("c.pem", 2);
	cr_assert_eq(mkdir(IN_DIR("all/nested"), 0700), 0);
	pki_write_certs(IN_DIR("all/nested/tls.crt"), PKI_CERTS(&leaves[3], &fix.intermediate));
	pki_write_key(IN_DIR("all/nested/tls.key"), leaves[3].key);
	tls_changes_forget(&changes);
	step("first");
	step("nothing");
	cr_expect_eq(steps_lists.sought, 1);
	put("b.pem", 3);
	expect_seen("a file has changed");
	put("d.pem", 3);
	expect_seen("a file is new");
	cr_assert_eq(unlink(IN_DIR("all/a.pem")), 0);
	expect_seen("a file has gone");
	cr_assert_eq(rename(IN_DIR("all/b.pem"), IN_DIR("all/e.pem")), 0);
	expect_seen("a file has another name");
	cr_assert_eq(chmod(IN_DIR("all/c.pem"), 0604), 0);
	expect_seen("a file has another mode");
	pki_write_certs(IN_DIR("all/nested/tls.crt"), PKI_CERTS(&leaves[0], &fix.intermediate));
	pki_write_key(IN_DIR("all/nested/tls.key"), leaves[0].key);
	expect_seen("in a folder");
	cr_assert_eq(rename(IN_DIR("all/nested"), IN_DIR("all/c")), 0);
	cr_assert_eq(unlink(IN_DIR("all/c.pem")), 0);
	expect_seen("a folder in the place of a file");
}

/* What is wrong is loaded, and told, each time: what there is to see is known. */
Test(survey, is_left_out_where_something_was_refused)
{
	put("a.pem", 0), put("b.pem", 1);
	step("first");
	pki_write_text(IN_DIR("all/b.pem"), "no certificate\n");
	pki_write_text(IN_DIR("all/stray.cer"), "what is it?\n");
	for (int i = 0; i < 2; i++) {
		tls_changes_forget(&changes);
		step("refused");
		fixture_expect("b", TLS_HELD, "b.pem");
		fixture_expect("stray.cer", TLS_MISSING, "not understood");
		cr_expect_eq(steps_lists.sought, i == 0 ? 2 : 1);
	}
}

/* It can be written to by the other name, in the moment behind the stamp. */
Test(survey, trusts_no_file_of_two_names)
{
	put("a.pem", 0), put("b.pem", 1);
	cr_assert_eq(link(IN_DIR("all/a.pem"), IN_DIR("other")), 0);
	step("first");
	tls_changes_forget(&changes);
	step("nothing");
	cr_expect_eq(steps_lists.sought, 1);
	cr_expect_eq(steps_lists.told, 1);
	cr_expect(fix.store->unsteady);
}

Test(survey, a_directory_that_can_not_be_listed)
{
	put("a.pem", 0);
	step("first");
	cr_assert_eq(rename(IN_DIR("all"), IN_DIR("away")), 0);
	tls_changes_forget(&changes);
	step("away");
	fixture_expect("*", TLS_HELD, "all: No such file or directory; ");
	cr_expect_eq(tls_store_count(fix.store), 1);
}

/* Who names a directory twice has each bundle twice, of which one is served. */
Test(survey, a_directory_that_is_named_twice)
{
	fixture_bundle("+")->directory = IN_DIR("all");
	put("a.pem", 0), put("b.pem", 1);
	step("first");
	cr_assert_eq(unlink(IN_DIR("all/b.pem")), 0);
	tls_changes_forget(&changes);
	step("one has gone");
	cr_expect_eq(tls_store_count(fix.store), 1);
}
