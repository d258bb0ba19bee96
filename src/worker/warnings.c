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

static void
warn_of_exposed(const struct conf *conf, const struct tls_bundle *b, struct conf_problems *problems)
{
	char key[BUNDLE_KEY_TEXT];
	struct conf_where at = bundle_place(conf, b->name, sv_cstr(b->exposed), key);

	const char *can = (b->exposed_mode & 02) != 0 ? "change" : "read";

	conf_warning(problems, &at, key, "%s: everybody on this machine can %s this secret (mode %04o); `chmod 600 %s`: only who "
	    "starts the proxy has to read it", b->exposed, can, b->exposed_mode, b->exposed);
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

static void
check_loaded(const struct conf *conf, const struct tls_store *store, struct conf_problems *problems)
{
	int64_t now = time(NULL);
	char key[BUNDLE_KEY_TEXT];

	for (size_t i = 0; i < tls_store_count(store); i++) {
		const struct tls_bundle *b = tls_store_at(store, i);
		struct conf_where at = bundle_place(conf, b->name, sv_cstr(b->where), key);
		long long days = (b->facts.not_after - now) / 86400;
		if (b->facts.not_after - now < EXPIRY_WARNING_S)
			conf_warning(problems, &at, key, "the certificate in %s expires in %lld day%s; renew it", b->where, days,
			    days == 1 ? "" : "s");
		if (!b->facts.has_alt_names && !is_for_origins(conf, b->name))
			conf_warning(problems, &at, key, "%s: the certificate has no subjectAltName, and clients go by no other "
			    "names: they refuse it; get one that has", b->where);
		if (b->exposed != NULL)
			warn_of_exposed(conf, b, problems);
		if (b->reordered)
			conf_warning(problems, &at, key, "%s: the certificates are not in order; they are served in "
			    "order: put the leaf first, then the issuer of each", b->where);
		if (b->lacks_issuer)
			conf_warning(problems, &at, key, "%s: the certificate of the issuer, \"%s\", is not there: clients that "
			    "do not have it already refuse this chain; append it to the file", b->where, b->facts.issuer);
	}
}

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
warnings_of(const struct snapshot *s, bool whole, struct conf_problems *problems)
{
	check_loaded(s->conf, s->store, problems);
	if (whole && speaks_tls(s->conf))
		check_names(s, problems);
}
