/* client_h2_stream.c: HTTP/2 on the client's side, the streams and their requests. */
#include <stdlib.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/steps.h"

/* How long the rest of a request is read that has been answered: many clients do not look up before they have sent all. */
enum { LINGER_MS = 5000 };

static struct client_stream *
of_stream(struct h2_stream *st)
{
	return CONTAINER_OF(st, struct client_stream, h2);
}

/* --- streams -------------------------------------------------------------------------------------------------- */

static void
free_stream(struct net_deferred *d)
{
	struct client_stream *st = CONTAINER_OF(d, struct client_stream, free_later);

	free(st->trailers);
	free(st->trailer_text);
	free(st);
}

/* Its exchange has ended. */
void
client_stream_drop(struct client_stream *st)
{
	struct client_h2 *ch = st->client->h2;

	net_timer_cancel(&st->timer);
	counter_sub(&st->client->thread->counters.http2_streams_open, 1);
	h2_stream_free(&ch->link.h2, &st->h2);
	LIST_REMOVE(st, link);
	if (ch->link.h2.n_streams == 0)
		client_arm(st->client);
	net_loop_defer(st->client->thread->loop, &st->free_later, free_stream);
}

static const struct conf_timeouts *
timeouts_of(const struct client_stream *st)
{
	const struct exchange *x = st->exchange;

	return x != NULL && x->action != NULL ? x->action->timeouts : &st->client->thread->view->snapshot->conf->timeouts;
}

void
client_stream_arm(struct client_stream *st)
{
	const struct conf_timeouts *t = timeouts_of(st);
	const struct exchange *x = st->exchange;

	st->sent_mark = st->h2.sent_bytes;
	st->all_mark = st->client->h2->link.h2.sent_bytes;
	if (h2_pending(&st->h2) > 0)
		net_timer_set(&st->timer, t->send);
	else if (x != NULL && x->tunnel)
		net_timer_set(&st->timer, t->tunnel);
	else if (x != NULL && !x->request_ended && !st->paused && exchange_patience(x, t->body) > 0)
		net_timer_set(&st->timer, exchange_patience(x, t->body));
	else if (st->lingers)
		net_timer_set(&st->timer, LINGER_MS);
	else
		net_timer_cancel(&st->timer);
}

/*
 * Does the client take nothing of it? A stream may also wait because others go first, on a connection that is slow but goes
 * on; who takes nothing of the whole connection is ended with it (client.c).
 */
static bool
is_stuck(const struct client_stream *st)
{
	const struct h2 *h2 = &st->client->h2->link.h2;

	if (st->h2.sent_bytes != st->sent_mark)
		return false;
	return h2_stream_window(h2, &st->h2) <= 0 || (h2_window(h2) <= 0 && h2->sent_bytes == st->all_mark);
}

static void
on_timer(struct net_timer *timer)
{
	struct client_stream *st = CONTAINER_OF(timer, struct client_stream, timer);
	struct exchange *x = st->exchange;
	bool sends = h2_pending(&st->h2) > 0;

	if (sends && !is_stuck(st)) {
		client_stream_arm(st);
	} else if (sends) {
		counter_add(&st->client->thread->counters.http2_streams_stuck, 1);
		h2_reset(&st->client->h2->link.h2, &st->h2, H2_CANCEL);
		if (x != NULL)
			exchange_client_gone(x, "the client took nothing of the response within timeouts.send");
	} else if (x != NULL && x->tunnel) {
		h2_reset(&st->client->h2->link.h2, &st->h2, H2_CANCEL);
		exchange_client_gone(x, "nothing went through the tunnel within timeouts.tunnel");
	} else if (x != NULL) {
		exchange_refuse(x, 408, "the request body took too long");
	} else {
		h2_reset(&st->client->h2->link.h2, &st->h2, H2_NO_ERROR); /* RFC 9113, 8.1 */
	}
	h2_link_flush_later(&st->client->h2->link);
}

/* A request that is not even looked at. */
static struct h2_stream *
refuse(struct h2 *s, struct client_stream *st, enum h2_error error)
{
	if (st == NULL)
		return NULL;
	h2_reset(s, &st->h2, error);
	return &st->h2;
}

static struct client_stream *
new_stream(struct client *c, int32_t id)
{
	struct client_stream *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	h2_stream_init(&c->h2->link.h2, &st->h2, id, STREAM_OUT_MAX);
	st->client = c;
	net_timer_init(&st->timer, c->thread->loop, on_timer);
	LIST_INSERT_HEAD(&c->h2->streams, st, link);
	counter_add(&c->thread->counters.http2_streams_open, 1);
	return st;
}

/* --- requests ------------------------------------------------------------------------------------------------- */

/* The fields behind the last are not written to: a head is large. */
static void
copy_head(struct http_head *to, const struct http_head *from)
{
	memcpy(to, from, offsetof(struct http_head, fields) + from->n_fields * sizeof(from->fields[0]));
}

static void
frame(struct exchange *x, bool bodiless)
{
	const struct http_field *f = http_head_get(&x->request, HTTP_CONTENT_LENGTH);
	bool has_length = f != NULL && sv_u64(f->value, &x->request_length);

	x->request_ended = bodiless;
	x->request_framing = bodiless ? HTTP_NO_BODY : has_length ? HTTP_LENGTH_BODY : HTTP_STREAMED_BODY;
}

static bool
is_worth_an_answer(enum h1_fault fault)
{
	unsigned status = h1_fault_status(fault);

	return status == 431 || status == 414;
}

static void
note_malformed(struct client *c, const struct h2_block *b)
{
	counter_add(&c->thread->counters.requests_malformed, 1);
	if (log_allows(&c->thread->client_lines, LOG_INFO, net_loop_now(c->thread->loop)))
		log_info("client %.*s: a request of HTTP/2 is refused: %s", SV_FMT(client_address(c)), h1_fault_text(b->fault));
}

