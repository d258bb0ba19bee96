/*
 * materials.h: OpenSSL's objects of a bundle.
 */
#ifndef BASCULE_CERTS_MATERIALS_H
#define BASCULE_CERTS_MATERIALS_H

#include "certs/private.h"

/* Made in the thread's library context, cached nowhere; free with materials_free(). NULL with the reason in `err`. */
struct tls_materials *materials_make(const struct tls_bundle *b, const struct tls_thread *t, struct err *err);
void materials_free(struct tls_materials *m); /* NULL is fine; any thread */

/*
 * Is the private key really that of the leaf? A signature tells; comparing public parts does not, for a private key's
 * file carries its own copy of the public key, which may lie.
 */
MUST_CHECK bool materials_prove(const struct tls_materials *m, const struct tls_thread *t, struct err *err);

/* Is each certificate of the chain signed by the next? */
MUST_CHECK bool materials_check_links(const struct tls_materials *m, struct err *err);

#endif
