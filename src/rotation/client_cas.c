#include "rotation/client_cas.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rotation/client_cas_private.h"

enum {
	ROOM_TRIES = 64,  /* certificates looked at for one that may go, before the new one is left out */
	DROPPED_MAX = 16, /* CAs that are remembered after they were dropped */
};

struct client_cas *
client_cas_new(const char *site, const struct client_cas_settings *settings, struct moment now)
{
	struct client_cas *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->site = strdup(site)) == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
		if (s != NULL)
			free(s->site);
		free(s);
		return NULL;
	}
	s->refs = 1;
	s->settings = *settings;
	s->packed_max = CLIENT_CAS_PACKED_MAX;
	s->began = now.ms;
	return s;
}

static void
free_ca(struct client_cas *s, struct client_ca *ca)
{
	struct holder *h;

	while ((h = TAILQ_FIRST(&ca->holders)) != NULL)
		holders_drop(&s->holders, h);
	free(ca->name);
	free(ca);
}

struct client_cas *
client_cas_ref(struct client_cas *s)
{
	if (s != NULL)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
client_cas_unref(struct client_cas *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (struct client_ca *ca = s->cas, *next; ca != NULL; ca = next) {
		next = ca->next;
		free_ca(s, ca);
	}
	pthread_mutex_destroy(&s->lock);
	free(s->site);
	free(s);
}

const char *
client_cas_site(const struct client_cas *s)
{
	return s->site;
}

/* --- which CAs ----------------------------------------------------------------------------------------------- */

static struct client_ca *
find_ca(const struct client_cas *s, const unsigned char id[CA_ID])
{
	struct client_ca *ca = s->cas;

	while (ca != NULL && memcmp(ca->id, id, CA_ID) != 0)
		ca = ca->next;
	return ca;
}

struct client_ca *
client_cas_add_ca(struct client_cas *s, const unsigned char id[CA_ID], const char *name)
{
	struct client_ca *ca = calloc(1, sizeof(*ca)), **end = &s->cas;

	if (ca == NULL || (ca->name = strdup(name)) == NULL) {
		free(ca);
		return NULL;
	}
	memcpy(ca->id, id, CA_ID);
	TAILQ_INIT(&ca->holders);
	while (*end != NULL)
		end = &(*end)->next;
	*end = ca;
	return ca;
}

static bool
is_among(const struct client_ca *ca, const struct tls_pin *pins, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(pins[i].id, ca->id, CA_ID) == 0)
			return true;
	return false;
}

static bool
pin(struct client_cas *s, const struct tls_pin *p, struct moment now)
{
	struct client_ca *ca = find_ca(s, p->id);

	if (ca == NULL && (ca = client_cas_add_ca(s, p->id, p->name)) == NULL)
		return false;
	memcpy(ca->fingerprint, p->sha256, sizeof(ca->fingerprint));
	ca->not_after = p->not_after;
	ca->until = p->until;
	if (ca->pinned)
		return true;
	/* Also when it was pinned once: nobody could come with its certificates meanwhile. */
	ca->pinned = true;
	ca->since = own_time(s, now);
	ca->pinned_at = now.wall;
	ca->dropped_at = 0;
	ca->strangers = 0;
	s->news++;
	return true;
}

static void
drop_pin(struct client_cas *s, struct client_ca *ca, struct moment now)
{
	ca->pinned = false;
	ca->told = false;
	ca->dropped_at = now.wall;
	client_cas_stir(s, now);
	s->news++;
}

/* The oldest of too many that were dropped; one that connections still refer to waits for the next load. NULL: none. */
static struct client_ca **
oldest_dropped(struct client_cas *s)
{
	struct client_ca **oldest = NULL;
	unsigned n = 0;

	for (struct client_ca **at = &s->cas; *at != NULL; at = &(*at)->next) {
		if ((*at)->pinned)
			continue;
		n++;
		if ((*at)->open == 0 && (oldest == NULL || (*at)->dropped_at < (*oldest)->dropped_at))
			oldest = at;
	}
	return n > DROPPED_MAX ? oldest : NULL;
}

/* A slice of it, or all that is left. False: nothing is too much. */
static bool
forget_some(struct client_cas *s)
{
	struct client_ca **at = oldest_dropped(s), *gone = at != NULL ? *at : NULL;

	if (gone == NULL)
		return false;
	for (unsigned n = 0; gone->n_holders > 0 && n < HOLDERS_SLICE; n++)
		holders_drop(&s->holders, TAILQ_FIRST(&gone->holders));
	if (gone->n_holders > 0)
		return true;
	*at = gone->next;
	free_ca(s, gone);
	return true;
}

