/*
 * private.h: a rotation, for the files of this folder.
 */
#ifndef BASCULE_ROTATION_PRIVATE_H
#define BASCULE_ROTATION_PRIVATE_H

#include <pthread.h>

#include <uthash.h>

#include "base/siphash.h"
#include "rotation/rotation.h"
#include "rotation/state.h"
#include "rotation/steady.h"

struct rotation {
	UT_hash_handle hh; /* of the registry; the background thread's */
	char *origin;      /* the same */
	struct rotation_saved saved; /* the same */
	const struct tls_bundle *taken; /* the same; what the last load gave it: only compared */

	/* constant */
	char *name;
	unsigned char key[SIPHASH_KEY]; /* of the shares: the bundle's own */

	bool active; /* atomic; two generations to choose from */

	pthread_mutex_t lock; /* over all that follows */
	struct steady steady;
	struct rotation_settings settings;
	enum rotation_phase phase, held_phase;
	struct tls_bundle *bundles[SLOTS]; /* referenced; NULL: none */
	struct tls_bundle *kept[ROTATION_GENERATIONS_MAX]; /* earlier ones, newest first; referenced */
	unsigned n_kept;
	bool compromised;       /* the previous one must not be served */
	unsigned stage;
	uint64_t stage_ends_ms; /* monotonic; 0: it does not */
	uint64_t stage_left_ms; /* while held */
	uint64_t give_up_ms;    /* monotonic; 0: not yet known */
	struct moment begun;
	struct clients clients;
	struct generation_counts counts[SLOTS];
	uint64_t resumed;
	uint64_t open, left;    /* connections that are counted in a record; and those that were */
	uint64_t draws;         /* of lots: makes each another */
	/* The share of networks, of SHARE_ALL, whose clients refused the previous one in its time, or that is put up with. */
	unsigned before;
	struct rotation_news news; /* not yet told */
	bool may_retire;           /* as last noted */
	bool orphan_told;          /* not kept: whoever is an orphan when it comes back has been told of */
};

/* Without the lock, which is taken for a slice and free for a moment after it; from the background thread. */
void rotation_slice(struct rotation *r, struct clients_walk *w, void (*each)(void *arg, struct client_record *c), void *arg);

/*
 * May clients lose the previous generation? False: `what` is refused, and err names who needs it. By the verdict, or only by
 * who needs it, or may.
 */
bool rotation_may_give_up(struct rotation *r, bool by_verdict, const char *what, struct moment now, struct err *err);

/* Under the lock. Of the moment as the clocks have it: given its own answer, it would take a leap for mended. */
static inline struct moment
rotation_time_locked(struct rotation *r, struct moment now)
{
	now.wall = steady_wall(&r->steady, now);
	if (UNLIKELY(r->steady.leapt_s != 0))
		clients_move(&r->clients, r->steady.leapt_s, now.wall);
	return now;
}
void rotation_complete_locked(struct rotation *r, struct moment now);
void rotation_enter_stage_locked(struct rotation *r, unsigned stage, struct moment now);
void rotation_roll_back_locked(struct rotation *r);
void rotation_settle_locked(struct rotation *r); /* the previous one is given up */
void rotation_keep_locked(struct rotation *r, struct tls_bundle *b); /* among the earlier ones; takes over the reference */
void rotation_set_active_locked(struct rotation *r);
void rotation_judge_locked(struct rotation *r); /* by what is known now */
void rotation_insist_locked(struct rotation *r); /* on going on, though so many refuse */
bool rotation_previous_is_usable(const struct rotation *r, struct moment now);
unsigned rotation_share(const struct rotation *r);

/* Nobody waits for one that refuses both and was never served: scanners do so all day. */
static inline bool
is_orphan(const struct client_record *c)
{
	bool served = c->by[SLOT_PREVIOUS].accepted + c->by[SLOT_CURRENT].accepted > 0;

	return c->refuses[SLOT_CURRENT] && (served || !c->refuses[SLOT_PREVIOUS]);
}

#endif
