#include "supervisor/allow.h"

#include <stdlib.h>
#include <string.h>

/* Out of memory: the entry is not in the table and `name` stays NULL. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->name = NULL)
#include <uthash.h>

enum {
	ADMIN_BACKLOG = 64,
	ADMIN_MODE = 0600,
	LISTENER_MODE = 0666, /* as open as a port; the directory it lies in can close it to some */
};

/* What may be done with it. */
enum {
	ALLOW_READ = 1,   /* open to read, stamp */
	ALLOW_LIST = 2,   /* this directory, not what is in it */
	ALLOW_TREE = 4,   /* a directory: read and list it and all below */
	ALLOW_APPEND = 8, /* a log */
	ALLOW_LISTEN = 16,
};

struct allowed {
	UT_hash_handle hh;
	const char *name;           /* a path without a slash at its end, or an address */
	unsigned what;              /* or'ed of the above */
	struct allow_socket socket; /* of an address */
};

struct allow {
	struct files reads; /* allow_what_is_read() */
	struct arena arena; /* holds entries and names */
	struct allowed *table;
	bool failed; /* out of memory while it was made */
};

static struct sv
without_slash(const char *path)
{
	struct sv s = sv_cstr(path);

	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	return s;
}

static struct allowed *
find(const struct allow *a, struct sv name)
{
	struct allowed *e = NULL;

	HASH_FIND(hh, a->table, name.p, name.n, e);
	return e;
}

static struct allowed *
add(struct allow *a, const char *path, unsigned what)
{
	if (path == NULL)
		return NULL;
	struct sv name = without_slash(path);
	struct allowed *e = find(a, name);
	if (e == NULL) {
		e = arena_alloc(&a->arena, sizeof(*e));
		if (e == NULL || (e->name = arena_copy(&a->arena, name)) == NULL) {
			a->failed = true;
			return NULL;
		}
		HASH_ADD_KEYPTR(hh, a->table, e->name, name.n, e);
		if (e->name == NULL) {
			a->failed = true;
			return NULL;
		}
	}
	e->what |= what;
	return e;
}

static void
add_all(struct allow *a, const struct conf_strings *paths, unsigned what)
{
	for (size_t i = 0; i < paths->n; i++)
		add(a, paths->v[i], what);
}

/* --- the config's own files --- */

static int
note_open_read(struct files *f, const char *path, struct err *err)
{
	add(CONTAINER_OF(f, struct allow, reads), path, ALLOW_READ);
	return files_direct()->open_read(files_direct(), path, err);
}

static int
note_open_append(struct files *f, const char *path, struct err *err)
{
	(void)f; /* reading a config appends to nothing */
	return files_direct()->open_append(files_direct(), path, err);
}

static bool
note_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	add(CONTAINER_OF(f, struct allow, reads), path, ALLOW_READ);
	return files_direct()->stamp(files_direct(), path, out, err);
}

static bool
note_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	add(CONTAINER_OF(f, struct allow, reads), path, ALLOW_LIST);
	return files_direct()->list(files_direct(), path, to, err);
}

struct allow *
allow_new(void)
{
	struct allow *a = calloc(1, sizeof(*a));

	if (a != NULL)
		a->reads = (struct files){note_open_read, note_open_append, note_stamp, note_list, NULL};
	return a;
}

struct files *
allow_what_is_read(struct allow *a)
{
	return &a->reads;
}

/* --- what it names --- */

static void
add_bundle(struct allow *a, const struct conf_bundle *b)
{
	add(a, b->certificate, ALLOW_READ);
	add(a, b->key, ALLOW_READ);
	add(a, b->chain, ALLOW_READ);
	add(a, b->combined, ALLOW_READ);
	add(a, b->pkcs12, ALLOW_READ);
	add(a, b->password_file, ALLOW_READ);
	add(a, b->directory, ALLOW_TREE);
	add(a, b->rotation.notify.ca, ALLOW_READ);
	add(a, b->rotation.notify.authorization, ALLOW_READ);
}

static void
add_address(struct allow *a, const char *address, struct allow_socket how)
{
	struct allowed *e = add(a, address, ALLOW_LISTEN);

	if (e != NULL)
		e->socket = how;
}

static void
add_admin_socket(struct allow *a, const char *path)
{
	char *address = arena_printf(&a->arena, "unix:%s", path);

	if (address == NULL)
		a->failed = true;
	else
		add_address(a, address, (struct allow_socket){ADMIN_BACKLOG, ADMIN_MODE, true});
}

bool
allow_what_is_named(struct allow *a, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_bundles; i++)
		add_bundle(a, &conf->bundles[i]);
	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_client_certificate *c = &conf->sites[i].client;
		for (size_t k = 0; k < c->n_pins; k++)
			add(a, c->pins[k].ca, ALLOW_READ);
		add_all(a, &c->crls, ALLOW_READ);
	}
	for (size_t i = 0; i < conf->n_upstreams; i++)
		add(a, conf->upstreams[i].tls.ca, ALLOW_READ);
	add(a, conf->log.error, ALLOW_APPEND);
	add(a, conf->log.access, ALLOW_APPEND);
	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];
		int backlog = (int)MIN_OF(l->backlog, (uint64_t)INT32_MAX);
		add_address(a, l->address, (struct allow_socket){backlog, LISTENER_MODE, false});
	}
	if (conf->admin_socket != NULL)
		add_admin_socket(a, conf->admin_socket);
	return !a->failed;
}

void
allow_free(struct allow *a)
{
	if (a == NULL)
		return;
	HASH_CLEAR(hh, a->table);
	arena_free(&a->arena);
	free(a);
}

/* --- questions --- */

static bool
goes_up(struct sv rest)
{
	while (rest.p != NULL)
		if (sv_eq(sv_cut(&rest, '/'), SV("..")))
			return true;
	return false;
}

/* Is there a directory above `path` with all that lies below it? */
static bool
in_tree(const struct allow *a, struct sv path)
{
	for (size_t n = path.n; n > 0; n--) {
		if (n < path.n && path.p[n] != '/')
			continue;
		struct allowed *e = find(a, sv_of(path.p, n));
		if (e != NULL && (e->what & ALLOW_TREE) != 0 && !goes_up(sv_of(path.p + n, path.n - n)))
			return true;
	}
	return false;
}

static bool
has(const struct allow *a, struct sv name, unsigned what)
{
	struct allowed *e = find(a, name);

	return e != NULL && (e->what & what) != 0;
}

bool
allow_read(const struct allow *a, const char *path)
{
	struct sv s = without_slash(path);

	return a != NULL && (has(a, s, ALLOW_READ) || in_tree(a, s));
}

bool
allow_list(const struct allow *a, const char *path)
{
	struct sv s = without_slash(path);

	return a != NULL && (has(a, s, ALLOW_LIST) || in_tree(a, s));
}

bool
allow_append(const struct allow *a, const char *path)
{
	return a != NULL && has(a, without_slash(path), ALLOW_APPEND);
}

bool
allow_listen(const struct allow *a, const char *address, struct allow_socket *out)
{
	struct allowed *e = a != NULL ? find(a, sv_cstr(address)) : NULL;

	if (e == NULL || (e->what & ALLOW_LISTEN) == 0)
		return false;
	*out = e->socket;
	return true;
}
