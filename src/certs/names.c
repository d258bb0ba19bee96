#include "certs/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/sv.h"
#include "certs/store_internal.h"

/* Out of memory: the entry is not in the table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { HOST_MAX = 255 };

/* Who is served for a name to clients that take this kind of key. */
struct claim {
	uint32_t place; /* from 1; 0: none */
	bool contested; /* others have the name as well */
};

struct named {
	const char *name; /* of a certificate: "a.b.c" or "*.b.c" */
	struct claim rsa, other;
	UT_hash_handle hh;
};

struct names_index {
	int refs; /* atomic */
	struct arena arena; /* entries and names */
	struct named *entries; /* a hash table */
};

static struct named *
find(const struct names_index *x, const char *name, size_t n)
{
	struct named *e;

	HASH_FIND(hh, x->entries, name, n, e);
	return e;
}

static struct named *
find_or_add(struct names_index *x, const char *name)
{
	struct sv key = sv_cstr(name);
	struct named *e = find(x, key.p, key.n);

	if (e != NULL)
		return e;
	if ((e = arena_alloc(&x->arena, sizeof(*e))) == NULL || (e->name = arena_copy(&x->arena, key)) == NULL)
		return NULL;
	HASH_ADD_KEYPTR(hh, x->entries, e->name, key.n, e);
	return e->hh.tbl != NULL ? e : NULL;
}

static struct claim *
claim_of(struct named *e, const struct tls_bundle *b)
{
	return b->facts.key_type == TLS_KEY_RSA ? &e->rsa : &e->other;
}

/* An EC key goes before one that fewer clients know; then the one valid longest. */
static bool
is_better(const struct tls_bundle *new, const struct tls_bundle *old)
{
	bool new_ec = new->facts.key_type == TLS_KEY_EC, old_ec = old->facts.key_type == TLS_KEY_EC;

	return new_ec != old_ec ? new_ec : new->facts.not_after > old->facts.not_after;
}

/* All names of the bundle at place i. */
static bool
add(struct names_index *x, const struct store_entry *v, size_t i)
{
	const struct tls_bundle *b = v[i].bundle;

	for (size_t k = 0; k < b->facts.n_names; k++) {
		struct named *e = find_or_add(x, b->facts.names[k]);
		if (e == NULL)
			return false;
		struct claim *c = claim_of(e, b);
		if (c->place != 0 && c->place != i + 1)
			c->contested = true;
		if (c->place == 0 || is_better(b, v[c->place - 1].bundle))
			c->place = (uint32_t)(i + 1);
	}
	return true;
}

struct names_index *
names_new(const struct store_entry *v, size_t n)
{
	struct names_index *x = n < UINT32_MAX ? calloc(1, sizeof(*x)) : NULL;

	if (x == NULL)
		return NULL;
	x->refs = 1;
	for (size_t i = 0; i < n; i++) {
		if (v[i].listed && !add(x, v, i)) {
			names_unref(x);
			return NULL;
		}
	}
	return x;
}

struct names_index *
names_ref(struct names_index *x)
{
	__atomic_fetch_add(&x->refs, 1, __ATOMIC_RELAXED);
	return x;
}

void
names_unref(struct names_index *x)
{
	if (x == NULL || __atomic_sub_fetch(&x->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	HASH_CLEAR(hh, x->entries);
	arena_free(&x->arena);
	free(x);
}

/* Its claims are what they were: the same names, with the same kind of key, and nobody else has one of them. */
static bool
claims_the_same(const struct names_index *x, const struct tls_bundle *before, const struct tls_bundle *now)
{
	if (before->facts.key_type != now->facts.key_type || before->facts.n_names != now->facts.n_names)
		return false;
	for (size_t i = 0; i < now->facts.n_names; i++) {
		const char *name = now->facts.names[i];
		struct named *e = find(x, name, strlen(name));
		if (e == NULL || strcmp(before->facts.names[i], name) != 0 || claim_of(e, now)->contested)
			return false;
	}
	return true;
}

bool
names_fit(const struct names_index *x, const struct store_entry *before, const struct store_entry *now, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (before[i].listed != now[i].listed ||
		    (now[i].listed && before[i].bundle != now[i].bundle && !claims_the_same(x, before[i].bundle, now[i].bundle)))
			return false;
	return true;
}

size_t
names_find(const struct names_index *x, const struct store_entry *v, struct sv host, struct tls_bundle *out[2])
{
	char wildcard[HOST_MAX + 1];
	size_t n = 0;

	if (host.n == 0 || host.n > HOST_MAX)
		return 0;
	const struct named *e = find(x, host.p, host.n);
	const char *dot = memchr(host.p, '.', host.n);
	if (e == NULL && dot != NULL && dot != host.p) {
		size_t rest = host.n - (size_t)(dot - host.p);
		wildcard[0] = '*';
		memcpy(wildcard + 1, dot, rest);
		e = find(x, wildcard, rest + 1);
	}
	if (e == NULL)
		return 0;
	if (e->rsa.place != 0)
		out[n++] = v[e->rsa.place - 1].bundle;
	if (e->other.place != 0)
		out[n++] = v[e->other.place - 1].bundle;
	return n;
}
