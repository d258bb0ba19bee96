/* client_h1.c: HTTP/1.1 on the client's side, the connection and its requests (RFC 9112). */
#include <stdlib.h>

#include "proxy/client.h"
#include "proxy/steps.h"

enum {
	IN_MAX = 1024 * 1024,
	HALF_CLOSED_MS = 2000,  /* how long a client that has ended its side is taken for one that still waits */
	STASH_READ = 16 * 1024,  /* read at a time behind bytes that are kept */
	REQUESTS_A_TURN = 32,    /* pipelined ones that are answered at once; their memory comes back only after the turn */
};

/* --- reading requests --------------------------------------------------------------------------------------- */

/* Make an exchange of a head that has been parsed into x, and begin it. */
static bool
begin(struct client *c, struct exchange *x, struct sv head_bytes)
{
	h1_body_free(&c->h1.body); /* the trailers of the one before */
	h1_body_init(&c->h1.body, &x->request);
	x->request_framing = c->h1.body.framing;
	x->request_length = c->h1.body.left;
	x->request_ended = c->h1.body.framing == HTTP_NO_BODY || (c->h1.body.framing == HTTP_LENGTH_BODY && c->h1.body.left == 0);
	if (!exchange_claim(x, c, &client_h1_front, head_bytes))
		return false;
	c->h1.exchange = x;
	c->h1.scan = (struct h1_scan){0};
	c->requests++;
	c->h1.keep = h1_keeps_alive(&x->request);
	c->h1.phase = x->request_ended ? PHASE_WAIT : PHASE_BODY;
	client_arm(c);
	exchange_start(x);
	return true;
}

/* Answer what is no complete request head, and close. */
static void
refuse(struct client *c, unsigned status, const char *why, enum close_reason reason)
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
	c->h1.exchange = x;
	c->h1.keep = false;
	c->h1.phase = PHASE_HEAD;
	c->reason = (uint8_t)reason;
	exchange_refuse(x, status, why);
}

