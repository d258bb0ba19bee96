#include "proxy/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/origin_bound.h"

enum { IN_MAX = 1024 * 1024 }; /* a response head that comes in pieces; the codec's own limit is smaller */

/* --- pools -------------------------------------------------------------------------------------------------- */

static struct origin_pool *
find_pool(struct px_thread *t, struct server_state *server, struct tls_client *tls)
{
	struct origin_pool_key key = {.server = server, .tls = tls};
	struct origin_pool *p;

	HASH_FIND(hh, t->pools, &key, sizeof(key), p);
	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->key = key;
	HASH_ADD(hh, t->pools, key, sizeof(p->key), p);
	if (p->hh.tbl == NULL) {
		free(p); /* the table could not grow */
		return NULL;
	}
	p->server = server_state_ref(server);
	p->tls = tls != NULL ? tls_client_ref(tls) : NULL;
	LIST_INIT(&p->idle);
	return p;
}

static void
free_pool(struct px_thread *t, struct origin_pool *p)
{
	HASH_DEL(t->pools, p);
	tls_client_session_free(&p->session);
	server_state_unref(p->server);
	if (p->tls != NULL)
		tls_client_unref(p->tls);
	free(p);
}

static void
close_idle(struct origin_pool *p)
{
	while (!LIST_EMPTY(&p->idle))
		origin_close(LIST_FIRST(&p->idle));
}

static bool
is_named(const struct snapshot *s, const struct origin_pool *p)
{
	for (size_t i = 0; i < s->conf->n_upstreams; i++) {
		const struct snap_upstream *u = &s->upstreams[i];
		for (unsigned k = 0; u->tls == p->tls && k < upstream_count(u->balance); k++)
			if (upstream_at(u->balance, k)->state == p->server)
				return true;
	}
	return false;
}

void
origin_pools_sweep(struct px_thread *t)
{
	struct origin_pool *p, *next;

	for (p = t->pools; p != NULL; p = p->hh.next)
		p->named = is_named(t->view->snapshot, p);
	origin_bound_sweep(t);
	HASH_ITER(hh, t->pools, p, next) {
		if (p->named)
			continue;
		close_idle(p);
		if (p->n_all == 0)
			free_pool(t, p);
	}
}

void
origin_pools_free(struct px_thread *t)
{
	struct origin_pool *p, *next;

	HASH_ITER(hh, t->pools, p, next) {
		close_idle(p);
		if (p->n_all == 0)
			free_pool(t, p);
	}
}

/* --- the end of a connection -------------------------------------------------------------------------------- */

static void
free_origin(struct net_deferred *d)
{
	struct origin *o = CONTAINER_OF(d, struct origin, free_later);

	o->pool->n_all--; /* an empty pool waits for the next sweep */
	h1_body_free(&o->body);
	buf_clear(&o->in);
	free(o);
}

static void
leave_idle(struct origin *o)
{
	LIST_REMOVE(o, link);
	o->is_idle = false;
	o->pool->n_idle--;
	counter_sub(&o->thread->counters.origin_connections_idle, 1);
}

void
origin_close(struct origin *o)
{
	if (o->closed)
		return;
	bool was_open = o->stream.open;
	o->closed = true;
	if (o->is_idle)
		leave_idle(o);
	net_stream_close(&o->stream, false);
	net_loop_defer(o->thread->loop, &o->free_later, free_origin);
	origin_unbind(o, was_open); /* last: it may end the client */
}

void
origin_release(struct origin *o, uint64_t idle_max, uint64_t idle_ms)
{
	struct origin_pool *p = o->pool;

	if (o->closed)
		return;
	bool full = o->client != NULL ? idle_max == 0 && !o->authenticated : p->n_idle >= idle_max;
	if (full || o->thread->draining || net_stream_pending(&o->stream) > 0) {
		origin_close(o);
		return;
	}
	if (o->client != NULL) {
		origin_bound_idle(o, idle_ms);
		return;
	}
	o->reused = true;
	o->is_idle = true;
	LIST_INSERT_HEAD(&p->idle, o, link);
	p->n_idle++;
	counter_add(&o->thread->counters.origin_connections_idle, 1);
	net_stream_resume(&o->stream);
	net_stream_deadline(&o->stream, idle_ms);
}

/* --- events ------------------------------------------------------------------------------------------------- */

/* The text lives as long as the exchange. */
static const char *
explain(struct exchange *x, const char *what, const char *detail)
{
	const char *text = arena_printf(&x->extra, "%s: %s", what, detail);

	return text != NULL ? text : what;
}

/*
 * On an idle connection nothing is expected but its end, or with TLS a new ticket, which comes without data.
 */
static void
idle_event(struct origin *o)
{
	char byte;

	if (net_stream_read(&o->stream, &byte, 1) != NET_AGAIN)
		origin_close(o);
}

static void
on_open(struct net_stream *s)
{
	struct origin *o = CONTAINER_OF(s, struct origin, stream);

	net_stream_deadline(s, 0);
	if (o->exchange != NULL)
		exchange_origin_ready(o->exchange);
}

static void
on_readable(struct net_stream *s)
{
	struct origin *o = CONTAINER_OF(s, struct origin, stream);

	if (o->exchange != NULL)
		origin_h1_readable(o);
	else
		idle_event(o);
}

