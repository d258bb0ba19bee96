#include "proxy/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/origin_bound.h"

/* --- the end of a connection -------------------------------------------------------------------------------- */

static void
free_origin(struct net_deferred *d)
{
	struct origin *o = CONTAINER_OF(d, struct origin, free_later);

	o->pool->n_all--; /* an empty pool waits for the next sweep */
	o->codec->free(o);
	free(o);
}

void
origin_close(struct origin *o)
{
	if (o->closed)
		return;
	bool was_open = o->stream.open;
	o->closed = true;
	o->codec->leave(o);
	net_stream_close(&o->stream, false);
	net_loop_defer(o->thread->loop, &o->free_later, free_origin);
	origin_unbind(o, was_open); /* last: it may end the client */
}

void
origin_release(struct origin *o, uint64_t idle_max, uint64_t idle_ms)
{
	if (o->closed)
		return;
	bool full = o->client != NULL ? idle_max == 0 && !o->authenticated : o->pool->n_idle >= idle_max;
	if (full || o->thread->draining || net_stream_pending(&o->stream) > 0) {
		origin_close(o);
		return;
	}
	o->reused = true;
	if (o->client != NULL) {
		origin_bound_idle(o, idle_ms);
		return;
	}
	origin_pool_keep(o, idle_ms);
}

/* --- events ------------------------------------------------------------------------------------------------- */

const char *
origin_explain(struct exchange *x, const char *what, const char *detail)
{
	const char *text = arena_printf(&x->extra, "%s: %s", what, detail);

	return text != NULL ? text : what;
}

void
origin_malformed(struct exchange *x, const char *detail)
{
	const char *what = "the origin's response is malformed";

	x->answered = true;
	exchange_origin_failed(x, 502, detail != NULL ? origin_explain(x, what, detail) : what);
}

const char *
origin_speaks_h2(struct exchange *x)
{
	const struct conf_upstream *conf = upstream_conf(x->upstream->balance);
	const char *text;

	if (conf->http2)
		return "it speaks HTTP/2 alone, but WebSocket and requests that authenticate their connection go by HTTP/1.1";
	text = arena_printf(&x->extra, "it speaks HTTP/2: set \"http2\": true in upstream \"%s\"", conf->name);
	return text != NULL ? text : h1_fault_text(H1_SPEAKS_H2);
}

static struct origin *
of_stream(struct net_stream *s)
{
	return CONTAINER_OF(s, struct origin, stream);
}

static void
on_open(struct net_stream *s)
{
	net_stream_deadline(s, 0);
	of_stream(s)->codec->opened(of_stream(s));
}

static void
on_readable(struct net_stream *s)
{
	of_stream(s)->codec->readable(of_stream(s));
}

static void
on_drained(struct net_stream *s)
{
	of_stream(s)->codec->drained(of_stream(s));
}

static void
on_timeout(struct net_stream *s)
{
	of_stream(s)->codec->expired(of_stream(s));
}

