/*
 * Is everything in the directories as a store has it, though nobody watched?
 *
 * Mostly it is. To see that, each bundle is looked at for itself and forgotten:
 * a load would have the files of all ten thousand in memory at once.
 */
#include "certs/store_internal.h"

struct survey {
	struct sources_viewer viewer;
	const struct job *job;
	size_t same; /* bundles */
	bool differs;
};

/* What has several names may have changed by another one since its stamp was taken, and is looked at again each time. */
static bool
can_change_unseen(const struct source *s)
{
	for (unsigned i = 0; i < s->n_files; i++)
		if (s->files[i].stamp.links > 1)
			return true;
	return false;
}

static void
view(struct sources_viewer *v, const struct source *s)
{
	struct survey *y = CONTAINER_OF(v, struct survey, viewer);

	if (y->differs)
		return;
	const struct store_entry *e = store_find(y->job->previous, s->name);
	y->differs = e == NULL || strcmp(e->origin, s->origin) != 0 || can_change_unseen(s) || !store_is_unchanged(y->job, s);
	y->same++;
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
survey_is_same(const struct job *job)
{
	struct survey y = {.viewer = {view}, .job = job};

	return sources_view(job->conf, job->loader.what->files, &y.viewer) && !y.differs && y.same == count_listed(job->previous);
}
