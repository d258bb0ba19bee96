/*
 * keep.h: a store as bytes, for the worker after this one.
 *
 * The generations in service with their numbers, chains, keys and the stamps
 * of their files, so that whoever restores it can go on from there as if it
 * had loaded them itself: what is unchanged on the disk is taken over without
 * being read, what is held back there stays in service, and it is known where
 * to watch. Background thread only.
 */
#ifndef BASCULE_CERTS_KEEP_H
#define BASCULE_CERTS_KEEP_H

#include "base/pack.h"
#include "certs/store.h"

enum {
	TLS_DIGEST = 32,
	TLS_PARTS_MAX = 64,
};

/*
 * Which bundles of a store are kept together: one of ten thousand that changes makes its own part anew, and no other. As
 * small a store as most are is one part.
 */
struct tls_parts {
	size_t n;                  /* from 1 */
	uint32_t *order;           /* the store's bundles, part by part; owned */
	size_t end[TLS_PARTS_MAX]; /* in `order`: where each part ends */
	unsigned char digest[TLS_PARTS_MAX][TLS_DIGEST]; /* SHA-256: the same again, the same bundles */
};

/* tls_parts_free() it when that is true. False: out of memory. */
MUST_CHECK bool tls_parts_make(struct tls_parts *p, const struct tls_store *s, const struct tls_thread *thread);
void tls_parts_free(struct tls_parts *p);

/* All but the bundles. */
void tls_store_pack(const struct tls_store *s, struct pack *p);

/* Bundles of one part. There are private keys in it. False: out of memory. */
MUST_CHECK bool tls_store_pack_part(const struct tls_store *s, const struct tls_parts *parts, size_t part, struct pack *p);

/*
 * The same store, from what tls_store_pack() made and all its parts; each of them is to end where it ends. Whether a
 * certificate may still be served is not asked again: it was in service. NULL with err set when the bytes are not those of
 * a store, or memory is out.
 */
struct tls_store *tls_store_unpack(struct unpack *whole, struct unpack *parts, size_t n, const struct tls_thread *thread,
    struct err *err);

/* One generation of one bundle, private key and all; in a store of its own later, or beside one. */
void tls_bundle_pack(const struct tls_bundle *b, struct pack *p);
/* With one reference. NULL when that is no bundle, or memory is out. */
struct tls_bundle *tls_bundle_unpack(struct unpack *u, const struct tls_thread *thread);

struct tls_kept {
	struct tls_bundle *bundle; /* a reference is made */
	const char *origin;        /* copied */
	bool listed;               /* of a directory */
};

/* As if they were in service: what a load takes for its previous store. No two of one name. NULL: out of memory. */
struct tls_store *tls_store_of(const struct tls_kept *v, size_t n);

/* SHA-256. False: OpenSSL failed. */
MUST_CHECK bool tls_digest(const struct tls_thread *thread, const void *p, size_t n, unsigned char out[TLS_DIGEST]);

#endif
