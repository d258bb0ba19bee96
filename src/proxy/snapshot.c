#include "proxy/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "rotation/client_cas.h"

/* --- upstreams ---------------------------------------------------------------------------------------------- */

static const struct snap_upstream *
previous_upstream(const struct snapshot *previous, const char *name)
{
	const struct conf_upstream *c = previous != NULL ? conf_upstream(previous->conf, name) : NULL;

	return c != NULL ? &previous->upstreams[c - previous->conf->upstreams] : NULL;
}

static bool
build_upstream(struct snapshot *s, size_t i, const struct snapshot_inputs *in, const struct credentials *cr,
    struct conf_problems *problems)
{
	const struct conf_upstream *c = &s->conf->upstreams[i];
	const struct snap_upstream *old = previous_upstream(in->previous, c->name);
	struct snap_upstream *u = &s->upstreams[i];
	struct err err = {""};

	u->balance = upstream_new(c, in->registry, old != NULL ? old->balance : NULL, in->secret, problems, &err);
	if (u->balance == NULL) {
		conf_error(problems, &c->at, c->name, "%s", err.text);
		return false;
	}
	u->tls = cr->clients[i] != NULL ? tls_client_ref(cr->clients[i]) : NULL;
	return true;
}

/* --- sites -------------------------------------------------------------------------------------------------- */

static struct snap_upstream *
upstream_named(struct snapshot *s, const char *name)
{
	const struct conf_upstream *c = name != NULL ? conf_upstream(s->conf, name) : NULL;

	return c != NULL ? &s->upstreams[c - s->conf->upstreams] : NULL;
}

static bool
build_edits(struct field_edits **out, enum field_edits_of of, const struct conf_fields *c, const struct conf_where *at,
    struct conf_problems *problems)
{
	if (c->n_set == 0 && c->remove.n == 0)
		return true;
	*out = field_edits_new(c, of, at, problems);
	return *out != NULL;
}

static bool
build_actions(struct snapshot *s, struct snap_site *site, struct conf_problems *problems)
{
	const struct conf_site *c = site->conf;
	bool ok = true;

	site->actions = calloc(c->n_routes + 1, sizeof(*site->actions));
	if (site->actions == NULL) {
		conf_error(problems, &c->at, "routes", "out of memory");
		return false;
	}
	for (size_t i = 0; i <= c->n_routes; i++) {
		const struct conf_route *r = i < c->n_routes ? &c->routes[i] : NULL;
		struct snap_action *a = &site->actions[i];
		const struct conf_where *at = r != NULL ? &r->at : &c->at;
		a->limits = r != NULL ? &r->limits : &c->limits;
		a->timeouts = r != NULL ? &r->timeouts : &c->timeouts;
		a->upstream = upstream_named(s, r != NULL && r->upstream != NULL ? r->upstream : c->upstream);
		const struct conf_fields *requests = r != NULL ? &r->request_headers : &c->request_headers;
		const struct conf_fields *responses = r != NULL ? &r->response_headers : &c->response_headers;
		ok &= build_edits(&a->request_edits, FIELDS_OF_REQUESTS, requests, at, problems);
		ok &= build_edits(&a->response_edits, FIELDS_OF_RESPONSES, responses, at, problems);
	}
	return ok;
}

/* A bundle that could not be loaded at all leaves the site without it: other bundles, and other sites, go ahead. */
static void
find_bundles(struct snapshot *s, struct snap_site *site)
{
	for (size_t i = 0; i < site->conf->bundles.n && site->n_bundles < SITE_BUNDLES_MAX; i++) {
		struct tls_bundle *b = tls_store_bundle(s->store, site->conf->bundles.v[i]);
		if (b != NULL)
			site->bundles[site->n_bundles++] = tls_bundle_ref(b);
	}
}

static bool
build_site(struct snapshot *s, size_t i, const struct credentials *cr, struct conf_problems *problems)
{
	struct snap_site *site = &s->sites[i];

	site->conf = &s->conf->sites[i];
	find_bundles(s, site);
	site->policy = cr->policies[i] != NULL ? tls_policy_ref(cr->policies[i]) : NULL;
	site->routes = route_set_new(site->conf, problems);
	bool ok = build_actions(s, site, problems);
	return ok && site->policy != NULL && site->routes != NULL;
}

static void
raise_limits(struct snapshot *s, const struct conf_limits *l)
{
	s->head_bytes = (uint32_t)MAX_OF((uint64_t)s->head_bytes, l->head_bytes);
	s->fields = (uint32_t)MAX_OF((uint64_t)s->fields, l->fields);
}

