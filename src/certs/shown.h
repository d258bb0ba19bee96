/*
 * shown.h: what a proxy has in service, as far as its clients are shown it.
 *
 * Chains as PEM out of a store, and back into one without private keys, which
 * can serve nobody, but new certificates can be compared with it: as the
 * previous store of a load. Background thread, and the command line.
 */
#ifndef BASCULE_CERTS_SHOWN_H
#define BASCULE_CERTS_SHOWN_H

#include "certs/store.h"

struct tls_shown {
	const char *name; /* of the bundle */
	uint64_t generation;
	struct sv pem;    /* its chain, leaf first */
};

/* Append the chain of a bundle. False when there is no room, or memory is out. */
MUST_CHECK bool tls_shown_pem(const struct tls_bundle *b, struct buf *out);

/* NULL with err set: a chain is none, or memory is out. Copies what it is given. */
struct tls_store *tls_shown_store(const struct tls_shown *v, size_t n, const struct tls_thread *thread, struct err *err);

#endif