static void
on_drained(struct net_stream *s)
{
	struct origin *o = CONTAINER_OF(s, struct origin, stream);

	struct exchange *x = o->exchange;

	if (x == NULL)
		return;
	if (!x->request_sent && !o->in_body)
		net_stream_deadline(s, 0); /* it takes the request's body again */
	exchange_origin_drained(x);
}

static void
on_timeout(struct net_stream *s)
{
	struct origin *o = CONTAINER_OF(s, struct origin, stream);
	struct exchange *x = o->exchange;

	if (x == NULL)
		origin_close(o);
	else if (!s->open)
		exchange_origin_failed(x, 504, "no connection within timeouts.connect");
	else if (!x->request_sent && !o->in_body && s->sent != o->sent_mark)
		origin_h1_arm_send(o); /* slow, but it takes some */
	else if (!x->request_sent && !o->in_body)
		exchange_origin_failed(x, 504, "nothing of the request was taken within timeouts.send");
	else if (!o->in_body)
		exchange_origin_failed(x, 504, "no response within timeouts.response");
	else
		exchange_origin_failed(x, 504, "no byte of the response's body within timeouts.response_body");
}

static void
on_failed(struct net_stream *s, int error)
{
	struct origin *o = CONTAINER_OF(s, struct origin, stream);
	struct exchange *x = o->exchange;
	struct tls_failure f;

	if (x == NULL) {
		origin_close(o);
		return;
	}
	if (!s->open && !s->connecting && o->pool->tls != NULL) {
		tls_stream_failure(s, &f);
		exchange_origin_failed(x, 502, explain(x, "TLS handshake with the origin failed", f.text));
	} else if (!s->open) {
		exchange_origin_failed(x, 502, explain(x, "can not connect", strerror(error)));
	} else {
		/* What it said before it broke counts: a refusal of the request that it did not want to read, perhaps. */
		origin_h1_readable(o);
		if (o->exchange == x)
			exchange_origin_failed(x, 502, explain(x, "the connection broke", strerror(error)));
	}
}

static const struct net_stream_events events = {
	.on_open = on_open,
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_failed = on_failed,
};

/* --- getting one -------------------------------------------------------------------------------------------- */

static bool
is_our_want(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == EADDRNOTAVAIL;
}

static struct origin *
connect_new(struct exchange *x, struct origin_pool *p, bool *ours, const char **why)
{
	const struct upstream_server *server = upstream_at(x->upstream->balance, (unsigned)x->server);
	struct origin *o = calloc(1, sizeof(*o));

	x->address_turn = server_address_turn(server->state);
	const struct net_address *to = &server->addresses[x->address_turn % server->n_addresses];
	if (o == NULL) {
		*ours = true;
		*why = "out of memory";
		return NULL;
	}
	o->thread = x->thread;
	o->pool = p;
	p->n_all++;
	buf_init(&o->in, IN_MAX);
	bool ok = net_stream_connect(&o->stream, x->thread->loop, to, &events, STREAM_OUT_MAX);
	*ours = !ok && is_our_want(errno);
	if (!ok)
		*why = explain(x, "can not connect", strerror(errno));
	else if ((*ours = !(ok = origin_bound_tell(o, x))))
		*why = "out of memory";
	else if (p->tls != NULL && !(ok = tls_client_connect(p->tls, x->thread->tls, &o->stream, server->host, &p->session)))
		*why = "TLS could not be set up";
	if (!ok) {
		origin_close(o);
		return NULL;
	}
	net_stream_deadline(&o->stream, x->action->timeouts->connect);
	counter_add(&x->thread->counters.origin_connections_opened, 1);
	return o;
}

/*
 * The one that was used last. Each is looked at first, for a system call: what an origin sent behind a response would be
 * taken for the answer to this request, and a request that must not be sent twice must not meet a closed connection.
 */
static struct origin *
take_idle(struct origin_pool *p)
{
	while (!LIST_EMPTY(&p->idle)) {
		struct origin *o = LIST_FIRST(&p->idle);
		if (net_stream_is_stale(&o->stream)) {
			origin_close(o);
			continue;
		}
		leave_idle(o);
		return o;
	}
	return NULL;
}

/* One that is open: the client's own, or one of the pool's, of which none has begun with a header. */
static struct origin *
take(struct exchange *x, struct origin_pool *p)
{
	struct origin *o = x->fresh ? NULL : origin_bound_take(x, p);

	if (o == NULL && !x->fresh && upstream_conf(x->upstream->balance)->proxy_protocol == CONF_PROXY_NONE)
		o = take_idle(p);
	if (o == NULL)
		return NULL;
	net_stream_deadline(&o->stream, 0);
	counter_add(&x->thread->counters.origin_connections_reused, 1);
	return o;
}

struct origin *
origin_get(struct exchange *x, bool *ready, bool *ours, const char **why)
{
	struct server_state *server = upstream_at(x->upstream->balance, (unsigned)x->server)->state;
	struct origin_pool *p = find_pool(x->thread, server, x->upstream->tls);

	*ready = false;
	*ours = p == NULL;
	if (p == NULL) {
		*why = "out of memory";
		return NULL;
	}
	struct bound_need need = origin_bound_need(x);
	struct origin *o = take(x, p);
	*ready = o != NULL;
	if (o == NULL && (o = connect_new(x, p, ours, why)) == NULL)
		return NULL;
	if (need.bound)
		origin_bind(o, x->client, need.authenticated); /* before a byte of the request goes out */
	o->exchange = x;
	o->answered = o->in_body = o->keep = false;
	o->scan = (struct h1_scan){0};
	return o;
}