static void
on_failed(struct net_stream *s, int error)
{
	struct origin *o = of_stream(s);
	struct tls_failure f;

	if (!s->open && !s->connecting && o->pool->tls != NULL) {
		tls_stream_failure(s, &f);
		bool h1_refused = f.no_protocol && o->h2 == NULL && o->exchange != NULL;
		const char *detail = h1_refused ? origin_explain(o->exchange, f.text, origin_speaks_h2(o->exchange)) : f.text;
		o->codec->failed(o, "TLS handshake with the origin failed", detail);
	} else {
		o->codec->failed(o, s->open ? "the connection broke" : "can not connect", strerror(error));
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

/* Fill in what is missing of a stream that is to be: the connection, the PROXY header, TLS. */
static enum origin_outcome
begin(struct origin *o, struct exchange *x, const char **why)
{
	const struct upstream_server *server = upstream_at(x->upstream->balance, (unsigned)x->server);
	const struct net_address *to = &server->addresses[x->address_turn % server->n_addresses];
	struct origin_pool *p = o->pool;

	if (!net_stream_connect(&o->stream, x->thread->loop, to, &events, STREAM_OUT_MAX)) {
		bool ours = is_our_want(errno);
		*why = origin_explain(x, "can not connect", strerror(errno));
		return ours ? ORIGIN_OURS : ORIGIN_FAILED;
	}
	if (!origin_bound_tell(o, x)) {
		*why = "out of memory";
		return ORIGIN_OURS;
	}
	if (p->tls != NULL && !tls_client_connect(p->tls, x->thread->tls, &o->stream, server->host, o->h2 != NULL, &p->session)) {
		*why = "TLS could not be set up";
		return ORIGIN_FAILED;
	}
	return ORIGIN_WAITS;
}

static struct origin *
new_origin(struct px_thread *t, struct origin_pool *p, bool h2)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->thread = t;
	o->pool = p;
	if (!h2) {
		origin_h1_init(o);
	} else if (!origin_h2_init(o)) {
		free(o);
		return NULL;
	}
	p->n_all++;
	return o;
}

static enum origin_outcome
connect_new(struct exchange *x, struct origin_pool *p, bool h2, struct origin **made, const char **why)
{
	struct origin *o = new_origin(x->thread, p, h2);

	x->address_turn = server_address_turn(upstream_at(x->upstream->balance, (unsigned)x->server)->state);
	if (o == NULL) {
		*why = "out of memory";
		return ORIGIN_OURS;
	}
	enum origin_outcome outcome = begin(o, x, why);
	if (outcome != ORIGIN_WAITS) {
		origin_close(o);
		return outcome;
	}
	net_stream_deadline(&o->stream, x->action->timeouts->connect);
	counter_add(&x->thread->counters.origin_connections_opened, 1);
	*made = o;
	return ORIGIN_WAITS;
}

/*
 * What a client asks to be switched to is a protocol of the connection, and so is what it authenticates: both are HTTP/1.1's
 * alone (RFC 9113, 8.6).
 */
static bool
may_share(const struct exchange *x, const struct bound_need *need)
{
	return upstream_conf(x->upstream->balance)->http2 && !x->upgrade && !x->http1_only && !need->bound;
}

/* One of HTTP/1.1 that is open: the client's own, or one of the pool's, of which none has begun with a header. */
static struct origin *
take_idle(struct exchange *x, struct origin_pool *p)
{
	bool fresh = x->fresh && !x->http1_only; /* after that word of a server, an idle one is as good */
	struct origin *o = fresh ? NULL : origin_bound_take(x, p);

	if (o == NULL && !fresh && upstream_conf(x->upstream->balance)->proxy_protocol == CONF_PROXY_NONE)
		o = origin_pool_take(p);
	if (o != NULL)
		net_stream_deadline(&o->stream, 0);
	return o;
}

/* The pool may have idle ones of HTTP/1.1 that its servers would not take this request on. */
static struct origin *
take(struct exchange *x, struct origin_pool *p, bool h2)
{
	struct origin *o = h2 ? origin_h2_find(p, x) : NULL;

	if (o == NULL && (!h2 || p->http1))
		o = take_idle(x, p);
	if (o != NULL && o->stream.open)
		counter_add(&x->thread->counters.origin_connections_reused, 1);
	return o;
}

static enum origin_outcome
attach(struct exchange *x, struct origin *o, bool made, const struct bound_need *need, const char **why)
{
	if (need->bound)
		origin_bind(o, x->client, need->authenticated); /* before a byte of the request goes out */
	if (o->codec->attach(o, x))
		return o->stream.open ? ORIGIN_READY : ORIGIN_WAITS;
	*why = "out of memory";
	if (made)
		origin_close(o);
	return ORIGIN_OURS;
}

enum origin_outcome
origin_get(struct exchange *x, const char **why)
{
	struct server_state *server = upstream_at(x->upstream->balance, (unsigned)x->server)->state;
	struct origin_pool *p = origin_pool_find(x->thread, server, x->upstream->tls);
	struct bound_need need = origin_bound_need(x);
	bool h2 = may_share(x, &need);

	if (p == NULL) {
		*why = "out of memory";
		return ORIGIN_OURS;
	}
	struct origin *o = take(x, p, h2);
	if (o != NULL)
		return attach(x, o, false, &need, why);
	enum origin_outcome outcome = connect_new(x, p, h2, &o, why);
	return outcome == ORIGIN_WAITS ? attach(x, o, true, &need, why) : outcome;
}
