/* decide.c: which generation a client is shown, and what its answer teaches. */
#include <stdlib.h>

#include "rotation/private.h"

enum {
	FLIPS_MAX = 4,      /* after so many contradictions an identity is several clients: lots are drawn for it */
	CONTENT_ENOUGH = 8, /* until so many connections in a row were content with what the plan has */
};

bool
rotation_is_active(const struct rotation *r)
{
	return __atomic_load_n(&r->active, __ATOMIC_RELAXED);
}

/* --- who ---------------------------------------------------------------------------------------------------- */

void
rotation_identify(const unsigned char key[16], const struct net_ip *ip, uint64_t hello, struct client_identity *out)
{
	struct {
		uint64_t hello;
		uint8_t address[16];
		uint64_t size;
	} in = {.hello = hello, .size = ip->size};
	size_t whole = ip->size == 4 ? 4 : 8, network = ip->size == 4 ? 3 : 6;

	*out = (struct client_identity){.ip = *ip, .fingerprint = (uint32_t)(hello ^ hello >> 32)};
	memcpy(in.address, ip->bytes, whole);
	memset(out->ip.bytes + whole, 0, sizeof(out->ip.bytes) - whole); /* IPv6: one household is one client */
	out->key = siphash(key, &in, sizeof(in));
	out->network = siphash(key, in.address, network);
}

static bool
is_in_share(const struct rotation *r, const struct client_identity *who)
{
	uint64_t lot = siphash(r->key, who->ip.bytes, sizeof(who->ip.bytes));

	return lot % SHARE_ALL < rotation_share(r);
}

/* --- the choice --------------------------------------------------------------------------------------------- */

static enum slot
other(enum slot s)
{
	return s == SLOT_CURRENT ? SLOT_PREVIOUS : SLOT_CURRENT;
}

static enum slot
planned(const struct rotation *r, const struct client_identity *who)
{
	if (r->phase == ROTATION_BACK)
		return SLOT_PREVIOUS;
	return is_in_share(r, who) ? SLOT_CURRENT : SLOT_PREVIOUS;
}

/* In turns, until that has failed so often that two of them may be keeping each other out: then by lot. */
static enum slot
mixed(struct rotation *r, const struct client_record *c)
{
	uint64_t draw = r->draws++;

	if (c->flips < FLIPS_MAX)
		return other((enum slot)c->last_offered);
	return siphash(r->key, &draw, sizeof(draw)) & 1 ? SLOT_CURRENT : SLOT_PREVIOUS;
}

static enum slot
decide(struct rotation *r, const struct client_identity *who, const struct rotation_hint *hint, struct moment now,
    enum offer_reason *why)
{
	*why = OFFER_PLAN;
	if (!rotation_previous_is_usable(r, now))
		return SLOT_CURRENT;
	enum slot plan = planned(r, who), else_ = other(plan);
	bool trusts = hint != NULL && hint->trusts(hint->arg, r->bundles[plan]);
	if (trusts || (hint != NULL && hint->trusts(hint->arg, r->bundles[else_]))) {
		*why = trusts ? OFFER_PLAN : OFFER_AUTHORITY;
		return trusts ? plan : else_;
	}
	struct client_record *c = clients_find(&r->clients, who->key);
	if (c == NULL || (c->flips < FLIPS_MAX && !c->refuses[plan]))
		return plan;
	if (c->flips >= FLIPS_MAX || c->refuses[else_]) {
		*why = OFFER_MIXED;
		return mixed(r, c);
	}
	/* Only the current one is tried anew. Who can not live with the previous one is where the rotation leads, anyway. */
	if (plan == SLOT_PREVIOUS || now.ms < c->offer_again_ms) {
		*why = OFFER_RESCUE;
		return else_;
	}
	*why = OFFER_RETRY;
	c->offer_again_ms = now.ms + c->retry_ms; /* this one connection; the others meanwhile go on as they do */
	c->retry_ms = MIN_OF(2 * c->retry_ms, r->settings.retry_max_ms);
	return plan;
}

