/* origin_h1.c: HTTP/1.1 on the origin's side: requests out, responses in (RFC 9112). */
#include <errno.h>
#include <string.h>

#include "proxy/origin_bound.h"

enum { IN_MAX = 1024 * 1024 }; /* a response head that comes in pieces; the codec's own limit is smaller */

/* --- the back of an exchange -------------------------------------------------------------------------------- */

/* TE goes no further than the next, who is told so (RFC 9110, 10.1.4). */
static struct sv
connection_of(const struct exchange *x, const struct http_head *h)
{
	if (x->upgrade)
		return SV("upgrade");
	return http_head_get(h, HTTP_TE) != NULL ? SV("te") : SV("");
}

static bool
back_head(struct exchange *x, const struct http_head *h, enum http_framing framing, uint64_t length)
{
	struct outbox *out = &x->thread->to_origin;
	size_t from = buf_len(&out->text);
	struct h1_write w = {.framing = framing, .length = length, .connection = connection_of(x, h)};

	x->origin->h1.request_chunked = framing == HTTP_STREAMED_BODY;
	if (!h1_write_request(&out->text, h, &w))
		return false;
	outbox_add_text(out, from);
	return true;
}

static bool
back_body(struct exchange *x, struct sv data)
{
	struct outbox *out = &x->thread->to_origin;
	char head[H1_CHUNK_HEAD_MAX];

	if (x->tunnel)
		net_stream_deadline(&x->origin->stream, 0);
	if (data.n == 0)
		return true;
	if (x->origin->h1.request_chunked)
		outbox_copy(out, sv_of(head, h1_chunk_head(head, data.n)));
	outbox_add(out, data);
	if (x->origin->h1.request_chunked)
		outbox_copy(out, SV("\r\n"));
	return true;
}

static bool
back_end(struct exchange *x, const struct http_head *trailers)
{
	struct outbox *out = &x->thread->to_origin;
	size_t from = buf_len(&out->text);

	if (x->tunnel) {
		bool ok = outbox_flush(out, &x->origin->stream, true);
		net_stream_finish(&x->origin->stream);
		return ok;
	}
	if (x->origin->h1.request_chunked) {
		if (!h1_write_last_chunk(&out->text, trailers))
			return false;
		outbox_add_text(out, from);
	}
	if (!x->origin->h1.in_body)
		net_stream_deadline(&x->origin->stream, x->action->timeouts->response);
	return true;
}

/* From now on the server has timeouts.send to take something of the request. */
static void
arm_send(struct origin *o)
{
	o->h1.sent_mark = o->stream.sent;
	net_stream_deadline(&o->stream, o->exchange->action->timeouts->send);
}

/*
 * A server that answers early may close without reading the rest: writing fails, and its answer still stands in the
 * socket. Then the rest is dropped, and reading, which the broken socket announces, finds the answer or the end.
 */
static bool
back_flush(struct exchange *x)
{
	struct outbox *out = &x->thread->to_origin;
	struct origin *o = x->origin;

	if (outbox_is_empty(out))
		return true;
	if (o->h1.deaf)
		outbox_discard(out);
	else if (!outbox_flush(out, &o->stream, false) && !(o->h1.deaf = errno == EPIPE || errno == ECONNRESET))
		return false;
	if (o->h1.deaf && x->response_ended)
		return false; /* there is nothing more to read that would tell */
	/* The client is not read from while much is pending, so its deadline does not hold. */
	if (exchange_is_sending(x) && net_stream_pending(&o->stream) > 0 && o->stream.deadline == 0)
		arm_send(o);
	return true;
}

static size_t
back_pending(const struct exchange *x)
{
	return net_stream_pending(&x->origin->stream);
}

static void
back_pause(struct exchange *x)
{
	net_stream_pause(&x->origin->stream);
	if (x->origin->h1.in_body)
		net_stream_deadline(&x->origin->stream, 0); /* it is the client who is slow */
}

static void
back_resume(struct exchange *x)
{
	/* Interim responses, however many, do not put off the deadline of the final one. */
	if (!x->tunnel && x->origin->h1.in_body)
		net_stream_deadline(&x->origin->stream, x->action->timeouts->response_body);
	net_stream_resume(&x->origin->stream);
}

static void
back_detach(struct exchange *x, enum side_end how)
{
	const struct conf_upstream *conf = upstream_conf(x->upstream->balance);
	struct origin *o = x->origin;

	o->exchange = NULL;
	if (how == SIDE_DONE && o->h1.keep && !o->h1.deaf) {
		origin_release(o, conf->idle_connections, conf->idle_time);
		return;
	}
	outbox_discard(&x->thread->to_origin);
	origin_close(o);
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
};