/* A mutex is not given to who waits for it: without a pause this thread would have it again before the other is awake. */
static void
let_others_in(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
}

static void
forget_dropped(struct client_cas *s)
{
	for (bool more = true; more;) {
		pthread_mutex_lock(&s->lock);
		more = forget_some(s);
		pthread_mutex_unlock(&s->lock);
		if (more)
			let_others_in();
	}
}

bool
client_cas_set(struct client_cas *s, const struct client_cas_settings *settings, const struct tls_pin *pins, size_t n,
    struct moment now)
{
	bool ok = true;

	pthread_mutex_lock(&s->lock);
	now = client_cas_time_locked(s, now);
	s->settings = *settings;
	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		if (ca->pinned && !is_among(ca, pins, n))
			drop_pin(s, ca, now);
	for (size_t i = 0; i < n; i++)
		ok &= pin(s, &pins[i], now);
	client_cas_stir(s, now);
	pthread_mutex_unlock(&s->lock);
	forget_dropped(s);
	return ok;
}

void
client_cas_drop_all(struct client_cas *s, struct moment now)
{
	pthread_mutex_lock(&s->lock);
	now = client_cas_time_locked(s, now);
	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		if (ca->pinned)
			drop_pin(s, ca, now);
	pthread_mutex_unlock(&s->lock);
}

/*
 * Nobody can get at it but by a snapshot, and only connections that are open have certificates of it in hand. Whoever had one
 * last has stirred it, and has long been out of the lock when a window (a second at least) is over.
 */