void
rotation_choose(struct rotation *r, const struct client_identity *who, const struct rotation_hint *hint, struct moment now,
    struct rotation_offer *out)
{
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	enum slot s = decide(r, who, hint, now, &out->why);
	out->bundle = tls_bundle_ref(r->bundles[s]);
	out->generation = out->bundle->generation;
	struct client_record *c = clients_find(&r->clients, who->key);
	if (c != NULL)
		c->last_offered = (uint8_t)s;
	pthread_mutex_unlock(&r->lock);
}

void
rotation_end_offer(struct rotation_offer *o)
{
	tls_bundle_unref(o->bundle);
	o->bundle = NULL;
}

/* --- evidence ----------------------------------------------------------------------------------------------- */

/* Alerts with which clients answer a certificate, by the numbers of RFC 8446, 6. */
static const struct {
	uint8_t number;
	const char *name;
} alerts[ALERTS_NAMED] = {
	{42, "bad_certificate"},
	{43, "unsupported_certificate"},
	{44, "certificate_revoked"},
	{45, "certificate_expired"},
	{46, "certificate_unknown"},
	{48, "unknown_ca"},
	{51, "decrypt_error"},
	{49, "access_denied"},
};

const char *
rotation_alert_name(unsigned i)
{
	return i < ALERTS_NAMED ? alerts[i].name : NULL;
}

static unsigned
alert_index(unsigned alert)
{
	unsigned i = 0;

	while (i < ALERTS_NAMED && alerts[i].number != alert)
		i++;
	return i;
}

const char *
rotation_alert_word(unsigned alert)
{
	return rotation_alert_name(alert_index(alert));
}

bool
rotation_alert_is_rejection(unsigned alert)
{
	return alert_index(alert) < ALERTS_NAMED;
}

/* The slot of this generation, when it is one of the two. */
static bool
slot_of(const struct rotation *r, uint64_t generation, enum slot *out)
{
	for (unsigned s = 0; s < SLOTS; s++)
		if (r->bundles[s] != NULL && r->bundles[s]->generation == generation) {
			*out = (enum slot)s;
			return true;
		}
	return false;
}

/* One that was served before: what scanners refuse is no news. */
static void
note_orphan(struct rotation *r, const struct client_record *c)
{
	if (r->orphan_told || !is_known(c) || !c->refuses[SLOT_CURRENT] || r->phase == ROTATION_SETTLED || r->phase == ROTATION_BACK)
		return;
	r->orphan_told = r->news.orphan = true;
}

static void
refuse(struct rotation *r, struct client_record *c, enum slot s, struct moment now)
{
	/* It had accepted this one, or refuses the other as well: there is more than one client behind the identity. */
	if ((c->by[s].accepted > 0 || c->refuses[other(s)]) && c->flips < UINT8_MAX)
		c->flips++;
	if (!c->refuses[s]) {
		c->retry_ms = r->settings.retry_ms;
		c->offer_again_ms = now.ms + c->retry_ms;
	}
	c->refuses[s] = true;
	if (s == planned(r, &c->who))
		c->content_in_row = 0;
}

static void
welcome(struct rotation *r, struct client_record *c, enum slot s)
{
	if (c->by[s].accepted == 0)
		r->counts[s].clients++;
	c->refuses[s] = false;
	c->silent_in_row = 0;
	if (!c->refuses[other(s)])
		c->suspected = false;
	/* Several behind one address, and all of them have moved by now: no more lots, half of which they would refuse. */
	if (c->flips > 0 && s == planned(r, &c->who) && ++c->content_in_row >= CONTENT_ENOUGH)
		c->flips = c->content_in_row = 0;
}

/* Begin with what a client did: its record, the lock held; NULL, and no lock, when it teaches nothing. */
static struct client_record *
begin(struct rotation *r, const struct client_identity *who, uint64_t generation, struct moment now, enum slot *s)
{
	pthread_mutex_lock(&r->lock);
	if (!slot_of(r, generation, s)) {
		pthread_mutex_unlock(&r->lock);
		return NULL;
	}
	struct client_record *c = clients_note(&r->clients, who, rotation_time_locked(r, now).wall);
	if (c != NULL)
		clients_count(&r->clients, c, -1);
	return c;
}

static void
end(struct rotation *r, struct client_record *c, enum slot s)
{
	c->by[s].at = c->last_seen;
	c->last_offered = (uint8_t)s;
	clients_count(&r->clients, c, 1);
	note_orphan(r, c);
	rotation_judge_locked(r);
}

