/*
 * check_sites.c: names, what they lead to, and what is demanded of clients.
 */
#include "conf/check.h"

static void
check_names(struct checker *c, const struct conf_site *s, const struct conf_site **preset)
{
	for (size_t i = 0; i < s->names.n; i++)
		check_unique(c, &c->sites, s->names.v[i], &s->names.v[i], "a name of a site");
	if (s->names.n == 0 && !s->is_default && check_sound(c, &s->at))
		check_error(c, check_given(c, &s->names) ? (const void *)&s->names : &s->at,
		    "has no \"names\"; give it some, or \"default\": true");
	if (!s->is_default)
		return;
	if (*preset == NULL) {
		*preset = s;
		return;
	}
	struct conf_where at = (*preset)->at;
	check_error(c, &s->is_default, "the site at %s:%u:%u is the default already; there can be one", at.file,
	    at.line, at.column);
}

static const struct conf_bundle *
directory_named(const struct checker *c, const char *name)
{
	struct check_name *found;

	HASH_FIND_STR(c->bundles, name, found);
	const struct conf_bundle *b = found != NULL ? CONTAINER_OF(found->field, const struct conf_bundle, at) : NULL;
	return b != NULL && b->directory != NULL ? b : NULL;
}

static void
check_site_bundles(struct checker *c, const struct conf_site *s)
{
	if (s->bundles.n > CONF_SITE_BUNDLES_MAX)
		check_error(c, &s->bundles.v[CONF_SITE_BUNDLES_MAX], "is one too many: a site has at most %d bundles",
		    CONF_SITE_BUNDLES_MAX);
	for (size_t i = 0; i < s->bundles.n; i++) {
		const char *const *name = &s->bundles.v[i];
		if (directory_named(c, *name) != NULL)
			check_error(c, name,
			    "\"%s\" is a directory; name a bundle in it, or leave \"bundle\" out to take the one that "
			    "covers the name",
			    *name);
		else if (!c->has_directory) /* else it may be the name of one in a directory, which is not read yet */
			check_known(c, c->bundles, name, "bundle");
		for (size_t j = 0; j < i; j++)
			if (strcmp(s->bundles.v[j], *name) == 0)
				check_error(c, name, "\"%s\" is given twice", *name);
	}
}

static void
check_client(struct checker *c, const struct conf_client_certificate *cl)
{
	if (cl->at.file == NULL || !check_sound(c, &cl->at))
		return;
	for (size_t i = 0; i < cl->n_pins; i++)
		if (conf_pin_from(&cl->pins[i]) >= conf_pin_until(&cl->pins[i]))
			check_error(c, &cl->pins[i].until, "ends before \"from\" begins: it would never be trusted");
	if (cl->mode != CONF_CLIENT_NONE && cl->n_pins == 0)
		check_error(c, check_given(c, &cl->pins) ? (const void *)&cl->pins : &cl->mode,
		    "needs \"pins\": say which CA clients must have, as in \"pins\": [ { \"ca\": \"devices-ca.pem\" } "
		    "]");
	else if (cl->mode == CONF_CLIENT_NONE && (cl->n_pins > 0 || cl->crls.n > 0))
		check_error(c, cl->n_pins > 0 ? (const void *)&cl->pins : &cl->crls,
		    "has no effect, because no certificate is asked for; set \"mode\" to \"required\" or \"optional\"");
	else if (cl->crls.n == 0 && check_given(c, &cl->crl_check))
		check_error(c, &cl->crl_check, "has no effect without \"crls\"");
}

/* A field both set and removed: which one was meant is not to be guessed. */
static void
check_fields(struct checker *c, const struct conf_fields *f)
{
	for (size_t i = 0; i < f->n_set; i++)
		for (size_t j = 0; j < f->remove.n; j++)
			if (sv_ieq(sv_cstr(f->set[i].name), sv_cstr(f->remove.v[j])))
				check_error(c, &f->remove.v[j], "\"%s\" is set as well; to set a field replaces it",
				    f->remove.v[j]);
}

