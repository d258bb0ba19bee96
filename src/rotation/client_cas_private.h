/*
 * client_cas_private.h: the client CAs of a site, for the files of this folder.
 */
#ifndef BASCULE_ROTATION_CLIENT_CAS_PRIVATE_H
#define BASCULE_ROTATION_CLIENT_CAS_PRIVATE_H

#include <pthread.h>

#include "rotation/client_cas.h"
#include "rotation/client_cas_state.h"
#include "rotation/holders.h"
#include "rotation/steady.h"

/* More certificates than one device has: nobody can tell by the subject who is who, nor is it walked through them all. */
enum { DEVICE_CERTIFICATES_MAX = 16 };

struct client_cas {
	UT_hash_handle hh; /* of the registry; the background thread's */
	struct client_cas_saved saved; /* the same */
	uint64_t round;    /* the same; of loads, the last one that had it */
	int refs;          /* atomic */
	char *site;        /* constant */

	pthread_mutex_t lock; /* over all that follows */
	struct steady steady;
	struct client_cas_settings settings;
	struct client_ca *cas;
	struct holders holders;
	size_t packed_max; /* CLIENT_CAS_PACKED_MAX, but for tests */
	/*
	 * Own time, in milliseconds: that in which connections were served. No clock that is set changes it, and who could
	 * not come because nobody served is not taken for one who has gone.
	 */
	uint64_t before;    /* so much of it before `began` */
	uint64_t began;     /* monotonic */
	uint64_t stirred;   /* when anything happened last: a load, somebody who came, went or was refused */
	uint64_t sightings; /* counts them */
	uint64_t news;      /* grows with what must not wait to be kept */
};

static inline uint64_t
own_time(const struct client_cas *s, struct moment now)
{
	return s->before + (now.ms > s->began ? now.ms - s->began : 0);
}

/* Own time since it was there. */
static inline uint64_t
holder_age(const struct client_cas *s, const struct holder *h, struct moment now)
{
	uint64_t at = own_time(s, now);

	return h->open > 0 || at < h->seen_at ? 0 : at - h->seen_at;
}

/* What is dated goes by this: a leap of the clock makes no certificate expire. Under the lock. */
static inline struct moment
client_cas_time_locked(struct client_cas *s, struct moment now)
{
	now.wall = steady_wall(&s->steady, now);
	return now;
}

/* Something happens. Under the lock. */
static inline void
client_cas_stir(struct client_cas *s, struct moment now)
{
	s->stirred = own_time(s, now);
}

/* How it stands with it; *next: the certificate that took its place, if one did. Under the lock. */
enum holder_status holder_status(const struct client_cas *s, const struct holder *h, struct moment now,
    const struct holder **next);

/* How many CAs there are; each is told its place. Under the lock. */
unsigned client_cas_count(struct client_cas *s);

/*
 * A slice of the walk over its certificates that holders_walk() began: the lock is taken for it, and free for a moment after
 * it. False: it is over. From the background thread, which alone adds and drops CAs.
 */
bool client_cas_slice(struct client_cas *s, void (*each)(void *arg, const struct holder *h), void *arg);

/* Could one whose subject has so many bytes be kept with the others? Under the lock. */
bool client_cas_can_keep(const struct client_cas *s, size_t subject);
enum { CLIENT_SUBJECT_MAX = 4096 }; /* who has a longer one does not get in: TLS_PEER_NAME_MAX */

/* NULL: no memory. */
struct client_ca *client_cas_add_ca(struct client_cas *s, const unsigned char id[CA_ID], const char *name);

#endif
