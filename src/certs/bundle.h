/*
 * bundle.h: one loaded, validated, immutable generation of a bundle.
 *
 * Shared by all threads and by consecutive snapshots, reference-counted with
 * atomics. Holds DER; X509 and EVP_PKEY objects are made on first use, one
 * set a thread. What is read of a certificate at load (struct tls_facts) is
 * read without building an X509: ten thousand bundles must load in a
 * fraction of a second.
 */
#ifndef BASCULE_CERTS_BUNDLE_H
#define BASCULE_CERTS_BUNDLE_H

#include "base/err.h"
#include "base/files.h"
#include "certs/thread.h"

enum { TLS_CHAIN_MAX = 10 }; /* certificates in a chain, the leaf among them */

/* DER of one certificate, shared by all bundles that hold it (intermediates mostly); reference-counted, interned. */
struct tls_der {
	int refs; /* atomic */
	uint32_t size;
	unsigned char sha256[32];
	unsigned char bytes[];
};

enum tls_key_type { TLS_KEY_RSA, TLS_KEY_EC, TLS_KEY_ED, TLS_KEY_OTHER };

/* What the proxy knows of a leaf. Strings live in the bundle. */
struct tls_facts {
	int64_t not_before, not_after; /* seconds of the epoch */
	enum tls_key_type key_type;
	unsigned key_bits;
	const char *subject, *issuer;  /* for people: "CN=…, O=…" */
	const char *serial;            /* hex */
	const char **names;            /* subjectAltName dNSName (else the CN), lower case */
	size_t n_names;
	bool has_alt_names;            /* there is a subjectAltName, of whatever kind */
};

struct tls_bundle {
	int refs; /* atomic */
	const char *name;
	const char *where; /* the file or directory it came from, for messages */
	struct tls_facts facts;
	struct tls_der *chain[TLS_CHAIN_MAX]; /* leaf first */
	unsigned n_chain;
	unsigned char fingerprint[32]; /* SHA-256 over the SHA-256 of leaf and chain */
	uint64_t generation;           /* from 1, per bundle name, grows with each new content */
	bool reordered;                /* its files have the certificates in another order; background thread only */
	bool lacks_issuer;             /* its files have the leaf alone, and something tells that this is not all; likewise */
	char *exposed;                 /* its key's or password's file, open to everybody; NULL: none; likewise, owned */
	unsigned exposed_mode;
	struct tls_bundle_private *private; /* key DER, per-thread objects, file stamps */
	struct rotation *rotation; /* of a layer above: who is shown which generation; atomic, set once; NULL: not tracked */
};

struct tls_bundle *tls_bundle_ref(struct tls_bundle *b);
void tls_bundle_unref(struct tls_bundle *b); /* NULL is fine; any thread */

/* Does the certificate cover this host name (RFC 6125: its wildcard covers exactly one label)? */
bool tls_bundle_covers(const struct tls_bundle *b, const char *host);

#endif
