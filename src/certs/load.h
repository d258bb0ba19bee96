/*
 * load.h: from a source to a bundle.
 */
#ifndef BASCULE_CERTS_LOAD_H
#define BASCULE_CERTS_LOAD_H

#include "certs/chain.h"
#include "certs/der.h"
#include "certs/guard.h"
#include "certs/private.h"
#include "certs/store.h"

struct loader {
	const struct tls_load *what;
	struct der_table shared; /* intermediates */
	int64_t now;             /* seconds of the epoch */
	bool prove;              /* build the objects and check the key by a signature, now and not at first use */
	bool started;            /* it was asked for by its name: nothing waits to be started */
	bool waits;              /* the last bundle was not taken only because it waits for that */
	struct guard_findings findings; /* of the last bundle that was read; none when it is the one in service, or the first */
};

/*
 * Read and judge it. `previous` is the generation in service, or NULL; it is returned, referenced, when the content is
 * the same. NULL with "FILE: reason; what to do". What a new content changes is in l->findings, also when it is refused
 * for that.
 */
struct tls_bundle *load_bundle(struct loader *l, struct source *s, struct tls_bundle *previous, struct err *err);

/* SHA-256 over those of leaf and chain. False when OpenSSL fails. */
MUST_CHECK bool chain_fingerprint(const struct chain *c, const struct tls_thread *t, unsigned char out[32]);

/* A new bundle, with one reference. Takes over the pieces' key and shares the certificates. */
struct tls_bundle *
bundle_new(const struct source *s, const struct chain *c, struct pieces *p, struct der_table *shared);

#endif
