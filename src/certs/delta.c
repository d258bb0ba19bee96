/*
 * A store of the one before it and the few bundles that have changed.
 *
 * Both are in order of name, so the new one is merged from them. What of the
 * config is no directory is always looked at. It is used only when what was
 * looked at tells all; else everything is loaded as if nothing were known.
 */
#include <stdlib.h>

#include "certs/outcomes.h"
#include "certs/store_internal.h"

static bool
was_sought(const struct sources *s, const char *directory, const char *name)
{
	for (size_t i = 0; i < s->n_sought; i++)
		if (strcmp(s->sought[i].name, name) == 0 && strcmp(s->sought[i].conf->directory, directory) == 0)
			return true;
	return false;
}

bool
delta_fits(const struct job *job)
{
	for (size_t i = 0; i < job->previous->n; i++)
		if (__atomic_load_n(&job->previous->v[i].bundle->private->unusable, __ATOMIC_RELAXED))
			return false;
	for (size_t i = 0; i < job->sources.n; i++) {
		const struct source *s = &job->sources.v[i];
		const struct store_entry *e = store_find(job->previous, s->name);
		/* Which of two bundles of one name is served depends on others, too. */
		if (s->listed && !was_sought(&job->sources, s->conf->directory, s->name))
			return false;
		if (s->doubled || (e != NULL && (strcmp(e->origin, s->origin) != 0 || e->listed != s->listed)))
			return false;
	}
	return true;
}

/* Which of the entries before may not simply stay: those that were sought, and those the config no longer names. */
static bool *
find_replaced(const struct job *job)
{
	const struct tls_store *before = job->previous;
	bool *replaced = calloc(MAX_OF(before->n, (size_t)1), sizeof(*replaced));

	for (size_t i = 0; replaced != NULL && i < job->sources.n_sought; i++) {
		const struct sought *x = &job->sources.sought[i];
		const struct store_entry *e = store_find(before, x->name);
		if (e != NULL && e->listed && strcmp(e->origin, x->conf->name) == 0)
			replaced[e - before->v] = true;
	}
	for (size_t i = 0; replaced != NULL && i < before->n; i++)
		if (!before->v[i].listed)
			replaced[i] = true;
	return replaced;
}

/* Of one name there is either a source or an entry that stays. */
static bool
merge(struct job *job, const bool *replaced)
{
	const struct tls_store *before = job->previous;
	size_t i = 0, k = 0;

	while (i < before->n || k < job->sources.n) {
		const struct store_entry *e = i < before->n ? &before->v[i] : NULL;
		bool source = e == NULL || (k < job->sources.n && strcmp(job->sources.v[k].name, e->bundle->name) <= 0);
		if (!source && replaced[i++])
			continue;
		if (!(source ? store_load_one(job, k++) : store_add(job->store, e->bundle, e->origin, e->listed)))
			return false;
	}
	return true;
}

static bool
note_gone(const struct job *job, const bool *replaced)
{
	for (size_t i = 0; i < job->previous->n; i++) {
		const struct store_entry *e = &job->previous->v[i];
		if (replaced[i] && store_find(job->store, e->bundle->name) == NULL &&
		    !outcomes_add(job->outcomes, TLS_GONE, e->bundle->name, "%s: %s", e->bundle->where,
			e->listed ? "the directory no longer has it" : "no longer configured"))
			return false;
	}
	return true;
}

/*
 * Of what has not changed, the places of before are taken for its own. A bundle that has some of its own, or had, can change in places that nobody watched
 * when it was looked at: then it is not known what is left to look at.
 */
static bool
watch_changed(struct job *job)
{
	struct watch w = {.arena = &job->store->where};
	bool own = false, ok = true;

	for (size_t i = 0; ok && i < job->previous->n_places; i++) {
		const struct watch_place *p = &job->previous->places[i];
		if (p->owner.bundle != NULL && was_sought(&job->sources, p->owner.listing, p->owner.bundle))
			own = true;
		else
			ok = watch_again(&w, p);
	}
	size_t kept = w.n;
	ok = store_watch(job, &w) && ok;
	if (job->left != NULL && (own || job->store->n_places > kept))
		tls_changes_forget(job->left);
	return ok;
}

bool
delta_make(struct job *job)
{
	bool *replaced = find_replaced(job);
	bool ok = replaced != NULL && store_compare(job) && merge(job, replaced) && store_index(job->store, job->previous) &&
	    note_gone(job, replaced) && (job->watched || watch_changed(job));

	free(replaced);
	return ok;
}
