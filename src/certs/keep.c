#include "certs/keep.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* Out of memory: the entry is not in the table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "certs/keys.h"
#include "certs/load.h"
#include "certs/store_internal.h"

enum {
	INLINE = 0, /* a certificate follows; else the number, from 1, of an intermediate that came before */
	DIGEST = 32,
	PACKED_BUNDLE_LEAST = 3 * 5 + 1 + 8 + DIGEST + 5 + 1 + 5, /* bytes */
	PACKED_STRING_LEAST = 5,
	PACKED_HIDDEN_LEAST = PACKED_STRING_LEAST + 1,
};

/* --- packing ------------------------------------------------------------------------------------------------ */

/* An intermediate that is packed already: many bundles have the same. */
struct packed {
	UT_hash_handle hh; /* by the SHA-256 */
	unsigned char sha256[DIGEST];
	uint32_t number; /* from 1 */
};

/* A reference to what came before, or the certificate itself. */
static bool
pack_intermediate(struct packed **table, const struct tls_der *der, struct pack *p)
{
	struct packed *e = NULL;

	HASH_FIND(hh, *table, der->sha256, DIGEST, e);
	if (e != NULL) {
		pack_u32(p, e->number);
		return true;
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return false;
	memcpy(e->sha256, der->sha256, DIGEST);
	e->number = HASH_COUNT(*table) + 1;
	HASH_ADD(hh, *table, sha256, DIGEST, e);
	if (e->hh.tbl == NULL) {
		free(e);
		return false;
	}
	pack_u32(p, INLINE);
	pack_block(p, der->bytes, der->size);
	return true;
}

/* All but the intermediates. */
static void
pack_leaf(const struct tls_bundle *b, struct pack *p)
{
	pack_string(p, b->name);
	pack_string(p, b->where);
	pack_u64(p, b->generation);
	pack_bytes(p, b->private->files, DIGEST);
	pack_block(p, b->private->key, b->private->key_size);
	pack_u8(p, (uint8_t)b->n_chain);
	pack_block(p, b->chain[0]->bytes, b->chain[0]->size);
}

void
tls_bundle_pack(const struct tls_bundle *b, struct pack *p)
{
	pack_leaf(b, p);
	for (unsigned i = 1; i < b->n_chain; i++) {
		pack_u32(p, INLINE);
		pack_block(p, b->chain[i]->bytes, b->chain[i]->size);
	}
}

static bool
pack_entry(struct packed **table, const struct store_entry *e, struct pack *p)
{
	const struct tls_bundle *b = e->bundle;

	pack_string(p, e->origin);
	pack_u8(p, e->listed);
	pack_leaf(b, p);
	for (unsigned i = 1; i < b->n_chain; i++)
		if (!pack_intermediate(table, b->chain[i], p))
			return false;
	return true;
}

/* What is to be watched, as long as nobody looks for it anew. */
static void
pack_watch(const struct tls_store *s, struct pack *p)
{
	pack_u32(p, (uint32_t)s->n_places);
	for (size_t i = 0; i < s->n_places; i++)
		pack_string(p, s->places[i].path);
	pack_u32(p, (uint32_t)s->n_hidden);
	for (size_t i = 0; i < s->n_hidden; i++) {
		pack_string(p, s->hidden[i].path);
		pack_u8(p, s->hidden[i].is_file);
	}
}

void
tls_store_pack(const struct tls_store *s, struct pack *p)
{
	pack_u32(p, (uint32_t)s->n);
	pack_watch(s, p);
}

bool
tls_store_pack_part(const struct tls_store *s, const struct tls_parts *parts, size_t part, struct pack *p)
{
	struct packed *table = NULL, *e, *next;
	size_t from = part > 0 ? parts->end[part - 1] : 0;
	bool ok = true;

	pack_u32(p, (uint32_t)(parts->end[part] - from));
	for (size_t i = from; ok && i < parts->end[part]; i++)
		ok = pack_entry(&table, &s->v[parts->order[i]], p);
	HASH_ITER(hh, table, e, next) {
		HASH_DEL(table, e);
		free(e);
	}
	return ok;
}

/* --- unpacking ---------------------------------------------------------------------------------------------- */

struct unpacking {
	struct unpack *u;
	const struct tls_thread *thread;
	struct tls_store *store;
	size_t room; /* of the store: for so many bundles */
	struct der_table shared;
	struct tls_der **intermediates; /* of one part, in the order they came; a reference each */
	size_t n, capacity;
};

/* NULL: that is no certificate, or memory is out. */
static struct tls_der *
unpack_certificate(struct unpacking *w, struct cert_view *view)
{
	struct sv bytes = unpack_block(w->u);
	struct tls_der *der = !w->u->bad ? tls_der_new(bytes.n) : NULL;

	if (der == NULL)
		return NULL;
	memcpy(der->bytes, bytes.p, bytes.n);
	der->size = (uint32_t)bytes.n;
	if (cert_parse(der->bytes, der->size, view) &&
	    EVP_Digest(der->bytes, der->size, der->sha256, NULL, w->thread->sha256, NULL) == 1)
		return der;
	tls_der_unref(der);
	return NULL;
}

static struct tls_der *
unpack_intermediate(struct unpacking *w)
{
	uint32_t number = unpack_u32(w->u);
	struct cert_view view;

	if (number != INLINE)
		return number <= w->n ? tls_der_ref(w->intermediates[number - 1]) : NULL;
	if (w->n == w->capacity) {
		size_t more = w->capacity == 0 ? 16 : w->capacity * 2;
		struct tls_der **grown = reallocarray(w->intermediates, more, sizeof(struct tls_der *));
		if (grown == NULL)
			return NULL;
		w->intermediates = grown;
		w->capacity = more;
	}
	struct tls_der *der = unpack_certificate(w, &view);
	if (der != NULL)
		w->intermediates[w->n++] = tls_der_ref(der);
	return der;
}

/* As if key and chain had been read from files. What is in `p` is the caller's to free, in any case. */
static bool
unpack_pieces(struct unpacking *w, struct pieces *p, struct chain *c)
{
	struct sv key = unpack_block(w->u);
	unsigned n = unpack_u8(w->u);

	if (w->u->bad || key.n == 0 || n == 0 || n > TLS_CHAIN_MAX || (p->key = malloc(key.n)) == NULL)
		return false;
	memcpy(p->key, key.p, key.n);
	p->key_size = key.n;
	for (unsigned i = 0; i < n; i++) {
		struct piece *piece = &p->certs[i];
		piece->der = i == 0 ? unpack_certificate(w, &piece->view) : unpack_intermediate(w);
		if (piece->der == NULL)
			return false;
		c->order[p->n_certs++] = piece;
	}
	c->n = n;
	return key_claims(p->key, p->key_size, &p->certs[0].view) != KEY_DIFFERS;
}

/* One reference, the caller's; NULL: not a bundle, or memory is out. */
static struct tls_bundle *
unpack_bundle(struct unpacking *w)
{
	struct source source = {.name = unpack_string(w->u)};
	source.where = unpack_string(w->u); /* behind the name: initializers have no order */
	uint64_t generation = unpack_u64(w->u);
	unsigned char files[DIGEST];
	struct pieces p = {.n_certs = 0};
	struct chain c = {.n = 0};

	unpack_bytes(w->u, files, DIGEST);
	struct tls_bundle *b = unpack_pieces(w, &p, &c) ? bundle_new(&source, &c, &p, &w->shared) : NULL;
	bool ok = b != NULL && chain_fingerprint(&c, w->thread, b->fingerprint);
	pieces_free(&p);
	if (ok) {
		b->generation = generation;
		memcpy(b->private->files, files, DIGEST);
		return b;
	}
	tls_bundle_unref(b);
	return NULL;
}

/* In the next part they are numbered anew. */
static void
forget_intermediates(struct unpacking *w)
{
	for (size_t i = 0; i < w->n; i++)
		tls_der_unref(w->intermediates[i]);
	w->n = 0;
}

static void
end_unpacking(struct unpacking *w)
{
	forget_intermediates(w);
	free(w->intermediates);
	der_table_free(&w->shared);
}

struct tls_bundle *
tls_bundle_unpack(struct unpack *u, const struct tls_thread *thread)
{
	struct unpacking w = {.u = u, .thread = thread};
	struct tls_bundle *b = unpack_bundle(&w);

	end_unpacking(&w);
	return b;
}

static bool
unpack_entry(struct unpacking *w)
{
	const char *origin = unpack_string(w->u);
	bool listed = unpack_u8(w->u) != 0;
	struct tls_bundle *b = unpack_bundle(w);
	bool ok = b != NULL && w->store->n < w->room && store_add(w->store, b, origin, listed);

	tls_bundle_unref(b);
	return ok;
}

static bool
unpack_places(struct tls_store *s, struct unpack *u)
{
	size_t n = unpack_count(u, PACKED_STRING_LEAST);

	s->places = calloc(MAX_OF(n, (size_t)1), sizeof(*s->places));
	for (size_t i = 0; s->places != NULL && i < n; i++) {
		struct watch_place *p = &s->places[s->n_places++];
		p->loose = true;
		if ((p->path = arena_copy(&s->where, sv_cstr(unpack_string(u)))) == NULL)
			return false;
	}
	return s->places != NULL && !u->bad;
}

static bool
unpack_hidden(struct tls_store *s, struct unpack *u)
{
	size_t n = unpack_count(u, PACKED_HIDDEN_LEAST);

	s->hidden = calloc(MAX_OF(n, (size_t)1), sizeof(*s->hidden));
	for (size_t i = 0; s->hidden != NULL && i < n; i++) {
		struct watch_hidden *h = &s->hidden[s->n_hidden++];
		h->path = arena_copy(&s->where, sv_cstr(unpack_string(u)));
		h->is_file = unpack_u8(u) != 0;
		if (h->path == NULL)
			return false;
	}
	return s->hidden != NULL && !u->bad;
}

static bool
unpack_part(struct unpacking *w, struct unpack *part)
{
	w->u = part;
	size_t n = unpack_count(part, PACKED_BUNDLE_LEAST);
	for (size_t i = 0; i < n; i++)
		if (!unpack_entry(w))
			return false;
	forget_intermediates(w);
	return !part->bad && part->n == 0;
}

/* How many bundles there are comes first. They need memory that is there, whoever tells how many. */
static bool
make_room(struct unpacking *w, struct unpack *whole, const struct unpack *parts, size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most += parts[i].n / PACKED_BUNDLE_LEAST;
	w->room = unpack_u32(whole);
	return w->room <= most && (w->store->v = calloc(MAX_OF(w->room, (size_t)1), sizeof(*w->store->v))) != NULL;
}

static bool
unpack_all(struct unpacking *w, struct unpack *whole, struct unpack *parts, size_t n)
{
	if (!make_room(w, whole, parts, n) || !unpack_places(w->store, whole) || !unpack_hidden(w->store, whole))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!unpack_part(w, &parts[i]))
			return false;
	return w->store->n == w->room && store_arrange(w->store, NULL);
}

