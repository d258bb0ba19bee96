/* plan.c: a rotation's life: its generations, its stages, and what it does by itself. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "rotation/private.h"

struct moment
moment_now(void)
{
	return (struct moment){.ms = clock_mono_ms(), .wall = (int64_t)(clock_wall_us() / 1000000)};
}

void
rotation_settings_default(struct rotation_settings *s)
{
	const uint64_t hour = UINT64_C(3600000);

	*s = (struct rotation_settings){
		.keep_previous_ms = 30 * 24 * hour,
		.retry_ms = hour,
		.retry_max_ms = 24 * hour,
		.silent_limit = 2,
		.silent_within_ms = 5000,
		.rollback = {.clients = 10, .networks = 3, .share = SHARE_ALL / 10},
		.clients_max = 65536,
		.network_max = 8192,
	};
}

const char *
rotation_phase_word(enum rotation_phase p)
{
	static const char *const words[] = {[ROTATION_SETTLED] = "settled", [ROTATION_STAGED] = "staged", [ROTATION_HELD] = "held",
	    [ROTATION_COMPLETE] = "complete", [ROTATION_BACK] = "rolled back"};

	return words[p];
}

const char *
rotation_name(const struct rotation *r)
{
	return r->name;
}

void
rotation_set_origin(struct rotation *r, const char *origin)
{
	if (r->origin != NULL && strcmp(r->origin, origin) == 0)
		return;
	free(r->origin);
	r->origin = strdup(origin);
}

const char *
rotation_origin(const struct rotation *r)
{
	return r->origin != NULL ? r->origin : r->name;
}

/* --- the two generations and the earlier ones ---------------------------------------------------------------- */

struct rotation *
rotation_new(const char *name, const struct rotation_settings *s, const unsigned char key[16])
{
	struct rotation *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->name = strdup(name);
	if (r->name == NULL || pthread_mutex_init(&r->lock, NULL) != 0) {
		free(r->name);
		free(r);
		return NULL;
	}
	uint64_t own[2] = {siphash(key, name, strlen(name)), 0};
	own[1] = siphash(key, own, sizeof(own[0]));
	memcpy(r->key, own, sizeof(r->key));
	r->settings = *s;
	clients_init(&r->clients, s->clients_max, s->network_max);
	return r;
}

void
rotation_free(struct rotation *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		tls_bundle_unref(r->bundles[i]);
	for (unsigned i = 0; i < r->n_kept; i++)
		tls_bundle_unref(r->kept[i]);
	clients_free(&r->clients);
	(void)pthread_mutex_destroy(&r->lock);
	free(r->name);
	free(r->origin);
	free(r);
}

/* Who waits longer than `most` for the next offer waits so long from now on. */
static void
shorten_waits(struct rotation *r, uint64_t most, struct moment now)
{
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c)) {
		c->offer_again_ms = MIN_OF(c->offer_again_ms, now.ms + most);
		c->retry_ms = MIN_OF(c->retry_ms, most);
	}
}

void
rotation_set(struct rotation *r, const struct rotation_settings *s, struct moment now)
{
	pthread_mutex_lock(&r->lock);
	if (s->retry_ms < r->settings.retry_ms)
		shorten_waits(r, s->retry_ms, now);
	else if (s->retry_max_ms < r->settings.retry_max_ms)
		shorten_waits(r, s->retry_max_ms, now);
	if (s->clients_max > r->settings.clients_max)
		r->clients.left_out = 0; /* there is room now: who comes is noted */
	r->settings = *s;
	r->clients.max = s->clients_max;
	r->clients.network_max = s->network_max;
	if (r->stage >= s->n_stages)
		r->stage = s->n_stages > 0 ? s->n_stages - 1 : 0;
	pthread_mutex_unlock(&r->lock);
}

void
rotation_set_active_locked(struct rotation *r)
{
	__atomic_store_n(&r->active, r->bundles[SLOT_PREVIOUS] != NULL, __ATOMIC_RELAXED);
}

void
rotation_keep_locked(struct rotation *r, struct tls_bundle *b)
{
	if (b == NULL)
		return;
	if (r->n_kept == ROTATION_GENERATIONS_MAX)
		tls_bundle_unref(r->kept[--r->n_kept]);
	memmove(r->kept + 1, r->kept, r->n_kept * sizeof(struct tls_bundle *));
	r->kept[0] = b;
	r->n_kept++;
}

