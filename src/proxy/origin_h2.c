/* origin_h2.c: HTTP/2 on the origin's side, the connection (RFC 9113). */
#include "proxy/origin_h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/origin.h"

enum {
	STREAMS = 100,                        /* at a time, where the server grants more */
	STREAM_WINDOW = 1024 * 1024,          /* of a response that is taken as it comes; else 64 KiB: see STREAM_OUT_MAX */
	CONNECTION_WINDOW = 16 * 1024 * 1024, /* given back at once: no stream holds up another */
	SHUT_MS = 100,                        /* no server in reach takes so long to give back what it has read */
};

static struct origin *
of_link(struct h2_link *l)
{
	return CONTAINER_OF(l, struct origin_h2, link)->origin;
}

static bool
is_unused(const struct origin *o)
{
	return TAILQ_EMPTY(&o->h2->streams);
}

/* --- the pool's list -------------------------------------------------------------------------------------------- */

/* No more requests come to it. */
static void
unshare(struct origin *o)
{
	if (o->h2->shared)
		LIST_REMOVE(o, link);
	o->h2->shared = false;
}

static void
leave(struct origin *o)
{
	origin_pool_leave(o);
	unshare(o);
	o->h2->link.silent = true;
	if (o->h2->counted)
		counter_sub(&o->thread->counters.origin_http2_connections_open, 1);
	o->h2->counted = false;
}

void
origin_h2_retire(struct origin *o)
{
	if (o->closed)
		return;
	unshare(o);
	if (!is_unused(o))
		return;
	if (o->h2->deaf) {
		origin_close(o);
		return;
	}
	if (!o->h2->link.h2.goes_away)
		h2_go_away(&o->h2->link.h2, true);
	h2_link_flush_later(&o->h2->link); /* then the end: flushed() */
}

void
origin_h2_idle(struct origin *o, uint64_t idle_max, uint64_t idle_ms)
{
	if (o->closed)
		return;
	if (!o->stream.open)
		origin_close(o); /* nobody waits for it any more */
	else if (!o->h2->shared || o->pool->n_idle >= idle_max || o->thread->draining)
		origin_h2_retire(o);
	else
		origin_pool_keep(o, idle_ms);
}

void
origin_h2_note_window(struct origin_h2 *oh)
{
	const struct h2 *h2 = &oh->link.h2;

	if (h2_window(h2) > 0)
		oh->shut_ms = 0;
	else if (oh->shut_ms == 0 || oh->shut_bytes != h2->sent_bytes)
		oh->shut_ms = net_loop_now(oh->origin->thread->loop);
	oh->shut_bytes = h2->sent_bytes;
}

/* Others' bodies, that the server's handlers do not read, have used up the connection's window: another would wait behind them. */
static bool
is_stuck(struct origin *o)
{
	origin_h2_note_window(o->h2);
	return o->h2->shut_ms != 0 && net_loop_now(o->thread->loop) - o->h2->shut_ms >= SHUT_MS;
}

/*
 * Until the server has said what it grants, it is taken to grant what it did last. One that is being made may turn out to be
 * of HTTP/1.1, as the last one did: then there is no use in waiting together.
 */
static bool
has_room(struct origin *o, const struct exchange *x)
{
	const struct h2 *h2 = &o->h2->link.h2;
	const struct origin_pool *p = o->pool;

	if (o->h2->heard > 0)
		return h2_has_room(h2) && (!exchange_has_body(x) || !is_stuck(o));
	return (o->stream.open || !p->http1) && h2->n_streams < (p->streams != 0 ? p->streams : STREAMS);
}

/* An idle one is looked at first, for a system call: a request that must not be sent twice must not meet a closed connection. */
struct origin *
origin_h2_find(const struct origin_pool *p, const struct exchange *x)
{
	for (struct origin *o = LIST_FIRST(&p->shared); o != NULL; o = LIST_NEXT(o, link)) {
		if (!has_room(o, x) || (x->fresh && o->reused))
			continue;
		if (!o->is_idle || !net_stream_is_stale(&o->stream))
			return o;
	}
	return NULL;
}

