/* A store goes through bytes and comes back; what is done with it then is what would have been done before. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "certs/keep.h"
#include "certs/store_internal.h"

TestSuite(keep, .init = fixture_setup, .fini = fixture_teardown);

struct bytes {
	unsigned char *p;
	size_t n;
};

struct packing {
	struct bytes whole, parts[TLS_PARTS_MAX];
	size_t n;
};

static void
pack_piece(const struct tls_store *s, const struct tls_parts *parts, size_t part, struct pack *p)
{
	if (part == 0)
		tls_store_pack(s, p);
	else
		cr_assert(tls_store_pack_part(s, parts, part - 1, p));
}

static struct bytes
piece(const struct tls_store *s, const struct tls_parts *parts, size_t part)
{
	struct pack measured = {.to = NULL};

	pack_piece(s, parts, part, &measured);
	struct bytes b = {malloc(measured.n), measured.n};
	struct pack p = {.to = b.p, .room = b.n};
	pack_piece(s, parts, part, &p);
	cr_assert_not(p.failed);
	cr_assert_eq(p.n, b.n);
	return b;
}

static struct packing
packed(const struct tls_store *s)
{
	struct tls_parts parts;
	struct packing all;

	cr_assert(tls_parts_make(&parts, s, fix.thread));
	all.whole = piece(s, &parts, 0);
	all.n = parts.n;
	for (size_t i = 0; i < all.n; i++)
		all.parts[i] = piece(s, &parts, i + 1);
	tls_parts_free(&parts);
	return all;
}

static void
packing_free(struct packing *all)
{
	free(all->whole.p);
	for (size_t i = 0; i < all->n; i++)
		free(all->parts[i].p);
}

static struct tls_store *
unpacked(const struct packing *all)
{
	struct unpack whole = {.p = all->whole.p, .n = all->whole.n}, parts[TLS_PARTS_MAX];
	struct err err = {""};

	for (size_t i = 0; i < all->n; i++)
		parts[i] = (struct unpack){.p = all->parts[i].p, .n = all->parts[i].n};
	struct tls_store *s = tls_store_unpack(&whole, parts, all->n, fix.thread, &err);
	cr_expect_eq(s == NULL, err.text[0] != '\0');
	if (s != NULL)
		cr_expect_eq(whole.n, 0);
	return s;
}

/* In place of the store in service, as another worker has it. */
static void
go_through_bytes(void)
{
	struct packing all = packed(fix.store);

	tls_store_unref(fix.store);
	fix.store = unpacked(&all);
	cr_assert_not_null(fix.store);
	packing_free(&all);
}

static void
configure(const struct test_cert *leaf)
{
	struct conf_bundle *b = fixture_bundle("site");

	b->certificate = IN_DIR("cert.pem");
	b->key = IN_DIR("key.pem");
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(leaf, &fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), leaf->key);
}

static void
expect_same(const struct tls_bundle *a, const struct tls_bundle *b)
{
	cr_expect_str_eq(a->name, b->name);
	cr_expect_str_eq(a->where, b->where);
	cr_expect_eq(a->generation, b->generation);
	cr_expect_arr_eq(a->fingerprint, b->fingerprint, sizeof(a->fingerprint));
	cr_expect_arr_eq(a->private->files, b->private->files, sizeof(a->private->files));
	cr_assert_eq(a->n_chain, b->n_chain);
	for (unsigned i = 0; i < a->n_chain; i++) {
		cr_assert_eq(a->chain[i]->size, b->chain[i]->size);
		cr_expect_arr_eq(a->chain[i]->sha256, b->chain[i]->sha256, 32);
		cr_expect_arr_eq(a->chain[i]->bytes, b->chain[i]->bytes, a->chain[i]->size);
	}
	cr_assert_eq(a->private->key_size, b->private->key_size);
	cr_expect_arr_eq(a->private->key, b->private->key, a->private->key_size);
	cr_expect_str_eq(a->facts.subject, b->facts.subject);
	cr_expect_str_eq(a->facts.issuer, b->facts.issuer);
	cr_expect_str_eq(a->facts.serial, b->facts.serial);
	cr_expect_eq(a->facts.not_before, b->facts.not_before);
	cr_expect_eq(a->facts.not_after, b->facts.not_after);
	cr_expect_eq(a->facts.key_type, b->facts.key_type);
	cr_expect_eq(a->facts.key_bits, b->facts.key_bits);
	cr_assert_eq(a->facts.n_names, b->facts.n_names);
	for (size_t i = 0; i < a->facts.n_names; i++)
		cr_expect_str_eq(a->facts.names[i], b->facts.names[i]);
}