unsigned
rotation_share(const struct rotation *r)
{
	bool staged = r->phase == ROTATION_STAGED || r->phase == ROTATION_HELD;

	return staged && r->settings.n_stages > 0 ? r->settings.stages[r->stage].share : SHARE_ALL;
}

bool
rotation_previous_is_usable(const struct rotation *r, struct moment now)
{
	const struct tls_bundle *b = r->bundles[SLOT_PREVIOUS];

	return b != NULL && !r->compromised && now.wall < b->facts.not_after && (r->give_up_ms == 0 || now.ms < r->give_up_ms);
}

/* --- phases -------------------------------------------------------------------------------------------------- */

void
rotation_complete_locked(struct rotation *r, struct moment now)
{
	r->phase = ROTATION_COMPLETE;
	r->stage_ends_ms = 0;
	r->give_up_ms = now.ms + r->settings.keep_previous_ms;
}

void
rotation_enter_stage_locked(struct rotation *r, unsigned stage, struct moment now)
{
	r->stage = stage;
	if (stage + 1 >= r->settings.n_stages) {
		rotation_complete_locked(r, now);
		return;
	}
	r->phase = ROTATION_STAGED;
	r->stage_ends_ms = now.ms + r->settings.stages[stage].for_ms;
}

static void
forget_current_of(struct client_record *c)
{
	c->by[SLOT_CURRENT] = (struct evidence){.at = 0};
	c->refuses[SLOT_CURRENT] = c->suspected = false;
	c->silent_in_row = c->flips = c->content_in_row = 0;
}

/* What clients did with the current generation they did, from now on, with the previous one. */
static void
shift_evidence(struct rotation *r)
{
	struct networks *all = &r->clients.networks;

	networks_count_none(all);
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c)) {
		c->by[SLOT_PREVIOUS] = c->by[SLOT_CURRENT];
		c->refuses[SLOT_PREVIOUS] = c->refuses[SLOT_CURRENT];
		forget_current_of(c);
		networks_count(all, c->network, &c->who.ip, (struct client_vote){is_known(c), true, c->by[SLOT_PREVIOUS].rejected > 0}, 1);
	}
	r->before = all->tested > 0 ? (unsigned)(all->against / all->tested) : 0;
	networks_untest(all);
	r->counts[SLOT_PREVIOUS] = r->counts[SLOT_CURRENT];
}

/* The previous one goes on being the previous one; what was learned of the one between is void. */
static void
forget_current(struct rotation *r)
{
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		forget_current_of(c);
	networks_untest(&r->clients.networks);
}

static void
begin(struct rotation *r, struct moment now)
{
	r->counts[SLOT_CURRENT] = (struct generation_counts){0};
	r->resumed = 0;
	r->begun = now;
	r->compromised = r->may_retire = r->orphan_told = false;
	r->give_up_ms = 0;
	rotation_set_active_locked(r);
	if (r->settings.n_stages > 0)
		rotation_enter_stage_locked(r, 0, now);
	else
		rotation_complete_locked(r, now);
}

static bool
serves_orphans(const struct rotation *r)
{
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c))
		if (is_orphan(c))
			return true;
	return false;
}

static bool
same_content(const struct tls_bundle *a, const struct tls_bundle *b)
{
	return memcmp(a->fingerprint, b->fingerprint, sizeof(a->fingerprint)) == 0;
}

/* A newer one before the one before has reached everybody: those whom the previous one serves are still there. */
static bool
keeps_previous(const struct rotation *r, struct moment now)
{
	return rotation_previous_is_usable(r, now) && (r->phase != ROTATION_COMPLETE || serves_orphans(r));
}

/* The files hold again what the previous one has: the two change places, with all that is known of them. */
static void
swap_back(struct rotation *r, struct tls_bundle *b, struct moment now)
{
	struct generation_counts counts = r->counts[SLOT_CURRENT];

	tls_bundle_unref(r->bundles[SLOT_PREVIOUS]);
	r->bundles[SLOT_PREVIOUS] = r->bundles[SLOT_CURRENT];
	r->bundles[SLOT_CURRENT] = tls_bundle_ref(b);
	r->counts[SLOT_CURRENT] = r->counts[SLOT_PREVIOUS];
	r->counts[SLOT_PREVIOUS] = counts;
	networks_count_none(&r->clients.networks);
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c)) {
		struct evidence e = c->by[SLOT_CURRENT];
		bool refuses = c->refuses[SLOT_CURRENT];
		c->by[SLOT_CURRENT] = c->by[SLOT_PREVIOUS];
		c->refuses[SLOT_CURRENT] = c->refuses[SLOT_PREVIOUS];
		c->by[SLOT_PREVIOUS] = e;
		c->refuses[SLOT_PREVIOUS] = refuses;
		clients_count(&r->clients, c, 1);
	}
	r->begun = now;
	rotation_complete_locked(r, now);
}

