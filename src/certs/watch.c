#include "certs/watch.h"

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
	size_t listed;             /* its place in w->v, from 1; 0: none */
	bool walked, again;        /* again: not in this run */
	bool link;
	struct watch_owner walked_for;
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

bool
watch_owner_is(const struct watch_owner *a, const struct watch_owner *b)
{
	if (a->listing == NULL || b->listing == NULL)
		return a->listing == b->listing;
	if (strcmp(a->listing, b->listing) != 0 || (a->bundle == NULL) != (b->bundle == NULL))
		return false;
	return a->bundle == NULL || strcmp(a->bundle, b->bundle) == 0;
}

/* A place that another owner needs, too. Only the files that lie in a listing are told apart by the names in its events. */
static void
share(struct watch_place *p, const struct watch_owner *other, bool linked)
{
	bool named = p->owner.listing != NULL && p->owner.bundle == NULL && !linked && other->listing != NULL &&
	    strcmp(p->owner.listing, other->listing) == 0;

	if (!named && !watch_owner_is(&p->owner, other))
		p->owner = WATCH_ANYTHING;
}

static const char *
copy_or_null(struct arena *a, const char *s)
{
	return s != NULL ? arena_copy(a, sv_cstr(s)) : NULL;
}

static bool
add_place(struct watch *w, const char *path, const struct watch_owner *owner, bool loose)
{
	if (w->n == w->capacity) {
		size_t more = w->capacity == 0 ? 16 : w->capacity * 2;
		struct watch_place *grown = reallocarray(w->v, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		w->v = grown;
		w->capacity = more;
	}
	struct watch_place *p = &w->v[w->n];
	*p = (struct watch_place){arena_copy(w->arena, sv_cstr(path)),
	    {copy_or_null(w->arena, owner->listing), copy_or_null(w->arena, owner->bundle)}, loose};
	if (p->path == NULL || (p->owner.listing == NULL) != (owner->listing == NULL) ||
	    (p->owner.bundle == NULL) != (owner->bundle == NULL))
		return false;
	w->n++;
	return true;
}

/* `linked`: what lies there is reached by a link, and so by another name. */
static bool
list(struct watch *w, struct watch_path *e, bool linked)
{
	if (e->listed != 0) {
		share(&w->v[e->listed - 1], &w->owner, linked);
		return true;
	}
	if (access(e->path, R_OK) != 0 && errno == EACCES)
		w->blocked = true; /* and who shares the directory is served by who asks first */
	if (!add_place(w, e->path, &w->owner, true))
		return false;
	e->listed = w->n;
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
 * Where the link at `path` leads to, in the scratch arena; NULL when it is no link, or one that leads nowhere. Not inlined:
 * its buffers must not be on the stack once for each step of walk().
 */
static __attribute__((noinline)) const char *
link_target(struct watch *w, struct sv path, struct sv parent)
{
	char from[PATH_MAX], target[PATH_MAX];

	ssize_t n = sv_copy(path, from, sizeof(from)) ? readlink(from, target, sizeof(target)) : 0;
	if (n < 0 && errno == EACCES)
		w->blocked = true;
	if (n <= 0 || (size_t)n == sizeof(target))
		return NULL;
	if (target[0] == '/')
		return arena_copy(&w->scratch, sv_of(target, (size_t)n));
	return arena_printf(&w->scratch, "%.*s/%.*s", SV_FMT(parent), (int)n, target);
}

/* ".name", but neither "." nor "..": events of such names tell nothing of a listing's bundles, unless a link leads there. */
static bool
is_dotted(struct sv path, struct sv parent)
{
	struct sv last = path;

	if (path.n > parent.n && path.p[parent.n] == '/')
		last = sv_of(path.p + parent.n + 1, path.n - parent.n - 1);
	return last.n > 0 && last.p[0] == '.' && !sv_eq(last, SV(".")) && !sv_eq(last, SV(".."));
}

static bool walk(struct watch *w, struct sv path, bool is_file, unsigned links);

/* To one that is not on its way yet. `e` NULL: to a file, of which nothing is noted but where it lies. */
static bool
walk_new(struct watch *w, struct watch_path *e, struct sv path, unsigned links)
{
	struct sv parent = parent_of(path);
	bool fresh;

	if (!walk(w, parent, false, links))
		return false;
	struct watch_path *directory = known(w, parent, &fresh);
	if (directory == NULL)
		return false;
	if (directory->listed != 0 && w->v[directory->listed - 1].owner.bundle == NULL && is_dotted(path, parent))
		w->v[directory->listed - 1].owner = WATCH_ANYTHING;
	const char *target = links < LINKS_MAX ? link_target(w, path, parent) : NULL;
	if (e != NULL)
		e->link = target != NULL;
	if (target == NULL && e != NULL)
		return true;
	return list(w, directory, links > 0) && (target == NULL || walk(w, sv_cstr(target), e == NULL, links + 1));
}

/* Each prefix is looked at once, and once more when it turns out that not only one bundle depends on it. */
static bool
walk_directory(struct watch *w, struct sv path, unsigned links)
{
	struct watch_owner owner = w->owner;
	bool fresh;

	struct watch_path *e = known(w, path, &fresh);
	if (e == NULL)
		return false;
	if (sv_eq(path, SV("/")) || sv_eq(path, SV(".")))
		return true;
	if (e->walked && (e->walked_for.listing == NULL || watch_owner_is(&e->walked_for, &owner)))
		return true;
	if (e->walked)
		w->owner = WATCH_ANYTHING;
	e->walked = true;
	e->walked_for = w->owner;
	bool ok = walk_new(w, e, path, links);
	w->owner = owner;
	return ok;
}

/*
 * All links on the way to `path`. The directory of a file is listed, linked or not. Of ten thousand files in it none is
 * remembered: what two of them share is on the way to them.
 */
static bool
walk(struct watch *w, struct sv path, bool is_file, unsigned links)
{
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return is_file ? walk_new(w, NULL, path, links) : walk_directory(w, path, links);
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
	struct watch_owner owner = w->owner;
	struct sv s = sv_cstr(path);
	bool fresh;

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	if (owner.bundle == NULL)
		w->owner = WATCH_ANYTHING; /* the way to a listing is that of all its bundles */
	struct watch_path *e = walk(w, s, false, 0) ? known(w, s, &fresh) : NULL;
	w->owner = owner;
	return e != NULL && list(w, e, false) && note_hidden(w, path, false);
}

bool
watch_file(struct watch *w, const char *path)
{
	return walk(w, sv_cstr(path), true, 0) && note_hidden(w, path, true);
}

bool
watch_again(struct watch *w, const struct watch_place *p)
{
	bool fresh;
	struct watch_path *e = known(w, sv_cstr(p->path), &fresh);

	if (e == NULL || !add_place(w, p->path, &p->owner, p->loose))
		return false;
	e->listed = w->n;
	e->walked = e->again = true;
	e->walked_for = p->owner.bundle != NULL ? p->owner : WATCH_ANYTHING;
	return true;
}

/* What is no link is held by its parent: to put another in its place makes an event there. */
static bool
is_loose(struct watch *w, const struct watch_place *p)
{
	struct sv path = sv_cstr(p->path), parent = parent_of(path);
	const struct watch_path *e, *above;

	HASH_FIND(hh, w->known, path.p, path.n, e);
	HASH_FIND(hh, w->known, parent.p, parent.n, above);
	if (e == NULL || e->again)
		return p->loose;
	return e->link || above == NULL || above->listed == 0 || path.n <= parent.n + 1 || path.p[parent.n + 1] == '.';
}

void
watch_finish(struct watch *w)
{
	struct watch_path *e, *next;

	for (size_t i = 0; i < w->n; i++)
		w->v[i].loose = is_loose(w, &w->v[i]);
	HASH_ITER(hh, w->known, e, next) {
		HASH_DEL(w->known, e);
		free(e);
	}
	w->known = NULL;
	arena_free(&w->scratch);
}

/* --- what was found ----------------------------------------------------------------------------------------------- */

static int
by_path(const void *a, const void *b)
{
	return strcmp((*(const struct watch_place *const *)a)->path, (*(const struct watch_place *const *)b)->path);
}

/* In order of their paths, of which no two are the same. NULL: out of memory. */
static const struct watch_place **
in_order(const struct watch_place *v, size_t n)
{
	const struct watch_place **order = reallocarray(NULL, MAX_OF(n, (size_t)1), sizeof(const struct watch_place *));

	for (size_t i = 0; order != NULL && i < n; i++)
		order[i] = &v[i];
	if (order != NULL && n > 0)
		qsort(order, n, sizeof(const struct watch_place *), by_path);
	return order;
}

bool
watch_places_eq(const struct watch_place *a, const struct watch_place *b, size_t n)
{
	const struct watch_place **x = in_order(a, n), **y = in_order(b, n);
	bool same = x != NULL && y != NULL;

	for (size_t i = 0; same && i < n; i++)
		same = strcmp(x[i]->path, y[i]->path) == 0 && watch_owner_is(&x[i]->owner, &y[i]->owner) && x[i]->loose == y[i]->loose;
	free(x);
	free(y);
	return same;
}
