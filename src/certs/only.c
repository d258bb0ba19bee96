/* only.c: a store of the one before it and one bundle anew, which somebody has asked for by its name. */
#include <stdlib.h>

#include "certs/outcomes.h"
#include "certs/store_internal.h"

/* Where it came from before is where it is looked for. NULL: it is there no more, or memory is out. */
static struct source *
find_source(struct job *job, const struct store_entry *before, struct err *err)
{
	const struct conf_bundle *c = conf_bundle(job->conf, before->origin);
	const char *name = before->bundle->name;
	struct tls_changes one = TLS_CHANGES_UNKNOWN;

	tls_changes_none(&one);
	if (c != NULL && before->listed)
		tls_changes_add(&one, c->directory, name);
	bool ok = sources_find_changed(&job->sources, job->conf, &one, job->loader.what->files, err);
	tls_changes_forget(&one);
	if (!ok)
		return NULL;
	struct source *s = sources_named(&job->sources, name);
	if (s != NULL && s->conf == c && !s->unlisted)
		return s;
	(void)err_set(err, "%s: bundle \"%s\" is not there any more; what was served goes on", before->bundle->where, name);
	return NULL;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct watch_hidden *)a)->path, ((const struct watch_hidden *)b)->path);
}

/* What is on the way to places of before is not looked at again, and so not found hidden. */
static bool
keep_hidden(struct tls_store *s, const struct tls_store *before)
{
	size_t found = s->n_hidden;
	struct watch_hidden *all = reallocarray(s->hidden, MAX_OF(found + before->n_hidden, (size_t)1), sizeof(*all));

	if (all == NULL)
		return false;
	s->hidden = all;
	if (found > 0)
		qsort(all, found, sizeof(*all), by_path);
	for (size_t i = 0; i < before->n_hidden; i++) {
		const struct watch_hidden *h = &before->hidden[i];
		if (found > 0 && bsearch(h, all, found, sizeof(*all), by_path) != NULL)
			continue;
		const char *path = arena_copy(&s->where, sv_cstr(h->path));
		if (path == NULL)
			return false;
		all[s->n_hidden++] = (struct watch_hidden){path, h->is_file};
	}
	return true;
}

/* All entries of before in their order, that one anew. */
static bool
make(struct job *job, const struct store_entry *one, const struct source *s)
{
	const struct tls_store *before = job->previous;
	struct watch w = {.arena = &job->store->where};
	bool ok = store_compare(job);

	for (size_t i = 0; ok && i < before->n; i++) {
		const struct store_entry *e = &before->v[i];
		ok = e == one ? store_load_one(job, (size_t)(s - job->sources.v)) : store_add(job->store, e->bundle, e->origin, e->listed);
	}
	for (size_t i = 0; ok && i < before->n_places; i++)
		ok = watch_again(&w, &before->places[i]);
	ok = store_watch(job, &w) && ok && keep_hidden(job->store, before);
	job->store->unsteady |= before->unsteady;
	if (ok && before->listings != NULL)
		ok = (job->store->listings = arena_copy(&job->store->arena, sv_cstr(before->listings))) != NULL;
	return ok && store_index(job->store, before);
}

struct tls_store *
tls_store_load_one(const struct tls_load *load, const char *name, struct tls_outcomes *outcomes, struct err *err)
{
	const struct store_entry *one = store_find(load->previous, name);
	struct job job;
	bool ok = job_begin(&job, load, outcomes, err);

	job.loader.started = true;
	if (ok && one == NULL) {
		ok = err_set(err, "bundle \"%s\" was not there at the last load; `bascule reload` looks for new ones", name);
	} else if (ok) {
		job.store->v = calloc(load->previous->n, sizeof(*job.store->v));
		ok = (job.store->v != NULL || err_no_memory(err));
		const struct source *s = ok ? find_source(&job, one, err) : NULL;
		ok = s != NULL && (make(&job, one, s) || err_no_memory(err));
	}
	return job_end(&job, ok);
}
