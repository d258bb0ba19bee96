/*
 * client_cas_state.h: the client CAs of a site as bytes, for the worker after this one or a later day.
 *
 * Own time goes along, so that a restart begins no watch anew, and time in
 * which nobody served does not count. Background thread only; the lock is
 * taken inside.
 */
#ifndef BASCULE_ROTATION_CLIENT_CAS_STATE_H
#define BASCULE_ROTATION_CLIENT_CAS_STATE_H

#include "base/pack.h"
#include "rotation/client_cas.h"

/*
 * Bytes of all certificates of a site; one more finds no room. So whatever is noted can be kept, however long the subjects:
 * what can not be would be lost with the worker, and nobody knew of it when asking whether a pin may be dropped.
 */
enum { CLIENT_CAS_PACKED_MAX = 440 << 20 };

/*
 * In slices, so that no handshake waits for it: each certificate as it is when its turn comes, and once. What comes meanwhile
 * may be missing; client_cas_stamp() from before tells that there is more to keep.
 */
void client_cas_pack(struct client_cas *s, struct moment now, struct pack *p);

/* NULL with err set when the bytes are not those of a site's client CAs, or memory is out. Nothing remains of it then. */
struct client_cas *client_cas_unpack(struct unpack *u, struct moment now, struct err *err);

/* What tells whether it has changed since it was packed: what must be kept soon, and what can wait. */
struct client_cas_stamp {
	uint64_t news, sightings;
};
struct client_cas_stamp client_cas_stamp(struct client_cas *s);

/* When it was last kept; for whoever keeps it. All zero at first. Background thread. */
struct client_cas_saved {
	struct client_cas_stamp stamp;
	uint64_t at_ms, cost_ms; /* monotonic; how long it took */
	bool unwritten;          /* the last time failed */
};
struct client_cas_saved *client_cas_saved(struct client_cas *s);

#endif