/* In clear text nothing tells beforehand that a client speaks HTTP/2. */
static bool
is_preface(const struct client *c, struct sv in)
{
	return !c->is_tls && c->requests == 0 && c->service == NULL && c->thread->view->snapshot->conf->http2.enabled &&
	    sv_starts(in, SV("PRI * HTTP/2.0\r\n\r\n"));
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
	switch (h1_parse_request(&x->request, in, &c->h1.scan, &limits, &used, &fault)) {
	case H1_MORE:
		if (c->h1.phase == PHASE_IDLE) {
			c->h1.phase = PHASE_HEAD;
			client_arm(c);
		}
		return 0;
	case H1_BAD:
		if (fault == H1_VERSION && is_preface(c, in)) {
			c->h1.phase = PHASE_PREFACE;
			return 0;
		}
		counter_add(&c->thread->counters.requests_malformed, 1);
		refuse(c, h1_fault_status(fault), h1_fault_text(fault), CLOSE_MALFORMED);
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
	if (buf_len(&c->h1.body.trailers) == 0)
		return NULL;
	if (c->h1.trailers == NULL && (c->h1.trailers = malloc(sizeof(*c->h1.trailers))) == NULL)
		return NULL;
	http_head_init(c->h1.trailers, false);
	if (!h1_body_trailers(&c->h1.body, c->h1.trailers))
		return NULL;
	forward_distrust_trailers(c->h1.trailers);
	return c->h1.trailers;
}

/* Returns the bytes used. Without an exchange the body is thrown away: it has been answered already. */
static size_t
read_body(struct client *c, struct sv in)
{
	struct sv rest = in, data = SV_NONE;
	enum h1_fault fault = H1_OK;
	struct exchange *x = c->h1.exchange;
	enum h1_status r = h1_body_next(&c->h1.body, &rest, &data, &fault);

	if (r == H1_BAD) {
		counter_add(&c->thread->counters.requests_malformed, 1);
		c->h1.keep = false;
		c->reason = CLOSE_MALFORMED;
		if (x != NULL)
			exchange_refuse(x, h1_fault_status(fault), h1_fault_text(fault));
		else
			client_close(c, CLOSE_MALFORMED);
		return in.n;
	}
	if (data.n > 0 && x != NULL)
		exchange_request_body(x, data);
	if (r == H1_DONE && !c->closed && c->h1.phase == PHASE_BODY) {
		c->h1.phase = c->h1.exchange != NULL ? PHASE_WAIT : PHASE_IDLE;
		client_arm(c);
		if (c->h1.exchange != NULL)
			exchange_request_end(c->h1.exchange, parse_trailers(c));
	}
	return in.n - rest.n;
}

/* It has not taken the responses so far, and asks for more: they would gather here. */
static bool
is_behind(const struct client *c)
{
	return (c->h1.phase == PHASE_IDLE || c->h1.phase == PHASE_HEAD) && net_stream_pending(&c->stream) > 0;
}

/* No further request is begun in this turn. */
static bool
has_to_wait(const struct client *c)
{
	return c->requests == c->h1.turn_end || is_behind(c) || c->h1.phase == PHASE_PREFACE;
}

/* Go through `in`; returns how much of it has been used. */
static size_t
consume(struct client *c, struct sv in)
{
	struct sv rest = in;
	size_t used = 1;

	while (rest.n > 0 && used > 0 && client_is_open(c)) {
		switch ((enum h1_phase)c->h1.phase) {
		case PHASE_IDLE:
		case PHASE_HEAD:
			used = has_to_wait(c) ? 0 : read_head(c, rest);
			break;
		case PHASE_BODY:
			used = read_body(c, rest);
			break;
		case PHASE_TUNNEL:
			exchange_request_body(c->h1.exchange, rest);
			used = rest.n;
			break;
		case PHASE_WAIT: /* a pipelined request waits its turn */
		case PHASE_PREFACE:
			used = 0;
			break;
		}
		rest = sv_of(rest.p + used, rest.n - used);
	}
	return client_is_open(c) ? in.n - rest.n : in.n;
}

/* The client will send no more. */
static void
at_end(struct client *c)
{
	if (c->h1.phase == PHASE_TUNNEL && c->h1.exchange != NULL) {
		net_stream_pause(&c->stream); /* the end would be reported again and again */
		exchange_request_end(c->h1.exchange, NULL);
		if (c->h1.exchange != NULL)
			exchange_flush(c->h1.exchange);
		return;
	}
	if (c->h1.phase == PHASE_WAIT && c->h1.exchange != NULL) {
		/* Gone, or only its half closed (RFC 9112, 9.6): they look the same. The answer may come soon. */
		c->h1.half_closed = true;
		if (buf_len(&c->h1.in) == 0)
			c->h1.keep = false; /* otherwise the end comes again, after the pipelined requests */
		net_stream_pause(&c->stream);
		client_arm(c);
		return;
	}
	client_close(c, CLOSE_CLIENT);
}

/* Both sides send what this read has brought, before its bytes go away. */
static void
flush(struct client *c)
{
	if (c->h1.exchange != NULL)
		exchange_flush(c->h1.exchange);
}

/* Keep what has not been used; a client that sends the next request before it has this response can wait. */
static void
stash(struct client *c, struct sv rest)
{
	if (!client_is_open(c) || rest.n == 0)
		return;
	if (!buf_append(&c->h1.in, rest.p, rest.n))
		client_close(c, CLOSE_NO_MEMORY);
	else if (c->h1.phase == PHASE_WAIT)
		net_stream_pause(&c->stream);
}

/* One pass over the bytes that are kept; false: nothing of them could be used. */
static bool
consume_kept(struct client *c)
{
	struct sv all = buf_view(&c->h1.in);
	size_t used = consume(c, all);

	flush(c);
	if (client_is_open(c))
		buf_consume(&c->h1.in, used);
	return used > 0;
}

/* False: there is nothing more to read for now. */
static bool
read_once(struct client *c)
{
	bool kept = buf_len(&c->h1.in) > 0;
	size_t size = kept ? STASH_READ : NET_SCRATCH_SIZE;
	char *to = kept ? buf_room(&c->h1.in, size) : net_loop_scratch(c->thread->loop);
	ssize_t n = to != NULL ? net_stream_read(&c->stream, to, size) : NET_ERROR;

	if (n == NET_AGAIN)
		return false;
	if (n == NET_ERROR) {
		/* Between requests nothing is lost: many clients leave without a close_notify. */
		client_close(c, c->h1.phase == PHASE_IDLE ? CLOSE_CLIENT : CLOSE_CLIENT_BROKE);
		return false;
	}
	if (n == NET_EOF) {
		at_end(c);
		return false;
	}
	if (UNLIKELY(c->untold))
		client_rotation_spoke(c);
	if (kept) {
		buf_added(&c->h1.in, (size_t)n);
		if (!consume_kept(c) && c->h1.phase == PHASE_WAIT)
			net_stream_pause(&c->stream);
	} else {
		size_t used = consume(c, sv_of(to, (size_t)n));
		flush(c);
		stash(c, sv_of(to + used, (size_t)n - used));
	}
	if (c->h1.phase == PHASE_BODY || c->h1.phase == PHASE_TUNNEL)
		client_arm(c);
	return true;
}

static void
readable(struct client *c)
{
	int reads = 0;

	c->h1.reading = true;
	c->h1.turn_end = c->requests + REQUESTS_A_TURN;
	/* Pipelined requests that were read with an earlier one, as long as each is answered at once. */
	while (client_is_open(c) && c->h1.phase != PHASE_WAIT && c->h1.phase != PHASE_PREFACE && buf_len(&c->h1.in) > 0 && consume_kept(c))
		;
	while (client_is_open(c) && !c->stream.paused && reads < NET_READS && !has_to_wait(c) && read_once(c))
		reads++;
	c->h1.reading = false;
	if (!client_is_open(c))
		return;
	if (c->h1.phase == PHASE_PREFACE)
		client_h2_take_over(c, buf_view(&c->h1.in));
	else if (is_behind(c))
		net_stream_pause(&c->stream); /* drained() goes on */
	else if (c->stream.paused ? c->h1.phase == PHASE_IDLE : reads == NET_READS || has_to_wait(c))
		net_stream_again(&c->stream); /* paused and idle: one was answered within the loop, with another behind it */
}

/* --- the connection's codec --------------------------------------------------------------------------------- */

static bool
begin_connection(struct client *c)
{
	c->h1.keep = true;
	buf_init(&c->h1.in, IN_MAX);
	return true;
}

static void
drained(struct client *c)
{
	if (c->h1.exchange != NULL)
		exchange_client_drained(c->h1.exchange);
	else
		net_stream_again(&c->stream); /* what it sent meanwhile has been waiting for that */
}

static const struct conf_timeouts *
timeouts(const struct client *c)
{
	const struct exchange *x = c->h1.exchange;

	return x != NULL && x->action != NULL ? x->action->timeouts : &c->thread->view->snapshot->conf->timeouts;
}

static uint64_t
patience(const struct client *c, const struct conf_timeouts *t)
{
	switch ((enum h1_phase)c->h1.phase) {
	case PHASE_IDLE:
		return t->idle;
	case PHASE_HEAD:
		return t->head;
	case PHASE_BODY:
		/* It may be we who keep it waiting. */
		if (c->stream.paused)
			return 0;
		return c->h1.exchange != NULL ? exchange_patience(c->h1.exchange, t->body) : t->body;
	case PHASE_WAIT:
		return c->h1.half_closed ? HALF_CLOSED_MS : 0; /* a pending answer has its own deadline at the origin */
	case PHASE_TUNNEL:
		return t->tunnel;
	case PHASE_PREFACE:
		break;
	}
	return 0;
}

static void
expired_in_body(struct client *c)
{
	c->reason = CLOSE_BODY_TIMEOUT;
	if (c->h1.exchange != NULL)
		exchange_refuse(c->h1.exchange, 408, "the request body took too long");
	if (c->h1.exchange == NULL && client_is_open(c))
		client_close(c, CLOSE_BODY_TIMEOUT);
}

static void
expired(struct client *c)
{
	switch ((enum h1_phase)c->h1.phase) {
	case PHASE_IDLE:
		client_finish(c, CLOSE_IDLE);
		break;
	case PHASE_HEAD:
		refuse(c, 408, "the request head took too long", CLOSE_HEAD_TIMEOUT);
		break;
	case PHASE_BODY:
		expired_in_body(c);
		break;
	case PHASE_WAIT:
		/* It ended its side and then took part of an answer: it is there, and the origin's deadlines hold. */
		if (c->h1.exchange == NULL || !c->h1.exchange->response_started)
			client_close(c, CLOSE_CLIENT);
		break;
	case PHASE_TUNNEL:
		client_close(c, CLOSE_TUNNEL_TIMEOUT);
		break;
	case PHASE_PREFACE:
		break;
	}
}

/* Others end with their response, which says so. */
static void
drain(struct client *c)
{
	if (c->h1.phase == PHASE_IDLE)
		client_finish(c, c->ends ? CLOSE_ORIGIN_LEFT : CLOSE_DRAIN);
}

static bool
awaits_more(const struct client *c)
{
	return c->h1.phase == PHASE_BODY || c->h1.phase == PHASE_HEAD || c->h1.phase == PHASE_TUNNEL || buf_len(&c->h1.in) > 0;
}

static void
gone(struct client *c, const char *why)
{
	struct exchange *x = c->h1.exchange;

	c->h1.exchange = NULL;
	if (x != NULL)
		exchange_client_gone(x, why);
}

static void
free_connection(struct client *c)
{
	free(c->h1.trailers);
	h1_body_free(&c->h1.body);
	buf_clear(&c->h1.in);
}

const struct client_codec client_h1_codec = {
	.begin = begin_connection,
	.readable = readable,
	.drained = drained,
	.timeouts = timeouts,
	.patience = patience,
	.expired = expired,
	.drain = drain,
	.awaits_more = awaits_more,
	.gone = gone,
	.free = free_connection,
};
