/*
 * client_trust.h: by what the servers of an upstream are verified.
 *
 *   ca, no pins      the chain must end in one of the file's certificates, and the name must match
 *   neither          the same with the system's store
 *   pins, no ca      the server's key must be one of the pins, and nothing else counts
 *   ca and pins      both
 *   verify: false    no chain and no name; pins, if there are any, still count
 *
 * Immutable once loaded; any thread.
 */
#ifndef BASCULE_TLS_CLIENT_TRUST_H
#define BASCULE_TLS_CLIENT_TRUST_H

#include <openssl/types.h>

#include "certs/der.h"
#include "certs/thread.h"
#include "conf/config.h"

enum { CLIENT_PIN = 32 }; /* SHA-256 of a SubjectPublicKeyInfo */

struct client_trust {
	bool chain; /* verify chain and name */
	unsigned char (*pins)[CLIENT_PIN];
	size_t n_pins;
	struct tls_der **cas; /* none: the system's store, if there is a chain to verify */
	size_t n_cas;
	unsigned char identity[32]; /* SHA-256 over all that is verified: sessions of another trust are not resumed */
};

/* False with err set, naming the file or the pin; free it all the same. */
MUST_CHECK bool client_trust_load(struct client_trust *t, const struct conf_upstream_tls *conf, struct files *files,
    struct err *err);
/* What tells, without reading the CA file, that nothing has changed: SHA-256 over the settings and the file's stamp. */
MUST_CHECK bool client_trust_stamp(const struct conf_upstream_tls *conf, struct files *files, unsigned char out[32],
    struct err *err);
void client_trust_free(struct client_trust *t);

/* Put the store in a context; false when memory is out. */
MUST_CHECK bool client_trust_apply(const struct client_trust *t, SSL_CTX *context, struct tls_thread *thread);

/* Is the certificate's key one of the pins? */
bool client_trust_pinned(const struct client_trust *t, X509 *leaf);

#endif
