#include "app/check.h"

#include <stdio.h>
#include <time.h>

#include "app/check_state.h"
#include "tls/server.h"

enum {
	EXPIRY_WARNING_S = 14 * 86400,
	COVERS_MAX = 2, /* bundles of directories for one name: RSA and EC */
};

static void
check_bundles(const struct conf *conf, const struct tls_outcomes *outcomes, struct conf_problems *problems)
{
	for (size_t i = 0; i < outcomes->n; i++) {
		const struct tls_outcome *o = &outcomes->v[i];
		const struct conf_bundle *c = conf_bundle(conf, o->bundle);
		if (o->kind == TLS_HELD || o->kind == TLS_MISSING)
			conf_error(problems, c != NULL ? &c->at : NULL, o->bundle, "%s", o->text);
	}
}

static void
check_expiry(const struct conf *conf, const struct tls_store *store, struct conf_problems *problems)
{
	int64_t now = time(NULL);

	for (size_t i = 0; i < tls_store_count(store); i++) {
		const struct tls_bundle *b = tls_store_at(store, i);
		const struct conf_bundle *c = conf_bundle(conf, b->name);
		if (b->facts.not_after - now < EXPIRY_WARNING_S)
			conf_warning(problems, c != NULL ? &c->at : NULL, b->name,
			    "the certificate in %s expires in %lld days; renew it", b->where,
			    (long long)((b->facts.not_after - now) / 86400));
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
	char host[256];

	for (unsigned i = 0; names->n > 0 && i < site->n_bundles; i++) {
		bool covers = false;
		for (size_t k = 0; !covers && k < names->n; k++)
			covers = example_host(names->v[k], host, sizeof(host)) && tls_bundle_covers(site->bundles[i], host);
		if (!covers)
			conf_warning(problems, &site->conf->at, "bundle",
			    "the certificate of \"%s\" (%s) has none of this site's names; was another's put there?",
			    site->bundles[i]->name, site->bundles[i]->where);
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
		if (site->conf->bundles.n > 0 && site->n_bundles == 0)
			continue; /* not one could be loaded, which has been told */
		check_strangers(site, problems);
		for (size_t k = 0; k < names->n; k++)
			if (example_host(names->v[k], host, sizeof(host)) && !is_covered(s, site, host))
				conf_warning(problems, &site->conf->at, "names",
				    "no certificate of this site covers %s, so clients will refuse it; get one that does",
				    names->v[k]);
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
	check_expiry(s->conf, s->store, problems);
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

/* Do OpenSSL's lists of ciphers and groups mean something? */
static void
check_tls(const struct conf *conf, struct tls_thread *thread, const struct secret *secret, struct conf_problems *problems)
{
	struct conf_where top = {.file = conf->files.v[0], .line = 1, .column = 1};
	struct err err = {""};
	struct tls_server *server = tls_server_new(thread, &conf->tls, secret, choose_nothing, &err);

	if (server == NULL)
		conf_error(problems, &top, NULL, "%s", err.text);
	else
		tls_server_unref(server);
}

static void
check_with(struct snap_conf *shared, struct tls_thread *thread, struct server_registry *registry,
    struct conf_problems *problems)
{
	struct secret secret = {.n = SECRET_MIN}; /* of zeros: nothing is kept that it protects */
	struct snapshot_inputs in = {.files = files_direct(), .thread = thread, .secret = &secret, .registry = registry};
	struct tls_outcomes outcomes = {0};

	check_tls(shared->conf, thread, &secret, problems);
	check_state_dir(shared->conf, thread, problems);
	struct snapshot *s = snapshot_build(shared, &in, problems, &outcomes);
	check_bundles(shared->conf, &outcomes, problems);
	if (s != NULL) {
		worker_warnings(s, problems);
		snapshot_unref(s);
	} else if (problems->errors == 0) {
		conf_error(problems, NULL, NULL, "out of memory");
	}
	tls_outcomes_free(&outcomes);
}

bool
worker_check(struct conf *conf, struct conf_problems *problems)
{
	unsigned before = problems->errors;
	struct err err = {"out of memory"};
	struct snap_conf *shared = snap_conf_new(conf);
	struct server_registry *registry = server_registry_new();
	struct tls_thread *thread = tls_thread_new(0, &err);

	if (shared != NULL && registry != NULL && thread != NULL)
		check_with(shared, thread, registry, problems);
	else
		conf_error(problems, NULL, NULL, "%s", err.text);
	if (shared != NULL)
		snap_conf_unref(shared);
	if (registry != NULL)
		server_registry_free(registry);
	if (thread != NULL)
		tls_thread_free(thread);
	return problems->errors == before;
}
