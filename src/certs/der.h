/*
 * der.h: making and sharing struct tls_der.
 */
#ifndef BASCULE_CERTS_DER_H
#define BASCULE_CERTS_DER_H

#include "certs/bundle.h"

/* Room for `capacity` bytes; the caller fills bytes, size and sha256. One reference. NULL when memory is out. */
struct tls_der *tls_der_new(size_t capacity);
struct tls_der *tls_der_ref(struct tls_der *d);
void tls_der_unref(struct tls_der *d); /* NULL is fine; any thread */

/* Certificates that many bundles have in common. Holds a reference on each; background thread only. */
struct der_table {
	struct der_entry *entries;
};

/* The one with this content: `d` itself or, with the reference to `d` given up for it, an equal one from before. */
struct tls_der *der_intern(struct der_table *t, struct tls_der *d);
void der_table_free(struct der_table *t);

#endif
