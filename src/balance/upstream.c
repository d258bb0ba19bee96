#include "balance/upstream.h"

#include <stdlib.h>

#include "balance/algorithm.h"
#include "base/arena.h"

struct upstream {
	const struct conf_upstream *conf;
	const struct algorithm *algorithm;
	void *table; /* of the algorithm; owned */
	struct arena arena; /* the cookies */
	unsigned n;
	struct upstream_server servers[];
};

static const struct algorithm *const algorithms[] = {
#define X(id, name) [id] = &name,
    ALGORITHMS(X)
#undef X
};

/* --- making one --------------------------------------------------------------------------------------------- */

/* The name that the server's certificate is checked against and that Host may name. */
static bool
set_host(struct upstream_server *s, const char *upstream, struct err *err)
{
	struct sv address = sv_cstr(s->conf->address), host = SV("localhost");
	uint16_t port;

	if (!sv_starts(address, SV("unix:")) && !http_split_authority(address, &host, &port))
		return err_set(err, "upstream %s: server \"%s\": not HOST:PORT", upstream, s->conf->address);
	if (host.p[0] == '[')
		host = sv_of(host.p + 1, host.n - 2);
	return sv_copy(host, s->host, sizeof(s->host)); /* a host name is shorter */
}

static const struct upstream_server *
same_server(const struct upstream *u, const char *address)
{
	for (unsigned i = 0; u != NULL && i < u->n; i++)
		if (strcmp(u->servers[i].state->address, address) == 0)
			return &u->servers[i];
	return NULL;
}

/* Blocks for the resolver when the address is a name. */
static void
set_addresses(struct upstream_server *s, const struct upstream *previous, struct conf_problems *problems)
{
	struct err err = {""};
	struct sv address = sv_cstr(s->conf->address);

	if (net_address_parse(address, &s->addresses[0], &err)) {
		s->n_addresses = 1;
		return;
	}
	s->n_addresses = (unsigned)net_address_resolve(address, s->addresses, SERVER_ADDRESSES_MAX, &err);
	if (s->n_addresses > 0)
		return;
	const struct upstream_server *before = same_server(previous, s->conf->address);
	if (before != NULL) {
		s->n_addresses = before->n_addresses;
		memcpy(s->addresses, before->addresses, sizeof(s->addresses));
	}
	conf_warning(problems, &s->conf->at, "servers", "%s; %s", err.text,
	    s->n_addresses > 0 ? "its last addresses stay in use" : "it is left out until the next reload");
}

/*
 * What the sticky cookie holds: a MAC over the server's name under a key that all nodes with this secret share. It
 * tells nothing about the server, can not be made up for another one, and needs no state.
 */
static bool
set_cookie(struct upstream_server *s, struct arena *arena, const struct conf_upstream *conf,
    const struct secret *secret, struct err *err)
{
	static const char *const secure[2] = {"", " Secure;"};
	unsigned char mac[16];
	const char *path = conf->sticky.path != NULL ? conf->sticky.path : "/";
	/* The state's names are the upstream's, NUL and the address. */
	struct sv identity = sv_of(s->state->names, strlen(s->state->upstream) + 1 + strlen(s->state->address));

	if (!http_is_token(sv_cstr(conf->sticky.cookie)) || !http_is_value(sv_cstr(path)) || strchr(path, ';') != NULL)
		return err_set(err,
		    "upstream %s: sticky: a cookie's name is letters, digits, '-' and '_', its path holds no ';'",
		    conf->name);
	if (!secret_derive(secret, "bascule sticky", identity, mac, sizeof(mac)))
		return err_set(err, "upstream %s: the sticky cookie can not be derived from the secret", conf->name);
	(void)base64url(mac, sizeof(mac), s->sticky);
	for (int i = 0; i < 2; i++) {
		s->cookie[i] = sv_cstr(arena_printf(arena, "%s=%s; Path=%s;%s HttpOnly; SameSite=Lax",
		    conf->sticky.cookie, s->sticky, path, secure[i]));
		if (s->cookie[i].p == NULL)
			return err_no_memory(err);
	}
	return true;
}