static bool
attach(struct origin *o, struct exchange *x)
{
	struct origin_h2 *oh = o->h2;
	struct origin_stream *st = origin_stream_new(o, x);

	if (st == NULL)
		return false;
	if (o->is_idle) {
		origin_pool_leave(o);
		net_stream_deadline(&o->stream, 0);
	}
	TAILQ_INSERT_TAIL(&oh->streams, st, link);
	st->began = o->stream.open;
	return true;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

/* All that it carries has failed. It is closed first, so that none of them meets it again. */
static void
fail(struct origin *o, unsigned status, const char *what, const char *detail)
{
	struct origin_stream *st;

	origin_close(o);
	while ((st = TAILQ_FIRST(&o->h2->streams)) != NULL)
		exchange_origin_failed(st->exchange, status, detail != NULL ? origin_explain(st->exchange, what, detail) : what);
}

/* For want of memory here, which is no failure of the server. */
static void
run_out(struct origin *o)
{
	struct origin_stream *st;

	origin_close(o);
	while ((st = TAILQ_FIRST(&o->h2->streams)) != NULL)
		exchange_refuse(st->exchange, 503, "out of memory for the origin's connection");
}

/* The connection is at an end for what the server said, or for want of memory. */
static void
end_at_fault(struct origin *o, const char *detail)
{
	const struct h2 *h2 = &o->h2->link.h2;

	if (h2->fault != NULL && h2->kind == H2_NO_MEMORY) {
		run_out(o);
		return;
	}
	counter_add(&o->thread->counters.origin_http2_protocol_errors, 1);
	fail(o, 502, "the origin's HTTP/2 is malformed", detail);
}

/* All has been sent. What the library finds malformed it tells the server alone, in a GOAWAY, and then reads nothing more. */
static void
end_if_over(struct origin *o)
{
	struct origin_h2 *oh = o->h2;

	if (oh->shared && !h2_takes_requests(&oh->link.h2))
		origin_h2_retire(o);
	if (o->closed)
		return;
	if (h2_is_over(&oh->link.h2) && (oh->link.h2.fault != NULL || !is_unused(o)))
		end_at_fault(o, o->reused ? "see RFC 9113" : "where it knows HTTP/1.1 alone, \"http2\" is not for its upstream");
	else if (is_unused(o) && (!oh->shared || h2_is_over(&oh->link.h2)))
		origin_close(o);
}

/* --- the link's owner ------------------------------------------------------------------------------------------- */

/*
 * A server may close without reading the rest: writing fails, and its answers still stand in the socket. Then nothing more
 * is said, and reading finds them, or the end. Where nobody waits for any, that is the end.
 */
void
origin_h2_unsent(struct origin *o)
{
	if (o->h2->link.h2.broken) {
		run_out(o);
		return;
	}
	o->h2->link.silent = o->h2->deaf = true;
	origin_h2_retire(o);
	if (!o->closed)
		net_stream_again(&o->stream);
}

static void
waits(struct h2_link *l)
{
	(void)l; /* each stream has its own deadline */
}

static void
flushed(struct h2_link *l, bool ok)
{
	if (ok)
		end_if_over(of_link(l));
	else
		origin_h2_unsent(of_link(l));
}

static void
free_link(struct h2_link *l)
{
	free(CONTAINER_OF(l, struct origin_h2, link));
}

static const struct h2_link_owner owner = {
	.waits = waits,
	.flushed = flushed,
	.free = free_link,
};

static const struct h2_events h2_events = {
	.on_response = origin_h2_on_response,
	.on_body = origin_h2_on_body,
	.on_end = origin_h2_on_end,
	.on_closed = origin_h2_on_closed,
	.on_drained = origin_h2_on_drained,
	.put = h2_link_put,
	.point = h2_link_point,
	.is_full = h2_link_is_full,
};

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* False: there is nothing more to read for now. */
static bool
read_once(struct origin *o)
{
	struct origin_h2 *oh = o->h2;
	char *to = net_loop_scratch(o->thread->loop);
	ssize_t n = net_stream_read(&o->stream, to, NET_SCRATCH_SIZE);

	if (n == NET_AGAIN && !oh->deaf)
		return false;
	if (n <= 0) {
		fail(o, 502, "the connection ended", n == NET_EOF ? "closed by the origin" : strerror(n == NET_ERROR ? errno : EPIPE));
		return false;
	}
	oh->heard++;
	bool ok = h2_link_receive(&oh->link, sv_of(to, (size_t)n));
	o->pool->streams = h2_granted(&oh->link.h2);
	o->pool->section_max = oh->link.h2.section_max;
	origin_h2_settle(oh);
	if (!ok && !o->closed) {
		(void)!h2_link_send(&oh->link); /* what is wrong, in a GOAWAY */
		end_at_fault(o, oh->link.h2.fault);
	}
	return !o->closed;
}

static void
readable(struct origin *o)
{
	int reads = 0;

	while (!o->closed && reads < NET_READS && read_once(o))
		reads++;
	if (o->closed)
		return;
	h2_link_flush_later(&o->h2->link);
	if (reads == NET_READS)
		net_stream_again(&o->stream);
}

/* --- the connection's codec --------------------------------------------------------------------------------------- */

/* The server has chosen HTTP/1.1. */
static void
fall_back(struct origin *o)
{
	struct origin_stream *first, *st;

	o->pool->http1 = true;
	leave(o);
	/* One that goes elsewhere may end there, and take its client with it, and what else that has here. */
	while ((first = TAILQ_FIRST(&o->h2->streams)) != NULL && (st = TAILQ_NEXT(first, link)) != NULL)
		exchange_origin_elsewhere(st->exchange);
	if (first == NULL) {
		origin_close(o);
		return;
	}
	struct exchange *x = first->exchange;
	origin_stream_free(first);
	h2_link_close(&o->h2->link);
	o->h2 = NULL;
	origin_h1_init(o);
	(void)o->codec->attach(o, x); /* can not fail */
	exchange_origin_ready(x);
}

static struct origin_stream *
first_waiting(struct origin *o)
{
	struct origin_stream *st;

	TAILQ_FOREACH(st, &o->h2->streams, link)
		if (!st->began)
			return st;
	return NULL;
}

static void
opened(struct origin *o)
{
	struct origin_stream *st;

	if (o->pool->tls != NULL && !tls_client_is_h2(&o->stream)) {
		fall_back(o);
		return;
	}
	o->pool->http1 = false;
	o->h2->counted = true;
	counter_add(&o->thread->counters.origin_http2_connections_open, 1);
	while (!o->closed && (st = first_waiting(o)) != NULL) {
		st->began = true;
		exchange_origin_ready(st->exchange);
	}
}

static void
drained(struct origin *o)
{
	if (!h2_link_flush(&o->h2->link))
		origin_h2_unsent(o);
}

static void
expired(struct origin *o)
{
	if (o->stream.open)
		origin_h2_retire(o); /* idle */
	else
		fail(o, 504, "no connection within timeouts.connect", NULL);
}

static void
failed(struct origin *o, const char *what, const char *detail)
{
	/* What it said before it broke counts. */
	if (o->stream.open)
		readable(o);
	if (!o->closed)
		fail(o, 502, what, detail);
}

static void
free_codec(struct origin *o)
{
	h2_link_close(&o->h2->link);
}

const struct origin_codec origin_h2_codec = {
	.attach = attach,
	.opened = opened,
	.readable = readable,
	.drained = drained,
	.expired = expired,
	.failed = failed,
	.leave = leave,
	.free = free_codec,
};

bool
origin_h2_init(struct origin *o)
{
	const struct snapshot *s = o->thread->view->snapshot;
	const struct h2_limits limits = {
		.head_bytes = s->head_bytes,
		.fields = s->fields,
		.streams = STREAMS,
		.stream_window = STREAM_WINDOW,
		.connection_window = CONNECTION_WINDOW,
	};
	struct origin_h2 *oh = calloc(1, sizeof(*oh));

	if (oh == NULL)
		return false;
	h2_link_init(&oh->link, &o->stream, &o->thread->to_origin, &owner);
	if (!h2_open_client(&oh->link.h2, &h2_events, &limits, &o->thread->block)) {
		free(oh);
		return false;
	}
	TAILQ_INIT(&oh->streams);
	oh->link.h2.section_max = o->pool->section_max;
	oh->origin = o;
	o->h2 = oh;
	o->codec = &origin_h2_codec;
	LIST_INSERT_HEAD(&o->pool->shared, o, link);
	oh->shared = true;
	return true;
}
