#include "conf/gather.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/read.h"

struct gatherer {
	struct files *files;
	struct arena *arena;
	struct conf_problems *problems;
	struct gathered out;
	struct conf_text **last; /* where the next one is hung */
	struct conf_text *known; /* by device and inode: a file is read once, whatever it is called */
};

/* Who asks for a path: a string in a file, or whoever starts the proxy. */
struct request {
	struct conf_text *from; /* NULL: the path of the whole config */
	uint32_t node;
	unsigned depth;
};

static void load_path(struct gatherer *g, const struct request *by, const char *path);

static void
fault(struct gatherer *g, const struct request *by, const char *text)
{
	g->out.whole = false;
	if (by->from != NULL)
		conf_text_error(by->from, by->node, g->problems, "%s", text);
	else
		conf_error(g->problems, NULL, NULL, "%s", text);
}

static void
no_memory(struct gatherer *g)
{
	g->out.whole = false;
	conf_error(g->problems, NULL, NULL, "out of memory");
}

/* --- includes --- */

static void
include(struct gatherer *g, struct conf_text *t, unsigned depth, const char *path, uint32_t node)
{
	const struct request by = {t, node, depth};
	char *absolute;

	if (path == NULL)
		return; /* not a string: the reader tells */
	if (depth > GATHER_DEPTH_MAX) {
		fault(g, &by, "files include each other more than 8 deep");
		return;
	}
	absolute = conf_absolute(g->arena, t->path, path);
	if (absolute == NULL)
		no_memory(g);
	else
		load_path(g, &by, absolute);
}

static void
load_includes(struct gatherer *g, struct conf_text *t, unsigned depth)
{
	uint32_t node = 1;
	const char *name;
	json_t *v;

	json_object_foreach(t->root, name, v) {
		if (strcmp(name, "include") == 0)
			break;
		node = t->nodes[node].end;
	}
	v = json_object_get(t->root, "include");
	if (!json_is_array(v)) {
		include(g, t, depth + 1, json_string_value(v), node);
		return;
	}
	node++;
	for (size_t i = 0; i < json_array_size(v); i++, node = t->nodes[node].end)
		include(g, t, depth + 1, json_string_value(json_array_get(v, i)), node);
}

/* --- one file --- */

static bool
is_read_already(struct gatherer *g, const struct request *by, struct conf_text *t)
{
	const struct conf_text *known;

	HASH_FIND(hh, g->known, &t->stamp.device, 2 * sizeof(uint64_t), known);
	if (known == NULL)
		return false;
	for (const struct conf_text *at = by->from; at != NULL; at = at->from) {
		if (at == known) {
			struct err err;
			err_set(&err,
			    "%s includes this file in its turn: a circle; remove one of the two", known->path);
			fault(g, by, err.text);
			break;
		}
	}
	return true;
}

/* False: it is a directory. What else is wrong has been told. */
static bool
load_file(struct gatherer *g, const struct request *by, const char *path)
{
	struct conf_text *t = conf_text_new(path, by->from);
	struct err err;

	if (t == NULL) {
		no_memory(g);
		return true;
	}
	if (!files_read(g->files, path, &t->bytes, &t->stamp, &err)) {
		bool directory = errno == EISDIR;
		if (!directory)
			fault(g, by, err.text);
		conf_text_free(t);
		return !directory;
	}
	if (is_read_already(g, by, t)) {
		conf_text_free(t);
		return true;
	}
	HASH_ADD(hh, g->known, stamp.device, 2 * sizeof(uint64_t), t);
	if (t->hh.tbl == NULL)
		no_memory(g);
	*g->last = t;
	g->last = &t->next;
	if (conf_text_parse(t, g->problems))
		load_includes(g, t, by->depth);
	else
		g->out.whole = false;
	return true;
}

/* --- patterns and directories --- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct file_entry *)a)->name, ((const struct file_entry *)b)->name);
}

/* The files of a directory whose names match, in their order. How many; -1: the directory can not be read. */
static int
load_matching(struct gatherer *g, const struct request *by, const char *directory, const char *pattern)
{
	struct file_entry *entries;
	struct err err;
	int found = 0;
	size_t n;

	if (!files_list(g->files, directory, &entries, &n, &err)) {
		fault(g, by, err.text);
		return -1;
	}
	if (n > 0)
		qsort(entries, n, sizeof(*entries), by_name);
	for (size_t i = 0; i < n; i++) {
		if (entries[i].is_directory || entries[i].dangling || fnmatch(pattern, entries[i].name, 0) != 0)
			continue;
		const char *path = arena_printf(g->arena, "%s/%s", directory, entries[i].name);
		if (path == NULL)
			no_memory(g);
		else
			(void)load_file(g, by, path); /* became a directory just now: passed over like the others */
		found++;
	}
	free(entries);
	return found;
}

/* A pattern may match nothing: a directory of sites can be empty. */
static void
load_pattern(struct gatherer *g, const struct request *by, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *directory = arena_copy(g->arena, sv_of(path, (size_t)(slash - path)));

	if (directory == NULL)
		no_memory(g);
	else if (strpbrk(directory, "*?[") != NULL)
		fault(g, by, "a pattern can have *, ? and [ after its last slash only");
	else
		load_matching(g, by, directory[0] != '\0' ? directory : "/", slash + 1);
}

static void
load_path(struct gatherer *g, const struct request *by, const char *path)
{
	struct err err;

	if (by->from != NULL && strpbrk(path, "*?[") != NULL) {
		load_pattern(g, by, path);
		return;
	}
	if (!load_file(g, by, path) && load_matching(g, by, path, "*.json") == 0) {
		err_set(&err, "%s: no *.json in this directory", path);
		fault(g, by, err.text);
	}
}

struct gathered
conf_gather(struct files *files, const char *path, struct arena *arena, struct conf_problems *problems)
{
	struct gatherer g = {.files = files, .arena = arena, .problems = problems, .out = {.whole = true}};
	const struct request by = {NULL, 0, 0};
	char *here = NULL, *absolute;

	g.last = &g.out.texts;
	if (path[0] != '/' && (here = getcwd(NULL, 0)) == NULL) {
		conf_error(problems, NULL, NULL, "%s: the working directory is not known; give an absolute path", path);
		g.out.whole = false;
		return g.out;
	}
	absolute = here != NULL ? arena_printf(arena, "%s/%s", here, path) : arena_copy(arena, sv_cstr(path));
	free(here);
	if (absolute == NULL)
		no_memory(&g);
	else
		load_path(&g, &by, absolute);
	HASH_CLEAR(hh, g.known);
	return g.out;
}

void
gathered_free(struct gathered *g)
{
	for (struct conf_text *t = g->texts, *next; t != NULL; t = next) {
		next = t->next;
		conf_text_free(t);
	}
	g->texts = NULL;
}