void
rotation_accepted(struct rotation *r, const struct client_identity *who, uint64_t generation, struct sv name, struct moment now)
{
	enum slot s = SLOTS;
	struct client_record *c = begin(r, who, generation, now, &s);

	if (s == SLOTS)
		return;
	r->counts[s].accepted++;
	if (c != NULL) {
		welcome(r, c, s);
		c->by[s].accepted++;
		client_set_name(c, name);
		end(r, c, s);
	}
	pthread_mutex_unlock(&r->lock);
}

void
rotation_rejected(struct rotation *r, const struct client_identity *who, uint64_t generation, unsigned alert, struct moment now)
{
	enum slot s = SLOTS;
	struct client_record *c = begin(r, who, generation, now, &s);
	unsigned i = alert_index(alert);

	if (s == SLOTS)
		return;
	r->counts[s].rejected++;
	if (i < ALERTS_NAMED)
		r->counts[s].by_alert[i]++;
	if (c != NULL) {
		refuse(r, c, s, now);
		c->by[s].rejected++;
		c->by[s].alert = (uint8_t)alert;
		c->suspected = false; /* it says so aloud */
		end(r, c, s);
	}
	pthread_mutex_unlock(&r->lock);
}

/*
 * One proves nothing: browsers open spare connections, probes come and go. Several in a row, of a client that was known
 * good under the other generation, make a suspect; never of one that says no aloud, or that has accepted this one.
 */
static bool
is_suspicious(const struct client_record *c, enum slot s)
{
	const struct evidence *here = &c->by[s], *there = &c->by[other(s)];

	return there->accepted > 0 && here->accepted == 0 && here->rejected == 0 && there->rejected == 0;
}

/* A suspect that is silent about what it was rescued with: it may have moved, and is not to wait until its next turn. */
static bool
may_have_moved(const struct client_record *c, enum slot s)
{
	return c->suspected && c->refuses[other(s)] && !c->refuses[s];
}

static void
fall_silent(struct rotation *r, struct client_record *c, enum slot s, struct moment now)
{
	bool moved = may_have_moved(c, s);

	if ((!moved && !is_suspicious(c, s)) || ++c->silent_in_row < r->settings.silent_limit)
		return;
	c->silent_in_row = 0;
	if (moved) {
		c->offer_again_ms = now.ms;
	} else {
		refuse(r, c, s, now);
		c->suspected = true;
	}
}

void
rotation_silent(struct rotation *r, const struct client_identity *who, uint64_t generation, uint64_t after_ms, struct moment now)
{
	enum slot s = SLOTS;
	struct client_record *c = begin(r, who, generation, now, &s);

	if (s == SLOTS)
		return;
	r->counts[s].silent++;
	if (c != NULL) {
		if (r->settings.silent_limit > 0 && after_ms <= r->settings.silent_within_ms)
			fall_silent(r, c, s, now);
		c->by[s].silent++;
		end(r, c, s);
	}
	pthread_mutex_unlock(&r->lock);
}

void
rotation_resumed(struct rotation *r, const struct client_identity *who, struct moment now)
{
	pthread_mutex_lock(&r->lock);
	struct client_record *c = clients_find(&r->clients, who->key);
	r->resumed++;
	if (c != NULL)
		c->last_seen = c->last_resumed = rotation_time_locked(r, now).wall;
	pthread_mutex_unlock(&r->lock);
}

/* --- connections --------------------------------------------------------------------------------------------- */

struct client_record *
rotation_came(struct rotation *r, const struct client_identity *who)
{
	pthread_mutex_lock(&r->lock);
	struct client_record *c = clients_find(&r->clients, who->key);
	if (c != NULL) {
		c->open++;
		r->open++;
	}
	pthread_mutex_unlock(&r->lock);
	return c;
}

void
rotation_left(struct rotation *r, struct client_record *c, struct moment now)
{
	/* Until now it was there. */
	pthread_mutex_lock(&r->lock);
	client_leave(c, rotation_time_locked(r, now).wall);
	r->open--;
	r->left++;
	pthread_mutex_unlock(&r->lock);
}
