/*
 * Bundles of a directory.
 *
 * Each entry is one: NAME/ in the layout of a known tool, NAME.pem, NAME.crt
 * or NAME.pem with NAME.key, NAME.p12 or NAME.pfx with or without NAME.pass.
 * What is none of these is reported: it may be a certificate that somebody
 * waits to see served.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "certs/sources.h"

enum kind {
	KIND_DIRECTORY = 1,
	KIND_PEM = 2,
	KIND_CRT = 4,
	KIND_KEY = 8,
	KIND_P12 = 16,
	KIND_PFX = 32,
	KIND_PASS = 64,
	KIND_OTHER = 128,
};

static const struct {
	struct sv suffix;
	enum kind kind;
} suffixes[] = {
	{{".pem", 4}, KIND_PEM},
	{{".crt", 4}, KIND_CRT},
	{{".key", 4}, KIND_KEY},
	{{".p12", 4}, KIND_P12},
	{{".pfx", 4}, KIND_PFX},
	{{".pass", 5}, KIND_PASS},
};

/* What may lie beside certificates and is nobody's certificate: certbot puts a README, others keep requests. */
static const struct sv bystanders[] = {{".txt", 4}, {".md", 3}, {".csr", 4}, {"README", 6}};

/* The sets of files with one NAME that make a bundle. */
static const struct {
	unsigned kinds;
	struct {
		enum kind kind;
		enum source_role role;
	} files[2];
} flat_layouts[] = {
	{KIND_PEM, {{KIND_PEM, SOURCE_COMBINED}}},
	{KIND_PEM | KIND_KEY, {{KIND_PEM, SOURCE_CERTIFICATE}, {KIND_KEY, SOURCE_KEY}}},
	{KIND_CRT | KIND_KEY, {{KIND_CRT, SOURCE_CERTIFICATE}, {KIND_KEY, SOURCE_KEY}}},
	{KIND_P12, {{KIND_P12, SOURCE_PKCS12}}},
	{KIND_P12 | KIND_PASS, {{KIND_P12, SOURCE_PKCS12}, {KIND_PASS, SOURCE_PASSWORD}}},
	{KIND_PFX, {{KIND_PFX, SOURCE_PKCS12}}},
	{KIND_PFX | KIND_PASS, {{KIND_PFX, SOURCE_PKCS12}, {KIND_PASS, SOURCE_PASSWORD}}},
};

/* Inside NAME/. The first two files must be there, the third may. */
static const struct {
	const char *names[SOURCE_FILES_MAX];
} nested_layouts[] = {
	{{"fullchain.pem", "privkey.pem", NULL}},         /* certbot */
	{{"tls.crt", "tls.key", NULL}},                   /* Kubernetes */
	{{"cert.pem", "key.pem", "chain.pem"}},
};
static const enum source_role nested_roles[SOURCE_FILES_MAX] = {SOURCE_CERTIFICATE, SOURCE_KEY, SOURCE_CHAIN};

struct item {
	struct sv base; /* behind it lies the rest of the entry's name, and a NUL */
	enum kind kind;
	struct file_stamp stamp;
};

/* What is there. */
struct items {
	struct file_taker taker;
	struct arena names;
	struct item *v; /* malloc'ed */
	size_t n, capacity;
	bool no_memory; /* for all of them */
};

static struct item
classify(struct sv name, bool is_directory)
{
	if (is_directory)
		return (struct item){.base = name, .kind = KIND_DIRECTORY};
	for (size_t i = 0; i < COUNTOF(suffixes); i++)
		if (name.n > suffixes[i].suffix.n && sv_ends(name, suffixes[i].suffix))
			return (struct item){.base = sv_of(name.p, name.n - suffixes[i].suffix.n), .kind = suffixes[i].kind};
	return (struct item){.base = name, .kind = KIND_OTHER};
}

static bool
is_bystander(const struct item *item)
{
	if (item->kind == KIND_DIRECTORY)
		return sv_eq(item->base, SV("lost+found"));
	for (size_t i = 0; item->kind == KIND_OTHER && i < COUNTOF(bystanders); i++)
		if (sv_ends(item->base, bystanders[i]))
			return true;
	return false;
}

