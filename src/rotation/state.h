/*
 * state.h: a rotation as bytes, for the worker after this one or a later day.
 *
 * All of it: phase and stage, the generations with their keys, and what is
 * known of each client. Deadlines are packed as what is left of them, since a
 * monotonic clock begins anew with the machine, and the wall clock may have
 * been set meanwhile: time that nobody served does not count. Background
 * thread only; the lock is taken inside.
 */
#ifndef BASCULE_ROTATION_STATE_H
#define BASCULE_ROTATION_STATE_H

#include "base/pack.h"
#include "certs/keep.h"
#include "rotation/rotation.h"

enum { ROTATION_PACKED_CLIENT_MAX = 400 }; /* bytes of one client */

/* There are private keys in it. Without a current generation nothing is packed. */
void rotation_pack(struct rotation *r, struct moment now, struct pack *p);

/*
 * The same rotation, by default settings until rotation_set(); nobody uses it yet. `key` as for rotation_new(): when it is
 * not the one that the clients were told apart by, they are left out and *strangers is how many. NULL with err set when the
 * bytes are not those of a rotation, or memory is out.
 */
struct rotation *rotation_unpack(struct unpack *u, const unsigned char key[16], const struct tls_thread *thread,
    struct moment now, size_t *strangers, struct err *err);

/* What tells whether it has changed since it was packed: who is served what; and what was learned of clients. */
struct rotation_stamp {
	uint64_t plan, evidence;
	bool connected; /* somebody is: then it changes by itself */
};
struct rotation_stamp rotation_stamp(struct rotation *r);

/* Is there more to keep than the one generation that is in service anyway? */
bool rotation_has_past(struct rotation *r);

/* When it was last kept; for whoever keeps it. All zero at first. Background thread. */
struct rotation_saved {
	struct rotation_stamp stamp;
	uint64_t at_ms, cost_ms; /* monotonic; how long it took */
	bool unwritten; /* the last time failed */
};
struct rotation_saved *rotation_saved(struct rotation *r);

/* The generation in service; referenced. NULL: none. */
struct tls_bundle *rotation_current(struct rotation *r);

#endif