/* --- reading responses -------------------------------------------------------------------------------------- */

static void
final_head(struct origin *o, struct http_head *h)
{
	struct exchange *x = o->exchange;
	bool switching = h->status == 101;

	h1_body_free(&o->h1.body); /* the trailers of the one before */
	h1_body_init(&o->h1.body, h);
	if (switching)
		o->h1.body.framing = HTTP_CLOSE_BODY;
	o->h1.in_body = true;
	o->h1.keep = !switching && o->h1.body.framing != HTTP_CLOSE_BODY && h1_keeps_alive(h) && !h1_withholds_body(h);
	if (o->h1.keep && http_authenticates_connection(h))
		origin_bind(o, x->client, true);
	x->last |= o->authenticated && !o->h1.keep; /* the two connections end together */
	enum http_framing framing = switching ? HTTP_NO_BODY : (enum http_framing)o->h1.body.framing;
	bool empty = o->h1.body.framing == HTTP_NO_BODY || (o->h1.body.framing == HTTP_LENGTH_BODY && o->h1.body.left == 0);
	net_stream_deadline(&o->stream, switching ? 0 : x->action->timeouts->response_body);
	exchange_response_head(x, h, framing, o->h1.body.left);
	if (empty && o->exchange == x)
		exchange_response_end(x, NULL);
}

/* Returns the bytes used; 0: the head is not complete. */
static size_t
read_head(struct origin *o, struct sv in)
{
	struct http_head *h = &o->thread->response;
	const struct snapshot *s = o->exchange->view->snapshot;
	struct h1_limits limits = {.head_bytes = s->head_bytes, .fields = s->fields};
	enum h1_fault fault = H1_OK;
	size_t used = 0;

	switch (h1_parse_response(h, in, o->exchange->request.method_id, &o->h1.scan, &limits, &used, &fault)) {
	case H1_MORE:
		return 0;
	case H1_BAD:
		origin_malformed(o->exchange, fault == H1_SPEAKS_H2 ? origin_speaks_h2(o->exchange) : h1_fault_text(fault));
		return in.n;
	case H1_DONE:
		break;
	}
	o->h1.scan = (struct h1_scan){0};
	if (h->status < 200 && h->status != 101)
		exchange_response_head(o->exchange, h, HTTP_NO_BODY, 0);
	else
		final_head(o, h);
	return used;
}

static size_t
read_body(struct origin *o, struct sv in)
{
	struct sv rest = in, data = SV_NONE;
	enum h1_fault fault = H1_OK;
	struct exchange *x = o->exchange;
	struct http_head *trailers = NULL;
	enum h1_status r = h1_body_next(&o->h1.body, &rest, &data, &fault);

	if (r == H1_BAD) {
		origin_malformed(x, h1_fault_text(fault));
		return in.n;
	}
	if (data.n > 0)
		exchange_response_body(x, data);
	if (r == H1_DONE && o->exchange == x) {
		if (buf_len(&o->h1.body.trailers) > 0) {
			trailers = &o->thread->response;
			http_head_init(trailers, true);
			if (!h1_body_trailers(&o->h1.body, trailers))
				trailers = NULL;
		}
		exchange_response_end(x, trailers);
	}
	return in.n - rest.n;
}

static size_t
consume(struct origin *o, struct sv in)
{
	struct sv rest = in;
	size_t used = 1;

	while (rest.n > 0 && used > 0 && o->exchange != NULL) {
		used = o->h1.in_body ? read_body(o, rest) : read_head(o, rest);
		rest = sv_of(rest.p + used, rest.n - used);
	}
	return in.n - rest.n;
}

static void
at_end(struct origin *o, ssize_t n)
{
	struct exchange *x = o->exchange;
	bool clean = n == NET_EOF;

	if (clean && o->h1.in_body && h1_body_ends_at_close(&o->h1.body)) {
		net_stream_pause(&o->stream); /* of a tunnel the other direction may go on; the end would come again and again */
		if (!x->response_ended)
			exchange_response_end(x, NULL);
		return;
	}
	const char *what = o->h1.in_body ? "the connection ended in the middle of the response" :
	    x->answered ? "the connection ended in the middle of the response's head" : "the connection ended without a response";
	exchange_origin_failed(x, 502, origin_explain(x, what, clean ? "closed by the origin" : strerror(errno)));
}

