#include "certs/sources.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct source *
sources_add(struct sources *s, const char *name, const char *where, const struct conf_bundle *c)
{
	if (s->n == s->capacity) {
		size_t more = s->capacity == 0 ? 16 : s->capacity * 2;
		struct source *grown = reallocarray(s->v, more, sizeof(*grown));
		if (grown == NULL)
			return NULL;
		s->v = grown;
		s->capacity = more;
	}
	if (name == NULL || where == NULL)
		return NULL;
	s->v[s->n] = (struct source){.name = name, .where = where, .origin = c->name, .conf = c};
	return &s->v[s->n++];
}

void
source_add_file(struct source *s, enum source_role role, const char *path, const struct file_stamp *stamp)
{
	s->files[s->n_files++] = (struct source_file){.role = role, .path = path, .stamp = *stamp};
}

/* False: no memory. A file that is not there is the source's problem. */
static bool
add_configured_file(struct sources *all, struct source *s, enum source_role role, const char *path, struct files *files)
{
	struct file_stamp stamp;
	struct err err;

	if (path == NULL || s->problem != NULL)
		return true;
	if (files->stamp(files, path, &stamp, &err)) {
		source_add_file(s, role, path, &stamp);
		return true;
	}
	s->problem = arena_printf(&all->arena, "%s; put it there, or take it out of bundle \"%s\"", err.text, s->name);
	return s->problem != NULL;
}

static bool
add_configured(struct sources *all, const struct conf_bundle *c, struct files *files)
{
	const char *where = c->certificate != NULL ? c->certificate : c->combined != NULL ? c->combined : c->pkcs12;
	struct source *s = sources_add(all, c->name, where, c);

	return s != NULL && add_configured_file(all, s, SOURCE_CERTIFICATE, c->certificate, files) &&
	    add_configured_file(all, s, SOURCE_KEY, c->key, files) &&
	    add_configured_file(all, s, SOURCE_CHAIN, c->chain, files) &&
	    add_configured_file(all, s, SOURCE_COMBINED, c->combined, files) &&
	    add_configured_file(all, s, SOURCE_PKCS12, c->pkcs12, files) &&
	    add_configured_file(all, s, SOURCE_PASSWORD, c->password_file, files);
}

/* Stable in effect: what the config names first comes first. */
static int
by_name(const void *a, const void *b)
{
	const struct source *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Which of two bundles with one name is meant can not be known; the first is served, as before the second came. */
static bool
refuse_doubles(struct sources *s)
{
	const struct source *first = NULL;

	for (size_t i = 0; i < s->n; i++) {
		struct source *this = &s->v[i];
		if (first == NULL || strcmp(first->name, this->name) != 0) {
			first = this;
			continue;
		}
		this->doubled = true;
		if (this->problem != NULL)
			continue;
		this->problem = arena_printf(&s->arena, "%s: the name \"%s\" is already that of %s; rename one of them",
		    this->where, this->name, first->where);
		if (this->problem == NULL)
			return false;
	}
	return true;
}

bool
sources_find_changed(struct sources *s, const struct conf *conf, const struct tls_changes *changes, struct files *files,
    struct err *err)
{
	*s = (struct sources){.arena = ARENA_EMPTY, .changes = changes};
	for (size_t i = 0; i < conf->n_bundles; i++) {
		const struct conf_bundle *c = &conf->bundles[i];
		bool ok = c->directory == NULL ? add_configured(s, c, files)
		        : changes != NULL      ? directory_find_changed(s, c, files)
		                               : directory_find(s, c, files);
		if (!ok)
			return err_no_memory(err);
	}
	for (size_t i = 0; i < s->n; i++)
		s->v[i].sequence = i;
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_name);
	return refuse_doubles(s) || err_no_memory(err);
}

bool
sources_find(struct sources *s, const struct conf *conf, struct files *files, struct err *err)
{
	return sources_find_changed(s, conf, NULL, files, err);
}

bool
sources_view(const struct conf *conf, struct files *files, struct sources_viewer *v)
{
	struct sources s = {.arena = ARENA_EMPTY, .viewer = v};
	bool ok = true;

	for (size_t i = 0; ok && i < conf->n_bundles; i++)
		ok = conf->bundles[i].directory == NULL || directory_find(&s, &conf->bundles[i], files);
	sources_free(&s);
	return ok;
}

void
sources_free(struct sources *s)
{
	free(s->v);
	free(s->sought);
	arena_free(&s->arena);
	*s = (struct sources){.arena = ARENA_EMPTY};
}

struct source *
sources_named(const struct sources *s, const char *name)
{
	size_t from = 0, to = s->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (strcmp(s->v[middle].name, name) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < s->n && strcmp(s->v[from].name, name) == 0 ? &s->v[from] : NULL;
}

bool
source_digest(const struct source *s, const struct tls_thread *t, unsigned char out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, t->sha256, NULL) == 1;

	for (unsigned i = 0; ok && i < s->n_files; i++) {
		const struct source_file *f = &s->files[i];
		ok = EVP_DigestUpdate(ctx, &f->role, sizeof(f->role)) == 1 &&
		    EVP_DigestUpdate(ctx, f->path, strlen(f->path) + 1) == 1 &&
		    EVP_DigestUpdate(ctx, &f->stamp, sizeof(f->stamp)) == 1;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

const char *
source_path(const struct source *s, enum source_role role)
{
	for (unsigned i = 0; i < s->n_files; i++)
		if (s->files[i].role == role)
			return s->files[i].path;
	return NULL;
}
