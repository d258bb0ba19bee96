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
#include "conf/read.h"

/* Bundles and upstreams have no order in a file; sorted, they are found fast. */
static int
by_bundle_name(const void *a, const void *b)
{
	return strcmp(((const struct conf_bundle *)a)->name, ((const struct conf_bundle *)b)->name);
}

static int
by_upstream_name(const void *a, const void *b)
{
	return strcmp(((const struct conf_upstream *)a)->name, ((const struct conf_upstream *)b)->name);
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

static void
read_all(struct conf *c, struct gathered *g, struct conf_problems *problems)
{
	struct conf_reader r;

	reader_init(&r, c, problems);
	reader_presets(&conf_keys, c);
	reader_reserve(&r, &conf_keys, c, g->texts);
	if (!keep_paths(c, g->texts))
		r.no_memory = true;
	for (struct conf_text *t = g->texts; t != NULL && !r.no_memory; t = t->next)
		if (t->n_nodes > 0)
			reader_object(&r, t, &conf_keys, c, t->root, 0);
	/* What a file that could not be read holds would be missed everywhere. */
	if (g->whole && !r.no_memory)
		conf_check(&r);
	if (r.no_memory)
		conf_error(problems, NULL, NULL, "out of memory");
	reader_free(&r);
}

struct conf *
conf_load(struct files *files, const char *path, struct conf_problems *problems)
{
	unsigned errors = problems->errors;
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		conf_error(problems, NULL, NULL, "out of memory");
		return NULL;
	}
	struct gathered g = conf_gather(files, path, &c->arena, problems);
	read_all(c, &g, problems);
	gathered_free(&g);
	if (problems->errors > errors) {
		conf_free(c);
		return NULL;
	}
	conf_inherit(c);
	if (c->n_bundles > 0)
		qsort(c->bundles, c->n_bundles, sizeof(*c->bundles), by_bundle_name);
	if (c->n_upstreams > 0)
		qsort(c->upstreams, c->n_upstreams, sizeof(*c->upstreams), by_upstream_name);
	return c;
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
	const struct conf_upstream key = {.name = name};

	if (c->n_upstreams == 0)
		return NULL;
	return bsearch(&key, c->upstreams, c->n_upstreams, sizeof(key), by_upstream_name);
}

const struct conf_bundle *
conf_bundle(const struct conf *c, const char *name)
{
	const struct conf_bundle key = {.name = name};

	if (c->n_bundles == 0)
		return NULL;
	return bsearch(&key, c->bundles, c->n_bundles, sizeof(key), by_bundle_name);
}
