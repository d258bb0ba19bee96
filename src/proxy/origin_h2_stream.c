/* origin_h2_stream.c: HTTP/2 on the origin's side, the streams: the back of an exchange. */
#include <stdlib.h>

#include "proxy/grpc.h"
#include "proxy/origin.h"

/* Taken back on a connection, which then takes no more: servers end one with many for an attack (CVE-2023-44487), and all on it. */
enum { RESETS_MAX = 100 };

static struct origin_stream *
of_stream(struct h2_stream *st)
{
	return CONTAINER_OF(st, struct origin_stream, h2);
}

static struct h2_link *
link_of(const struct exchange *x)
{
	return &x->origin->h2->link;
}

/* --- deadlines -------------------------------------------------------------------------------------------------- */

/* From now on the server has timeouts.send to take something of the request. */
static void
arm_send(struct origin_stream *st)
{
	st->sent_mark = st->h2.sent_bytes;
	net_timer_set(&st->timer, st->exchange->action->timeouts->send);
}

static void
arm_response(struct origin_stream *st)
{
	net_timer_set(&st->timer, grpc_patience(st->exchange, st->exchange->action->timeouts->response));
}

/* Not while it is the client who is slow. */
static void
arm_body(struct origin_stream *st)
{
	if (!st->paused || st->exchange->deadline != 0)
		net_timer_set(&st->timer, grpc_patience(st->exchange, st->exchange->action->timeouts->response_body));
}

static void
on_timer(struct net_timer *timer)
{
	struct origin_stream *st = CONTAINER_OF(timer, struct origin_stream, timer);
	struct exchange *x = st->exchange;

	if (exchange_is_sending(x) && x->deadline == 0 && st->h2.sent_bytes != st->sent_mark) {
		arm_send(st); /* slow, but it takes some */
		return;
	}
	if (st->origin->h2->heard == st->heard_mark)
		origin_h2_retire(st->origin); /* not a word in all that time: others had better not wait here too */
	if (x->deadline != 0)
		grpc_expire(x, st->ends_with_status); /* no other is set */
	else
		exchange_origin_late(x);
}

/* --- the back of an exchange ------------------------------------------------------------------------------------ */

/* With a deadline, the whole of the call is measured: also while its client sends. */
static void
begin(struct origin_stream *st)
{
	st->heard_mark = st->origin->h2->heard;
	if (st->exchange->deadline != 0)
		arm_response(st);
}

/* What is above the server's limit is the client's fault, and would be every server's trouble. */
static bool
said(struct exchange *x, bool ok)
{
	struct origin *o = x->origin;

	if (!ok && x->origin_stream->h2.too_large) {
		if (o->h2->heard == 0)
			o->pool->section_max = UINT32_MAX; /* it may have changed its mind: the next one is tried */
		exchange_refuse(x, 431, "the fields are above the origin's SETTINGS_MAX_HEADER_LIST_SIZE");
	}
	return ok;
}

static bool
back_head(struct exchange *x, const struct http_head *h, enum http_framing framing, uint64_t length)
{
	struct origin_stream *st = x->origin_stream;
	const struct h2_request r = {
		.scheme = x->origin->pool->tls != NULL ? SV("https") : SV("http"),
		.bodiless = !exchange_has_body(x),
		.has_length = framing == HTTP_LENGTH_BODY,
		.length = length,
	};

	begin(st);
	return said(x, h2_request(&link_of(x)->h2, &st->h2, h, &r));
}

static bool
back_body(struct exchange *x, struct sv data)
{
	struct h2_link *l = link_of(x);
	struct h2_stream *st = &x->origin_stream->h2;

	return h2_body(&l->h2, st, data) && (!l->receiving || h2_keep(&l->h2, st));
}

static bool
back_end(struct exchange *x, const struct http_head *trailers)
{
	struct origin_stream *st = x->origin_stream;

	if (!x->response_started)
		arm_response(st);
	return said(x, h2_end(&link_of(x)->h2, &st->h2, trailers));
}