Test(keep, all_of_it_comes_back)
{
	struct test_cert leaf = pki_leaf("a.b.c,*.B.c", &fix.intermediate), other = pki_rsa_leaf("x.y", &fix.root);
	const struct watch_place *before, *after;
	struct tls_bundle *out[2];

	configure(&leaf);
	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("*")->directory = IN_DIR("all");
	pki_write_combined(IN_DIR("all/listed.pem"), PKI_CERTS(&leaf));
	fixture_load();
	pki_write_combined(IN_DIR("all/listed.pem"), PKI_CERTS(&other));
	fix.accept = FIXTURE_ACCEPT_ALL;
	fixture_load();
	cr_assert_eq(tls_store_bundle(fix.store, "listed")->generation, 2);
	struct packing all = packed(fix.store);
	struct tls_store *s = unpacked(&all);
	cr_assert_not_null(s);
	cr_assert_eq(tls_store_count(s), tls_store_count(fix.store));
	for (size_t i = 0; i < tls_store_count(s); i++)
		expect_same(tls_store_at(s, i), tls_store_at(fix.store, i));
	cr_expect_eq(tls_store_find_name(s, SV("x.y"), out), 1);
	cr_expect_eq(tls_store_find_name(s, SV("a.b.c"), out), 0, "it is not of a directory");
	size_t n = tls_store_places(fix.store, &before);
	cr_assert_eq(tls_store_places(s, &after), n);
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(after[i].path, before[i].path);
	cr_expect_not_null(tls_bundle_materials(tls_store_bundle(s, "site"), fix.thread), "it can be served");
	tls_store_unref(s);
	packing_free(&all);
	pki_free(&leaf), pki_free(&other);
}

/* Places that only somebody with more rights can find; whoever runs this test may look anywhere, and has none. */
Test(keep, what_has_to_be_watched_by_another_comes_back)
{
	const struct watch_hidden *after, before[] = {{"/etc/letsencrypt/live/a.b.c/privkey.pem", true}, {"/etc/secret", false}};

	fixture_load();
	cr_assert_eq(tls_store_hidden(fix.store, &after), 0);
	free(fix.store->hidden);
	fix.store->hidden = malloc(sizeof(before));
	memcpy(fix.store->hidden, before, sizeof(before));
	fix.store->n_hidden = COUNTOF(before);
	go_through_bytes();
	cr_assert_eq(tls_store_hidden(fix.store, &after), COUNTOF(before));
	for (size_t i = 0; i < COUNTOF(before); i++) {
		cr_expect_str_eq(after[i].path, before[i].path);
		cr_expect_eq(after[i].is_file, before[i].is_file);
	}
}

Test(keep, an_empty_store)
{
	fixture_load();
	go_through_bytes();
	cr_expect_eq(tls_store_count(fix.store), 0);
}

Test(keep, what_has_not_changed_is_not_read)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct files blind = *files_direct();
	struct tls_outcomes outcomes;

	configure(&leaf);
	fixture_load();
	go_through_bytes();
	blind.open_read = NULL;
	struct tls_store *again = fixture_load_with(&blind, &outcomes);
	cr_expect_eq(outcomes.n, 0);
	tls_outcomes_free(&outcomes);
	tls_store_unref(again);
	pki_free(&leaf);
}

Test(keep, what_is_refused_is_held_and_generations_go_on)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), next = pki_leaf("a.b.c", &fix.intermediate);

	configure(&leaf);
	fixture_load();
	pki_write_text(IN_DIR("cert.pem"), "no certificate\n");
	go_through_bytes();
	for (int i = 0; i < 2; i++) {
		fixture_load();
		fixture_expect("site", TLS_HELD, "cert.pem");
		cr_expect_eq(tls_store_bundle(fix.store, "site")->generation, 1);
		go_through_bytes();
	}
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&next, &fix.intermediate));
	fixture_load();
	fixture_expect("site", TLS_HELD, "pending");
	go_through_bytes();
	pki_write_key(IN_DIR("key.pem"), next.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	pki_free(&leaf), pki_free(&next);
}

