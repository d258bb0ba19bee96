#include "rotation/state.h"

#include <stdlib.h>

#include "rotation/private.h"

/*
 * What is packed and what is unpacked stand side by side, piece by piece, so that one is not changed without the other.
 * A new field means a new version of whoever frames this (worker/state.c).
 */

static const char identities[] = "identities";

enum {
	PACKED_CLIENT_LEAST = 8 + 8 + 17 + 4 + 2 * 22 + 4 + 5 * 8 + 5, /* bytes */
};
_Static_assert(PACKED_CLIENT_LEAST + CLIENT_NAME_MAX <= ROTATION_PACKED_CLIENT_MAX, "no client is larger");

/* --- pieces -------------------------------------------------------------------------------------------------- */

/* Deadlines as what is left; 0: there is none, so one that is over has a millisecond left. */
static void
pack_deadline(struct pack *p, uint64_t at_ms, struct moment now)
{
	pack_u64(p, at_ms == 0 ? 0 : at_ms > now.ms ? at_ms - now.ms : 1);
}

static uint64_t
unpack_deadline(struct unpack *u, struct moment now)
{
	uint64_t left = unpack_u64(u), at;

	if (left == 0)
		return 0;
	return __builtin_add_overflow(now.ms, left, &at) ? UINT64_MAX : at;
}

static bool
unpack_bool(struct unpack *u)
{
	uint8_t v = unpack_u8(u);

	if (v > 1)
		u->bad = true;
	return v == 1;
}

/* Seconds of the epoch that can be reckoned with. */
static int64_t
unpack_time(struct unpack *u)
{
	uint64_t v = unpack_u64(u);

	if (v > UINT64_C(1) << 40)
		u->bad = true;
	return u->bad ? 0 : (int64_t)v;
}

static void
pack_counts(struct pack *p, const struct generation_counts *c)
{
	pack_u64(p, c->accepted);
	pack_u64(p, c->rejected);
	pack_u64(p, c->silent);
	pack_u64(p, c->clients);
	for (unsigned i = 0; i < ALERTS_NAMED; i++)
		pack_u64(p, c->by_alert[i]);
}

static void
unpack_counts(struct unpack *u, struct generation_counts *c)
{
	c->accepted = unpack_u64(u);
	c->rejected = unpack_u64(u);
	c->silent = unpack_u64(u);
	c->clients = unpack_u64(u);
	for (unsigned i = 0; i < ALERTS_NAMED; i++)
		c->by_alert[i] = unpack_u64(u);
}

/* --- clients ------------------------------------------------------------------------------------------------- */

static void
pack_evidence(struct pack *p, const struct evidence *e)
{
	pack_u32(p, e->accepted);
	pack_u32(p, e->rejected);
	pack_u32(p, e->silent);
	pack_u64(p, (uint64_t)e->at);
	pack_u8(p, e->alert);
}

static void
unpack_evidence(struct unpack *u, struct evidence *e)
{
	e->accepted = unpack_u32(u);
	e->rejected = unpack_u32(u);
	e->silent = unpack_u32(u);
	e->at = unpack_time(u);
	e->alert = unpack_u8(u);
}

/* Who is connected is seen now: the next worker knows nothing of the connection. */
static void
pack_client(struct pack *p, const struct client_record *c, struct moment now)
{
	pack_u64(p, c->who.key);
	pack_u64(p, c->who.network);
	pack_bytes(p, c->who.ip.bytes, sizeof(c->who.ip.bytes));
	pack_u8(p, c->who.ip.size);
	pack_u32(p, c->who.fingerprint);
	for (unsigned s = 0; s < SLOTS; s++) {
		pack_evidence(p, &c->by[s]);
		pack_u8(p, c->refuses[s]);
	}
	pack_u8(p, c->suspected);
	pack_u8(p, c->silent_in_row);
	pack_u8(p, c->flips);
	pack_u8(p, c->last_offered);
	pack_u64(p, (uint64_t)c->first_seen);
	pack_u64(p, (uint64_t)client_seen(c, now.wall));
	pack_u64(p, (uint64_t)c->last_resumed);
	pack_deadline(p, c->offer_again_ms, now);
	pack_u64(p, c->retry_ms);
	pack_string(p, c->name != NULL ? c->name : "");
}

