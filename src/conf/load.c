/*
 * load.c: a config from its files.
 *
 * Gather the texts, read them by the rows, check the whole, let the levels
 * inherit. The texts are freed at the end: strings were copied to the arena.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/check.h"
#include "conf/gather.h"
#include "conf/inherit.h"
#include "conf/places.h"
#include "conf/read.h"

static int
by_bundle_name(const void *a, const void *b)
{
	const struct conf_bundle *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int
by_upstream_name(const void *a, const void *b)
{
	const struct conf_upstream *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool
index_names(struct conf *c)
{
	c->bundles_by_name = arena_alloc(&c->arena, (c->n_bundles + 1) * sizeof(struct conf_bundle *));
	c->upstreams_by_name = arena_alloc(&c->arena, (c->n_upstreams + 1) * sizeof(struct conf_upstream *));
	if (c->bundles_by_name == NULL || c->upstreams_by_name == NULL)
		return false;
	for (size_t i = 0; i < c->n_bundles; i++)
		c->bundles_by_name[i] = &c->bundles[i];
	for (size_t i = 0; i < c->n_upstreams; i++)
		c->upstreams_by_name[i] = &c->upstreams[i];
	qsort(c->bundles_by_name, c->n_bundles, sizeof(struct conf_bundle *), by_bundle_name);
	qsort(c->upstreams_by_name, c->n_upstreams, sizeof(struct conf_upstream *), by_upstream_name);
	return true;
}

static bool
keep_paths(struct conf *c, const struct conf_text *texts)
{
	size_t n = 0;

	for (const struct conf_text *t = texts; t != NULL; t = t->next)
		n++;
	c->files.v = arena_alloc(&c->arena, n * sizeof(*c->files.v));
	for (const struct conf_text *t = texts; t != NULL && c->files.v != NULL; t = t->next)
		c->files.v[c->files.n++] = t->path;
	return c->files.v != NULL;
}

/* `sound_only`: without the objects in which an earlier call found a fault; nothing is checked then. */
static void
read_all(struct conf *c, struct gathered *g, struct conf_problems *problems, bool sound_only)
{
	struct conf_reader r;

	reader_init(&r, c, problems);
	r.sound_only = sound_only;
	reader_presets(&conf_keys, c);
	reader_reserve(&r, &conf_keys, c, g->texts);
	if (!keep_paths(c, g->texts))
		r.no_memory = true;
	if (c->files.n > 0)
		c->at = (struct conf_where){.file = c->files.v[0], .places = r.kept};
	for (struct conf_text *t = g->texts; t != NULL && !r.no_memory; t = t->next)
		if (t->n_nodes > 0)
			reader_object(&r, t, &conf_keys, c, t->root, 0);
	/* What a file that could not be read holds would be missed everywhere. */
	if (g->whole && !r.no_memory && !sound_only)
		conf_check(&r);
	if (r.no_memory || !places_keep(r.kept, c, r.places) || !index_names(c))
		conf_error(problems, NULL, NULL, "out of memory");
	reader_free(&r);
}

/* Once more, into a config that is empty again. What is found has been told. */
static bool
read_sound(struct conf *c, struct gathered *g)
{
	struct conf_problems told;

	if (!g->whole)
		return false;
	conf_problems_init(&told);
	*c = (struct conf){.arena = c->arena};
	read_all(c, g, &told, true);
	conf_problems_free(&told);
	return c->bundles_by_name != NULL && c->upstreams_by_name != NULL;
}

static struct conf *
load(struct files *files, const char *path, struct conf_problems *problems, bool sound)
{
	unsigned errors = problems->errors;
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		conf_error(problems, NULL, NULL, "out of memory");
		return NULL;
	}
	struct gathered g = conf_gather(files, path, &c->arena, problems);
	read_all(c, &g, problems, false);
	bool usable = problems->errors == errors || (sound && read_sound(c, &g));
	gathered_free(&g);
	if (!usable) {
		conf_free(c);
		return NULL;
	}
	conf_inherit(c);
	return c;
}

struct conf *
conf_load(struct files *files, const char *path, struct conf_problems *problems)
{
	return load(files, path, problems, false);
}

struct conf *
conf_load_sound(struct files *files, const char *path, struct conf_problems *problems)
{
	return load(files, path, problems, true);
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	struct arena arena = c->arena;
	free(c);
	arena_free(&arena);
}

const struct conf_upstream *
conf_upstream(const struct conf *c, const char *name)
{
	const struct conf_upstream wanted = {.name = name}, *key = &wanted;

	if (c->n_upstreams == 0)
		return NULL;
	const struct conf_upstream *const *found =
	    bsearch(&key, c->upstreams_by_name, c->n_upstreams, sizeof(struct conf_upstream *), by_upstream_name);
	return found != NULL ? *found : NULL;
}

const struct conf_bundle *
conf_bundle(const struct conf *c, const char *name)
{
	const struct conf_bundle wanted = {.name = name}, *key = &wanted;

	if (c->n_bundles == 0)
		return NULL;
	const struct conf_bundle *const *found =
	    bsearch(&key, c->bundles_by_name, c->n_bundles, sizeof(struct conf_bundle *), by_bundle_name);
	return found != NULL ? *found : NULL;
}