static bool
add_server(struct upstream *u, const struct conf_server *conf, struct server_registry *registry,
    const struct upstream *previous, const struct secret *secret, struct conf_problems *problems, struct err *err)
{
	struct upstream_server *s = &u->servers[u->n];

	s->conf = conf;
	s->state = server_registry_get(registry, u->conf->name, conf->address);
	if (s->state == NULL)
		return err_no_memory(err);
	u->n++; /* from here on upstream_free() releases it */
	if (!set_host(s, u->conf->name, err))
		return false;
	set_addresses(s, previous, problems);
	return !u->conf->sticky.present || set_cookie(s, &u->arena, u->conf, secret, err);
}

struct upstream *
upstream_new(const struct conf_upstream *conf, struct server_registry *registry, const struct upstream *previous,
    const struct secret *secret, struct conf_problems *problems, struct err *err)
{
	if (conf->n_servers > UPSTREAM_SERVERS_MAX) {
		err_set(err, "upstream %s: %zu servers; at most %d are possible", conf->name, conf->n_servers,
		    UPSTREAM_SERVERS_MAX);
		return NULL;
	}
	struct upstream *u = calloc(1, sizeof(*u) + conf->n_servers * sizeof(u->servers[0]));
	if (u == NULL) {
		err_no_memory(err);
		return NULL;
	}
	u->conf = conf;
	u->algorithm = algorithms[conf->balance];
	for (size_t i = 0; i < conf->n_servers; i++) {
		if (!add_server(u, &conf->servers[i], registry, previous, secret, problems, err)) {
			upstream_free(u);
			return NULL;
		}
	}
	if (u->algorithm->new_table != NULL && (u->table = u->algorithm->new_table(u->servers, u->n)) == NULL) {
		err_no_memory(err);
		upstream_free(u);
		return NULL;
	}
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	for (unsigned i = 0; i < u->n; i++)
		server_state_unref(u->servers[i].state);
	arena_free(&u->arena);
	free(u->table);
	free(u);
}

const struct conf_upstream *
upstream_conf(const struct upstream *u)
{
	return u->conf;
}

unsigned
upstream_count(const struct upstream *u)
{
	return u->n;
}

const struct upstream_server *
upstream_at(const struct upstream *u, unsigned i)
{
	return &u->servers[i];
}

/* --- choosing ----------------------------------------------------------------------------------------------- */

static bool
request_cookie(const struct upstream *u, const struct http_head *request, struct sv *value)
{
	return u->conf->sticky.present && http_cookie_get(request, sv_cstr(u->conf->sticky.cookie), value) &&
	    value->n == STICKY_VALUE;
}

/* The server that the request's cookie names; -1: none. All are compared, in constant time: a guess learns nothing. */
static int
sticky_server(const struct upstream *u, const struct http_head *request)
{
	struct sv value;
	int found = -1;

	if (!request_cookie(u, request, &value))
		return -1;
	for (unsigned i = 0; i < u->n; i++)
		if (secret_eq(value.p, u->servers[i].sticky, STICKY_VALUE))
			found = (int)i;
	return found;
}

int
upstream_choose(const struct upstream *u, const struct http_head *request, const struct upstream_tried *tried,
    uint64_t now_ms, uint64_t random)
{
	struct upstream_tried passed = *tried; /* and those whose trial another request took just now */
	struct choice c = {u->servers, u->n, &passed, now_ms, random, false};

	if (u->n == 0)
		return -1;
	int server = sticky_server(u, request);
	if (server < 0 || !choice_allows(&c, (unsigned)server))
		server = u->algorithm->pick(u->table, &c);
	while (server >= 0 && !server_take(u->servers[server].state, now_ms, u->conf->eject.time)) {
		upstream_mark_tried(&passed, server);
		server = u->algorithm->pick(u->table, &c);
	}
	if (server >= 0)
		return server;
	c.tried = tried;
	c.ejected_too = true;
	return u->algorithm->pick(u->table, &c);
}

bool
upstream_sticky_cookie(const struct upstream *u, const struct http_head *request, int server, bool secure,
    struct sv *cookie)
{
	const struct upstream_server *s = &u->servers[server];
	struct sv value;

	if (!u->conf->sticky.present ||
	    (request_cookie(u, request, &value) && secret_eq(value.p, s->sticky, STICKY_VALUE)))
		return false;
	*cookie = s->cookie[secure];
	return true;
}
