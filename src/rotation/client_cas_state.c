#include "rotation/client_cas_state.h"

#include <stdlib.h>

#include "rotation/client_cas_private.h"

/*
 * What is packed and what is unpacked stand side by side, piece by piece, so that one is not changed without the other.
 * A new field means a new version of whoever frames this (worker/client_ca_states.c).
 */

enum {
	PACKED_HOLDER_LEAST = 4 + 32 + 2 * 5 + 3 * 8 + 3 * 8 + 3 * 4 + 8 + 1 + 17, /* bytes */
	PACKED_HOLDER_MORE = PACKED_HOLDER_LEAST + HOLDER_SERIAL_MAX, /* at most, without its subject */
	PACKED_CA_LEAST = 2 * 32 + 5 + 8 + 2 + 3 * 8 + 3 * 8,
};

/* --- pieces -------------------------------------------------------------------------------------------------- */

static bool
unpack_bool(struct unpack *u)
{
	uint8_t v = unpack_u8(u);

	if (v > 1)
		u->bad = true;
	return v == 1;
}

/* Seconds of the epoch that can be reckoned with; before it as well, since certificates are dated so. */
static int64_t
unpack_time(struct unpack *u)
{
	uint64_t bits = unpack_u64(u);
	int64_t at;

	memcpy(&at, &bits, sizeof(at));
	if (at < -(INT64_C(1) << 40) || at > INT64_C(1) << 40)
		u->bad = true;
	return u->bad ? 0 : at;
}

/* None beyond the last one. */
static uint64_t
unpack_sighting(struct unpack *u, const struct client_cas *s)
{
	uint64_t v = unpack_u64(u);

	if (v > s->sightings)
		u->bad = true;
	return v;
}

/* Who came while it was packed may have looked at the clock a moment after whoever packed it did. */
static uint64_t
unpack_own_time(struct unpack *u, const struct client_cas *s)
{
	uint64_t at = unpack_u64(u);

	return MIN_OF(at, s->before);
}

static void
pack_ip(struct pack *p, const struct net_ip *ip)
{
	pack_u8(p, ip->size);
	pack_bytes(p, ip->bytes, sizeof(ip->bytes));
}

static void
unpack_ip(struct unpack *u, struct net_ip *ip)
{
	ip->size = unpack_u8(u);
	unpack_bytes(u, ip->bytes, sizeof(ip->bytes));
	if (ip->size != 0 && ip->size != 4 && ip->size != 16)
		u->bad = true;
}

/* --- certificates -------------------------------------------------------------------------------------------- */

/*
 * Who is connected is seen now: the next worker knows nothing of the connection, and it may have been open for longer
 * than the window.
 */
static void
pack_holder(struct pack *p, const struct client_cas *s, const struct holder *h, struct moment now)
{
	pack_u32(p, h->ca->place);
	pack_bytes(p, h->fingerprint, sizeof(h->fingerprint));
	pack_string(p, h->device->subject);
	pack_string(p, h->serial);
	pack_u64(p, (uint64_t)h->not_after);
	pack_u64(p, (uint64_t)h->first_seen);
	pack_u64(p, (uint64_t)(h->open > 0 ? now.wall : h->last_seen));
	pack_u64(p, h->first);
	pack_u64(p, h->last);
	pack_u64(p, h->open > 0 ? own_time(s, now) : h->seen_at);
	pack_u32(p, h->full);
	pack_u32(p, h->resumed);
	pack_u32(p, h->refused);
	pack_u64(p, (uint64_t)h->refused_at);
	pack_u8(p, h->revoked);
	pack_ip(p, &h->ip);
}

bool
client_cas_can_keep(const struct client_cas *s, size_t subject)
{
	size_t all = s->holders.n * PACKED_HOLDER_MORE + s->holders.subjects;

	return all + PACKED_HOLDER_MORE + subject <= s->packed_max;
}

static void
unpack_holder(struct unpack *u, struct client_cas *s)
{
	unsigned char fingerprint[32];
	struct client_ca *ca = s->cas;

	for (uint32_t place = unpack_u32(u); ca != NULL && place > 0; place--)
		ca = ca->next;
	unpack_bytes(u, fingerprint, sizeof(fingerprint));
	const char *subject = unpack_string(u), *serial = unpack_string(u);
	bool is_new = !u->bad && ca != NULL && holders_find(&s->holders, fingerprint) == NULL;
	struct holder *h = is_new ? holders_add(&s->holders, ca, fingerprint, subject) : NULL;
	if (h == NULL) {
		u->bad = true;
		return;
	}
	h->of = s;
	if (!sv_copy(sv_cstr(serial), h->serial, sizeof(h->serial)))
		u->bad = true;
	h->not_after = unpack_time(u);
	h->first_seen = unpack_time(u);
	h->last_seen = unpack_time(u);
	h->first = unpack_sighting(u, s);
	h->last = unpack_sighting(u, s);
	h->seen_at = unpack_own_time(u, s);
	h->full = unpack_u32(u);
	h->resumed = unpack_u32(u);
	h->refused = unpack_u32(u);
	h->refused_at = unpack_time(u);
	h->revoked = unpack_bool(u);
	unpack_ip(u, &h->ip);
}

