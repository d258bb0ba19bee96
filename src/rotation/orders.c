/* orders.c: what an administrator tells a rotation. */
#include <stdio.h>

#include "rotation/private.h"

/* --- what would take the previous generation from clients that need it --------------------------------------- */

/* When all clients get the current generation. Where the previous one is not kept after that, those who need it lose it. */
static bool
loses_by_completing(const struct rotation *r, struct moment now)
{
	(void)now;
	return r->phase != ROTATION_SETTLED && r->phase != ROTATION_COMPLETE && r->settings.keep_previous_ms == 0;
}

/* What was rolled back is begun anew: all at once? */
static bool
loses_by_beginning(const struct rotation *r, struct moment now)
{
	return r->phase == ROTATION_BACK && r->settings.n_stages <= 1 && loses_by_completing(r, now);
}

/* With the clients that need the previous one: they are served one that they may not know. */
static bool
loses_by_rolling_back(const struct rotation *r, struct moment now)
{
	return rotation_previous_is_usable(r, now);
}

/* Before it is complete nothing is given up but what is compromised. */
static bool
loses_by_retiring(const struct rotation *r, struct moment now)
{
	return r->phase == ROTATION_COMPLETE && rotation_previous_is_usable(r, now);
}

/* An order that takes it from them: in what case, by the verdict or only by who needs it, and how it is refused. */
struct loss {
	bool (*loses)(const struct rotation *r, struct moment now);
	bool by_verdict;
	const char *refusal;
};

#define NOT_COMPLETED "not done, because \"keep_previous\" is 0 and clients need the previous generation"

static const struct loss by_completing = {loses_by_completing, false, NOT_COMPLETED};
static const struct loss by_beginning = {loses_by_beginning, false, NOT_COMPLETED};
static const struct loss by_rolling_back = {
    loses_by_rolling_back, false, "not rolled back to an earlier one, because clients need the previous generation"};
static const struct loss by_retiring = {loses_by_retiring, true, "the previous generation is not given up yet"};

/*
 * Who would lose the previous generation is asked before the lock is taken, since that goes through all clients. What changes
 * in between by what clients do, might as well have changed just after.
 */
static bool
asked(struct rotation *r, enum rotation_will will, const struct loss *loss, struct moment now, struct err *err)
{
	pthread_mutex_lock(&r->lock);
	bool ask = will == ROTATION_SAFELY && loss->loses(r, rotation_time_locked(r, now));
	pthread_mutex_unlock(&r->lock);
	return !ask || rotation_may_give_up(r, loss->by_verdict, loss->refusal, now, err);
}

/* --- the orders ----------------------------------------------------------------------------------------------- */

static bool
none_goes_on(const struct rotation *r, struct err *err)
{
	return err_set(err, "bundle \"%s\": no rotation goes on: it has one generation in service; one begins when its files change",
	    r->name);
}

