/*
 * check_bundles.c: a bundle has one form, and the whole of it.
 */
#include "conf/check.h"

/* The keys of one form; the first two are needed. */
static const struct form {
	const char *name;
	const char *keys[3];
	size_t offsets[3];
	unsigned needed, n;
} forms[] = {
	{"a certificate and a key", {"certificate", "key", "chain"},
	    {offsetof(struct conf_bundle, certificate), offsetof(struct conf_bundle, key),
	        offsetof(struct conf_bundle, chain)}, 2, 3},
	{"one combined file", {"combined"}, {offsetof(struct conf_bundle, combined)}, 1, 1},
	{"a PKCS#12 file", {"pkcs12", "password_file"},
	    {offsetof(struct conf_bundle, pkcs12), offsetof(struct conf_bundle, password_file)}, 1, 2},
	{"a directory", {"directory"}, {offsetof(struct conf_bundle, directory)}, 1, 1},
};

static const void *
field_of(const struct conf_bundle *b, size_t offset)
{
	return (const char *)b + offset;
}

/* The first key of the form that the bundle has; -1: none. */
static int
first_given(const struct checker *c, const struct conf_bundle *b, const struct form *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (check_given(c, field_of(b, f->offsets[i])))
			return (int)i;
	return -1;
}

static void
check_whole(struct checker *c, const struct conf_bundle *b, const struct form *f, unsigned given)
{
	for (unsigned i = 0; i < f->needed; i++) {
		if (check_given(c, field_of(b, f->offsets[i])))
			continue;
		check_error(c, field_of(b, f->offsets[given]), "needs \"%s\" beside it, which is missing%s", f->keys[i],
		    i == 1 ? "; a file with both goes into \"combined\"" : "");
		return;
	}
}

static void
check_form(struct checker *c, const struct conf_bundle *b)
{
	const struct form *form = NULL;
	unsigned given = 0; /* the first of its keys */

	for (size_t i = 0; i < COUNTOF(forms); i++) {
		int k = first_given(c, b, &forms[i]);
		if (k < 0)
			continue;
		if (form != NULL) {
			check_error(c, field_of(b, forms[i].offsets[k]), "can not stand beside \"%s\"; a bundle is %s or %s",
			    form->keys[given], form->name, forms[i].name);
			return;
		}
		form = &forms[i];
		given = (unsigned)k;
	}
	if (form == NULL)
		check_error(c, &b->at,
		    "names no file; give \"certificate\" and \"key\", \"combined\", \"pkcs12\" or \"directory\"");
	else
		check_whole(c, b, form, given);
}

static void
check_notify(struct checker *c, const struct conf_notify *n)
{
	bool secure = n->url != NULL && sv_starts(sv_cstr(n->url), SV("https://"));

	if (check_given(c, &n->at) && check_sound(c, &n->at) && n->command.n == 0 && n->url == NULL)
		check_error(c, &n->at, "tells nobody; give \"command\", \"url\" or both");
	if (n->url == NULL && check_given(c, &n->url))
		return; /* it is not well formed, which has been told */
	if (n->ca != NULL && !secure)
		check_error(c, &n->ca, "has no use without a \"url\" that begins with https://");
	if (n->authorization != NULL && n->url == NULL)
		check_error(c, &n->authorization, "has no use without \"url\"");
	else if (n->authorization != NULL && !secure)
		check_warning(c, &n->authorization, "is sent over http:// for everybody on the way to read; use https://");
}

void
check_bundles(struct checker *c)
{
	for (size_t i = 0; i < c->conf->n_bundles; i++) {
		const struct conf_bundle *b = &c->conf->bundles[i];
		check_unique(c, &c->bundles, b->name, &b->at, "a bundle");
		if (check_sound(c, &b->at))
			check_form(c, b);
		check_notify(c, &b->rotation.notify);
		if (b->directory != NULL)
			c->has_directory = true;
	}
}