static void
find_limits(struct snapshot *s)
{
	raise_limits(s, &s->conf->limits);
	for (size_t i = 0; i < s->conf->n_sites; i++) {
		const struct conf_site *site = &s->conf->sites[i];
		raise_limits(s, &site->limits);
		for (size_t r = 0; r < site->n_routes; r++)
			raise_limits(s, &site->routes[r].limits);
	}
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static bool
build_networks(const struct snapshot *s, const struct conf_strings *c, const char *key, struct snap_networks *out,
    struct conf_problems *problems)
{
	struct err err;

	out->v = calloc(c->n + 1, sizeof(*out->v));
	for (size_t i = 0; out->v != NULL && i < c->n; i++) {
		if (strcmp(c->v[i], "unix:") == 0) {
			out->unix_too = true;
		} else if (net_cidr_parse(sv_cstr(c->v[i]), &out->v[out->n], &err)) {
			out->n++;
		} else {
			struct conf_where at = conf_place(&s->conf->at, &c->v[i]);
			conf_error(problems, &at, key, "%s", err.text);
			return false;
		}
	}
	return out->v != NULL;
}

bool
snap_networks_hold(const struct snap_networks *networks, const struct net_ip *ip)
{
	for (size_t i = 0; i < networks->n; i++)
		if (net_cidr_holds(&networks->v[i], ip))
			return true;
	return networks->unix_too && ip->size == 0;
}

static bool
build_proxies(struct snapshot *s, struct conf_problems *problems)
{
	const struct conf *c = s->conf;
	bool ok = true;

	s->proxies = calloc(c->n_listeners + 1, sizeof(*s->proxies));
	for (size_t i = 0; s->proxies != NULL && i < c->n_listeners; i++)
		if (c->listeners[i].proxies.present)
			ok &= build_networks(s, &c->listeners[i].proxies.from, "proxy_protocol.from", &s->proxies[i], problems);
	return ok && s->proxies != NULL;
}

static bool
build_parts(struct snapshot *s, const struct snapshot_inputs *in, const struct credentials *cr, struct conf_problems *problems)
{
	const struct conf *c = s->conf;
	bool ok = build_networks(s, &c->trusted_proxies, "trusted_proxies", &s->trusted, problems);

	ok &= build_proxies(s, problems);
	s->upstreams = calloc(c->n_upstreams + 1, sizeof(*s->upstreams));
	s->sites = calloc(c->n_sites + 1, sizeof(*s->sites));
	s->hosts = host_index_new(c);
	if (s->upstreams == NULL || s->sites == NULL || s->hosts == NULL) {
		conf_error(problems, NULL, NULL, "out of memory");
		return false;
	}
	find_limits(s);
	for (size_t i = 0; i < c->n_upstreams; i++)
		ok &= build_upstream(s, i, in, cr, problems);
	for (size_t i = 0; i < c->n_sites; i++)
		ok &= build_site(s, i, cr, problems);
	return ok;
}

struct snap_conf *
snap_conf_new(struct conf *conf)
{
	struct snap_conf *c = malloc(sizeof(*c));

	if (c == NULL) {
		conf_free(conf);
		return NULL;
	}
	*c = (struct snap_conf){.refs = 1, .conf = conf};
	return c;
}

struct snap_conf *
snap_conf_ref(struct snap_conf *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void
snap_conf_unref(struct snap_conf *c)
{
	if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	conf_free(c->conf);
	free(c);
}

struct snapshot *
snapshot_build_with(struct snap_conf *shared, const struct snapshot_inputs *in, const struct credentials *cr,
    struct conf_problems *problems)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->shared = snap_conf_ref(shared);
	s->conf = shared->conf;
	s->store = tls_store_ref(cr->store);
	if (build_parts(s, in, cr, problems))
		return s;
	snapshot_unref(s);
	return NULL;
}

struct snapshot *
snapshot_build(struct snap_conf *shared, const struct snapshot_inputs *in, struct conf_problems *problems,
    struct tls_outcomes *outcomes)
{
	struct credentials cr;
	struct snapshot *s = NULL;
	bool ok = credentials_load(&cr, shared->conf, in, problems, outcomes);

	/* With a refusal the rest is built all the same: all that is wrong is to be said at once. */
	if (cr.store != NULL && !credentials_held_back(shared->conf, in->first, outcomes))
		s = snapshot_build_with(shared, in, &cr, problems);
	if (!ok) {
		snapshot_unref(s);
		s = NULL;
	}
	credentials_free(&cr);
	return s;
}

struct snapshot *
snapshot_ref(struct snapshot *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

static void
free_site(struct snap_site *site)
{
	for (unsigned i = 0; i < site->n_bundles; i++)
		tls_bundle_unref(site->bundles[i]);
	for (size_t i = 0; site->actions != NULL && i <= site->conf->n_routes; i++) {
		field_edits_free(site->actions[i].request_edits);
		field_edits_free(site->actions[i].response_edits);
	}
	free(site->actions);
	route_set_free(site->routes);
	client_cas_unref(site->client_cas);
	if (site->policy != NULL)
		tls_policy_unref(site->policy);
}

void
snapshot_unref(struct snapshot *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; s->sites != NULL && i < s->conf->n_sites; i++)
		free_site(&s->sites[i]);
	for (size_t i = 0; s->upstreams != NULL && i < s->conf->n_upstreams; i++) {
		upstream_free(s->upstreams[i].balance);
		if (s->upstreams[i].tls != NULL)
			tls_client_unref(s->upstreams[i].tls);
	}
	for (size_t i = 0; s->proxies != NULL && i < s->conf->n_listeners; i++)
		free(s->proxies[i].v);
	free(s->proxies);
	free(s->sites);
	free(s->upstreams);
	free(s->trusted.v);
	host_index_free(s->hosts);
	if (s->store != NULL)
		tls_store_unref(s->store);
	snap_conf_unref(s->shared);
	free(s);
}

const struct snap_site *
snapshot_site(const struct snapshot *s, struct sv host)
{
	int i = host_index_find(s->hosts, host);

	return i < 0 ? NULL : &s->sites[i];
}
