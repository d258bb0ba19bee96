#include "certs/der.h"

#include <stdlib.h>
#include <string.h>

/* Without memory the table is merely not extended. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct der_entry {
	struct tls_der *der;
	UT_hash_handle hh; /* by der->sha256 */
};

struct tls_der *
tls_der_new(size_t capacity)
{
	struct tls_der *d = capacity <= UINT32_MAX ? malloc(sizeof(*d) + capacity) : NULL;

	if (d != NULL)
		d->refs = 1;
	return d;
}

struct tls_der *
tls_der_ref(struct tls_der *d)
{
	__atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

void
tls_der_unref(struct tls_der *d)
{
	if (d != NULL && __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(d);
}

struct tls_der *
der_intern(struct der_table *t, struct tls_der *d)
{
	struct der_entry *e;

	HASH_FIND(hh, t->entries, d->sha256, sizeof(d->sha256), e);
	if (e != NULL && e->der->size == d->size && memcmp(e->der->bytes, d->bytes, d->size) == 0) {
		struct tls_der *shared = tls_der_ref(e->der);
		tls_der_unref(d);
		return shared;
	}
	if (e != NULL || (e = malloc(sizeof(*e))) == NULL)
		return d;
	e->der = tls_der_ref(d);
	e->hh.tbl = NULL;
	HASH_ADD_KEYPTR(hh, t->entries, e->der->sha256, sizeof(e->der->sha256), e);
	if (e->hh.tbl == NULL) {
		tls_der_unref(e->der);
		free(e);
	}
	return d;
}

void
der_table_free(struct der_table *t)
{
	struct der_entry *e, *next;

	HASH_ITER(hh, t->entries, e, next) {
		HASH_DEL(t->entries, e);
		tls_der_unref(e->der);
		free(e);
	}
	t->entries = NULL;
}
