/*
 * keep.h: what is in service, in a form that survives the worker.
 *
 * After each load the worker hands it, as sealed memory, to the supervisor,
 * which never looks into it and gives it to the next worker. So that one
 * begins where the one before ended: bundles that are held back on the disk
 * keep their last good generation, and when the disk's config is refused, it
 * goes on with the one that was in service. Background thread only.
 */
#ifndef BASCULE_WORKER_KEEP_H
#define BASCULE_WORKER_KEEP_H

#include "base/record.h"
#include "certs/store.h"
#include "tls/secret.h"

struct keep {
	uint64_t generation;    /* of the config; from 1 */
	unsigned threads;       /* loop threads: their sockets share a port in fixed numbers */
	struct secret secret;   /* holds until the supervisor starts anew, whatever becomes of its file */
	struct record *record;  /* the files that the config is made of, and those of CAs and CRLs */
	struct tls_store *store;
};

/* Sealed memory with all of it, private keys as well. The descriptor is the caller's; -1 with err set. */
int keep_seal(const struct keep *k, struct err *err);

/* What another worker has sealed; keep_free() it in any case. False with err set: it is not whole, and nothing of it is used. */
MUST_CHECK bool keep_open(struct keep *k, int fd, const struct tls_thread *thread, struct err *err);
void keep_free(struct keep *k);

#endif