Test(keep, a_directory_that_can_not_be_listed_then)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("*")->directory = IN_DIR("all");
	pki_write_combined(IN_DIR("all/a.pem"), PKI_CERTS(&leaf));
	pki_write_combined(IN_DIR("all/b.pem"), PKI_CERTS(&leaf));
	fixture_load();
	cr_assert_eq(rename(IN_DIR("all"), IN_DIR("away")), 0);
	go_through_bytes();
	fixture_load();
	fixture_expect("*", TLS_HELD, "all: No such file or directory; ");
	cr_expect_eq(tls_store_count(fix.store), 2);
	pki_free(&leaf);
}

/* Expired meanwhile: it was in service, and nothing that is there is better. */
Test(keep, validity_is_not_asked_again)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure(&leaf);
	fixture_load();
	tls_store_bundle(fix.store, "site")->facts.not_after = 1;
	go_through_bytes();
	cr_expect_not_null(tls_store_bundle(fix.store, "site"));
	pki_free(&leaf);
}

enum { MANY = 300 };

/* In a directory, of one certificate. */
static void
configure_many(const struct test_cert *leaf)
{
	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("*")->directory = IN_DIR("all");
	for (int i = 0; i < MANY; i++)
		pki_write_combined(IN_DIR("all/%d.pem", i), PKI_CERTS(leaf, &fix.intermediate));
	fixture_load();
	cr_assert_eq(tls_store_count(fix.store), MANY);
}

Test(keep, an_intermediate_is_in_a_part_once)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_many(&leaf);
	struct packing all = packed(fix.store);
	const struct tls_bundle *first = tls_store_at(fix.store, 0);
	size_t own = first->chain[0]->size + first->private->key_size, intermediate = first->chain[1]->size;
	size_t text = 2 * strlen(first->where) + 100, n = 0;
	for (size_t i = 0; i < all.n; i++)
		n += all.parts[i].n;
	cr_expect_lt(n, MANY * (own + text) + all.n * (intermediate + 100), "%zu bytes a bundle", n / MANY);
	packing_free(&all);
	go_through_bytes();
	cr_assert_eq(tls_store_count(fix.store), MANY);
	const struct tls_der *shared = tls_store_at(fix.store, 0)->chain[1];
	for (size_t i = 0; i < MANY; i++)
		cr_assert_eq(tls_store_at(fix.store, i)->chain[1], shared);
	pki_free(&leaf);
}

/* They are numbered anew in each part, in whatever order its bundles have them. */
Test(keep, of_two_intermediates_each_bundle_gets_its_own_back)
{
	struct test_cert second = pki_intermediate("Second", &fix.root), other = pki_leaf("d.e.f", &second);
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_many(&leaf);
	for (int i = 0; i < MANY; i += 2)
		pki_write_combined(IN_DIR("all/%d.pem", i), PKI_CERTS(&other, &second));
	fix.accept = FIXTURE_ACCEPT_ALL;
	fixture_load();
	struct packing all = packed(fix.store);
	struct tls_store *back = unpacked(&all);
	cr_assert_not_null(back);
	for (size_t i = 0; i < MANY; i++)
		expect_same(tls_store_at(back, i), tls_store_at(fix.store, i));
	tls_store_unref(back);
	packing_free(&all);
	pki_free(&leaf), pki_free(&other), pki_free(&second);
}

/* How many parts are not what they were, by their digests and by their bytes. */
static size_t
count_changed(const struct tls_parts *before, const struct packing *bytes_before)
{
	struct tls_parts now;
	struct packing bytes = packed(fix.store);
	size_t changed = 0;

	cr_assert(tls_parts_make(&now, fix.store, fix.thread));
	cr_assert_eq(now.n, before->n);
	for (size_t i = 0; i < now.n; i++) {
		const struct bytes *a = &bytes.parts[i], *b = &bytes_before->parts[i];
		bool same = memcmp(now.digest[i], before->digest[i], TLS_DIGEST) == 0;
		cr_expect_eq(same, a->n == b->n && memcmp(a->p, b->p, a->n) == 0, "the digest of part %zu tells of its bytes", i);
		changed += !same;
	}
	tls_parts_free(&now);
	packing_free(&bytes);
	return changed;
}