/* The name is borrowed from the bytes. */
static void
unpack_client(struct unpack *u, struct client_record *c, struct sv *name, struct moment now)
{
	*c = (struct client_record){.who.key = unpack_u64(u)};
	c->who.network = unpack_u64(u);
	unpack_bytes(u, c->who.ip.bytes, sizeof(c->who.ip.bytes));
	c->who.ip.size = unpack_u8(u);
	c->who.fingerprint = unpack_u32(u);
	for (unsigned s = 0; s < SLOTS; s++) {
		unpack_evidence(u, &c->by[s]);
		c->refuses[s] = unpack_bool(u);
	}
	c->suspected = unpack_bool(u);
	c->silent_in_row = unpack_u8(u);
	c->flips = unpack_u8(u);
	c->last_offered = unpack_u8(u);
	c->first_seen = unpack_time(u);
	c->last_seen = unpack_time(u);
	c->last_resumed = unpack_time(u);
	c->offer_again_ms = unpack_deadline(u, now);
	c->retry_ms = unpack_u64(u);
	*name = sv_cstr(unpack_string(u));
	if ((c->who.ip.size != 0 && c->who.ip.size != 4 && c->who.ip.size != 16) || c->last_offered >= SLOTS)
		u->bad = true;
}

struct packing {
	struct pack *p;
	struct moment now;
	uint32_t n;
};

static void
pack_next_client(void *arg, struct client_record *c)
{
	struct packing *packing = arg;

	pack_client(packing->p, c, packing->now);
	packing->n++;
}

/* Without the lock: in slices, so that how many there were is known when they are packed. */
static void
pack_clients(struct pack *p, struct rotation *r, struct moment now)
{
	struct pack count = *p;
	struct packing packing = {.p = p, .now = now};

	pack_u32(p, 0);
	for (struct clients_walk w = {.over = false}; !w.over;)
		rotation_slice(r, &w, pack_next_client, &packing);
	pack_u32(&count, packing.n);
}

static bool
unpack_clients(struct unpack *u, struct rotation *r, struct moment now, size_t *strangers)
{
	bool ours = unpack_u64(u) == siphash(r->key, identities, sizeof(identities));

	r->clients.left_out = unpack_u64(u);
	size_t n = unpack_count(u, PACKED_CLIENT_LEAST);
	*strangers = ours ? 0 : n;
	for (size_t i = 0; i < n; i++) {
		struct client_record read;
		struct sv name;
		unpack_client(u, &read, &name, now);
		if (u->bad)
			return false;
		if (ours && !clients_restore(&r->clients, &read, name))
			return false;
	}
	return true;
}

/* When this rotation last knew what time it was. */
static int64_t
last_time_of(const struct rotation *r)
{
	int64_t last = r->begun.wall;

	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		last = MAX_OF(last, c->last_seen);
	return last;
}

/* --- generations --------------------------------------------------------------------------------------------- */

static void
pack_generations(struct pack *p, const struct rotation *r)
{
	tls_bundle_pack(r->bundles[SLOT_CURRENT], p);
	pack_u8(p, r->bundles[SLOT_PREVIOUS] != NULL);
	if (r->bundles[SLOT_PREVIOUS] != NULL)
		tls_bundle_pack(r->bundles[SLOT_PREVIOUS], p);
	pack_u8(p, (uint8_t)r->n_kept);
	for (unsigned i = 0; i < r->n_kept; i++)
		tls_bundle_pack(r->kept[i], p);
}

static struct tls_bundle *
unpack_generation(struct unpack *u, const struct rotation *r, const struct tls_thread *thread)
{
	struct tls_bundle *b = !u->bad ? tls_bundle_unpack(u, thread) : NULL;

	if (b != NULL && strcmp(b->name, r->name) == 0 && b->generation > 0)
		return b;
	tls_bundle_unref(b);
	u->bad = true;
	return NULL;
}

static void
unpack_generations(struct unpack *u, struct rotation *r, const struct tls_thread *thread)
{
	r->bundles[SLOT_CURRENT] = unpack_generation(u, r, thread);
	if (unpack_bool(u))
		r->bundles[SLOT_PREVIOUS] = unpack_generation(u, r, thread);
	unsigned n = unpack_u8(u);
	if (n > ROTATION_GENERATIONS_MAX)
		u->bad = true;
	for (; !u->bad && r->n_kept < n; r->n_kept++)
		r->kept[r->n_kept] = unpack_generation(u, r, thread);
}

/* --- the plan ------------------------------------------------------------------------------------------------ */

static void
pack_plan(struct pack *p, const struct rotation *r, struct moment now)
{
	pack_u8(p, (uint8_t)r->phase);
	pack_u8(p, r->compromised);
	pack_u8(p, r->may_retire);
	pack_u8(p, (uint8_t)r->stage);
	pack_deadline(p, r->stage_ends_ms, now);
	pack_u64(p, r->stage_left_ms);
	pack_deadline(p, r->give_up_ms, now);
	pack_u64(p, (uint64_t)r->begun.wall);
	for (unsigned s = 0; s < SLOTS; s++)
		pack_counts(p, &r->counts[s]);
	pack_u64(p, r->resumed);
	pack_u64(p, r->draws);
	pack_u32(p, SHARE_ALL);
	pack_u32(p, r->before);
}