struct tls_store *
tls_store_unpack(struct unpack *whole, struct unpack *parts, size_t n, const struct tls_thread *thread, struct err *err)
{
	struct unpacking w = {.thread = thread, .store = store_new()};
	bool ok = w.store != NULL && unpack_all(&w, whole, parts, n);

	end_unpacking(&w);
	if (ok)
		return w.store;
	tls_store_unref(w.store);
	err_set(err, "the certificates that were in service can not be restored");
	return NULL;
}

/* --- a store of bundles ---------------------------------------------------------------------------------------- */

struct tls_store *
tls_store_of(const struct tls_kept *v, size_t n)
{
	struct tls_store *s = store_new();

	if (s == NULL)
		return NULL;
	bool ok = (s->v = calloc(MAX_OF(n, (size_t)1), sizeof(*s->v))) != NULL;
	for (size_t i = 0; ok && i < n; i++)
		ok = store_add(s, v[i].bundle, v[i].origin, v[i].listed);
	if (ok && store_arrange(s, NULL))
		return s;
	tls_store_unref(s);
	return NULL;
}

bool
tls_digest(const struct tls_thread *thread, const void *p, size_t n, unsigned char out[TLS_DIGEST])
{
	_Static_assert((int)TLS_DIGEST == (int)DIGEST, "SHA-256");
	return EVP_Digest(p, n, out, NULL, thread->sha256, NULL) == 1;
}
