/*
 * store_internal.h: what a store is made of, for store.c and keep.c.
 */
#ifndef BASCULE_TLS_STORE_INTERNAL_H
#define BASCULE_TLS_STORE_INTERNAL_H

#include "tls/names.h"
#include "tls/store.h"

struct store_entry {
	struct tls_bundle *bundle; /* one reference */
	const char *origin;        /* name of the config's bundle; in the store's arena */
	bool listed;               /* of a directory: found by the names in its certificate */
};

struct tls_store {
	int refs; /* atomic */
	struct arena arena;
	struct store_entry *v; /* in order of the bundles' names */
	size_t n;
	struct names_index names;
	const char **directories;
	size_t n_directories;
	struct watch_hidden *hidden;
	size_t n_hidden;
};

/* Empty, with one reference; NULL: out of memory. */
struct tls_store *store_new(void);

/* References the bundle; there must be room in v. False: out of memory. */
MUST_CHECK bool store_add(struct tls_store *s, struct tls_bundle *b, const char *origin, bool listed);

/* All are in it: put them in order and make the index. False: out of memory. */
MUST_CHECK bool store_arrange(struct tls_store *s);

#endif