/* Keep the start of a head that is not complete; bytes behind a whole response are nobody's. */
static void
stash(struct origin *o, struct sv rest)
{
	if (o->closed || rest.n == 0)
		return;
	if (o->exchange == NULL)
		origin_close(o);
	else if (!buf_append(&o->h1.in, rest.p, rest.n))
		exchange_origin_failed(o->exchange, 502, "out of memory for the response's head");
}

static bool
read_once(struct origin *o)
{
	bool kept = buf_len(&o->h1.in) > 0;
	size_t size = kept ? NET_SCRATCH_SIZE / 4 : NET_SCRATCH_SIZE;
	char *to = kept ? buf_room(&o->h1.in, size) : net_loop_scratch(o->thread->loop);
	ssize_t n = to != NULL ? net_stream_read(&o->stream, to, size) : NET_ERROR;

	if (n == NET_AGAIN)
		return false;
	if (n <= 0) {
		at_end(o, n);
		return false;
	}
	o->exchange->answered = true;
	if (o->h1.in_body && !o->exchange->tunnel)
		net_stream_deadline(&o->stream, o->exchange->action->timeouts->response_body);
	if (kept)
		buf_added(&o->h1.in, (size_t)n);
	struct sv all = kept ? buf_view(&o->h1.in) : sv_of(to, (size_t)n);
	size_t used = consume(o, all);
	if (o->exchange != NULL)
		exchange_flush(o->exchange); /* before its bytes go away */
	if (!kept)
		stash(o, sv_of(to + used, (size_t)n - used));
	else if (!o->closed)
		buf_consume(&o->h1.in, used);
	if (o->exchange == NULL && !o->closed && buf_len(&o->h1.in) > 0)
		origin_close(o);
	return true;
}

/* On an idle connection nothing is expected but its end, or with TLS a new ticket, which comes without data. */
static void
idle_event(struct origin *o)
{
	char byte;

	if (net_stream_read(&o->stream, &byte, 1) != NET_AGAIN)
		origin_close(o);
}

static void
readable(struct origin *o)
{
	int reads = 0;

	if (o->exchange == NULL) {
		idle_event(o);
		return;
	}
	while (!o->closed && o->exchange != NULL && !o->stream.paused && reads < NET_READS && read_once(o))
		reads++;
	if (reads == NET_READS && !o->closed && !o->stream.paused)
		net_stream_again(&o->stream);
}

/* --- the connection's codec ----------------------------------------------------------------------------------- */

static void
opened(struct origin *o)
{
	if (o->exchange != NULL)
		exchange_origin_ready(o->exchange);
}

static void
drained(struct origin *o)
{
	struct exchange *x = o->exchange;

	if (x == NULL)
		return;
	if (exchange_is_sending(x))
		net_stream_deadline(&o->stream, 0); /* it takes the request's body again */
	exchange_origin_drained(x);
}

static void
expired(struct origin *o)
{
	struct exchange *x = o->exchange;
	struct net_stream *s = &o->stream;

	if (x == NULL)
		origin_close(o);
	else if (!s->open)
		exchange_origin_failed(x, 504, "no connection within timeouts.connect");
	else if (exchange_is_sending(x) && s->sent != o->h1.sent_mark)
		arm_send(o); /* slow, but it takes some */
	else
		exchange_origin_late(x);
}

static void
failed(struct origin *o, const char *what, const char *detail)
{
	struct exchange *x = o->exchange;

	if (x == NULL) {
		origin_close(o);
		return;
	}
	/* What it said before it broke counts: a refusal of the request that it did not want to read, perhaps. */
	if (o->stream.open)
		readable(o);
	if (o->exchange == x)
		exchange_origin_failed(x, 502, origin_explain(x, what, detail));
}

static void
free_codec(struct origin *o)
{
	h1_body_free(&o->h1.body);
	buf_clear(&o->h1.in);
}

static bool
attach(struct origin *o, struct exchange *x)
{
	o->exchange = x;
	o->h1.in_body = o->h1.keep = false;
	o->h1.scan = (struct h1_scan){0};
	x->origin = o;
	x->back = &back;
	x->answered = false;
	x->deadline = 0; /* gRPC is HTTP/2's; here the config's timeouts hold */
	return true;
}

const struct origin_codec origin_h1_codec = {
	.attach = attach,
	.opened = opened,
	.readable = readable,
	.drained = drained,
	.expired = expired,
	.failed = failed,
	.leave = origin_pool_leave,
	.free = free_codec,
};

void
origin_h1_init(struct origin *o)
{
	o->codec = &origin_h1_codec;
	buf_init(&o->h1.in, IN_MAX);
}