bool
rotation_hold(struct rotation *r, struct moment now, struct err *err)
{
	bool ok = false;

	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	if (r->phase == ROTATION_STAGED) {
		r->stage_left_ms = r->stage_ends_ms > now.ms ? r->stage_ends_ms - now.ms : 0;
		r->stage_ends_ms = 0;
		r->phase = ROTATION_HELD;
		ok = true;
	} else if (r->phase == ROTATION_SETTLED) {
		ok = none_goes_on(r, err);
	} else {
		ok = err_set(err, "bundle \"%s\": the rotation is %s%s", r->name, rotation_phase_word(r->phase),
		    r->phase == ROTATION_HELD ? " already" : ": there is no stage to hold");
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}

static void
complete(struct rotation *r, struct moment now)
{
	if (r->phase == ROTATION_BACK)
		rotation_insist_locked(r);
	rotation_complete_locked(r, now);
}

/* What was rolled back. */
static void
begin_anew(struct rotation *r, struct moment now)
{
	rotation_insist_locked(r); /* or the next client would roll it back again */
	if (r->settings.n_stages <= 1)
		rotation_complete_locked(r, now);
	else
		rotation_enter_stage_locked(r, 0, now);
}

bool
rotation_resume(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true;

	if (!asked(r, will, &by_beginning, now, err))
		return false;
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	if (r->phase == ROTATION_HELD) {
		r->phase = ROTATION_STAGED;
		r->stage_ends_ms = now.ms + r->stage_left_ms;
	} else if (r->phase == ROTATION_BACK) {
		begin_anew(r, now);
	} else if (r->phase == ROTATION_SETTLED) {
		ok = none_goes_on(r, err);
	} else {
		ok = err_set(err, "bundle \"%s\": the rotation is %s: nothing holds it up", r->name, rotation_phase_word(r->phase));
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool
rotation_start(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true;

	if (!asked(r, will, &by_beginning, now, err))
		return false;
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	unsigned long long generation = r->bundles[SLOT_CURRENT]->generation;
	if (r->phase == ROTATION_BACK)
		begin_anew(r, now);
	else if (r->phase == ROTATION_SETTLED)
		ok = err_set(err, "bundle \"%s\": nothing has changed: generation %llu is served to all", r->name, generation);
	else
		ok = err_set(err, "bundle \"%s\": nothing has changed: the rotation to generation %llu goes on, and is %s", r->name, generation,
		    rotation_phase_word(r->phase));
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool
rotation_commit(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	if (!asked(r, will, &by_completing, now, err))
		return false;
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	bool ok = r->phase != ROTATION_SETTLED || none_goes_on(r, err);
	if (ok && r->phase != ROTATION_COMPLETE)
		complete(r, now);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

/* Borrowed; NULL: there is none. */
static const struct tls_bundle *
find_kept(const struct rotation *r, uint64_t generation)
{
	for (unsigned i = 0; i < r->n_kept; i++)
		if (r->kept[i]->generation == generation)
			return r->kept[i];
	return NULL;
}

/* Out of the list, with its reference. It is there: is_kept() has said so, and the lock was not let go since. */
static struct tls_bundle *
take_kept(struct rotation *r, uint64_t generation)
{
	unsigned i = 0;

	while (i + 1 < r->n_kept && r->kept[i]->generation != generation)
		i++;
	struct tls_bundle *b = r->kept[i];
	r->n_kept--;
	memmove(r->kept + i, r->kept + i + 1, (r->n_kept - i) * sizeof(struct tls_bundle *));
	return b;
}

static bool
is_not_kept(const struct rotation *r, uint64_t generation, struct err *err)
{
	char kept[ROTATION_GENERATIONS_MAX * 24] = " none";
	size_t n = 0;

	for (unsigned i = 0; i < r->n_kept; i++)
		n += (size_t)snprintf(kept + n, sizeof(kept) - n, "%s %llu", i > 0 ? "," : "", (unsigned long long)r->kept[i]->generation);
	return err_set(err, "bundle \"%s\": generation %llu is not kept; of the earlier ones are:%s", r->name,
	    (unsigned long long)generation, kept);
}

static bool
is_kept(const struct rotation *r, uint64_t generation, struct moment now, struct err *err)
{
	const struct tls_bundle *found = find_kept(r, generation);

	if (found == NULL)
		return is_not_kept(r, generation, err);
	return now.wall < found->facts.not_after ||
	    err_set(err, "bundle \"%s\": generation %llu has expired", r->name, (unsigned long long)generation);
}

static void
roll_back_to(struct rotation *r, uint64_t generation)
{
	struct tls_bundle *to = take_kept(r, generation);
	/* What clients did with the present previous one says nothing of this one. */
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c)) {
		c->by[SLOT_PREVIOUS] = (struct evidence){.at = 0};
		c->refuses[SLOT_PREVIOUS] = false;
	}
	rotation_keep_locked(r, r->bundles[SLOT_PREVIOUS]);
	r->bundles[SLOT_PREVIOUS] = to;
	networks_count_none(&r->clients.networks); /* nobody is known to have accepted it */
	r->counts[SLOT_PREVIOUS] = (struct generation_counts){0};
	r->compromised = false;
	rotation_set_active_locked(r);
	rotation_roll_back_locked(r);
}

static bool
is_earlier(const struct rotation *r, uint64_t generation)
{
	const struct tls_bundle *previous = r->bundles[SLOT_PREVIOUS];

	return generation != 0 && (previous == NULL || previous->generation != generation);
}

static bool
roll_back_to_earlier(struct rotation *r, uint64_t generation, enum rotation_will will, struct moment now, struct err *err)
{
	pthread_mutex_lock(&r->lock);
	bool ok = is_kept(r, generation, rotation_time_locked(r, now), err);
	pthread_mutex_unlock(&r->lock);
	if (!ok || !asked(r, will, &by_rolling_back, now, err))
		return false;
	pthread_mutex_lock(&r->lock);
	ok = is_kept(r, generation, rotation_time_locked(r, now), err);
	if (ok)
		roll_back_to(r, generation);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool
rotation_rollback(struct rotation *r, uint64_t generation, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true;

	pthread_mutex_lock(&r->lock);
	const int64_t wall = rotation_time_locked(r, now).wall;
	const struct tls_bundle *previous = r->bundles[SLOT_PREVIOUS];
	bool earlier = is_earlier(r, generation);
	if (earlier)
		; /* see below */
	else if (previous == NULL)
		ok = none_goes_on(r, err);
	else if (r->compromised)
		ok = err_set(err, "bundle \"%s\": its previous generation was said to be compromised", r->name);
	else if (wall >= previous->facts.not_after)
		ok = err_set(err, "bundle \"%s\": its previous generation has expired", r->name);
	else
		rotation_roll_back_locked(r);
	pthread_mutex_unlock(&r->lock);
	return earlier ? roll_back_to_earlier(r, generation, will, now, err) : ok;
}

bool
rotation_retire(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true, compromised = will == ROTATION_COMPROMISED;

	if (!asked(r, will, &by_retiring, now, err))
		return false;
	pthread_mutex_lock(&r->lock);
	if (r->phase == ROTATION_SETTLED)
		ok = none_goes_on(r, err);
	else if (r->phase != ROTATION_COMPLETE && !compromised)
		ok = err_set(err, "bundle \"%s\": the rotation is %s: the previous generation serves clients by plan; commit first", r->name,
		    rotation_phase_word(r->phase));
	if (ok) {
		r->compromised = compromised;
		rotation_settle_locked(r);
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}