static void
take_locked(struct rotation *r, struct tls_bundle *b, struct moment now)
{
	struct tls_bundle *before = r->bundles[SLOT_CURRENT];

	if (r->bundles[SLOT_PREVIOUS] != NULL && same_content(r->bundles[SLOT_PREVIOUS], b)) {
		swap_back(r, b, now);
		return;
	}
	r->bundles[SLOT_CURRENT] = tls_bundle_ref(b);
	if (keeps_previous(r, now)) {
		rotation_keep_locked(r, before);
		forget_current(r);
	} else {
		rotation_keep_locked(r, r->bundles[SLOT_PREVIOUS]);
		r->bundles[SLOT_PREVIOUS] = before;
		shift_evidence(r);
	}
	begin(r, now);
}

bool
rotation_take(struct rotation *r, struct tls_bundle *b, struct moment now)
{
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	struct tls_bundle *before = r->bundles[SLOT_CURRENT];
	bool begins = before != NULL && before != b && !same_content(before, b);

	if (begins) {
		take_locked(r, b, now);
	} else if (before != b) {
		r->bundles[SLOT_CURRENT] = tls_bundle_ref(b);
		tls_bundle_unref(before);
	}
	pthread_mutex_unlock(&r->lock);
	return begins;
}

void
rotation_roll_back_locked(struct rotation *r)
{
	r->phase = ROTATION_BACK;
	r->stage_ends_ms = 0;
	r->give_up_ms = 0;
}

void
rotation_settle_locked(struct rotation *r)
{
	if (r->compromised)
		tls_bundle_unref(r->bundles[SLOT_PREVIOUS]);
	else
		rotation_keep_locked(r, r->bundles[SLOT_PREVIOUS]);
	r->bundles[SLOT_PREVIOUS] = NULL;
	r->phase = ROTATION_SETTLED;
	r->stage_ends_ms = r->give_up_ms = 0;
	rotation_set_active_locked(r);
}

/* --- by itself ------------------------------------------------------------------------------------------------ */

bool
rotation_tick(struct rotation *r, struct moment now, struct rotation_news *out)
{
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	struct rotation_news *n = &r->news;
	if (r->phase == ROTATION_STAGED && now.ms >= r->stage_ends_ms) {
		rotation_enter_stage_locked(r, r->stage + 1, now);
		n->completed = r->phase == ROTATION_COMPLETE;
		n->next_stage = !n->completed;
	}
	/* A rolled back one that is over leaves the current one: expired serves nobody. */
	if (r->phase != ROTATION_SETTLED && !rotation_previous_is_usable(r, now)) {
		n->expired = true;
		rotation_settle_locked(r);
	}
	n->share = rotation_share(r);
	*out = *n;
	*n = (struct rotation_news){.share = 0};
	pthread_mutex_unlock(&r->lock);
	return out->next_stage || out->completed || out->expired || out->rolled_back || out->orphan;
}

enum rotation_phase
rotation_phase(struct rotation *r)
{
	pthread_mutex_lock(&r->lock);
	enum rotation_phase phase = r->phase;
	pthread_mutex_unlock(&r->lock);
	return phase;
}

struct tls_bundle *
rotation_rolled_back_to(struct rotation *r)
{
	pthread_mutex_lock(&r->lock);
	struct tls_bundle *b = r->phase == ROTATION_BACK ? r->bundles[SLOT_PREVIOUS] : NULL;
	if (b != NULL)
		tls_bundle_ref(b);
	pthread_mutex_unlock(&r->lock);
	return b;
}

bool
rotation_note_verdict(struct rotation *r, bool may_retire)
{
	pthread_mutex_lock(&r->lock);
	bool news = may_retire && !r->may_retire && r->phase != ROTATION_SETTLED;
	r->may_retire = may_retire;
	pthread_mutex_unlock(&r->lock);
	return news;
}