/* Something that is not there just now must not seem to be gone: its bundle is held. Without a suffix it was a folder. */
static struct item
classify_entry(struct sv name, const struct file_entry *e)
{
	struct item item = classify(name, e->is_directory);

	if (e->dangling && item.kind == KIND_OTHER && !is_bystander(&item))
		item.kind = KIND_DIRECTORY;
	item.stamp = e->stamp;
	return item;
}

static bool
put_item(struct items *all, const struct file_entry *e)
{
	struct sv name = sv_cstr(e->name);

	if (all->n == all->capacity) {
		size_t more = all->capacity == 0 ? 16 : all->capacity * 2;
		struct item *grown = reallocarray(all->v, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		all->v = grown;
		all->capacity = more;
	}
	if ((name.p = arena_copy(&all->names, name)) == NULL)
		return false;
	all->v[all->n++] = classify_entry(name, e);
	return true;
}

static bool
take_item(struct file_taker *t, const struct file_entry *e)
{
	struct items *all = CONTAINER_OF(t, struct items, taker);

	all->no_memory = !put_item(all, e);
	return !all->no_memory;
}

#define ITEMS_NONE ((struct items){.taker = {take_item}, .names = ARENA_EMPTY})

static void
items_free(struct items *all)
{
	free(all->v);
	arena_free(&all->names);
}

/* What is not understood stands apart: it must not spoil a bundle whose NAME it happens to bear. */
static int
by_base(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if ((x->kind == KIND_OTHER) != (y->kind == KIND_OTHER))
		return x->kind == KIND_OTHER ? 1 : -1;
	int order = memcmp(x->base.p, y->base.p, MIN_OF(x->base.n, y->base.n));
	if (order != 0)
		return order;
	if (x->base.n != y->base.n)
		return x->base.n < y->base.n ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

/* --- NAME/ --- */

static const struct file_entry *
entry_named(const struct file_entry *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (name != NULL && !v[i].is_directory && strcmp(v[i].name, name) == 0)
			return &v[i];
	return NULL;
}

/* The layout that the entries are in; COUNTOF(nested_layouts): none, -1: several. */
static int
nested_layout(const struct file_entry *v, size_t n)
{
	int found = (int)COUNTOF(nested_layouts);

	for (size_t i = 0; i < COUNTOF(nested_layouts); i++) {
		if (entry_named(v, n, nested_layouts[i].names[0]) == NULL ||
		    entry_named(v, n, nested_layouts[i].names[1]) == NULL)
			continue;
		if (found != (int)COUNTOF(nested_layouts))
			return -1;
		found = (int)i;
	}
	return found;
}

static bool
nested_files(struct sources *all, struct source *s, const struct file_entry *v, size_t n)
{
	int layout = nested_layout(v, n);

	if (layout < 0 || layout == (int)COUNTOF(nested_layouts)) {
		s->problem = arena_printf(&all->arena,
		    "%s: holds %s fullchain.pem with privkey.pem, tls.crt with tls.key, cert.pem with key.pem; "
		    "leave the files of one of these pairs there",
		    s->where, layout < 0 ? "more than one of" : "none of");
		return s->problem != NULL;
	}
	for (unsigned i = 0; i < SOURCE_FILES_MAX; i++) {
		const struct file_entry *e = entry_named(v, n, nested_layouts[layout].names[i]);
		if (e == NULL)
			continue;
		const char *path = arena_printf(&all->arena, "%s/%s", s->where, e->name);
		if (path == NULL)
			return false;
		source_add_file(s, nested_roles[i], path, &e->stamp);
	}
	return true;
}

static bool
find_nested(struct sources *all, struct source *s, struct files *files)
{
	struct file_entry *v = NULL;
	struct err err;
	size_t n;

	if (!files_list(files, s->where, &v, &n, &err)) {
		s->problem = arena_printf(&all->arena, "%s; make it readable, or remove it", err.text);
		return s->problem != NULL;
	}
	bool ok = nested_files(all, s, v, n);
	free(v);
	return ok;
}

/* --- NAME.suffix --- */

static const struct item *
item_of_kind(const struct item *items, size_t n, enum kind kind)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].kind == kind)
			return &items[i];
	return NULL;
}

