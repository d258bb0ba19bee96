#include "worker/warnings.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	EXPIRY_WARNING_S = 14 * 86400,
	COVERS_MAX = 2, /* bundles of directories for one name: RSA and EC */
};

/* The file of a bundle that is named by `path`, as the config has it. */
static const char *const *
file_of(const struct conf_bundle *b, struct sv path, const char **name)
{
	const struct {
		const char *name;
		const char *const *path;
	} files[] = {
		{"certificate", &b->certificate}, {"key", &b->key}, {"chain", &b->chain}, {"combined", &b->combined},
		{"pkcs12", &b->pkcs12}, {"password_file", &b->password_file}, {"directory", &b->directory},
	};

	for (size_t i = 0; i < COUNTOF(files); i++) {
		if (*files[i].path == NULL || !sv_eq(sv_cstr(*files[i].path), path))
			continue;
		*name = files[i].name;
		return files[i].path;
	}
	return NULL;
}

/* The directory that a path lies below; NULL: none of the config's. */
static const struct conf_bundle *
directory_of(const struct conf *conf, struct sv path)
{
	for (size_t i = 0; i < conf->n_bundles; i++) {
		struct sv d = sv_cstr(conf->bundles[i].directory);
		while (d.n > 1 && d.p[d.n - 1] == '/')
			d.n--;
		if (d.n > 0 && sv_starts(path, d) && path.n > d.n && path.p[d.n] == '/')
			return &conf->bundles[i];
	}
	return NULL;
}

struct conf_where
bundle_place(const struct conf *conf, const char *name, struct sv path, char key[BUNDLE_KEY_TEXT])
{
	const struct conf_bundle *c = conf_bundle(conf, name);
	const char *file = "";
	const char *const *field = c != NULL ? file_of(c, path, &file) : NULL;

	(void)snprintf(key, BUNDLE_KEY_TEXT, c != NULL ? "bundles.%s%s%s" : "bundle %s", name, field != NULL ? "." : "", file);
	if (c == NULL && (c = directory_of(conf, path)) != NULL)
		field = &c->directory;
	if (c == NULL)
		return (struct conf_where){0};
	return field != NULL ? conf_place(&c->at, field) : c->at;
}

/* Do only servers of ours see it? It may be good for sites as well, but none names it. */
static bool
is_for_origins(const struct conf *conf, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < conf->n_sites; i++)
		for (size_t k = 0; k < conf->sites[i].bundles.n; k++)
			if (strcmp(conf->sites[i].bundles.v[k], name) == 0)
				return false;
	for (size_t i = 0; !found && i < conf->n_upstreams; i++)
		found = conf->upstreams[i].tls.bundle != NULL && strcmp(conf->upstreams[i].tls.bundle, name) == 0;
	return found;
}

/* --- one certificate ---------------------------------------------------------------------------------------- */

/* What a doubt is looked for in, and where it is said. */
struct doubted {
	const struct conf *conf;
	const struct tls_bundle *b;
	int64_t now; /* seconds since the epoch */
};

static bool
expires_soon(const struct doubted *d)
{
	return d->b->facts.not_after - d->now < EXPIRY_WARNING_S;
}

static void
warn_expires_soon(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems)
{
	long long days = (d->b->facts.not_after - d->now) / 86400;

	conf_warning(problems, at, key, "the certificate in %s expires in %lld day%s; renew it", d->b->where, days,
	    days == 1 ? "" : "s");
}

static bool
has_no_names(const struct doubted *d)
{
	return !d->b->facts.has_alt_names && !is_for_origins(d->conf, d->b->name);
}

static void
warn_has_no_names(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems)
{
	conf_warning(problems, at, key, "%s: the certificate has no subjectAltName, and clients go by no other names: they "
	    "refuse it; get one that has", d->b->where);
}

static bool
is_exposed(const struct doubted *d)
{
	return d->b->exposed != NULL;
}

static void
warn_is_exposed(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems)
{
	const char *can = (d->b->exposed_mode & 02) != 0 ? "change" : "read";

	conf_warning(problems, at, key, "%s: everybody on this machine can %s this secret (mode %04o); `chmod 600 %s`: only "
	    "who starts the proxy has to read it", d->b->exposed, can, d->b->exposed_mode, d->b->exposed);
}

static bool
is_reordered(const struct doubted *d)
{
	return d->b->reordered;
}

static void
warn_is_reordered(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems)
{
	conf_warning(problems, at, key, "%s: the certificates are not in order; they are served in order: put the leaf first, "
	    "then the issuer of each", d->b->where);
}

static bool
lacks_issuer(const struct doubted *d)
{
	return d->b->lacks_issuer;
}

static void
warn_lacks_issuer(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems)
{
	conf_warning(problems, at, key, "%s: the certificate of the issuer, \"%s\", is not there: clients that do not have it "
	    "already refuse this chain; append it to the file", d->b->where, d->b->facts.issuer);
}

static const struct doubt {
	bool (*applies)(const struct doubted *d);
	void (*warn)(const struct doubted *d, const struct conf_where *at, const char *key, struct conf_problems *problems);
	bool of_secret;     /* said of that file, which may be another than the certificate's */
	const char *others; /* "and 7 more bundles ..." */
} doubts[] = {
	{expires_soon, warn_expires_soon, false, "whose certificates expire soon"},
	{has_no_names, warn_has_no_names, false, "whose certificates have no subjectAltName"},
	{is_exposed, warn_is_exposed, true, "with a secret that everybody on this machine can get at"},
	{is_reordered, warn_is_reordered, false, "whose certificates are not in order"},
	{lacks_issuer, warn_lacks_issuer, false, "that lack the certificate of an issuer"},
};