static void
count_request(struct client *c, struct h2 *s)
{
	uint64_t max = c->thread->view->snapshot->conf->limits.requests_per_connection;

	c->requests++;
	if ((max != 0 && c->requests >= max) || c->over_limit)
		h2_go_away(s, true);
}

struct h2_stream *
client_h2_on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless)
{
	struct client *c = client_h2_of(s)->client;
	struct exchange *x = exchange_spare(c->thread);
	struct client_stream *st = NULL;

	if (b->fault != H1_OK)
		note_malformed(c, b);
	if (c->closed || x == NULL || (b->fault != H1_OK && !is_worth_an_answer(b->fault)))
		return NULL;
	if (b->fault == H1_OK && http_authenticates_connection(&b->head))
		return refuse(s, new_stream(c, id), H2_HTTP_1_1_REQUIRED); /* nothing of it may have an effect on its way */
	copy_head(&x->request, &b->head);
	frame(x, bodiless);
	if ((st = new_stream(c, id)) == NULL)
		return NULL;
	if (!exchange_claim(x, c, &client_h2_front, h2_block_text(b))) {
		client_stream_drop(st);
		return NULL;
	}
	st->exchange = x;
	x->stream = st;
	st->read = bodiless;
	x->held.max = MAX_OF((size_t)HELD_MAX, (size_t)s->limits.stream_window);
	count_request(c, s);
	if (b->fault != H1_OK) {
		exchange_refuse(x, h1_fault_status(b->fault), h1_fault_text(b->fault));
	} else if (b->protocol.p != NULL && !sv_eq(b->protocol, SV("websocket"))) {
		exchange_refuse(x, 501, "extended CONNECT for another protocol than websocket");
	} else if (b->protocol.p != NULL && (bodiless || !client_h2_upgrade(x))) {
		exchange_refuse(x, bodiless ? 400 : 431, "a WebSocket without its stream, or no room for its fields");
	} else {
		exchange_start(x);
		exchange_flush(x);
		if (st->exchange == x)
			client_stream_arm(st); /* with its route's timeouts */
	}
	return c->closed ? NULL : &st->h2;
}

void
client_h2_on_body(struct h2 *s, struct h2_stream *h2, struct sv data)
{
	struct client_stream *st = of_stream(h2);
	struct exchange *x = st->exchange;

	if (x != NULL && x->upgrade && !x->tunnel) {
		/* Ahead of the origin's word: to it this would be the next request. */
		h2_reset(s, h2, H2_PROTOCOL_ERROR);
		exchange_client_gone(x, "the client sent what belongs to a tunnel before there was one");
	} else if (x != NULL) {
		exchange_request_body(x, data);
		if (st->exchange != NULL)
			exchange_flush(x);
	}
	if (!st->paused) {
		h2_take(s, h2);
		if (st->exchange != NULL)
			client_stream_arm(st);
	}
}

/* The block that they are in is used again at once. NULL: no memory. */
static const struct http_head *
keep_trailers(struct client_stream *st, const struct http_head *h)
{
	size_t n = 0;

	for (unsigned i = 0; i < h->n_fields; i++)
		n += h->fields[i].name.n + h->fields[i].value.n;
	st->trailers = malloc(sizeof(*st->trailers));
	st->trailer_text = malloc(n + 1);
	if (st->trailers == NULL || st->trailer_text == NULL)
		return NULL;
	copy_head(st->trailers, h);
	char *to = st->trailer_text;
	for (unsigned i = 0; i < h->n_fields; i++) {
		struct http_field *f = &st->trailers->fields[i];
		struct sv *both[] = {&f->name, &f->value};
		for (size_t k = 0; k < COUNTOF(both); k++) {
			memcpy(to, both[k]->p, both[k]->n);
			both[k]->p = to;
			to += both[k]->n;
		}
	}
	forward_distrust_trailers(st->trailers);
	return st->trailers;
}

void
client_h2_on_end(struct h2 *s, struct h2_stream *h2, const struct http_head *trailers)
{
	struct client_stream *st = of_stream(h2);
	struct exchange *x = st->exchange;

	(void)s;
	st->read = true;
	if (x == NULL)
		return;
	const struct http_head *kept = trailers != NULL ? keep_trailers(st, trailers) : NULL;
	if (kept == NULL && trailers != NULL) {
		exchange_refuse(x, 503, "no memory for the request's trailers");
		return;
	}
	exchange_request_end(x, kept);
	if (st->exchange == NULL)
		return;
	client_stream_arm(st);
	exchange_flush(x);
}

void
client_h2_on_closed(struct h2 *s, struct h2_stream *h2, uint32_t error)
{
	struct client_stream *st = of_stream(h2);

	(void)s, (void)error;
	if (h2->reset)
		counter_add(&st->client->thread->counters.http2_streams_cancelled, 1);
	if (st->exchange != NULL)
		exchange_client_gone(st->exchange,
		    h2->reset ? "the client reset the stream" : "the client broke a rule of HTTP/2 on the stream");
	client_stream_drop(st);
}

void
client_h2_on_refused(struct h2 *s, uint32_t error)
{
	struct counters *n = &client_h2_of(s)->client->thread->counters;

	counter_add(error == H2_REFUSED_STREAM ? &n->http2_streams_refused : &n->http2_requests_malformed, 1);
}

void
client_h2_on_drained(struct h2 *s, struct h2_stream *h2)
{
	struct client_stream *st = of_stream(h2);

	(void)s;
	if (st->exchange != NULL)
		exchange_client_drained(st->exchange);
	client_stream_arm(st);
}
