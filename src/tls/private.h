/*
 * private.h: what the files of tls/ share about bundles and policies and nobody else may see.
 *
 * Objects of OpenSSL are made on first use in the library context of the
 * thread that uses them, and kept in the slot of that thread. Only that
 * thread reads or writes its slot; whoever drops the last reference frees
 * them all.
 */
#ifndef BASCULE_TLS_PRIVATE_H
#define BASCULE_TLS_PRIVATE_H

#include <openssl/x509_vfy.h>

#include "tls/bundle.h"
#include "tls/facts.h"
#include "tls/policy.h"

struct tls_materials {
	X509 *leaf;
	STACK_OF(X509) *chain; /* without the leaf; may be empty, never NULL */
	EVP_PKEY *key;
};

struct tls_bundle_private {
	/* The background thread's: SHA-256 over paths and stamps of the files it was read from. */
	unsigned char files[32];

	/* Constant. */
	unsigned char *key; /* DER, PKCS#8 or traditional; wiped when freed */
	size_t key_size;

	/* Atomic, any thread. */
	bool proved;   /* a signature made with the key was verified with the certificate */
	bool unusable; /* and that failed, or OpenSSL could not read it: said once in the log */
	struct tls_materials **slots; /* TLS_THREADS_MAX of them, allocated on first use */
};

/* What is told of a client's certificate; one allocation. NULL: memory is out. */
struct tls_peer *tls_peer_of(const X509 *cert, struct tls_thread *thread);

/* The pin that may have issued it itself; NULL: none. */
const struct tls_pin *tls_peer_issuer(const X509 *cert, const struct tls_policy *p);

/*
 * Certificate, chain and key for this thread, made on first use; borrowed from the bundle. NULL when they can not be
 * made, or when the key turns out not to be the certificate's: the bundle is unusable.
 */
const struct tls_materials *tls_bundle_materials(struct tls_bundle *b, struct tls_thread *t);

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