/* Methods are told apart by case (RFC 9110, 9.1), and no client sends these; TRACE needs the site's consent. */
static void
check_methods(struct checker *c, const struct conf_site *s, const struct conf_strings *methods)
{
	for (size_t i = 0; i < methods->n; i++) {
		if (strcmp(methods->v[i], "TRACE") == 0 && !s->trace)
			check_warning(c, &methods->v[i],
			    "no TRACE goes further than here: it is answered 405, unless the site has \"trace\": true");
		for (const char *m = methods->v[i]; *m != '\0'; m++)
			if (*m >= 'a' && *m <= 'z') {
				check_warning(c, &methods->v[i], "\"%s\" is not in capitals, so hardly a request matches",
				    methods->v[i]);
				break;
			}
	}
}

/* What a connection stands for is HTTP/1.1's alone, where it serves one client: such requests share none (RFC 9113, 8.6). */
static void
check_connection_auth(struct checker *c, const struct conf_site *s, const char *const *upstream)
{
	struct check_name *found = NULL;

	if (!s->connection_auth || *upstream == NULL)
		return;
	HASH_FIND_STR(c->upstreams, *upstream, found);
	const struct conf_upstream *u = found != NULL ? CONTAINER_OF(found->field, const struct conf_upstream, at) : NULL;
	if (u != NULL && u->http2)
		check_warning(c, upstream,
		    "\"http2\" of \"%s\" has no effect here: with \"connection_auth\" of the site its requests go by HTTP/1.1 alone, over "
		    "connections of each client's own%s",
		    *upstream, u->tls.present ? "" : "; without \"tls\" the servers must take both versions on one port");
}

static bool
is_unconditional(const struct conf_route *r)
{
	return r->path == NULL && r->host == NULL && r->methods.n == 0 && r->n_headers == 0;
}

static void
check_route(struct checker *c, const struct conf_site *s, const struct conf_route *r)
{
	if (r->upstream != NULL)
		check_known(c, c->upstreams, &r->upstream, "upstream");
	else if (s->upstream == NULL && check_sound(c, &s->at))
		check_error(c, &r->at, "leads nowhere: give it or its site an \"upstream\"");
	if (r->rewrite != NULL && r->path == NULL && !check_given(c, &r->path))
		check_error(c, &r->rewrite, "needs \"path\": it takes the place of what that matches");
	if (r->rewrite != NULL && r->path != NULL && strncmp(r->path, "^/", 2) == 0 && strchr("/$", r->rewrite[0]) == NULL)
		check_warning(c, &r->rewrite, "begins with no slash, in place of what begins with one; a path without is "
		    "answered 500");
	check_connection_auth(c, s, &r->upstream);
	check_methods(c, s, &r->methods);
	check_fields(c, &r->request_headers);
	check_fields(c, &r->response_headers);
}

static void
check_routes(struct checker *c, const struct conf_site *s)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct conf_route *r = &s->routes[i];
		check_route(c, s, r);
		if (is_unconditional(r) && i + 1 < s->n_routes && check_sound(c, &r->at))
			check_warning(c, &r->at,
			    "has no condition, so it takes every request and the routes after it none");
	}
	check_connection_auth(c, s, &s->upstream);
	if (s->upstream != NULL)
		check_known(c, c->upstreams, &s->upstream, "upstream");
	else if (s->n_routes == 0 && check_sound(c, &s->at))
		check_error(c, &s->at, "leads nowhere: give it an \"upstream\" or \"routes\"");
}

void
check_sites(struct checker *c)
{
	const struct conf_site *preset = NULL;

	for (size_t i = 0; i < c->conf->n_sites; i++) {
		const struct conf_site *s = &c->conf->sites[i];
		check_names(c, s, &preset);
		check_site_bundles(c, s);
		check_client(c, &s->client);
		check_fields(c, &s->request_headers);
		check_fields(c, &s->response_headers);
		check_routes(c, s);
	}
}
