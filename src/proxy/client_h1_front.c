/* client_h1_front.c: HTTP/1.1 on the client's side, the responses (RFC 9112): the front of an exchange. */
#include "proxy/client.h"

enum { DISCARD_MAX = 64 * 1024 }; /* so much of a body nobody wants is read, to keep the connection */

/* The rest of an unwanted body is small and surely on its way: cheaper to read than a new connection. */
static bool
may_discard(const struct client *c, const struct exchange *x)
{
	return c->h1.phase == PHASE_BODY && c->h1.body.framing == HTTP_LENGTH_BODY && c->h1.body.left <= DISCARD_MAX &&
	       http_head_get(&x->request, HTTP_EXPECT) == NULL;
}

static bool
stays_open(const struct client *c, const struct exchange *x)
{
	const struct conf_limits *l = x->action != NULL ? x->action->limits : &x->view->snapshot->conf->limits;

	return c->h1.keep && !x->last && !c->ends && !c->over_limit && !c->thread->draining &&
	       (x->request_ended || may_discard(c, x)) &&
	       (l->requests_per_connection == 0 || c->requests < l->requests_per_connection);
}

/* How the response is framed for this client, who may know HTTP/1.0 only. */
static enum http_framing
frame(struct client *c, const struct exchange *x, const struct http_head *h, enum http_framing framing)
{
	bool to_http10 = x->request.minor == 0;

	if (h->status == 204 || h->status == 304)
		return HTTP_NO_BODY;
	if (framing == HTTP_STREAMED_BODY || framing == HTTP_CLOSE_BODY)
		framing = to_http10 ? HTTP_CLOSE_BODY : HTTP_STREAMED_BODY;
	if (framing == HTTP_CLOSE_BODY)
		c->h1.keep = false;
	return framing;
}

static void
begin_tunnel(struct client *c)
{
	c->h1.phase = PHASE_TUNNEL;
	c->h1.chunked = false;
	client_arm(c);
	/* What came behind the head was taken for a request that has to wait; it belongs to the tunnel. */
	if (buf_len(&c->h1.in) > 0)
		client_later(c);
	net_stream_resume(&c->stream);
}

static bool
front_head(struct exchange *x, const struct http_head *h, enum http_framing framing, uint64_t length)
{
	struct client *c = x->client;
	struct outbox *o = &c->thread->to_client;
	struct h1_write w = {.framing = HTTP_NO_BODY, .length = length};
	size_t from = buf_len(&o->text);

	if (h->status < 200 && h->status != 101) {
		if (x->request.minor == 0)
			return true; /* HTTP/1.0 knows no interim responses (RFC 9110, 15.2) */
	} else if (x->tunnel) {
		w.connection = SV("upgrade");
		begin_tunnel(c);
	} else {
		c->h1.keep = stays_open(c, x);
		w.framing = frame(c, x, h, framing);
		w.keep_length = w.framing == HTTP_NO_BODY;
		c->h1.chunked = w.framing == HTTP_STREAMED_BODY;
		w.connection = !c->h1.keep ? SV("close") : x->request.minor == 0 ? SV("keep-alive") : SV("");
		if (c->h1.phase == PHASE_BODY)
			client_arm(c);
	}
	if (!h1_write_response(&o->text, h, &w))
		return false;
	outbox_add_text(o, from);
	return true;
}

static bool
front_body(struct exchange *x, struct sv data)
{
	struct client *c = x->client;
	struct outbox *o = &c->thread->to_client;
	char head[H1_CHUNK_HEAD_MAX];

	if (data.n == 0)
		return true;
	if (c->h1.phase == PHASE_TUNNEL)
		client_arm(c);
	if (c->h1.chunked)
		outbox_copy(o, sv_of(head, h1_chunk_head(head, data.n)));
	outbox_add(o, data);
	if (c->h1.chunked)
		outbox_copy(o, SV("\r\n"));
	return true;
}

static bool
front_end(struct exchange *x, const struct http_head *trailers)
{
	struct client *c = x->client;
	struct outbox *o = &c->thread->to_client;
	size_t from = buf_len(&o->text);

	if (x->tunnel) {
		bool ok = outbox_flush(o, &c->stream, true);
		net_stream_finish(&c->stream);
		return ok;
	}
	if (c->h1.chunked) {
		if (!h1_write_last_chunk(&o->text, trailers))
			return false;
		outbox_add_text(o, from);
	}
	return true;
}

static bool
front_flush(struct exchange *x)
{
	struct client *c = x->client;

	if (outbox_is_empty(&c->thread->to_client))
		return true;
	bool before = net_stream_pending(&c->stream) > 0;
	if (!outbox_flush(&c->thread->to_client, &c->stream, false)) {
		c->reason = CLOSE_CLIENT_BROKE;
		return false;
	}
	if (!before && net_stream_pending(&c->stream) > 0)
		client_arm(c);
	return true;
}

static size_t
front_pending(const struct exchange *x)
{
	return net_stream_pending(&x->client->stream);
}

static void
front_pause(struct exchange *x)
{
	net_stream_pause(&x->client->stream);
	client_arm(x->client);
}

static void
front_resume(struct exchange *x)
{
	net_stream_resume(&x->client->stream);
	client_arm(x->client);
}

/* The next request may have come already, or the rest of this one's body is to be thrown away. */
static void
next_request(struct client *c, bool request_ended)
{
	c->h1.phase = request_ended ? PHASE_IDLE : PHASE_BODY;
	client_arm(c);
	if (c->h1.reading)
		return; /* the loop that reads goes on by itself */
	if (buf_len(&c->h1.in) > 0)
		client_later(c);
	net_stream_resume(&c->stream);
}

static void
front_detach(struct exchange *x, enum side_end how)
{
	struct client *c = x->client;
	struct outbox *o = &c->thread->to_client;

	c->h1.exchange = NULL;
	if (c->closed || how == SIDE_BROKEN) {
		outbox_discard(o);
		c->cut_off = x->response_started && !x->response_ended;
		client_close(c, c->reason != CLOSE_CLIENT ? (enum close_reason)c->reason : CLOSE_ORIGIN_BROKE);
		return;
	}
	bool keep = c->h1.keep && !c->ends && !x->tunnel;
	if (!outbox_flush(o, &c->stream, !keep && !x->tunnel)) {
		client_close(c, CLOSE_CLIENT_BROKE);
		return;
	}
	if (keep)
		next_request(c, x->request_ended);
	else if (c->reason != CLOSE_CLIENT)
		client_finish(c, c->reason); /* somebody knew why before the answer was made */
	else
		client_finish(c, x->tunnel ? CLOSE_TUNNEL : x->request_ended ? CLOSE_LAST_REQUEST : CLOSE_REFUSED);
}

const struct side_ops client_h1_front = {
	.head = front_head,
	.body = front_body,
	.end = front_end,
	.flush = front_flush,
	.pending = front_pending,
	.pause = front_pause,
	.resume = front_resume,
	.detach = front_detach,
};
