/* client_h1.c: HTTP/1.1 on the client's side: requests in, responses out (RFC 9112). */
#include <stdlib.h>

#include "proxy/client.h"
#include "proxy/steps.h"

enum {
	DISCARD_MAX = 64 * 1024, /* so much of a body nobody wants is read, to keep the connection */
	STASH_READ = 16 * 1024,  /* read at a time behind bytes that are kept */
	REQUESTS_A_TURN = 32,    /* pipelined ones that are answered at once; their memory comes back only after the turn */
};

/* --- the front of an exchange ------------------------------------------------------------------------------- */

/* The rest of an unwanted body is small and surely on its way: cheaper to read than a new connection. */
static bool
may_discard(const struct client *c, const struct exchange *x)
{
	return c->phase == CLIENT_BODY && c->body.framing == HTTP_LENGTH_BODY && c->body.left <= DISCARD_MAX &&
	       http_head_get(&x->request, HTTP_EXPECT) == NULL;
}

static bool
stays_open(const struct client *c, const struct exchange *x)
{
	const struct conf_limits *l = x->action != NULL ? x->action->limits : &x->view->snapshot->conf->limits;

	return c->keep && !x->last && !c->over_limit && !c->thread->draining && (x->request_ended || may_discard(c, x)) &&
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
		c->keep = false;
	return framing;
}

