/*
 * made.h: certificates for seeds, made when they are needed.
 */
#ifndef BASCULE_TESTS_FUZZ_MADE_H
#define BASCULE_TESTS_FUZZ_MADE_H

#include "base/buf.h"
#include "certs/bundle.h"

enum made_kind { MADE_EC, MADE_RSA, MADE_ED25519 };

struct made {
	enum made_kind kind;
	const char *cn;
	const char *alt_names; /* as in a config of OpenSSL; NULL: none */
	bool ca;
	bool v1; /* no extensions at all */
};

/* A certificate that has signed itself, and its key, as DER; both to be freed with buf_clear(). `key` may be NULL. */
void made_cert(const struct made *m, struct buf *cert, struct buf *key);

/* A bundle of two certificates, the second of which all have in common. */
struct tls_bundle *made_bundle(const char *name, uint64_t generation);

/* One for the process. */
const struct tls_thread *made_thread(void);

#endif
