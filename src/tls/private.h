/*
 * private.h: what the files of tls/ share about policies and peers and nobody else may see.
 *
 * Objects of OpenSSL are kept by thread, as certs/private.h has it.
 */
#ifndef BASCULE_TLS_PRIVATE_H
#define BASCULE_TLS_PRIVATE_H

#include <openssl/x509_vfy.h>

#include "certs/facts.h"
#include "tls/policy.h"

/* What is told of a client's certificate; one allocation. NULL: memory is out. */
struct tls_peer *tls_peer_of(const X509 *cert, struct tls_thread *thread);

/* The pin that may have issued it itself; NULL: none. */
const struct tls_pin *tls_peer_issuer(const X509 *cert, const struct tls_policy *p);

/*
 * The trust of a policy for this thread: pins and CRLs and nothing else, made on first use; borrowed. NULL when memory
 * is out, or the policy asks for no certificate.
 */
X509_STORE *tls_policy_store(struct tls_policy *p, struct tls_thread *t);

/* The pins' names for the CertificateRequest; borrowed, as above. */
STACK_OF(X509_NAME) *tls_policy_names(struct tls_policy *p, struct tls_thread *t);

/* Which of its pins is this certificate; which of them may have issued `leaf`? NULL: none. */
const struct tls_pin *tls_policy_pin(const struct tls_policy *p, const X509 *ca, const struct tls_thread *t);
const struct tls_pin *tls_policy_issuer(const struct tls_policy *p, const struct cert_view *leaf);

#endif
