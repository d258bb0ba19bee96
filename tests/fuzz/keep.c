/* What one worker leaves to the next: the files of its config, then the certificates in service. */
#include "fuzz.h"

#include "base/record.h"
#include "certs/keep.h"
#include "made.h"

struct bytes {
	unsigned char *p;
	size_t n;
};

struct kept {
	struct record *record;
	struct tls_store *store;
};

/* The files and all of the store but its bundles, or, from 1 on, a part of those. */
static void
pack_piece(const struct kept *k, const struct tls_parts *parts, size_t i, struct pack *p)
{
	if (i > 0) {
		FUZZ_CHECK(tls_store_pack_part(k->store, parts, i - 1, p));
		return;
	}
	record_pack(k->record, p);
	tls_store_pack(k->store, p);
}

/* Each piece with its length before it. */
static struct bytes
pack(const struct kept *k)
{
	struct bytes all = {NULL, 0}, piece[1 + TLS_PARTS_MAX];
	struct tls_parts parts;

	FUZZ_CHECK(tls_parts_make(&parts, k->store, made_thread()));
	for (size_t i = 0; i <= parts.n; i++) {
		struct pack measured = {.to = NULL};
		pack_piece(k, &parts, i, &measured);
		piece[i] = (struct bytes){fuzz_alloc(measured.n), measured.n};
		struct pack p = {.to = piece[i].p, .room = piece[i].n};
		pack_piece(k, &parts, i, &p);
		FUZZ_CHECK(!p.failed && p.n == piece[i].n);
		all.n += sizeof(uint32_t) + piece[i].n;
	}
	all.p = fuzz_alloc(all.n);
	struct pack p = {.to = all.p, .room = all.n};
	for (size_t i = 0; i <= parts.n; i++) {
		pack_block(&p, piece[i].p, piece[i].n);
		free(piece[i].p);
	}
	FUZZ_CHECK(!p.failed && p.n == all.n);
	tls_parts_free(&parts);
	return all;
}

static void
kept_free(struct kept *k)
{
	record_free(k->record);
	tls_store_unref(k->store);
	*k = (struct kept){NULL, NULL};
}

static bool
unpack_kept(struct unpack *whole, struct unpack *parts, size_t n, struct kept *out)
{
	struct err err = {""};

	*out = (struct kept){.record = record_unpack(whole)};
	FUZZ_CHECK(out->record == NULL || !whole->bad, "half read");
	if (out->record == NULL)
		return false;
	out->store = tls_store_unpack(whole, parts, n, made_thread(), &err);
	FUZZ_CHECK((out->store == NULL) == (err.text[0] != '\0'));
	FUZZ_CHECK(out->store == NULL || !whole->bad, "half read");
	return out->store != NULL && whole->n == 0;
}

/* Both or neither. Each piece from a block of just its size. */
static bool
unpack(const void *p, size_t n, struct kept *out)
{
	struct unpack all = {.p = p, .n = n}, piece[1 + TLS_PARTS_MAX];
	char *copies[1 + TLS_PARTS_MAX];
	size_t pieces = 0;

	*out = (struct kept){NULL, NULL};
	for (; all.n > 0 && !all.bad && pieces < COUNTOF(piece); pieces++) {
		struct sv bytes = unpack_block(&all);
		copies[pieces] = fuzz_copy(bytes);
		piece[pieces] = (struct unpack){.p = (unsigned char *)copies[pieces], .n = bytes.n};
	}
	bool ok = pieces > 0 && all.n == 0 && !all.bad && unpack_kept(&piece[0], &piece[1], pieces - 1, out);
	for (size_t i = 0; i < pieces; i++)
		free(copies[i]);
	if (!ok)
		kept_free(out);
	return ok;
}

/* --- seeds -------------------------------------------------------------------------------------------------- */

static void
seed(const char *name, const struct tls_kept *bundles, size_t n)
{
	static const char config[] = "{ \"listeners\": [ { \"address\": \"*:80\" } ] }\n";
	unsigned char bytes[1024] = {0};
	struct pack p = {.to = bytes, .room = sizeof(bytes)};
	const struct file_stamp stamp = {.device = 1, .inode = 2, .size = sizeof(config) - 1};

	/* Two files and a directory, as record_pack() has them. */
	pack_u32(&p, 2);
	pack_string(&p, "/etc/bascule/bascule.json");
	pack_u8(&p, false);
	pack_bytes(&p, &stamp, sizeof(stamp));
	pack_block(&p, config, sizeof(config) - 1);
	pack_string(&p, "/etc/bascule");
	pack_u8(&p, true);
	pack_bytes(&p, &stamp, sizeof(stamp));
	pack_u32(&p, 1);
	pack_string(&p, "bascule.json");
	pack_u8(&p, false);
	pack_bytes(&p, &stamp, sizeof(stamp));
	FUZZ_CHECK(!p.failed);
	struct unpack u = {.p = bytes, .n = p.n};
	struct kept k = {record_unpack(&u), tls_store_of(bundles, n)};
	FUZZ_CHECK(k.record != NULL && u.n == 0 && k.store != NULL);
	struct bytes b = pack(&k);
	fuzz_seed(name, b.p, b.n);
	free(b.p);
	kept_free(&k);
}

void
fuzz_seeds(void)
{
	const struct tls_kept bundles[2] = {
	    {.bundle = made_bundle("one", 3), .origin = "all", .listed = true},
	    {.bundle = made_bundle("two", 1), .origin = "two"},
	};

	seed("empty", NULL, 0);
	seed("one", bundles, 1);
	seed("two", bundles, 2);
	tls_bundle_unref(bundles[0].bundle);
	tls_bundle_unref(bundles[1].bundle);
}

/* --- what must hold ----------------------------------------------------------------------------------------- */

/* What is kept of what was kept is the same, and takes all of its bytes. */
static void
check_keeping(const struct kept *k)
{
	struct kept again;
	struct bytes first = pack(k);

	FUZZ_CHECK(unpack(first.p, first.n, &again));
	struct bytes second = pack(&again);
	FUZZ_CHECK(first.n == second.n);
	FUZZ_CHECK(tls_store_count(k->store) == tls_store_count(again.store));
	for (size_t i = 0; i < tls_store_count(k->store); i++)
		FUZZ_CHECK(tls_store_at(k->store, i)->generation == tls_store_at(again.store, i)->generation);
	kept_free(&again);
	free(first.p);
	free(second.p);
}

static void
check_ends(const uint8_t *data, size_t size)
{
	struct kept k;

	for (size_t n = 1; n < size; n = n * 2 + 1)
		FUZZ_CHECK(!unpack(data, size - n, &k), "without the last %zu bytes", n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kept k;

	if (!unpack(data, size, &k))
		return 0;
	for (size_t i = 0; i < tls_store_count(k.store); i++)
		FUZZ_CHECK(tls_store_bundle(k.store, tls_store_at(k.store, i)->name) != NULL);
	check_ends(data, size);
	check_keeping(&k);
	kept_free(&k);
	return 0;
}
