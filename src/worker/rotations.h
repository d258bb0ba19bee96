/*
 * rotations.h: the rotations of the worker as time goes by.
 *
 * Brings them up to each load, lets their stages go on, and tells what they do
 * by themselves: the log, and whoever is to be notified. The client CAs of
 * sites as well. Background thread only.
 */
#ifndef BASCULE_WORKER_ROTATIONS_H
#define BASCULE_WORKER_ROTATIONS_H

#include "net/loop.h"
#include "proxy/snapshot.h"
#include "rotation/client_ca_registry.h"
#include "rotation/registry.h"
#include "worker/held.h"
#include "worker/notify.h"
#include "worker/state.h"

struct rotations {
	struct rotation_registry *registry;
	struct client_ca_registry *client_cas; /* of all sites that ask for client certificates */
	struct net_timer tick;
	const struct snapshot *snapshot; /* the newest; borrowed */
	uint64_t ticks;
	struct states states;
	struct notify notify;
	struct held held; /* what has been told of */
};

/*
 * None is taken back yet (states_begin). The key of clients' identities is made of the secret. False: OpenSSL failed, or
 * memory is out.
 */
MUST_CHECK bool rotations_init(struct rotations *r, struct net_loop *loop, struct control *control,
    const struct tls_thread *thread, const struct secret *secret, unsigned char key[16], struct err *err);
void rotations_free(struct rotations *r); /* after the loop threads have ended; what they are is kept */

/* It was told something, and did it: that is kept before it is answered, and people hear what it has changed. */
void rotations_obeyed(struct rotations *rs, struct rotation *which, enum rotation_phase before);

/*
 * What a load has come to: people hear once of each bundle that is held back, until something else is to be said of it.
 * `whole`: all were looked at.
 */
void rotations_told(struct rotations *rs, const struct tls_outcomes *outcomes, bool whole);

/* For struct tls_load; `rotations` is a struct rotations. */
struct tls_bundle *rotations_rolled_back_to(const void *rotations, const char *bundle);

/* In two steps, see rotation/registry.h. Commit comes just before the loop threads serve the snapshot. */
MUST_CHECK bool rotations_prepare(struct rotations *r, const struct snapshot *s, struct err *err);
void rotations_commit(struct rotations *r, struct snapshot *s);
void rotations_abandon(struct rotations *r);

#endif