static void
begin_tunnel(struct client *c)
{
	c->phase = CLIENT_TUNNEL;
	c->chunked = false;
	client_arm(c);
	/* What came behind the head was taken for a request that has to wait; it belongs to the tunnel. */
	if (buf_len(&c->in) > 0)
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
		c->keep = stays_open(c, x);
		w.framing = frame(c, x, h, framing);
		w.keep_length = w.framing == HTTP_NO_BODY;
		c->chunked = w.framing == HTTP_STREAMED_BODY;
		w.connection = !c->keep ? SV("close") : x->request.minor == 0 ? SV("keep-alive") : SV("");
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
	if (c->phase == CLIENT_TUNNEL)
		client_arm(c);
	if (c->chunked)
		outbox_copy(o, sv_of(head, h1_chunk_head(head, data.n)));
	outbox_add(o, data);
	if (c->chunked)
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
	if (c->chunked) {
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
	c->phase = request_ended ? CLIENT_IDLE : CLIENT_BODY;
	client_arm(c);
	if (c->reading)
		return; /* the loop in client_h1_readable goes on by itself */
	if (buf_len(&c->in) > 0)
		client_later(c);
	net_stream_resume(&c->stream);
}

static void
front_detach(struct exchange *x, enum side_end how)
{
	struct client *c = x->client;
	struct outbox *o = &c->thread->to_client;

	c->exchange = NULL;
	if (c->closed || how == SIDE_BROKEN) {
		outbox_discard(o);
		c->cut_off = x->response_started && !x->response_ended;
		client_close(c, c->reason != CLOSE_CLIENT ? (enum close_reason)c->reason : CLOSE_ORIGIN_BROKE);
		return;
	}
	bool keep = c->keep && !x->tunnel;
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

/* --- reading requests --------------------------------------------------------------------------------------- */

/* Make an exchange of a head that has been parsed into x, and begin it. */
static bool
begin(struct client *c, struct exchange *x, struct sv head_bytes)
{
	h1_body_free(&c->body); /* the trailers of the one before */
	h1_body_init(&c->body, &x->request);
	x->request_framing = c->body.framing;
	x->request_length = c->body.left;
	x->request_ended = c->body.framing == HTTP_NO_BODY || (c->body.framing == HTTP_LENGTH_BODY && c->body.left == 0);
	if (!exchange_claim(x, c, &client_h1_front, head_bytes))
		return false;
	c->exchange = x;
	c->scan = (struct h1_scan){0};
	c->requests++;
	c->keep = h1_keeps_alive(&x->request);
	c->phase = x->request_ended ? CLIENT_WAIT : CLIENT_BODY;
	client_arm(c);
	exchange_start(x);
	return true;
}

void
client_h1_refuse(struct client *c, unsigned status, const char *why, enum close_reason reason)
{
	struct exchange *x = exchange_spare(c->thread);

	if (x == NULL) {
		client_close(c, reason);
		return;
	}
	http_head_init(&x->request, false);
	x->request.minor = 1;
	if (!exchange_claim(x, c, &client_h1_front, SV(""))) {
		client_close(c, reason);
		return;
	}
	c->exchange = x;
	c->keep = false;
	c->phase = CLIENT_HEAD;
	c->reason = (uint8_t)reason;
	exchange_refuse(x, status, why);
}

/* Returns the bytes used; 0: the head is not complete. */
static size_t
read_head(struct client *c, struct sv in)
{
	const struct snapshot *s = c->thread->view->snapshot;
	struct h1_limits limits = {.head_bytes = s->head_bytes, .fields = s->fields};
	struct exchange *x = exchange_spare(c->thread);
	enum h1_fault fault = H1_OK;
	size_t used = 0;

	if (x == NULL) {
		client_close(c, CLOSE_NO_MEMORY);
		return in.n;
	}
	switch (h1_parse_request(&x->request, in, &c->scan, &limits, &used, &fault)) {
	case H1_MORE:
		if (c->phase == CLIENT_IDLE) {
			c->phase = CLIENT_HEAD;
			client_arm(c);
		}
		return 0;
	case H1_BAD:
		counter_add(&c->thread->counters.requests_malformed, 1);
		client_h1_refuse(c, h1_fault_status(fault), h1_fault_text(fault), CLOSE_MALFORMED);
		return in.n;
	case H1_DONE:
		break;
	}
	if (!begin(c, x, sv_of(in.p, used)))
		client_close(c, CLOSE_NO_MEMORY);
	return used;
}

static const struct http_head *
parse_trailers(struct client *c)
{
	if (buf_len(&c->body.trailers) == 0)
		return NULL;
	if (c->trailers == NULL && (c->trailers = malloc(sizeof(*c->trailers))) == NULL)
		return NULL;
	http_head_init(c->trailers, false);
	if (!h1_body_trailers(&c->body, c->trailers))
		return NULL;
	forward_distrust_trailers(c->trailers);
	return c->trailers;
}

/* Returns the bytes used. Without an exchange the body is thrown away: it has been answered already. */
static size_t
read_body(struct client *c, struct sv in)
{
	struct sv rest = in, data = SV_NONE;
	enum h1_fault fault = H1_OK;
	struct exchange *x = c->exchange;
	enum h1_status r = h1_body_next(&c->body, &rest, &data, &fault);

	if (r == H1_BAD) {
		counter_add(&c->thread->counters.requests_malformed, 1);
		c->keep = false;
		c->reason = CLOSE_MALFORMED;
		if (x != NULL)
			exchange_refuse(x, h1_fault_status(fault), h1_fault_text(fault));
		else
			client_close(c, CLOSE_MALFORMED);
		return in.n;
	}
	if (data.n > 0 && x != NULL)
		exchange_request_body(x, data);
	if (r == H1_DONE && !c->closed && c->phase == CLIENT_BODY) {
		c->phase = c->exchange != NULL ? CLIENT_WAIT : CLIENT_IDLE;
		client_arm(c);
		if (c->exchange != NULL)
			exchange_request_end(c->exchange, parse_trailers(c));
	}
	return in.n - rest.n;
}

/* It has not taken the responses so far, and asks for more: they would gather here. */
static bool
is_behind(const struct client *c)
{
	return (c->phase == CLIENT_IDLE || c->phase == CLIENT_HEAD) && net_stream_pending(&c->stream) > 0;
}

/* No further request is begun in this turn. */
static bool
has_to_wait(const struct client *c)
{
	return c->requests == c->turn_end || is_behind(c);
}

/* Go through `in`; returns how much of it has been used. */
static size_t
consume(struct client *c, struct sv in)
{
	struct sv rest = in;
	size_t used = 1;

	while (rest.n > 0 && used > 0 && !c->closed) {
		switch ((enum client_phase)c->phase) {
		case CLIENT_IDLE:
		case CLIENT_HEAD:
			used = has_to_wait(c) ? 0 : read_head(c, rest);
			break;
		case CLIENT_BODY:
			used = read_body(c, rest);
			break;
		case CLIENT_TUNNEL:
			exchange_request_body(c->exchange, rest);
			used = rest.n;
			break;
		case CLIENT_LINGER:
			used = rest.n;
			break;
		case CLIENT_WAIT: /* a pipelined request waits its turn */
		case CLIENT_HANDSHAKE:
			used = 0;
			break;
		}
		rest = sv_of(rest.p + used, rest.n - used);
	}
	return in.n - rest.n;
}

/* The client will send no more. */
static void
at_end(struct client *c)
{
	if (c->phase == CLIENT_TUNNEL && c->exchange != NULL) {
		net_stream_pause(&c->stream); /* the end would be reported again and again */
		exchange_request_end(c->exchange, NULL);
		if (c->exchange != NULL)
			exchange_flush(c->exchange);
		return;
	}
	if (c->phase == CLIENT_WAIT && c->exchange != NULL) {
		/* Gone, or only its half closed (RFC 9112, 9.6): they look the same. The answer may come soon. */
		c->half_closed = true;
		if (buf_len(&c->in) == 0)
			c->keep = false; /* otherwise the end comes again, after the pipelined requests */
		net_stream_pause(&c->stream);
		client_arm(c);
		return;
	}
	if (net_stream_pending(&c->stream) > 0 && c->phase == CLIENT_LINGER) {
		/* It has closed its half, and is still to take the end of its last response: on_drained closes. */
		c->linger = false;
		net_stream_pause(&c->stream);
		return;
	}
	client_close(c, c->phase == CLIENT_LINGER ? (enum close_reason)c->reason : CLOSE_CLIENT);
}

/* Both sides send what this read has brought, before its bytes go away. */
static void
flush(struct client *c)
{
	if (c->exchange != NULL)
		exchange_flush(c->exchange);
}

/* Keep what has not been used; a client that sends the next request before it has this response can wait. */
static void
stash(struct client *c, struct sv rest)
{
	if (c->closed || rest.n == 0)
		return;
	if (!buf_append(&c->in, rest.p, rest.n))
		client_close(c, CLOSE_NO_MEMORY);
	else if (c->phase == CLIENT_WAIT)
		net_stream_pause(&c->stream);
}

/* One pass over the bytes that are kept; false: nothing of them could be used. */
static bool
consume_kept(struct client *c)
{
	struct sv all = buf_view(&c->in);
	size_t used = consume(c, all);

	flush(c);
	if (!c->closed && c->phase != CLIENT_LINGER)
		buf_consume(&c->in, used);
	return used > 0;
}

/* False: there is nothing more to read for now. */
static bool
read_once(struct client *c)
{
	bool kept = buf_len(&c->in) > 0;
	size_t size = kept ? STASH_READ : NET_SCRATCH_SIZE;
	char *to = kept ? buf_room(&c->in, size) : net_loop_scratch(c->thread->loop);
	ssize_t n = to != NULL ? net_stream_read(&c->stream, to, size) : NET_ERROR;

	if (n == NET_AGAIN)
		return false;
	if (n == NET_ERROR) {
		/* Between requests nothing is lost: many clients leave without a close_notify. */
		client_close(c, c->phase == CLIENT_IDLE ? CLOSE_CLIENT : CLOSE_CLIENT_BROKE);
		return false;
	}
	if (n == NET_EOF) {
		at_end(c);
		return false;
	}
	if (UNLIKELY(c->rotation != NULL))
		client_rotation_spoke(c);
	if (kept) {
		buf_added(&c->in, (size_t)n);
		if (!consume_kept(c) && c->phase == CLIENT_WAIT)
			net_stream_pause(&c->stream);
	} else {
		size_t used = consume(c, sv_of(to, (size_t)n));
		flush(c);
		stash(c, sv_of(to + used, (size_t)n - used));
	}
	if (c->phase == CLIENT_BODY || c->phase == CLIENT_TUNNEL || c->phase == CLIENT_LINGER)
		client_arm(c);
	return true;
}

void
client_h1_readable(struct client *c)
{
	int reads = 0;

	c->reading = true;
	c->turn_end = c->requests + REQUESTS_A_TURN;
	/* Pipelined requests that were read with an earlier one, as long as each is answered at once. */
	while (!c->closed && c->phase != CLIENT_WAIT && buf_len(&c->in) > 0 && consume_kept(c))
		;
	while (!c->closed && !c->stream.paused && reads < NET_READS && !has_to_wait(c) && read_once(c))
		reads++;
	c->reading = false;
	if (c->closed)
		return;
	if (is_behind(c))
		net_stream_pause(&c->stream); /* on_drained goes on */
	else if (c->stream.paused ? c->phase == CLIENT_IDLE : reads == NET_READS || has_to_wait(c))
		net_stream_again(&c->stream); /* paused and idle: one was answered within the loop, with another behind it */
}