Test(keep, of_many_one_that_changes_changes_its_part_alone)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), next = pki_leaf("a.b.c", &fix.intermediate);
	struct tls_parts parts;

	configure_many(&leaf);
	struct packing before = packed(fix.store);
	cr_assert(tls_parts_make(&parts, fix.store, fix.thread));
	cr_expect_eq(parts.n, 4);
	cr_expect_eq(parts.end[3], MANY);
	for (size_t i = 0; i < 4; i++)
		cr_expect_gt(parts.end[i] - (i > 0 ? parts.end[i - 1] : 0), MANY / 8, "they share evenly");
	cr_expect_eq(count_changed(&parts, &before), 0);
	pki_write_combined(IN_DIR("all/7.pem"), PKI_CERTS(&next, &fix.intermediate));
	fixture_load();
	fixture_expect("7", TLS_LOADED, "generation 2");
	cr_expect_eq(count_changed(&parts, &before), 1);
	cr_assert_eq(unlink(IN_DIR("all/7.pem")), 0);
	fixture_load();
	cr_expect_eq(count_changed(&parts, &before), 1, "one that has gone, too");
	tls_parts_free(&parts);
	packing_free(&before);
	pki_free(&leaf), pki_free(&next);
}

/* --- bytes that are none of ours --- */

static struct packing
two_bundles(void)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure(&leaf);
	fixture_bundle("other")->combined = IN_DIR("other.pem");
	pki_write_combined(IN_DIR("other.pem"), PKI_CERTS(&leaf, &fix.intermediate));
	fixture_load();
	cr_assert_eq(tls_store_count(fix.store), 2);
	pki_free(&leaf);
	struct packing all = packed(fix.store);
	cr_assert_eq(all.n, 1);
	return all;
}

static void
expect_refused_when_cut(struct packing *all, struct bytes *piece)
{
	struct bytes it = *piece;

	for (size_t cut = 0; cut < it.n; cut++) {
		*piece = (struct bytes){malloc(MAX_OF(cut, (size_t)1)), cut}; /* a byte read beyond it is seen by a sanitizer */
		memcpy(piece->p, it.p, cut);
		cr_expect_null(unpacked(all), "at %zu", cut);
		free(piece->p);
	}
	*piece = it;
}

Test(keep, what_is_cut_off_is_refused)
{
	struct packing all = two_bundles();

	expect_refused_when_cut(&all, &all.whole);
	expect_refused_when_cut(&all, &all.parts[0]);
	packing_free(&all);
}

/* With one piece damaged; none is believed that says too much. */
static void
damage(struct packing *all, struct bytes *piece)
{
	for (size_t i = 0; i < piece->n; i++) {
		for (unsigned bit = 0; bit < 8; bit += 3) {
			piece->p[i] ^= (unsigned char)(1u << bit);
			struct unpack whole = {.p = all->whole.p, .n = all->whole.n};
			struct unpack part = {.p = all->parts[0].p, .n = all->parts[0].n};
			tls_store_unref(tls_store_unpack(&whole, &part, 1, fix.thread, NULL));
			piece->p[i] ^= (unsigned char)(1u << bit);
		}
	}
	memset(piece->p, 0xff, piece->n);
	cr_expect_null(unpacked(all));
}

Test(keep, damage_does_no_harm)
{
	struct packing all = two_bundles();

	damage(&all, &all.parts[0]);
	packing_free(&all);
	all = packed(fix.store);
	damage(&all, &all.whole);
	packing_free(&all);
}

/* Of a part too many or too few, or one that is not its own, nothing is believed. */
Test(keep, parts_are_all_there)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_many(&leaf);
	struct packing all = packed(fix.store), less = all;
	less.n--;
	cr_expect_null(unpacked(&less));
	less = all;
	less.parts[less.n++] = all.parts[0];
	cr_expect_null(unpacked(&less));
	packing_free(&all);
	pki_free(&leaf);
}

/* Where a key has been put to the certificate of another, nothing of it is believed. */
Test(keep, a_key_of_another_is_refused)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate), other = pki_leaf("a.b.c", &fix.intermediate);

	configure(&leaf);
	fixture_load();
	struct tls_bundle_private *p = tls_store_at(fix.store, 0)->private;
	unsigned char *stranger = NULL;
	int n = i2d_PrivateKey(other.key, &stranger);
	cr_assert_gt(n, 0);
	unsigned char *own = p->key;
	size_t own_size = p->key_size;
	p->key = stranger;
	p->key_size = (size_t)n;
	struct packing all = packed(fix.store);
	p->key = own;
	p->key_size = own_size;
	cr_expect_null(unpacked(&all));
	OPENSSL_free(stranger);
	packing_free(&all);
	pki_free(&leaf), pki_free(&other);
}
