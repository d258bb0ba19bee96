/*
 * keep.h: what is in service, in a form that survives the worker.
 *
 * After each load the worker hands it, as sealed memory, to the supervisor,
 * which never looks into it and gives it to the next worker. So that one
 * begins where the one before ended: bundles that are held back on the disk
 * keep their last good generation, and when the disk's config is refused, it
 * goes on with the one that was in service. The first part holds all but the
 * bundles; those are in the others, and only the parts that have changed are
 * handed over again. Background thread only.
 */
#ifndef BASCULE_WORKER_KEEP_H
#define BASCULE_WORKER_KEEP_H

#include "base/record.h"
#include "certs/keep.h"
#include "certs/store.h"
#include "line/control.h"
#include "tls/secret.h"

struct keep {
	uint64_t generation;    /* of the config; from 1 */
	unsigned threads;       /* loop threads: their sockets share a port in fixed numbers */
	struct secret secret;   /* holds until the supervisor starts anew, whatever becomes of its file */
	struct record *record;  /* the files that the config is made of, and those of CAs and CRLs */
	struct tls_store *store;
};

enum { KEEP_PARTS_MAX = 1 + TLS_PARTS_MAX };

/* What of the bundles the supervisor holds already. All zero: nothing. */
struct keep_held {
	size_t n;
	unsigned char digest[TLS_PARTS_MAX][TLS_DIGEST];
};

/* False with err set: the supervisor holds nothing then. `held` is what is known of it, before and after. */
MUST_CHECK bool keep_hand_over(const struct keep *k, struct keep_held *held, const struct tls_thread *thread, struct control *c,
    struct err *err);

/*
 * What the worker before has handed over; keep_free() it in any case, all zero when that was nothing. False with err set: it
 * is not whole, and nothing of it is used.
 */
MUST_CHECK bool keep_take(struct keep *k, struct keep_held *held, const struct tls_thread *thread, struct control *c,
    struct err *err);
void keep_free(struct keep *k);

/* --- steps of the two --- */

/* Sealed memory with one part, from 0 to parts->n. The descriptor is the caller's; -1 with err set. */
int keep_seal(const struct keep *k, const struct tls_parts *parts, size_t part, struct err *err);

/* As keep_take() of these descriptors, which stay the caller's. n at most KEEP_PARTS_MAX. */
MUST_CHECK bool keep_open(struct keep *k, struct keep_held *held, const int *fds, size_t n, const struct tls_thread *thread,
    struct err *err);

#endif
