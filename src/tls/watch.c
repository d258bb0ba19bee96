#include "tls/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { LINKS_MAX = 40 }; /* as the kernel's own limit */

struct watch_path {
	const char *path;
	bool listed; /* in w->v */
	UT_hash_handle hh;
};

/* The entry of a path; *fresh tells whether it is new. NULL: no memory. */
static struct watch_path *
known(struct watch *w, struct sv path, bool *fresh)
{
	struct watch_path *e;

	HASH_FIND(hh, w->known, path.p, path.n, e);
	*fresh = e == NULL;
	if (e != NULL || (e = calloc(1, sizeof(*e))) == NULL)
		return e;
	if ((e->path = arena_copy(&w->scratch, path)) != NULL)
		HASH_ADD_KEYPTR(hh, w->known, e->path, path.n, e);
	if (e->hh.tbl != NULL)
		return e;
	free(e);
	return NULL;
}

static bool
list(struct watch *w, struct watch_path *e)
{
	if (e->listed)
		return true;
	if (access(e->path, R_OK) != 0 && errno == EACCES)
		w->blocked = true; /* and who shares the directory is served by who asks first */
	if (w->n == w->capacity) {
		size_t more = w->capacity == 0 ? 16 : w->capacity * 2;
		const char **grown = reallocarray(w->v, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		w->v = grown;
		w->capacity = more;
	}
	if ((w->v[w->n] = arena_copy(w->arena, sv_cstr(e->path))) == NULL)
		return false;
	e->listed = true;
	w->n++;
	return true;
}

/* "a/b" of "a/b/c", "/" of "/a", "." of "a". */
static struct sv
parent_of(struct sv path)
{
	const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;

	if (slash == NULL)
		return SV(".");
	return sv_of(path.p, MAX_OF((size_t)(slash - path.p), (size_t)1));
}

/*
 * Where the link at e->path leads to, in the scratch arena; NULL when it is no link, or one that leads nowhere. Not
 * inlined: its buffer must not be on the stack once for each step of walk().
 */
static __attribute__((noinline)) const char *
link_target(struct watch *w, const struct watch_path *e, struct sv parent)
{
	char target[PATH_MAX];
	ssize_t n = readlink(e->path, target, sizeof(target));

	if (n < 0 && errno == EACCES)
		w->blocked = true;
	if (n <= 0 || (size_t)n == sizeof(target))
		return NULL;
	if (target[0] == '/')
		return arena_copy(&w->scratch, sv_of(target, (size_t)n));
	return arena_printf(&w->scratch, "%.*s/%.*s", SV_FMT(parent), (int)n, target);
}

/* All links on the way to `path`, each prefix looked at once. The directory of a file is listed, linked or not. */
static bool
walk(struct watch *w, struct sv path, bool is_file, unsigned links)
{
	bool fresh;

	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	struct watch_path *e = known(w, path, &fresh);
	if (e == NULL)
		return false;
	if (!fresh || sv_eq(path, SV("/")) || sv_eq(path, SV(".")))
		return true;
	struct sv parent = parent_of(path);
	if (!walk(w, parent, false, links))
		return false;
	const char *target = links < LINKS_MAX ? link_target(w, e, parent) : NULL;
	if (target == NULL && !is_file)
		return true;
	struct watch_path *directory = known(w, parent, &fresh);
	if (directory == NULL || !list(w, directory))
		return false;
	return target == NULL || walk(w, sv_cstr(target), is_file, links + 1);
}

static bool
note_hidden(struct watch *w, const char *path, bool is_file)
{
	bool blocked = w->blocked;

	w->blocked = false;
	if (!blocked)
		return true;
	if (w->n_hidden == w->hidden_capacity) {
		size_t more = w->hidden_capacity == 0 ? 16 : w->hidden_capacity * 2;
		struct watch_hidden *grown = reallocarray(w->hidden, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		w->hidden = grown;
		w->hidden_capacity = more;
	}
	w->hidden[w->n_hidden] = (struct watch_hidden){arena_copy(w->arena, sv_cstr(path)), is_file};
	return w->hidden[w->n_hidden++].path != NULL;
}

bool
watch_directory(struct watch *w, const char *path)
{
	struct sv s = sv_cstr(path);
	bool fresh;

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	struct watch_path *e = walk(w, s, false, 0) ? known(w, s, &fresh) : NULL;
	return e != NULL && list(w, e) && note_hidden(w, path, false);
}

bool
watch_file(struct watch *w, const char *path)
{
	return walk(w, sv_cstr(path), true, 0) && note_hidden(w, path, true);
}

void
watch_finish(struct watch *w)
{
	struct watch_path *e, *next;

	HASH_ITER(hh, w->known, e, next) {
		HASH_DEL(w->known, e);
		free(e);
	}
	w->known = NULL;
	arena_free(&w->scratch);
}
