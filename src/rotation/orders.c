/* orders.c: what an administrator tells a rotation. */
#include <stdio.h>

#include "rotation/private.h"

static bool
none_goes_on(const struct rotation *r, struct err *err)
{
	return err_set(err, "bundle \"%s\": no rotation goes on: it has one generation in service; one begins when its files change", r->name);
}

bool
rotation_hold(struct rotation *r, struct moment now, struct err *err)
{
	bool ok = false;

	pthread_mutex_lock(&r->lock);
	if (r->phase == ROTATION_STAGED) {
		r->stage_left_ms = r->stage_ends_ms > now.ms ? r->stage_ends_ms - now.ms : 0;
		r->stage_ends_ms = 0;
		r->phase = ROTATION_HELD;
		ok = true;
	} else if (r->phase == ROTATION_SETTLED) {
		ok = none_goes_on(r, err);
	} else {
		ok = err_set(err, "bundle \"%s\": the rotation is %s: there is no stage to hold", r->name, rotation_phase_word(r->phase));
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}

/* It goes on, or anew, in spite of those who are known to refuse it: only when it gets twice as bad is it rolled back once more. */
static void
put_up_with_known(struct rotation *r)
{
	r->before_tested = r->known_tested;
	r->before_refusing = r->known_refusing;
}

/* All clients get the current one. Where the previous one is not kept after that, those who need it lose it. */
static bool
complete_safely(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	if (will == ROTATION_SAFELY && r->settings.keep_previous_ms == 0 &&
	    !rotation_may_give_up_locked(r, false, "not done, because \"keep_previous\" is 0 and clients need the previous generation", now, err))
		return false;
	if (r->phase == ROTATION_BACK)
		put_up_with_known(r);
	rotation_complete_locked(r, now);
	return true;
}

/* What was rolled back. */
static bool
begin_anew(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	if (r->settings.n_stages <= 1)
		return complete_safely(r, will, now, err);
	put_up_with_known(r);
	rotation_enter_stage_locked(r, 0, now);
	return true;
}

bool
rotation_resume(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true;

	pthread_mutex_lock(&r->lock);
	if (r->phase == ROTATION_HELD) {
		r->phase = ROTATION_STAGED;
		r->stage_ends_ms = now.ms + r->stage_left_ms;
	} else if (r->phase == ROTATION_BACK) {
		ok = begin_anew(r, will, now, err);
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
	bool ok = false;

	pthread_mutex_lock(&r->lock);
	unsigned long long generation = r->bundles[SLOT_CURRENT]->generation;
	if (r->phase == ROTATION_BACK)
		ok = begin_anew(r, will, now, err);
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
	pthread_mutex_lock(&r->lock);
	bool ok = r->phase != ROTATION_SETTLED || none_goes_on(r, err);
	if (ok && r->phase != ROTATION_COMPLETE)
		ok = complete_safely(r, will, now, err);
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

/* One that is kept, out of the list and with its reference. */
static struct tls_bundle *
take_kept(struct rotation *r, uint64_t generation)
{
	unsigned i = 0;

	while (r->kept[i]->generation != generation)
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
	return err_set(err, "bundle \"%s\": generation %llu is not kept; of the earlier ones are:%s", r->name, (unsigned long long)generation, kept);
}

static bool
roll_back_to(struct rotation *r, uint64_t generation, enum rotation_will will, struct moment now, struct err *err)
{
	const struct tls_bundle *found = find_kept(r, generation);

	if (found == NULL)
		return is_not_kept(r, generation, err);
	if (now.wall >= found->facts.not_after)
		return err_set(err, "bundle \"%s\": generation %llu has expired", r->name, (unsigned long long)generation);
	if (will == ROTATION_SAFELY && rotation_previous_is_usable(r, now) &&
	    !rotation_may_give_up_locked(r, false, "not rolled back to an earlier one, because clients need the previous generation", now, err))
		return false;
	struct tls_bundle *to = take_kept(r, generation);
	/* What clients did with the present previous one says nothing of this one. */
	for (struct client_record *c = clients_next(&r->clients, NULL); c != NULL; c = clients_next(&r->clients, c)) {
		c->by[SLOT_PREVIOUS] = (struct evidence){.at = 0};
		c->refuses[SLOT_PREVIOUS] = false;
	}
	rotation_keep_locked(r, r->bundles[SLOT_PREVIOUS]);
	r->bundles[SLOT_PREVIOUS] = to;
	r->known_tested = r->known_refusing = r->n_networks = 0;
	r->counts[SLOT_PREVIOUS] = (struct generation_counts){0};
	r->compromised = false;
	rotation_set_active_locked(r);
	rotation_roll_back_locked(r);
	return true;
}

bool
rotation_rollback(struct rotation *r, uint64_t generation, enum rotation_will will, struct moment now, struct err *err)
{
	const struct tls_bundle *previous;
	bool ok = true;

	pthread_mutex_lock(&r->lock);
	previous = r->bundles[SLOT_PREVIOUS];
	if (generation != 0 && (previous == NULL || previous->generation != generation))
		ok = roll_back_to(r, generation, will, now, err);
	else if (previous == NULL)
		ok = none_goes_on(r, err);
	else if (r->compromised)
		ok = err_set(err, "bundle \"%s\": its previous generation was said to be compromised", r->name);
	else if (now.wall >= previous->facts.not_after)
		ok = err_set(err, "bundle \"%s\": its previous generation has expired", r->name);
	else
		rotation_roll_back_locked(r);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool
rotation_retire(struct rotation *r, enum rotation_will will, struct moment now, struct err *err)
{
	bool ok = true, compromised = will == ROTATION_COMPROMISED;

	pthread_mutex_lock(&r->lock);
	if (r->phase == ROTATION_SETTLED)
		ok = none_goes_on(r, err);
	else if (r->phase != ROTATION_COMPLETE && !compromised)
		ok = err_set(err, "bundle \"%s\": the rotation is %s: the previous generation serves clients by plan; commit first", r->name,
		    rotation_phase_word(r->phase));
	else if (will == ROTATION_SAFELY && rotation_previous_is_usable(r, now))
		ok = rotation_may_give_up_locked(r, true, "the previous generation is not given up yet", now, err);
	if (ok) {
		r->compromised = compromised;
		rotation_settle_locked(r);
	}
	pthread_mutex_unlock(&r->lock);
	return ok;
}
