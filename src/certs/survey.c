/*
 * Is everything in the directories as a store has it, though nobody watched?
 *
 * Mostly it is. To see that, the files of each bundle are looked at and
 * forgotten: a load would have those of all ten thousand in memory at once.
 * Links may lead another way to the same files, so where to watch is found
 * anew.
 */
#include "certs/store_internal.h"

struct survey {
	struct sources_viewer viewer;
	const struct job *job;
	struct watch watch;
	size_t same; /* bundles */
};

static bool
view(struct sources_viewer *v, const struct source *s)
{
	struct survey *y = CONTAINER_OF(v, struct survey, viewer);
	const struct store_entry *e = store_find(y->job->previous, s->name);

	if (e == NULL || strcmp(e->origin, s->origin) != 0 || !store_is_unchanged(y->job, s))
		return false;
	y->same++;
	return store_watch_source(&y->watch, s);
}

static size_t
count_listed(const struct tls_store *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->v[i].listed;
	return n;
}

bool
survey_is_same(struct job *job)
{
	struct survey y = {.viewer = {view}, .job = job, .watch = {.arena = &job->store->where}};

	bool same = store_watch_configured(&y.watch, job->conf) &&
	    sources_view(job->conf, job->loader.what->files, &y.viewer) && y.same == count_listed(job->previous);
	same = store_watch_end(job, &y.watch) && same;
	if (!same)
		store_forget_places(job);
	return same;
}
