/*
 * private.h: what is in a bundle besides what everybody may see; for certs/ and the streams of tls/.
 *
 * Objects of OpenSSL are made on first use in the library context of the
 * thread that uses them, and kept in the slot of that thread. Only that
 * thread reads or writes its slot; whoever drops the last reference frees
 * them all.
 */
#ifndef BASCULE_CERTS_PRIVATE_H
#define BASCULE_CERTS_PRIVATE_H

#include <openssl/x509.h>

#include "certs/bundle.h"

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

/*
 * Certificate, chain and key for this thread, made on first use; borrowed from the bundle. NULL when they can not be
 * made, or when the key turns out not to be the certificate's: the bundle is unusable.
 */
const struct tls_materials *tls_bundle_materials(struct tls_bundle *b, struct tls_thread *t);

#endif