bool
client_cas_is_past(struct client_cas *s, struct moment now)
{
	bool used = __atomic_load_n(&s->refs, __ATOMIC_ACQUIRE) > 1;

	pthread_mutex_lock(&s->lock);
	for (const struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		used |= ca->pinned || ca->open > 0;
	uint64_t at = own_time(s, now);
	bool over = at - MIN_OF(at, s->stirred) >= s->settings.window_ms;
	pthread_mutex_unlock(&s->lock);
	return !used && over;
}

/* --- walks --------------------------------------------------------------------------------------------------- */

unsigned
client_cas_count(struct client_cas *s)
{
	unsigned n = 0;

	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		ca->place = n++;
	return n;
}

bool
client_cas_slice(struct client_cas *s, void (*each)(void *arg, const struct holder *h), void *arg)
{
	pthread_mutex_lock(&s->lock);
	bool more = holders_slice(&s->holders, each, arg);
	pthread_mutex_unlock(&s->lock);
	if (more)
		let_others_in();
	return more;
}

/* --- room ---------------------------------------------------------------------------------------------------- */

/* Only those whose going changes no answer: a wait that is over, a word that would be said again. */
static bool
may_go(const struct client_cas *s, const struct holder *h, struct moment now)
{
	const struct holder *next;

	return h->open == 0 && !holder_status_blocks(holder_status(s, h, now, &next));
}

/* Who was not seen for longest comes first in the list; a few are looked at, so that a new client never costs a walk. */
static bool
make_room(struct client_cas *s, struct client_ca *ca, struct moment now)
{
	unsigned tries = 0;

	for (struct holder *h = TAILQ_FIRST(&ca->holders); h != NULL && tries++ < ROOM_TRIES; h = TAILQ_NEXT(h, link)) {
		if (!may_go(s, h, now))
			continue;
		holders_drop(&s->holders, h);
		return true;
	}
	return false;
}

/* By number, and by what can be kept; one goes for it when there is none. */
static bool
has_room(struct client_cas *s, struct client_ca *ca, const char *subject, struct moment now)
{
	if (ca->n_holders < s->settings.remember && client_cas_can_keep(s, strlen(subject)))
		return true;
	return s->settings.remember > 0 && make_room(s, ca, now) && client_cas_can_keep(s, strlen(subject));
}

static void
leave_out(struct client_cas *s, struct client_ca *ca, struct moment now)
{
	ca->left_out++;
	ca->left_out_at = own_time(s, now);
}

/* It could be of any of them. */
static void
leave_out_of_all(struct client_cas *s, struct moment now)
{
	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		if (ca->pinned)
			leave_out(s, ca, now);
}

static struct holder *
add(struct client_cas *s, struct client_ca *ca, const struct client_sighting *who, struct moment now)
{
	struct holder *h = has_room(s, ca, who->subject, now) ? holders_add(&s->holders, ca, who->fingerprint, who->subject) : NULL;

	if (h == NULL) {
		leave_out(s, ca, now);
		return NULL;
	}
	h->of = s;
	(void)snprintf(h->serial, sizeof(h->serial), "%s", who->serial);
	h->not_after = who->not_after;
	h->first_seen = now.wall;
	h->first = s->sightings + 1;
	s->news++;
	return h;
}

/*
 * Of a device that is given a new certificate each day those of before are not worth their room. One that could come
 * again stays: when it does, the subject is not that of one device.
 */
static void
tidy(struct client_cas *s, struct device *d, struct moment now)
{
	if (d->n <= DEVICE_CERTIFICATES_MAX / 2 || d->n > DEVICE_CERTIFICATES_MAX)
		return;
	for (struct holder *h = d->holders, *next; h != NULL; h = next) {
		next = h->next;
		if (h->open == 0 && (h->not_after < now.wall || holder_age(s, h, now) >= s->settings.window_ms))
			holders_drop(&s->holders, h);
	}
}

/* --- connections --------------------------------------------------------------------------------------------- */

static void
see(struct client_cas *s, struct holder *h, struct moment now)
{
	h->last = ++s->sightings;
	h->last_seen = now.wall;
	h->seen_at = own_time(s, now);
}

/* Has another certificate of the device been seen since this one was? Then it being seen again changes how they stand. */
static bool
is_latest(const struct holder *h)
{
	if (h->device->n > DEVICE_CERTIFICATES_MAX)
		return true;
	for (const struct holder *o = h->device->holders; o != NULL; o = o->next)
		if (o->last > h->last)
			return false;
	return true;
}

struct holder *
client_cas_came(struct client_cas *s, const struct tls_pin *pin, const struct client_sighting *who, bool resumed,
    struct moment now)
{
	pthread_mutex_lock(&s->lock);
	now = client_cas_time_locked(s, now);
	client_cas_stir(s, now);
	struct client_ca *ca = pin != NULL ? find_ca(s, pin->id) : NULL;
	struct holder *h = holders_find(&s->holders, who->fingerprint);
	bool known = h != NULL;
	/* A resumption has no chain: what the full handshake told holds. */
	if (h == NULL && ca != NULL)
		h = add(s, ca, who, now);
	else if (h == NULL)
		leave_out_of_all(s, now);
	else if (ca != NULL && !resumed)
		holder_touch(h, ca);
	else
		holder_touch(h, h->ca);
	if (h != NULL) {
		s->news += !is_latest(h) || h->refused > 0;
		see(s, h, now);
		h->ip = who->from;
		holder_open(h, 1);
		h->refused = 0;
		h->revoked = false;
		*(resumed ? &h->resumed : &h->full) += 1;
		if (!known)
			tidy(s, h->device, now);
	}
	pthread_mutex_unlock(&s->lock);
	return h;
}

void
client_cas_left(struct holder *h, struct moment now)
{
	struct client_cas *s = h->of;

	/* Until now it was there: that counts as seen, but not as the later one when another has come since. */
	pthread_mutex_lock(&s->lock);
	now = client_cas_time_locked(s, now);
	client_cas_stir(s, now);
	holder_open(h, -1);
	holder_touch(h, h->ca);
	h->last_seen = now.wall;
	h->seen_at = own_time(s, now);
	pthread_mutex_unlock(&s->lock);
}

/* A certificate that nobody vouches for and nobody knows: by its own word it is of a CA that was dropped. */
static void
refuse_stranger(struct client_cas *s, const char *issuer)
{
	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		if (!ca->pinned && strcmp(ca->name, issuer) == 0) {
			ca->strangers++;
			s->news++;
		}
}

void
client_cas_refused(struct client_cas *s, const struct client_sighting *who, bool revoked, struct moment now)
{
	pthread_mutex_lock(&s->lock);
	now = client_cas_time_locked(s, now);
	client_cas_stir(s, now);
	struct holder *h = holders_find(&s->holders, who->fingerprint);
	if (h != NULL) {
		s->news += h->refused == 0;
		h->refused++;
		h->refused_at = now.wall;
		h->revoked = revoked;
	} else {
		refuse_stranger(s, who->issuer);
	}
	pthread_mutex_unlock(&s->lock);
}
