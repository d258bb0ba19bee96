/*
 * names.h: bundles by the names in their certificates.
 */
#ifndef BASCULE_CERTS_NAMES_H
#define BASCULE_CERTS_NAMES_H

#include "certs/bundle.h"

struct named;

/* Borrows bundles and their strings. Built by one thread, then read by all. */
struct names_index {
	struct named *entries; /* a hash table */
};

/* Enter all names of the bundle. False when memory is out. */
MUST_CHECK bool names_add(struct names_index *x, struct tls_bundle *b);

/* Exact, or else the wildcard of the parent domain; at most one RSA and one other. Returns how many. */
size_t names_find(const struct names_index *x, struct sv host, struct tls_bundle *out[2]);

void names_free(struct names_index *x);

#endif
