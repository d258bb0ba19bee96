/*
 * thread.h: what a thread owns of OpenSSL.
 *
 * Each thread has its own OSSL_LIB_CTX, because on OpenSSL 3.0 the locks of a
 * shared one are what keeps handshakes from scaling (docs/architecture.md).
 * Keys, certificates and SSL_CTX are made in the context of the thread that
 * uses them, on first use, and cached in the shared object they belong to,
 * in the slot of that thread (tls_slot).
 */
#ifndef BASCULE_CERTS_THREAD_H
#define BASCULE_CERTS_THREAD_H

#include <openssl/types.h>

#include "base/err.h"

enum { TLS_THREADS_MAX = 64 }; /* loop threads and the background thread */

struct tls_thread {
	unsigned slot; /* 0 … TLS_THREADS_MAX-1, unique among live threads of the process */
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *provider; /* "default", loaded into lib */
	/* Fetched once: implicit fetches cost on every use. */
	EVP_MAC *hmac;
	EVP_CIPHER *aes256_cbc;
	EVP_MD *sha256;
	BIO *bio; /* that of all its streams (tls/bio.h); NULL: there has been none */
};

struct tls_thread *tls_thread_new(unsigned slot, struct err *err);

/* After every shared object's slot of this thread has been emptied or its object freed. */
void tls_thread_free(struct tls_thread *t);

/* The reasons on the thread's OpenSSL error queue, newest first, joined; empties the queue. */
void tls_error_text(char *out, size_t size);

#endif