static void
unpack_plan(struct unpack *u, struct rotation *r, struct moment now)
{
	unsigned phase = unpack_u8(u);

	r->phase = phase <= ROTATION_BACK ? (enum rotation_phase)phase : ROTATION_SETTLED;
	r->compromised = unpack_bool(u);
	r->may_retire = unpack_bool(u);
	r->stage = unpack_u8(u);
	r->stage_ends_ms = unpack_deadline(u, now);
	r->stage_left_ms = unpack_u64(u);
	r->give_up_ms = unpack_deadline(u, now);
	r->begun = (struct moment){.ms = now.ms, .wall = unpack_time(u)};
	for (unsigned s = 0; s < SLOTS; s++)
		unpack_counts(u, &r->counts[s]);
	r->resumed = unpack_u64(u);
	r->draws = unpack_u64(u);
	uint64_t whole = unpack_u32(u), part = unpack_u32(u);
	r->before = whole > 0 ? (unsigned)MIN_OF(part * SHARE_ALL / whole, (uint64_t)SHARE_ALL) : 0;
	if (phase > ROTATION_BACK || r->stage >= ROTATION_STAGES_MAX || (r->phase == ROTATION_STAGED) != (r->stage_ends_ms != 0))
		u->bad = true;
}

/* --- the whole ----------------------------------------------------------------------------------------------- */

void
rotation_pack(struct rotation *r, struct moment now, struct pack *p)
{
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	if (r->bundles[SLOT_CURRENT] == NULL) {
		p->failed = true;
	} else {
		pack_string(p, r->name);
		pack_string(p, rotation_origin(r));
		pack_generations(p, r);
		pack_plan(p, r, now);
		pack_u64(p, siphash(r->key, identities, sizeof(identities)));
		pack_u64(p, r->clients.left_out);
	}
	pthread_mutex_unlock(&r->lock);
	if (!p->failed)
		pack_clients(p, r, now);
}

struct rotation *
rotation_unpack(struct unpack *u, const unsigned char key[16], const struct tls_thread *thread, struct moment now,
    size_t *strangers, struct err *err)
{
	struct rotation_settings settings;
	const char *name = unpack_string(u), *origin = unpack_string(u);

	rotation_settings_default(&settings);
	struct rotation *r = !u->bad ? rotation_new(name, &settings, key) : NULL;
	if (r != NULL) {
		rotation_set_origin(r, origin);
		unpack_generations(u, r, thread);
		unpack_plan(u, r, now);
		bool whole = !u->bad && unpack_clients(u, r, now, strangers) && !u->bad && u->n == 0;
		r->active = r->bundles[SLOT_PREVIOUS] != NULL;
		r->orphan_told = r->clients.networks.refusing_clients > 0;
		if (r->active)
			r->steady = (struct steady){.wall = last_time_of(r), .ms = now.ms};
		if (whole && r->active == (r->phase != ROTATION_SETTLED))
			return r;
	}
	rotation_free(r);
	err_set(err, "what is in it makes no rotation, or memory is out");
	return NULL;
}

/* --- what has changed ---------------------------------------------------------------------------------------- */

struct rotation_stamp
rotation_stamp(struct rotation *r)
{
	uint64_t plan[8 + ROTATION_GENERATIONS_MAX] = {0};
	struct rotation_stamp out = {.evidence = 1};

	pthread_mutex_lock(&r->lock);
	plan[0] = r->phase;
	plan[1] = r->stage;
	plan[2] = r->compromised;
	plan[3] = r->give_up_ms;
	plan[4] = r->stage_ends_ms;
	plan[5] = r->may_retire;
	for (unsigned s = 0; s < SLOTS; s++)
		plan[6 + s] = r->bundles[s] != NULL ? r->bundles[s]->generation : 0;
	for (unsigned i = 0; i < r->n_kept; i++)
		plan[8 + i] = r->kept[i]->generation;
	out.plan = siphash(r->key, plan, sizeof(plan));
	for (unsigned s = 0; s < SLOTS; s++)
		out.evidence += r->counts[s].accepted + r->counts[s].rejected + r->counts[s].silent;
	out.evidence += r->resumed + r->left + r->clients.left_out;
	out.connected = r->open > 0;
	pthread_mutex_unlock(&r->lock);
	return out;
}

bool
rotation_has_past(struct rotation *r)
{
	pthread_mutex_lock(&r->lock);
	bool has = r->phase != ROTATION_SETTLED || r->n_kept > 0 || r->clients.n > 0;
	pthread_mutex_unlock(&r->lock);
	return has;
}

struct rotation_saved *
rotation_saved(struct rotation *r)
{
	return &r->saved;
}

struct tls_bundle *
rotation_current(struct rotation *r)
{
	pthread_mutex_lock(&r->lock);
	struct tls_bundle *b = r->bundles[SLOT_CURRENT];
	if (b != NULL)
		tls_bundle_ref(b);
	pthread_mutex_unlock(&r->lock);
	return b;
}