/* Nearly all of ten thousand are sound: nothing is made for those. */
static void
check_bundle(const struct doubted *d, size_t counts[COUNTOF(doubts)], size_t named_max, struct conf_problems *problems)
{
	for (size_t i = 0; i < COUNTOF(doubts); i++) {
		char key[BUNDLE_KEY_TEXT];
		if (!doubts[i].applies(d) || counts[i]++ >= named_max)
			continue;
		const char *file = doubts[i].of_secret ? d->b->exposed : d->b->where;
		struct conf_where at = bundle_place(d->conf, d->b->name, sv_cstr(file), key);
		doubts[i].warn(d, &at, key, problems);
	}
}

static void
warn_of_others(size_t n, const char *what, struct conf_problems *problems)
{
	conf_warning(problems, NULL, NULL, "and %zu more bundle%s %s; `bascule check` names all of them", n, n == 1 ? "" : "s",
	    what);
	problems->warnings += (unsigned)n - 1; /* one for each, as if it were named */
}

static void
check_loaded(const struct conf *conf, const struct tls_store *store, size_t named_max, struct conf_problems *problems)
{
	struct doubted d = {.conf = conf, .now = time(NULL)};
	size_t counts[COUNTOF(doubts)] = {0};

	for (size_t i = 0; i < tls_store_count(store); i++) {
		d.b = tls_store_at(store, i);
		check_bundle(&d, counts, named_max, problems);
	}
	for (size_t i = 0; i < COUNTOF(doubts); i++)
		if (counts[i] > named_max)
			warn_of_others(counts[i] - named_max, doubts[i].others, problems);
}

/* --- a site's names ----------------------------------------------------------------------------------------- */

/* For "*.b.c" a host that stands for those it is to serve. */
static bool
example_host(const char *name, char *out, size_t size)
{
	bool wildcard = name[0] == '*';
	int n = snprintf(out, size, "%s%s", wildcard ? "any" : "", wildcard ? name + 1 : name);

	return n > 0 && (size_t)n < size;
}

static bool
is_covered(const struct snapshot *s, const struct snap_site *site, const char *host)
{
	struct tls_bundle *found[COVERS_MAX];

	for (unsigned i = 0; i < site->n_bundles; i++)
		if (tls_bundle_covers(site->bundles[i], host))
			return true;
	return site->n_bundles == 0 && tls_store_find_name(s->store, sv_cstr(host), found) > 0;
}

/* A bundle beside others that has none of the site's names is hardly meant to be there. */
static void
check_strangers(const struct snap_site *site, struct conf_problems *problems)
{
	const struct conf_strings *names = &site->conf->names;
	struct conf_where at = conf_place(&site->conf->at, &site->conf->bundles);
	char host[256];

	for (unsigned i = 0; names->n > 0 && i < site->n_bundles; i++) {
		bool covers = false;
		for (size_t k = 0; !covers && k < names->n; k++)
			covers = example_host(names->v[k], host, sizeof(host)) && tls_bundle_covers(site->bundles[i], host);
		if (!covers)
			conf_warning(problems, &at, "bundle",
			    "the certificate of \"%s\" (%s) has none of this site's names; was another's put there?",
			    site->bundles[i]->name, site->bundles[i]->where);
	}
}

/* A name that is no bundle of the config is one of a directory's, or it should be. */
static void
check_listed(const struct snapshot *s, const struct snap_site *site, struct conf_problems *problems)
{
	const struct conf_strings *names = &site->conf->bundles;

	for (size_t i = 0; i < names->n; i++) {
		struct conf_where at = conf_place(&site->conf->at, &names->v[i]);
		if (conf_bundle(s->conf, names->v[i]) == NULL && tls_store_bundle(s->store, names->v[i]) == NULL)
			conf_warning(problems, &at, "bundle",
			    "no directory has a bundle \"%s\" that can be served; put one there, or name another",
			    names->v[i]);
	}
}

/* Clients refuse a certificate that lacks the name they asked for. */
static void
check_names(const struct snapshot *s, struct conf_problems *problems)
{
	char host[256];

	for (size_t i = 0; i < s->conf->n_sites; i++) {
		const struct snap_site *site = &s->sites[i];
		const struct conf_strings *names = &site->conf->names;
		check_listed(s, site, problems);
		if (site->conf->bundles.n > 0 && site->n_bundles == 0)
			continue; /* not one could be loaded, which has been told */
		check_strangers(site, problems);
		for (size_t k = 0; k < names->n; k++) {
			struct conf_where at = conf_place(&site->conf->at, &names->v[k]);
			if (example_host(names->v[k], host, sizeof(host)) && !is_covered(s, site, host))
				conf_warning(problems, &at, "names",
				    "no certificate of this site covers %s, so clients will refuse it; get one that does",
				    names->v[k]);
		}
	}
}

static bool
speaks_tls(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listeners; i++)
		if (conf->listeners[i].tls)
			return true;
	return false;
}

void
warnings_of(const struct snapshot *s, bool whole, size_t named_max, struct conf_problems *problems)
{
	check_loaded(s->conf, s->store, named_max, problems);
	if (whole && speaks_tls(s->conf))
		check_names(s, problems);
}
