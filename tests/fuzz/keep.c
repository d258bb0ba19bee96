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

static void
pack_into(const struct kept *k, struct pack *p)
{
	record_pack(k->record, p);
	FUZZ_CHECK(tls_store_pack(k->store, p));
}

static struct bytes
pack(const struct kept *k)
{
	struct pack measured = {.to = NULL};

	pack_into(k, &measured);
	struct bytes b = {fuzz_alloc(measured.n), measured.n};
	struct pack p = {.to = b.p, .room = b.n};
	pack_into(k, &p);
	FUZZ_CHECK(!p.failed && p.n == b.n);
	return b;
}

static void
kept_free(struct kept *k)
{
	record_free(k->record);
	tls_store_unref(k->store);
	*k = (struct kept){NULL, NULL};
}

/* Both or neither; how many bytes that took. From a block of just its size. */
static bool
unpack(const void *p, size_t n, struct kept *out, size_t *used)
{
	char *copy = fuzz_copy(sv_of(p, n));
	struct unpack u = {.p = (unsigned char *)copy, .n = n};
	struct err err = {""};

	*out = (struct kept){.record = record_unpack(&u)};
	FUZZ_CHECK(out->record == NULL || !u.bad, "half read");
	if (out->record != NULL) {
		out->store = tls_store_unpack(&u, made_thread(), &err);
		FUZZ_CHECK((out->store == NULL) == (err.text[0] != '\0'));
		FUZZ_CHECK(out->store == NULL || !u.bad, "half read");
	}
	*used = n - u.n;
	free(copy);
	if (out->store != NULL)
		return true;
	kept_free(out);
	return false;
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
	size_t used;
	struct bytes first = pack(k);

	FUZZ_CHECK(unpack(first.p, first.n, &again, &used) && used == first.n);
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
check_ends(const uint8_t *data, size_t used)
{
	struct kept k;
	size_t less;

	for (size_t n = 1; n < used; n = n * 2 + 1)
		FUZZ_CHECK(!unpack(data, used - n, &k, &less), "without the last %zu bytes", n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kept k;
	size_t used;

	if (!unpack(data, size, &k, &used))
		return 0;
	for (size_t i = 0; i < tls_store_count(k.store); i++)
		FUZZ_CHECK(tls_store_bundle(k.store, tls_store_at(k.store, i)->name) != NULL);
	check_ends(data, used);
	check_keeping(&k);
	kept_free(&k);
	return 0;
}
