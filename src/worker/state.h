/*
 * state.h: rotations outlive the worker, and with a state_dir a restart; so does what is known of client CAs.
 *
 * Each is packed, framed and handed to the supervisor, which keeps it where it
 * can (supervisor/shelf.h): at once when it changes who is served what, now and then
 * when something was learned of clients. The next worker takes all of them
 * back before its first load. Background thread only.
 */
#ifndef BASCULE_WORKER_STATE_H
#define BASCULE_WORKER_STATE_H

#include "admin/admin.h"
#include "line/control.h"
#include "line/state_name.h"
#include "rotation/client_ca_registry.h"
#include "rotation/registry.h"
#include "rotation/state.h"
#include "worker/frame.h"

struct stuck;

struct states {
	struct control *control;
	const struct tls_thread *thread;
	struct rotation_registry *registry;
	struct client_ca_registry *client_cas;
	unsigned char key[16];
	struct admin_states told;
	bool unread;          /* the directory could not be */
	struct arena arena;
	struct stuck *stuck;  /* files that could not be moved out of the way, and stay */
	uint64_t complained_ms;
};

void states_init(struct states *s, struct control *control, const struct tls_thread *thread, struct rotation_registry *registry,
    struct client_ca_registry *client_cas, const unsigned char key[16]);
/* Take back what there is, into the registry, which is empty. What can not be is logged and noted. */
void states_begin(struct states *s);
void states_end(struct states *s);

/* The generations that were in service, as a store for the first load to go on from; NULL: none, or out of memory. */
struct tls_store *states_store(const struct states *s, const struct conf *conf);

/* How much is to be kept now? */
enum states_when {
	STATES_DUE,  /* what has changed for long enough; for a tenth of a second, the rest at the next call */
	STATES_LAST, /* all that has changed in any way: we end */
};
void states_keep(struct states *s, enum states_when when);

/* This one, if its plan has changed: whoever changed it is about to be told that it is done. */
void states_keep_plan(struct states *s, struct rotation *r);

/* --- what worker/client_ca_states.c shares with it --- */

/* All of a state, to be wiped by secret_wipe(). NULL with err set. */
unsigned char *states_fetch(struct states *s, const char *name, size_t *n, struct err *err);

/* Nothing can be made of it: out of the way, and told with what begins `anew` because of it. */
void states_refuse(struct states *s, const char *name, const char *anew, const struct err *why);

/* It could not be moved out of the way: it is not to be written over. */
bool states_is_stuck(const struct states *s, const char *name);

/* As it is told of: bundle "shop", its rotation. */
struct states_owner {
	const char *kind, *name, *what;
};

/* Hand it over; closes fd (-1: it could not be made, see err). False: told in the log, once in a while. */
MUST_CHECK bool states_put(struct states *s, const struct states_owner *o, const char *file, int fd, struct err *err);

/* --- one state; for state.c, `bascule check` and tests --- */

/* Sealed memory; the descriptor is the caller's. -1 with err set. */
int state_seal(struct rotation *r, const struct tls_thread *thread, struct err *err);

/* Is that a whole state of this version? `u` becomes what is in the frame. False with err set: why, and the way on. */
MUST_CHECK bool state_unframe(struct sv bytes, const struct tls_thread *thread, struct unpack *u, struct err *err);

#endif