/* That the socket is broken is all of the connection's streams' concern, and found out by the connection. */
static bool
back_flush(struct exchange *x)
{
	struct origin_stream *st = x->origin_stream;
	struct h2_link *l = link_of(x);

	if (l->receiving)
		return true; /* sent afterwards */
	if (!h2_link_flush(l))
		origin_h2_unsent(st->origin);
	else
		origin_h2_note_window(st->origin->h2);
	if (x->origin_stream != st)
		return true; /* its end was among what was sent: x is over, or asked elsewhere */
	if (!h2_keep(&l->h2, &st->h2))
		return false;
	/* The client is not read from while much is pending, so its deadline does not hold. */
	if (exchange_is_sending(x) && h2_pending(&st->h2) > 0 && !net_timer_pending(&st->timer))
		arm_send(st);
	return true;
}

static size_t
back_pending(const struct exchange *x)
{
	return h2_pending(&x->origin_stream->h2);
}

static void
back_pause(struct exchange *x)
{
	struct origin_stream *st = x->origin_stream;

	st->paused = true;
	if (x->response_started && x->deadline == 0)
		net_timer_cancel(&st->timer);
}

static void
back_resume(struct exchange *x)
{
	struct origin_stream *st = x->origin_stream;

	st->paused = false;
	h2_take(&link_of(x)->h2, &st->h2);
	/* Interim responses, however many, do not put off the deadline of the final one. */
	if (x->response_started)
		arm_body(st);
	h2_link_flush_later(link_of(x));
}

/* The end of a stream is not the connection's: what is not complete is taken back. */
static void
back_detach(struct exchange *x, enum side_end how)
{
	const struct conf_upstream *conf = upstream_conf(x->upstream->balance);
	struct origin_stream *st = x->origin_stream;
	struct origin *o = x->origin;

	if (how == SIDE_BROKEN || !st->read || h2_pending(&st->h2) > 0) {
		o->h2->resets += st->h2.open && st->h2.id > 0;
		h2_reset(&o->h2->link.h2, &st->h2, H2_CANCEL);
		if (o->h2->resets >= RESETS_MAX)
			origin_h2_retire(o);
	}
	origin_stream_free(st);
	if (o->stream.open)
		h2_link_flush_later(&o->h2->link);
	if (TAILQ_EMPTY(&o->h2->streams))
		origin_h2_idle(o, conf->idle_connections, conf->idle_time);
}

static const struct side_ops back = {
	.head = back_head,
	.body = back_body,
	.end = back_end,
	.flush = back_flush,
	.pending = back_pending,
	.pause = back_pause,
	.resume = back_resume,
	.detach = back_detach,
	.refuses = true,
};

/* --- responses -------------------------------------------------------------------------------------------------- */

void
origin_h2_settle(struct origin_h2 *oh)
{
	struct origin_stream *st = oh->touched;

	oh->touched = NULL;
	if (st != NULL && st->exchange != NULL)
		exchange_flush(st->exchange);
}

/* Something comes for this one: what came for another goes on first. */
static struct exchange *
touch(struct origin_stream *st)
{
	struct origin_h2 *oh = st->origin->h2;

	if (oh->touched != st)
		origin_h2_settle(oh);
	oh->touched = st;
	return st->exchange;
}

static enum http_framing
frame(const struct http_head *h, bool bodiless, uint64_t *length)
{
	const struct http_field *f = http_head_get(h, HTTP_CONTENT_LENGTH);

	*length = 0;
	if (h->status < 200 || h->status == 204 || h->status == 304 || h->method_id == HTTP_HEAD)
		return HTTP_NO_BODY;
	if (bodiless || (f != NULL && sv_u64(f->value, length)))
		return HTTP_LENGTH_BODY;
	return HTTP_STREAMED_BODY;
}