static bool
flat_files(
    struct sources *all, struct source *s, const char *directory, size_t layout, const struct item *items, size_t n)
{
	for (size_t i = 0; i < COUNTOF(flat_layouts[layout].files) && flat_layouts[layout].files[i].kind != 0; i++) {
		const struct item *item = item_of_kind(items, n, flat_layouts[layout].files[i].kind);
		if (item == NULL)
			continue;
		const char *path = arena_printf(&all->arena, "%s/%s", directory, item->base.p);
		if (path == NULL)
			return false;
		source_add_file(s, flat_layouts[layout].files[i].role, path, &item->stamp);
	}
	s->where = s->files[0].path;
	return true;
}

static bool
not_a_bundle(struct sources *all, struct source *s, const struct item *items, size_t n)
{
	char list[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && used < sizeof(list) - 1; i++) {
		int more = snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", items[i].base.p);
		used = more < 0 ? used : MIN_OF(used + (size_t)more, sizeof(list) - 1);
	}
	s->problem = arena_printf(&all->arena,
	    "%s: not understood: %s; a bundle is NAME/, NAME.pem, NAME.crt or NAME.pem with NAME.key, "
	    "or NAME.p12 with NAME.pass: complete it, or move it away",
	    s->where, list);
	return s->problem != NULL;
}

static bool
add_group(struct sources *all, const struct conf_bundle *c, const char *directory, const struct item *items, size_t n,
    struct files *files)
{
	unsigned kinds = 0;
	const char *name = arena_copy(&all->arena, items[0].base);
	struct source *s = sources_add(all, name, directory, c);

	if (s == NULL)
		return false;
	s->listed = true;
	for (size_t i = 0; i < n; i++)
		kinds |= items[i].kind;
	if (kinds == KIND_DIRECTORY) {
		s->where = arena_printf(&all->arena, "%s/%s", directory, name);
		return s->where != NULL && find_nested(all, s, files);
	}
	for (size_t i = 0; i < COUNTOF(flat_layouts); i++)
		if (flat_layouts[i].kinds == kinds)
			return flat_files(all, s, directory, i, items, n);
	return not_a_bundle(all, s, items, n);
}

/* The last one, instead of keeping it. False: that was enough. */
static bool
show(struct sources *all)
{
	return all->viewer->view(all->viewer, &all->v[--all->n]);
}

static bool
add_groups(struct sources *all, const struct conf_bundle *c, const char *directory, const struct item *items, size_t n,
    struct files *files)
{
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && items[i].kind != KIND_OTHER && items[end].kind != KIND_OTHER; end++)
			if (!sv_eq(items[i].base, items[end].base))
				break;
		if (is_bystander(&items[i]))
			continue;
		struct arena_mark before = arena_mark(&all->arena);
		if (!add_group(all, c, directory, &items[i], end - i, files))
			return false;
		if (all->viewer == NULL)
			continue;
		if (!show(all))
			return false;
		arena_rewind(&all->arena, before);
	}
	return true;
}

static bool
add_items(struct sources *all, const struct conf_bundle *c, struct items *items, struct files *files)
{
	struct sv path = sv_cstr(c->directory);

	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	const char *directory = arena_copy(&all->arena, path);
	if (items->n > 0)
		qsort(items->v, items->n, sizeof(*items->v), by_base);
	return directory != NULL && add_groups(all, c, directory, items->v, items->n, files);
}

static bool
add_unlisted(struct sources *all, const struct conf_bundle *c, const struct err *why)
{
	struct source *s = sources_add(all, c->name, c->directory, c);

	if (s == NULL)
		return false;
	s->unlisted = true;
	s->problem = arena_printf(&all->arena, "%s; put the directory there and make it readable", why->text);
	return s->problem != NULL && (all->viewer == NULL || show(all));
}

