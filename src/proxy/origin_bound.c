#include "proxy/origin_bound.h"

#include "proxy/client.h"

static enum conf_proxy_protocol
wanted_header(const struct exchange *x)
{
	return upstream_conf(x->upstream->balance)->proxy_protocol;
}

/* --- which one ---------------------------------------------------------------------------------------------- */

struct bound_need
origin_bound_need(const struct exchange *x)
{
	bool authenticated = x->site->conf->connection_auth || http_authenticates_connection(&x->request);

	return (struct bound_need){authenticated || wanted_header(x) != CONF_PROXY_NONE, authenticated};
}

static int
index_of(const struct upstream *u, const struct server_state *server)
{
	for (unsigned i = 0; i < upstream_count(u); i++)
		if (upstream_at(u, i)->state == server)
			return (int)i;
	return -1;
}

int
origin_bound_server(const struct exchange *x)
{
	for (const struct origin *o = LIST_FIRST(&x->client->bound); o != NULL; o = LIST_NEXT(o, link)) {
		int i = o->authenticated ? index_of(x->upstream->balance, o->pool->server) : -1;
		if (i >= 0 && !upstream_was_tried(&x->tried, i))
			return i;
	}
	return -1;
}

/* As an idle one of a pool, it is looked at first: the server may have closed it, or said what nobody asked for. */
struct origin *
origin_bound_take(struct exchange *x, struct origin_pool *p)
{
	struct origin *o, *next;

	for (o = LIST_FIRST(&x->client->bound); o != NULL; o = next) {
		next = LIST_NEXT(o, link);
		if (o->pool != p || o->exchange != NULL || o->header != wanted_header(x))
			continue;
		if (!net_stream_is_stale(&o->stream))
			return o;
		origin_close(o);
	}
	return NULL;
}

/* --- bound, and no longer ----------------------------------------------------------------------------------- */

void
origin_bind(struct origin *o, struct client *c, bool authenticated)
{
	o->authenticated |= authenticated;
	if (o->client != NULL)
		return;
	o->client = c;
	LIST_INSERT_HEAD(&c->bound, o, link);
	counter_add(&o->thread->counters.origin_connections_bound, 1);
}

void
origin_unbind(struct origin *o, bool was_open)
{
	struct client *c = o->client;

	if (c == NULL)
		return;
	o->client = NULL;
	LIST_REMOVE(o, link);
	counter_sub(&o->thread->counters.origin_connections_bound, 1);
	/* One that never came about has authenticated nobody. */
	if (o->authenticated && was_open)
		client_end(c);
}

void
origin_bound_idle(struct origin *o, uint64_t idle_ms)
{
	net_stream_resume(&o->stream);
	net_stream_deadline(&o->stream, o->authenticated ? 0 : idle_ms); /* its client's deadline is its own */
}

void
origin_close_bound(struct client *c)
{
	while (!LIST_EMPTY(&c->bound))
		origin_close(LIST_FIRST(&c->bound));
}

static struct origin *
first_unnamed(struct client *c)
{
	for (struct origin *o = LIST_FIRST(&c->bound); o != NULL; o = LIST_NEXT(o, link))
		if (o->exchange == NULL && !o->pool->named)
			return o;
	return NULL;
}

void
origin_bound_sweep(struct px_thread *t)
{
	struct client *c, *next;
	struct origin *o;

	for (c = LIST_FIRST(&t->clients); c != NULL; c = next) {
		next = LIST_NEXT(c, link); /* it is c alone that closing one of its connections may end */
		while ((o = first_unnamed(c)) != NULL)
			origin_close(o);
	}
}

/* --- the PROXY protocol ------------------------------------------------------------------------------------- */

/* Before there is a transform, so that it stands before the handshake; it leaves with the first bytes behind it. */
bool
origin_bound_tell(struct origin *o, struct exchange *x)
{
	struct proxy_header h;
	char text[PROXY_HEADER_MAX];

	o->header = wanted_header(x);
	if (o->header == CONF_PROXY_NONE)
		return true;
	h = client_tell(x->client);
	size_t n = o->header == CONF_PROXY_V1 ? proxy_header_write_v1(&h, text) : proxy_header_write_v2(&h, text);
	const struct iovec v = {text, n};
	return net_stream_write(&o->stream, &v, 1);
}