void
origin_h2_on_response(struct h2 *s, struct h2_stream *h2, struct h2_block *b, bool bodiless)
{
	struct origin_stream *st = of_stream(h2);
	struct exchange *x = touch(st);
	struct http_head *h = &b->head;
	uint64_t length;

	(void)s;
	if (x == NULL)
		return;
	if (b->fault != H1_OK) {
		origin_malformed(x, h1_fault_text(b->fault));
		return;
	}
	x->answered = true;
	st->read = bodiless;
	h->method_id = x->request.method_id;
	enum http_framing framing = frame(h, bodiless, &length);
	if (h->status >= 200) {
		st->origin->reused = true;
		st->ends_with_status = grpc_ends_with_status(h, framing);
		arm_body(st);
	}
	exchange_response_head(x, h, framing, length);
	if (bodiless && st->exchange == x)
		exchange_response_end(x, NULL);
}

void
origin_h2_on_body(struct h2 *s, struct h2_stream *h2, struct sv data)
{
	struct origin_stream *st = of_stream(h2);
	struct exchange *x = touch(st);

	if (x == NULL)
		return;
	exchange_response_body(x, data);
	if (st->exchange == NULL || st->paused)
		return;
	h2_take(s, h2);
	arm_body(st);
}

void
origin_h2_on_end(struct h2 *s, struct h2_stream *h2, const struct http_head *trailers)
{
	struct origin_stream *st = of_stream(h2);
	struct exchange *x = touch(st);

	(void)s;
	st->read = true;
	if (x != NULL && !x->response_ended)
		exchange_response_end(x, trailers);
}

void
origin_h2_on_closed(struct h2 *s, struct h2_stream *h2, uint32_t error)
{
	struct origin_stream *st = of_stream(h2);
	struct exchange *x = touch(st);

	(void)s;
	if (x == NULL)
		return;
	x->http1_only |= error == H2_HTTP_1_1_REQUIRED;
	if ((error == H2_REFUSED_STREAM || error == H2_HTTP_1_1_REQUIRED) && !x->response_started) {
		counter_add(&x->thread->counters.origin_http2_streams_refused, error == H2_REFUSED_STREAM);
		exchange_origin_refused(x, "the origin refused the stream");
	} else if (h2->reset) {
		counter_add(&x->thread->counters.origin_http2_streams_reset, 1);
		exchange_origin_failed(x, 502, origin_explain(x, "the origin reset the stream", h2_error_text(error)));
	} else {
		origin_malformed(x, NULL);
	}
}

void
origin_h2_on_drained(struct h2 *s, struct h2_stream *h2)
{
	struct origin_stream *st = of_stream(h2);
	struct exchange *x = st->exchange;

	(void)s;
	if (x == NULL)
		return;
	if (exchange_is_sending(x) && x->deadline == 0)
		net_timer_cancel(&st->timer); /* it takes the request's body again */
	exchange_origin_drained(x);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

struct origin_stream *
origin_stream_new(struct origin *o, struct exchange *x)
{
	struct origin_stream *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	h2_stream_init(&o->h2->link.h2, &st->h2, 0, STREAM_OUT_MAX);
	net_timer_init(&st->timer, o->thread->loop, on_timer);
	st->origin = o;
	st->exchange = x;
	x->origin = o;
	x->origin_stream = st;
	x->back = &back;
	x->answered = false;
	counter_add(&o->thread->counters.origin_http2_streams_open, 1);
	return st;
}

static void
free_stream(struct net_deferred *d)
{
	free(CONTAINER_OF(d, struct origin_stream, free_later));
}

void
origin_stream_free(struct origin_stream *st)
{
	struct origin_h2 *oh = st->origin->h2;

	if (oh->touched == st)
		oh->touched = NULL;
	net_timer_cancel(&st->timer);
	counter_sub(&st->origin->thread->counters.origin_http2_streams_open, 1);
	st->exchange->origin_stream = NULL;
	st->exchange = NULL;
	h2_stream_free(&oh->link.h2, &st->h2);
	TAILQ_REMOVE(&oh->streams, st, link);
	net_loop_defer(st->origin->thread->loop, &st->free_later, free_stream);
}