/* --- CAs ----------------------------------------------------------------------------------------------------- */

static void
pack_ca(struct pack *p, const struct client_ca *ca)
{
	pack_bytes(p, ca->id, sizeof(ca->id));
	pack_bytes(p, ca->fingerprint, sizeof(ca->fingerprint));
	pack_string(p, ca->name);
	pack_u64(p, (uint64_t)ca->not_after);
	pack_u8(p, ca->pinned);
	pack_u8(p, ca->told);
	pack_u64(p, ca->since);
	pack_u64(p, (uint64_t)ca->pinned_at);
	pack_u64(p, (uint64_t)ca->dropped_at);
	pack_u64(p, ca->left_out);
	pack_u64(p, ca->left_out_at);
	pack_u64(p, ca->strangers);
}

static void
unpack_ca(struct unpack *u, struct client_cas *s)
{
	unsigned char id[CA_ID], fingerprint[32];

	unpack_bytes(u, id, sizeof(id));
	unpack_bytes(u, fingerprint, sizeof(fingerprint));
	const char *name = unpack_string(u);
	struct client_ca *ca = !u->bad ? client_cas_add_ca(s, id, name) : NULL;
	if (ca == NULL) {
		u->bad = true;
		return;
	}
	memcpy(ca->fingerprint, fingerprint, sizeof(ca->fingerprint));
	ca->not_after = unpack_time(u);
	ca->until = INT64_MAX; /* the config's */
	ca->pinned = unpack_bool(u);
	ca->told = unpack_bool(u);
	ca->since = unpack_own_time(u, s);
	ca->pinned_at = unpack_time(u);
	ca->dropped_at = unpack_time(u);
	ca->left_out = unpack_u64(u);
	ca->left_out_at = unpack_own_time(u, s);
	ca->strangers = unpack_u64(u);
}

/* --- the whole ----------------------------------------------------------------------------------------------- */

struct packing {
	struct pack *p;
	const struct client_cas *s;
	struct moment now;
	uint32_t n;
};

static void
pack_next_holder(void *arg, const struct holder *h)
{
	struct packing *packing = arg;

	pack_holder(packing->p, packing->s, h, packing->now);
	packing->n++;
}

/* All but the certificates. The place of what is known only when those are packed is left in *sightings. */
static void
pack_begin(struct client_cas *s, struct moment *now, struct pack *p, struct pack *sightings)
{
	pthread_mutex_lock(&s->lock);
	*now = client_cas_time_locked(s, *now);
	pack_string(p, s->site);
	pack_u64(p, own_time(s, *now));
	pack_u64(p, s->stirred);
	pack_u64(p, s->settings.window_ms);
	*sightings = *p;
	pack_u64(p, 0);
	pack_u32(p, client_cas_count(s));
	for (const struct client_ca *ca = s->cas; ca != NULL; ca = ca->next)
		pack_ca(p, ca);
	holders_walk(&s->holders);
	pthread_mutex_unlock(&s->lock);
}

void
client_cas_pack(struct client_cas *s, struct moment now, struct pack *p)
{
	struct packing packing = {.p = p, .s = s};
	struct pack sightings;

	pack_begin(s, &now, p, &sightings);
	struct pack count = *p;
	pack_u32(p, 0);
	packing.now = now;
	while (client_cas_slice(s, pack_next_holder, &packing))
		;
	pack_u32(&count, packing.n);
	pack_u64(&sightings, client_cas_stamp(s).sightings);
}

struct client_cas *
client_cas_unpack(struct unpack *u, struct moment now, struct err *err)
{
	const struct client_cas_settings until_set = {.remember = 0};
	const char *site = unpack_string(u);
	struct client_cas *s = !u->bad ? client_cas_new(site, &until_set, now) : NULL;

	if (s != NULL) {
		s->before = unpack_u64(u);
		s->stirred = unpack_own_time(u, s);
		s->settings.window_ms = unpack_u64(u); /* nobody may have asked for this site since */
		s->sightings = unpack_u64(u);
		if (s->before > UINT64_MAX / 2 || s->sightings > UINT64_MAX / 2) /* both go on growing */
			u->bad = true;
		size_t n = unpack_count(u, PACKED_CA_LEAST);
		for (size_t i = 0; i < n && !u->bad; i++)
			unpack_ca(u, s);
		n = unpack_count(u, PACKED_HOLDER_LEAST);
		for (size_t i = 0; i < n && !u->bad; i++)
			unpack_holder(u, s);
		holders_order(&s->holders);
		if (!u->bad && u->n == 0)
			return s;
	}
	client_cas_unref(s);
	err_set(err, "what is in it tells nothing of client CAs, or memory is out");
	return NULL;
}

struct client_cas_stamp
client_cas_stamp(struct client_cas *s)
{
	pthread_mutex_lock(&s->lock);
	struct client_cas_stamp out = {.news = s->news, .sightings = s->sightings};
	pthread_mutex_unlock(&s->lock);
	return out;
}

struct client_cas_saved *
client_cas_saved(struct client_cas *s)
{
	return &s->saved;
}