bool
directory_find(struct sources *all, const struct conf_bundle *c, struct files *files)
{
	struct items items = ITEMS_NONE;
	struct err err = {""};

	bool listed = files->list(files, c->directory, &items.taker, &err);
	bool ok = !items.no_memory && (listed ? add_items(all, c, &items, files) : add_unlisted(all, c, &err));
	items_free(&items);
	return ok;
}

/* --- only what may have changed --- */

static bool
seek(struct sources *all, const struct conf_bundle *c, struct sv name)
{
	for (size_t i = 0; i < all->n_sought; i++)
		if (all->sought[i].conf == c && sv_eq(sv_cstr(all->sought[i].name), name))
			return true;
	if (all->n_sought == all->sought_capacity) {
		size_t more = all->sought_capacity == 0 ? 16 : all->sought_capacity * 2;
		struct sought *grown = reallocarray(all->sought, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		all->sought = grown;
		all->sought_capacity = more;
	}
	all->sought[all->n_sought] = (struct sought){c, arena_copy(&all->arena, name)};
	return all->sought[all->n_sought++].name != NULL;
}

/* It may be a folder, or a file that is not understood, of this whole name; or a file of the bundle before the suffix. */
static bool
seek_entry(struct sources *all, const struct conf_bundle *c, const char *entry)
{
	struct sv name = sv_cstr(entry);

	for (size_t i = 0; i < COUNTOF(suffixes); i++)
		if (name.n > suffixes[i].suffix.n && sv_ends(name, suffixes[i].suffix) &&
		    !seek(all, c, sv_of(name.p, name.n - suffixes[i].suffix.n)))
			return false;
	return seek(all, c, name);
}

static bool
is_folder(struct files *files, const char *path)
{
	struct file_entry *v = NULL;
	struct err err;
	size_t n;

	bool listed = files_list(files, path, &v, &n, &err);
	free(v);
	return listed || errno != ENOTDIR;
}

/* NAME.suffix, when it is there, as a listing would tell it. A folder of such a name is a bundle for itself. */
static bool
look_for(struct sources *all, const struct conf_bundle *c, const char *name, struct sv suffix, struct files *files,
    struct items *found)
{
	struct file_entry e = {.name = ""};
	struct err err;

	if ((size_t)snprintf(e.name, sizeof(e.name), "%s%.*s", name, SV_FMT(suffix)) >= sizeof(e.name))
		return true; /* no file system has it */
	for (size_t i = 0; i < found->n; i++)
		if (strcmp(found->v[i].base.p, e.name) == 0)
			return true;
	const char *path = arena_printf(&all->arena, "%s/%s", c->directory, e.name);
	if (path == NULL)
		return false;
	e.dangling = !files->stamp(files, path, &e.stamp, &err);
	if (e.dangling && errno != ENOLINK)
		return true;
	e.is_directory = !e.dangling && is_folder(files, path);
	if (suffix.n == 0 && !e.is_directory && classify(sv_cstr(e.name), false).kind != KIND_OTHER)
		return true; /* of another bundle */
	if (e.is_directory && !seek(all, c, sv_cstr(e.name)))
		return false;
	return put_item(found, &e);
}

bool
directory_find_changed(struct sources *all, const struct conf_bundle *c, struct files *files)
{
	struct items found = ITEMS_NONE;
	bool ok = true;
	size_t first = all->n_sought;

	for (size_t i = 0; ok && i < all->changes->n; i++)
		if (strcmp(all->changes->v[i].directory, c->directory) == 0 && all->changes->v[i].entry[0] != '.')
			ok = seek_entry(all, c, all->changes->v[i].entry);
	for (size_t i = first; ok && i < all->n_sought; i++) {
		ok = look_for(all, c, all->sought[i].name, SV(""), files, &found);
		for (size_t k = 0; ok && k < COUNTOF(suffixes); k++)
			ok = look_for(all, c, all->sought[i].name, suffixes[k].suffix, files, &found);
	}
	ok = ok && add_items(all, c, &found, files);
	items_free(&found);
	return ok;
}
