/*
 * keep.h: a store as bytes, for the worker after this one.
 *
 * The generations in service with their numbers, chains, keys and the stamps
 * of their files, so that whoever restores it can go on from there as if it
 * had loaded them itself: what is unchanged on the disk is taken over without
 * being read, and what is held back there stays in service. Background thread
 * only.
 */
#ifndef BASCULE_TLS_KEEP_H
#define BASCULE_TLS_KEEP_H

#include "base/pack.h"
#include "tls/store.h"

/* There are private keys in it. False: out of memory. */
MUST_CHECK bool tls_store_pack(const struct tls_store *s, struct pack *p);

/*
 * The same store. Whether a certificate may still be served is not asked again: it was in service. NULL with err set
 * when the bytes are not those of a store, or memory is out.
 */
struct tls_store *tls_store_unpack(struct unpack *u, const struct tls_thread *thread, struct err *err);

#endif
