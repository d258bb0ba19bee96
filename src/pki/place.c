#include "pki/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 64 };

bool
base_name_check(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool ok = n > 0 && n <= NAME_MAX_BYTES && name[0] != '-';

	for (size_t i = 0; ok && i < n; i++) {
		char c = ascii_lower(name[i]);
		ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
	}
	return ok ||
	    err_set(err,
	        "\"%s\" can not be the base name of files: it may have letters, digits, - and _ only (at most %d, no - in "
	        "front); take a directory with --dir",
	        name, NAME_MAX_BYTES);
}

const char *
place(struct pki *p, const char *name, const char *suffix)
{
	const char *dir = p->args.dir;
	bool slash = dir != NULL && dir[strlen(dir) - 1] != '/';
	const char *path =
	    arena_printf(&p->arena, "%s%s%s%s", dir != NULL ? dir : "", slash ? "/" : "", name, suffix);

	if (path == NULL)
		err_no_memory(&p->err);
	return path;
}

const char *
place_previous(struct pki *p, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	const char *previous = arena_printf(&p->arena, "%.*s.%s.previous", (int)(name - path), path, name);

	if (previous == NULL)
		err_no_memory(&p->err);
	return previous;
}

/* --- the config --- */

/* Who may not read the config may hardly write what it names, and may still want a request. */
static bool
is_absent(const char *path)
{
	if (access(path, R_OK) == 0)
		return false;
	int why = errno;
	if (why == EACCES)
		note("%s can not be read by you, so which files are in use is not known", path);
	return why == EACCES || why == ENOENT || why == ENOTDIR;
}

struct conf *
place_config(struct pki *p, bool *absent)
{
	const char *path = p->args.config != NULL ? p->args.config : p->host->default_config;
	struct conf_problems problems;

	if (absent != NULL && p->args.config == NULL && is_absent(path)) {
		*absent = true;
		return NULL;
	}
	if (absent != NULL)
		*absent = false;
	conf_problems_init(&problems);
	struct conf *conf = conf_load(files_direct(), path, &problems);
	struct sv text = buf_view(&problems.text);
	if (conf == NULL)
		err_set(&p->err,
		    "%s can not be read, so which files are in use is not known; name the right one with -c:\n%.*s", path,
		    (int)MIN_OF(text.n, (size_t)400), text.n > 0 ? text.p : "");
	conf_problems_free(&problems);
	return conf;
}

bool
place_real(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	char dir[PATH_MAX], real[PATH_MAX];

	if (realpath(path, out) != NULL)
		return true;
	/* glibc leaves in `out` how far it came: all the way, when a link leads to what is not there yet. */
	struct stat st;
	if (errno == ENOENT && lstat(path, &st) == 0)
		return true;
	struct sv before = slash == NULL ? SV(".") : sv_of(path, MAX_OF((size_t)(slash - path), (size_t)1));
	if (!sv_copy(before, dir, sizeof(dir)) || realpath(dir, real) == NULL)
		return false;
	int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
	return n > 0 && n < PATH_MAX;
}

/* What is looked for: by its place, and, where it exists, by what it is (so that a second hard link is seen as well). */
struct wanted {
	char path[PATH_MAX];
	struct stat st;
	bool exists;
};

static bool
is_it(const struct wanted *w, const char *named)
{
	char real[PATH_MAX];
	struct stat st;

	if (named == NULL)
		return false;
	if (w->exists && stat(named, &st) == 0 && st.st_dev == w->st.st_dev && st.st_ino == w->st.st_ino)
		return true;
	return place_real(named, real) && strcmp(real, w->path) == 0;
}

static bool
is_within(const struct wanted *w, const char *directory)
{
	char real[PATH_MAX];

	if (directory == NULL || realpath(directory, real) == NULL)
		return false;
	size_t n = strlen(real);
	return strncmp(w->path, real, n) == 0 && w->path[n] == '/';
}

static bool
names_it(const struct conf_bundle *b, const struct wanted *w)
{
	const char *const paths[] = {b->certificate, b->key, b->chain, b->combined, b->pkcs12, b->password_file};

	for (size_t i = 0; i < COUNTOF(paths); i++)
		if (is_it(w, paths[i]))
			return true;
	return is_within(w, b->directory);
}

static bool
is_free(struct pki *p, const struct conf *conf, const char *path)
{
	struct wanted w;

	if (!place_real(path, w.path))
		return err_set(&p->err, "%s: there is no such directory; make it first", path);
	w.exists = stat(path, &w.st) == 0;
	for (size_t i = 0; i < conf->n_bundles; i++)
		if (names_it(&conf->bundles[i], &w))
			return err_set(&p->err,
			    "%s: belongs to bundle \"%s\" of %s%s; take another name or directory, and "
			    "`bascule pki install` when all is ready",
			    path, conf->bundles[i].name, conf->files.v[0],
			    w.exists ? "; a file in use is never overwritten" : "");
	return true;
}

bool
place_is_free(struct pki *p, const char *path)
{
	bool absent;
	struct conf *conf = place_config(p, &absent);

	if (absent)
		return true;
	bool ok = conf != NULL && is_free(p, conf, path);
	conf_free(conf);
	return ok;
}

bool
place_new(struct pki *p, struct writes *w)
{
	bool absent;
	struct conf *conf = place_config(p, &absent);
	bool ok = conf != NULL || absent;

	for (size_t i = 0; ok && conf != NULL && i < w->n; i++)
		ok = is_free(p, conf, w->v[i].path);
	conf_free(conf);
	return ok && writes_commit(w, &p->err);
}
