#include "app/check.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/check_running.h"
#include "app/check_start.h"
#include "app/check_state.h"
#include "tls/server.h"

enum {
	EXPIRY_WARNING_S = 14 * 86400,
	COVERS_MAX = 2, /* bundles of directories for one name: RSA and EC */
};

enum { KEY_TEXT = 256 };

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

/* Where the config has this bundle, and as which key: the one of `path`, if there is one. */
static struct conf_where
bundle_place(const struct conf *conf, const char *name, struct sv path, char key[KEY_TEXT])
{
	const struct conf_bundle *c = conf_bundle(conf, name);
	const char *file = "";
	const char *const *field = c != NULL ? file_of(c, path, &file) : NULL;

	(void)snprintf(key, KEY_TEXT, c != NULL ? "bundles.%s%s%s" : "bundle %s", name, field != NULL ? "." : "", file);
	if (c == NULL && (c = directory_of(conf, path)) != NULL)
		field = &c->directory;
	if (c == NULL)
		return (struct conf_where){0};
	return field != NULL ? conf_place(&c->at, field) : c->at;
}

/* What a message "FILE: reason" is about. */
static struct sv
path_of(const char *text)
{
	const char *colon = strstr(text, ": ");

	return sv_of(text, colon != NULL ? (size_t)(colon - text) : 0);
}

#define NOT_FOR_THIS_USER "%s: not for this user to read, so it is not checked; check as the user who starts the proxy"

/* "FILE: reason": is the reason only that this is not root? */
static bool
begins_with_forbidden(const char *text)
{
	char path[PATH_MAX];

	return sv_copy(path_of(text), path, sizeof(path)) && path[0] != '\0' && check_is_forbidden(path);
}

static bool
is_bundle_forbidden(const struct conf *conf, const char *name)
{
	const struct conf_bundle *b = conf_bundle(conf, name);

	if (b == NULL)
		return false;
	const char *const files[] = {b->certificate, b->key, b->chain, b->combined, b->pkcs12, b->password_file};
	for (size_t i = 0; i < COUNTOF(files); i++)
		if (files[i] != NULL && check_is_forbidden(files[i]))
			return true;
	return false;
}

/* True: some were not for this user to read. */
static bool
check_bundles(const struct conf *conf, const struct tls_outcomes *outcomes, struct conf_problems *problems)
{
	char key[KEY_TEXT];
	bool forbidden = false;

	for (size_t i = 0; i < outcomes->n; i++) {
		const struct tls_outcome *o = &outcomes->v[i];
		if (o->kind != TLS_HELD && o->kind != TLS_MISSING)
			continue;
		struct conf_where at = bundle_place(conf, o->name, path_of(o->text), key);
		if (begins_with_forbidden(o->text)) {
			conf_warning(problems, &at, key, NOT_FOR_THIS_USER, o->text);
			forbidden = true;
		} else {
			conf_error(problems, &at, key, "%s", o->text);
		}
	}
	return forbidden;
}

/* --- what this user may not read is not there for the rest of the check ------------------------------------- */

static bool
warn_if_forbidden(const struct conf_where *object, const char *const *path, const char *key, struct conf_problems *problems)
{
	struct conf_where at = conf_place(object, path);
	bool forbidden = *path != NULL && check_is_forbidden(*path);

	if (forbidden)
		conf_warning(problems, &at, key, NOT_FOR_THIS_USER, *path);
	return forbidden;
}

static void
leave_out_forbidden(struct conf *conf, struct conf_problems *problems)
{
	for (size_t i = 0; i < conf->n_sites; i++) {
		struct conf_client_certificate *c = &conf->sites[i].client;
		bool any = false;
		for (size_t k = 0; k < c->n_pins; k++)
			any |= warn_if_forbidden(&c->pins[k].at, &c->pins[k].ca, "ca", problems);
		for (size_t k = 0; k < c->crls.n; k++)
			any |= warn_if_forbidden(&c->at, &c->crls.v[k], "crls", problems);
		if (any)
			c->mode = CONF_CLIENT_NONE;
	}
	for (size_t i = 0; i < conf->n_upstreams; i++) {
		struct conf_upstream_tls *t = &conf->upstreams[i].tls;
		if (warn_if_forbidden(&t->at, &t->ca, "ca", problems))
			t->ca = NULL;
		if (t->bundle != NULL && is_bundle_forbidden(conf, t->bundle))
			t->bundle = NULL; /* its own message says it */
	}
}

