/*
 * check_upstreams.c: servers and how they are trusted.
 */
#include "conf/check.h"

enum { SERVERS_MAX = 256 };

static void
check_servers(struct checker *c, const struct conf_upstream *u)
{
	struct check_name *addresses = NULL;

	if (u->n_servers == 0 && check_sound(c, &u->at))
		check_error(c, &u->servers, "is empty: an upstream has at least one server");
	if (u->n_servers > SERVERS_MAX)
		check_error(c, &u->servers, "%zu servers; an upstream has at most %d", u->n_servers, SERVERS_MAX);
	for (size_t i = 0; i < u->n_servers; i++)
		if (u->servers[i].address != NULL)
			check_unique(c, &addresses, u->servers[i].address, &u->servers[i].address,
			    "a server of this upstream");
	HASH_CLEAR(hh, addresses);
}

static void
check_tls(struct checker *c, const struct conf_upstream_tls *t)
{
	if (!t->verify && t->ca != NULL)
		check_error(c, &t->verify, "contradicts \"ca\", which would not be looked at; remove one of the two");
	else if (!t->verify && t->pins.n > 0)
		check_error(c, &t->verify,
		    "contradicts \"pin\", by which the servers are verified; remove one of the two");
	else if (!t->verify)
		check_warning(c, &t->verify,
		    "any server can pose as one of these, and read and change what passes; give a \"ca\" or a \"pin\" "
		    "instead");
	/* A bundle of a directory is known only when the directory has been read. */
	if (t->bundle != NULL && !(c->has_directory && !check_has(c->bundles, t->bundle)))
		check_known(c, c->bundles, &t->bundle, "bundle");
}

static void
check_http2(struct checker *c, const struct conf_upstream *u)
{
	if (u->http2 && u->proxy_protocol != CONF_PROXY_NONE)
		check_error(c, &u->http2,
		    "contradicts \"proxy_protocol\", which makes a connection one client's alone, while HTTP/2 shares it; remove one "
		    "of the two (X-Forwarded-For tells the client's address as well)");
}

void
check_upstreams(struct checker *c)
{
	for (size_t i = 0; i < c->conf->n_upstreams; i++) {
		const struct conf_upstream *u = &c->conf->upstreams[i];
		check_unique(c, &c->upstreams, u->name, &u->at, "an upstream");
		check_servers(c, u);
		check_http2(c, u);
		if (u->tls.present)
			check_tls(c, &u->tls);
	}
}
