#include "certs/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/sv.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { HOST_MAX = 255 };

struct named {
	const char *name;             /* of a certificate: "a.b.c" or "*.b.c" */
	struct tls_bundle *rsa, *other; /* NULL: none */
	UT_hash_handle hh;
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
	struct named *e = find(x, name, strlen(name));

	if (e != NULL || (e = calloc(1, sizeof(*e))) == NULL)
		return e;
	e->name = name;
	HASH_ADD_KEYPTR(hh, x->entries, e->name, strlen(e->name), e);
	if (e->hh.tbl != NULL)
		return e;
	free(e);
	return NULL;
}

/* An EC key goes before one that fewer clients know; then the one valid longest. */
static bool
is_better(const struct tls_bundle *new, const struct tls_bundle *old)
{
	if (old == NULL)
		return true;
	bool new_ec = new->facts.key_type == TLS_KEY_EC, old_ec = old->facts.key_type == TLS_KEY_EC;
	return new_ec != old_ec ? new_ec : new->facts.not_after > old->facts.not_after;
}

bool
names_add(struct names_index *x, struct tls_bundle *b)
{
	for (size_t i = 0; i < b->facts.n_names; i++) {
		struct named *e = find_or_add(x, b->facts.names[i]);
		if (e == NULL)
			return false;
		struct tls_bundle **slot = b->facts.key_type == TLS_KEY_RSA ? &e->rsa : &e->other;
		if (is_better(b, *slot))
			*slot = b;
	}
	return true;
}

size_t
names_find(const struct names_index *x, struct sv host, struct tls_bundle *out[2])
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
	if (e->rsa != NULL)
		out[n++] = e->rsa;
	if (e->other != NULL)
		out[n++] = e->other;
	return n;
}

void
names_free(struct names_index *x)
{
	struct named *e, *next;

	HASH_ITER(hh, x->entries, e, next) {
		HASH_DEL(x->entries, e);
		free(e);
	}
	x->entries = NULL;
}