static void
warn_of_exposed(const struct conf *conf, const struct tls_bundle *b, struct conf_problems *problems)
{
	char key[KEY_TEXT];
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
	char key[KEY_TEXT];

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
worker_warnings(const struct snapshot *s, struct conf_problems *problems)
{
	check_loaded(s->conf, s->store, problems);
	if (speaks_tls(s->conf))
		check_names(s, problems);
}

static bool
choose_nothing(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)s;
	(void)hello;
	(void)out;
	return false;
}

/* Where the list stands that a message begins with. */
static struct conf_where
tls_place(const struct conf *conf, const char *text)
{
	const struct {
		struct sv begin;
		const void *field;
	} lists[] = {
		{SV("tls.ciphers:"), &conf->tls.ciphers},
		{SV("tls.ciphersuites:"), &conf->tls.ciphersuites},
		{SV("tls.groups:"), &conf->tls.groups},
	};

	for (size_t i = 0; i < COUNTOF(lists); i++)
		if (sv_starts(sv_cstr(text), lists[i].begin))
			return conf_place(&conf->at, lists[i].field);
	return conf->at;
}

/* Do OpenSSL's lists of ciphers and groups mean something? */
static void
check_tls(const struct conf *conf, struct tls_thread *thread, const struct secret *secret, struct conf_problems *problems)
{
	struct err err = {""};
	struct tls_server *server = tls_server_new(thread, &conf->tls, secret, choose_nothing, &err);

	if (server != NULL) {
		tls_server_unref(server);
		return;
	}
	struct conf_where at = tls_place(conf, err.text);
	conf_error(problems, &at, NULL, "%s", err.text);
}

static void
check_with(struct snap_conf *shared, bool whole, struct tls_thread *thread, struct server_registry *registry,
    struct conf_problems *problems)
{
	struct secret secret = {.n = SECRET_MIN}; /* of zeros: nothing is kept that it protects */
	struct snapshot_inputs in = {.files = files_direct(), .thread = thread, .secret = &secret, .registry = registry};
	struct tls_outcomes outcomes = {0};

	check_tls(shared->conf, thread, &secret, problems);
	check_state_dir(shared->conf, thread, problems);
	struct snapshot *s = snapshot_build(shared, &in, problems, &outcomes);
	whole &= !check_bundles(shared->conf, &outcomes, problems);
	if (s != NULL)
		check_loaded(shared->conf, s->store, problems);
	if (s != NULL && whole && speaks_tls(shared->conf))
		check_names(s, problems);
	else if (s == NULL && problems->errors == 0)
		conf_error(problems, NULL, NULL, "out of memory");
	snapshot_unref(s);
	tls_outcomes_free(&outcomes);
}

void
worker_check(struct conf *conf, unsigned accept, struct conf_problems *problems, struct buf *news)
{
	struct err err = {"out of memory"};
	bool whole = problems->errors == 0; /* else what is not there may be what was at fault */

	check_start(conf, problems);
	leave_out_forbidden(conf, problems);
	struct snap_conf *shared = snap_conf_new(conf);
	struct server_registry *registry = server_registry_new();
	struct tls_thread *thread = tls_thread_new(0, &err);

	if (shared != NULL && registry != NULL && thread != NULL) {
		check_with(shared, whole, thread, registry, problems);
		check_against_running(shared->conf, accept, thread, problems, news);
	} else {
		conf_error(problems, NULL, NULL, "%s", err.text);
	}
	if (shared != NULL)
		snap_conf_unref(shared);
	if (registry != NULL)
		server_registry_free(registry);
	if (thread != NULL)
		tls_thread_free(thread);
}
