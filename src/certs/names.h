/*
 * names.h: the places of a store's bundles by the names in their certificates.
 *
 * It tells places, not bundles, and has its own copies of the names: so a
 * store in which one of ten thousand has been renewed for the same names
 * shares it with the store before. Made by one thread, then read by all.
 */
#ifndef BASCULE_CERTS_NAMES_H
#define BASCULE_CERTS_NAMES_H

#include "certs/bundle.h"

struct names_index; /* reference-counted */
struct store_entry;

/* Of those of the n entries that are listed. With one reference; NULL: out of memory. */
struct names_index *names_new(const struct store_entry *v, size_t n);
struct names_index *names_ref(struct names_index *x);
void names_unref(struct names_index *x); /* NULL is fine; any thread */

/* Made of `before`, would it be the same of `now`, n entries of each? False also where that is too much to find out. */
bool names_fit(const struct names_index *x, const struct store_entry *before, const struct store_entry *now, size_t n);

/*
 * Of the entries that it fits. Exact, or else the wildcard of the parent domain; at most one RSA and one other. Returns how
 * many.
 */
size_t names_find(const struct names_index *x, const struct store_entry *v, struct sv host, struct tls_bundle *out[2]);

#endif
