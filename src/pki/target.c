#include "pki/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "pki/key.h"
#include "pki/password.h"
#include "pki/place.h"

/* --- which files --- */

static bool
add_file(struct pki *p, struct target *t, enum source_role role, const char *path)
{
	char real[PATH_MAX];

	if (path == NULL)
		return true;
	if (role == SOURCE_PASSWORD) {
		t->password_file = arena_copy(&p->arena, sv_cstr(path));
		return t->password_file != NULL || err_no_memory(&p->err);
	}
	if (!place_real(path, real))
		return err_set(&p->err, "%s: there is no such directory; make it first", path);
	struct target_file *f = &t->files[t->n++];
	*f = (struct target_file){
		.role = role,
		.path = arena_copy(&p->arena, sv_cstr(path)),
		.real = arena_copy(&p->arena, sv_cstr(real)),
	};
	buf_init(&f->content, PEM_TEXT_MAX);
	if (f->path == NULL || f->real == NULL)
		return err_no_memory(&p->err);
	return (f->previous = place_previous(p, f->real)) != NULL;
}

static bool
add_configured(struct pki *p, const struct conf_bundle *b, struct target *t)
{
	return add_file(p, t, SOURCE_CERTIFICATE, b->certificate) && add_file(p, t, SOURCE_KEY, b->key) &&
	    add_file(p, t, SOURCE_CHAIN, b->chain) && add_file(p, t, SOURCE_COMBINED, b->combined) &&
	    add_file(p, t, SOURCE_PKCS12, b->pkcs12) && add_file(p, t, SOURCE_PASSWORD, b->password_file);
}

static bool
add_listed(struct pki *p, const struct source *s, struct target *t)
{
	if (s->n_files == 0)
		return err_set(&p->err, "%s", s->problem != NULL ? s->problem : "the bundle has no files");
	for (unsigned i = 0; i < s->n_files; i++)
		if (!add_file(p, t, s->files[i].role, s->files[i].path))
			return false;
	return true;
}

static bool
add_new(struct pki *p, const struct conf *conf, const char *bundle, struct target *t)
{
	const char *directory = NULL;

	if (!base_name_check(bundle, &p->err))
		return false;
	for (size_t i = 0; i < conf->n_bundles; i++) {
		if (conf->bundles[i].directory == NULL)
			continue;
		if (directory != NULL)
			return err_set(
			    &p->err, "--new: the config has several directories of bundles; which is meant can not be told");
		directory = conf->bundles[i].directory;
	}
	if (directory == NULL)
		return err_set(
		    &p->err, "--new: the config has no directory of bundles; name the bundle in the config first");
	const char *pem = arena_printf(&p->arena, "%s/%s.pem", directory, bundle);
	const char *key = arena_printf(&p->arena, "%s/%s.key", directory, bundle);
	if (pem == NULL || key == NULL)
		return err_no_memory(&p->err);
	return add_file(p, t, SOURCE_CERTIFICATE, pem) && add_file(p, t, SOURCE_KEY, key);
}

/* Nothing of that name: what may have been meant? */
static bool
not_there(struct pki *p, const struct conf *conf, const struct sources *all, const char *bundle)
{
	const char **names = calloc(MAX_OF(all->n, (size_t)1), sizeof(*names));

	for (size_t i = 0; names != NULL && i < all->n; i++)
		names[i] = all->v[i].name;
	const char *meant = names != NULL ? nearest_word(bundle, names, all->n) : NULL;
	err_set(&p->err, "%s has no bundle \"%s\"%s%s%s; `bascule pki list` shows them, --new makes one in its directory",
	    conf->files.v[0], bundle, meant != NULL ? ", did you mean \"" : "", meant != NULL ? meant : "",
	    meant != NULL ? "\"?" : "");
	free(names);
	return false;
}

bool
target_find(struct pki *p, const struct conf *conf, const char *bundle, bool create, struct target *out)
{
	const struct conf_bundle *configured = conf_bundle(conf, bundle);
	struct sources all;

	*out = (struct target){.bundle = bundle};
	if (configured != NULL && configured->directory == NULL)
		return add_configured(p, configured, out);
	bool ok = sources_find(&all, conf, files_direct(), &p->err);
	struct source *s = ok ? sources_named(&all, bundle) : NULL;
	if (s != NULL && !s->unlisted)
		ok = add_listed(p, s, out);
	else if (ok)
		ok = create ? add_new(p, conf, bundle, out) : not_there(p, conf, &all, bundle);
	sources_free(&all);
	return ok;
}

/* --- what is in them --- */

/* A separate chain file without a certificate would be refused; the leaf again does no harm there. */
static bool
fill_one(struct pki *p, struct target *t, struct target_file *f, const struct chain *c, EVP_PKEY *key)
{
	char password[PASSWORD_MAX + 1] = "";
	bool ok = true;

	switch (f->role) {
	case SOURCE_CERTIFICATE:
		return chain_to_pem(&f->content, c, 0, &p->err);
	case SOURCE_CHAIN:
		return chain_to_pem(&f->content, c, c->n > 1 ? 1 : 0, &p->err);
	case SOURCE_KEY:
		return pem_add_key(&f->content, key, &p->err);
	case SOURCE_COMBINED:
		return pem_add_key(&f->content, key, &p->err) && chain_to_pem(&f->content, c, 0, &p->err);
	case SOURCE_PKCS12:
		ok = t->password_file == NULL || password_read(t->password_file, password, &p->err);
		ok = ok && chain_to_pkcs12(p, &f->content, c, key, t->bundle, password);
		explicit_bzero(password, sizeof(password));
		return ok;
	case SOURCE_PASSWORD:
		break;
	}
	return true;
}

static bool
differs(const struct target_file *f)
{
	struct buf old;

	buf_init(&old, PEM_TEXT_MAX);
	bool same = files_read(files_direct(), f->real, &old, NULL, NULL) && sv_eq(buf_view(&old), buf_view(&f->content));
	pem_wipe(&old);
	return !same;
}

bool
target_fill(struct pki *p, struct target *t, const struct chain *c, EVP_PKEY *key)
{
	for (unsigned i = 0; i < t->n; i++) {
		pem_begin(&t->files[i].content);
		if (!fill_one(p, t, &t->files[i], c, key))
			return false;
		t->files[i].changes = differs(&t->files[i]);
	}
	return true;
}

void
target_wipe(struct target *t)
{
	for (unsigned i = 0; i < t->n; i++)
		pem_wipe(&t->files[i].content);
}
