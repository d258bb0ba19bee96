#include "proxy/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

enum { FREE_EXCHANGES_MAX = 256 }; /* kept by a thread for the next requests */

static enum exchange_step (*const step_fns[])(struct exchange *) = {
#define X(id, fn) [id] = fn,
	EXCHANGE_STEPS(X)
#undef X
};

/* Go on from the present step until one has to wait or the exchange is over. */
static void
run(struct exchange *x)
{
	if (x->running)
		return; /* an event from within a step: the loop below goes on by itself */
	x->running = true;
	while (!x->ended) {
		enum exchange_step next = step_fns[x->step](x);
		if (next == STEP_WAIT || next == STEP_OVER)
			break;
		x->step = (uint8_t)next;
	}
	x->running = false;
}

/* --- life --------------------------------------------------------------------------------------------------- */

struct exchange *
exchange_spare(struct px_thread *t)
{
	if (t->spare != NULL)
		return t->spare;
	struct exchange *x = t->free_exchanges;
	if (x != NULL) {
		t->free_exchanges = x->next_free;
		t->n_free_exchanges--;
	} else if ((x = malloc(sizeof(*x))) == NULL) {
		return NULL;
	}
	/* All but the large arrays at the end: they are written before they are read. */
	memset(x, 0, offsetof(struct exchange, request));
	x->thread = t;
	x->server = x->route = -1;
	t->spare = x;
	return x;
}

/* Follow the bytes to where they have been copied; a view elsewhere ("/", say) stays. */
static void
move_view(struct sv *v, struct sv from, const char *to)
{
	if (v->p >= from.p && v->p <= from.p + from.n)
		v->p = to + (v->p - from.p);
}

static void
move_head(struct http_head *h, struct sv from, const char *to)
{
	move_view(&h->method, from, to);
	move_view(&h->target, from, to);
	move_view(&h->authority, from, to);
	move_view(&h->path, from, to);
	for (unsigned i = 0; i < h->n_fields; i++) {
		move_view(&h->fields[i].name, from, to);
		move_view(&h->fields[i].value, from, to);
	}
}

bool
exchange_claim(struct exchange *x, struct client *c, const struct side_ops *front, struct sv head_bytes)
{
	struct px_thread *t = x->thread;

	/* `text` is fixed in place from here on: views into it must stay valid. */
	size_t room = MAX_OF(head_bytes.n + HOST_MAX + 1, (size_t)EXCHANGE_TEXT);
	buf_over(&x->text, room == EXCHANGE_TEXT ? x->inline_text : malloc(room), room);
	if (x->text.data == NULL)
		return false;
	memcpy(x->text.data, head_bytes.p, head_bytes.n);
	buf_added(&x->text, head_bytes.n);
	move_head(&x->request, head_bytes, x->text.data);

	t->spare = NULL;
	x->client = c;
	x->front = front;
	x->view = px_view_ref(t->view);
	x->is_tls = client_is_secure(c);
	x->head_bytes = (uint32_t)head_bytes.n;
	x->started_us = clock_wall_us();
	x->started_ms = net_loop_now(t->loop);
	x->number = ++t->request_number;
	buf_init(&x->held, HELD_MAX);
	counter_add(&t->counters.requests, 1);
	counter_add(&t->counters.requests_in_flight, 1);
	return true;
}

void
exchange_start(struct exchange *x)
{
	x->step = STEP_SITE;
	run(x);
}

static void
free_exchange(struct net_deferred *d)
{
	struct exchange *x = CONTAINER_OF(d, struct exchange, free_later);
	struct px_thread *t = x->thread;

	if (x->text.data != x->inline_text)
		free(x->text.data);
	buf_clear(&x->held);
	arena_free(&x->extra);
	px_view_unref(x->view);
	if (t->n_free_exchanges >= FREE_EXCHANGES_MAX) {
		free(x);
		return;
	}
	x->next_free = t->free_exchanges;
	t->free_exchanges = x;
	t->n_free_exchanges++;
}

static void
detach_back(struct exchange *x, enum side_end how)
{
	if (x->origin == NULL)
		return;
	server_end(upstream_at(x->upstream->balance, (unsigned)x->server)->state);
	x->back->detach(x, how);
	x->origin = NULL;
	x->origin_stream = NULL;
	x->back = NULL;
}

void
exchange_end(struct exchange *x, enum side_end how)
{
	if (x->ended)
		return;
	x->ended = true;
	counter_sub(&x->thread->counters.requests_in_flight, 1);
	counter_add(&x->thread->counters.bytes_from_clients, x->body_in);
	counter_add(&x->thread->counters.bytes_to_clients, x->body_out);
	if (x->tunnel)
		counter_sub(&x->thread->counters.tunnels_open, 1);
	detach_back(x, how == SIDE_DONE && x->response_ended && x->request_sent && !x->tunnel ? SIDE_DONE : SIDE_BROKEN);
	px_thread_log_request(x->thread, x);
	x->front->detach(x, how);
	net_loop_defer(x->thread->loop, &x->free_later, free_exchange);
}

/* --- from the front ----------------------------------------------------------------------------------------- */

static void
let_go_of_held(struct exchange *x)
{
	x->held_whole = false;
	buf_clear(&x->held);
}

static void
keep_for_another(struct exchange *x, struct sv data)
{
	if (x->held_whole && (buf_len(&x->held) + data.n > RESEND_MAX || !buf_append(&x->held, data.p, data.n)))
		let_go_of_held(x);
}

void
exchange_request_body(struct exchange *x, struct sv data)
{
	x->body_in += data.n;
	if (x->ended || (x->response_ended && !x->tunnel))
		return; /* answered already: the rest is of no interest */
	uint64_t limit = x->action != NULL ? x->action->limits->body_bytes : 0;
	if (limit != 0 && x->body_in > limit && !x->tunnel) {
		exchange_refuse(x, 413, "the body is above limits.body_bytes");
	} else if (x->step != STEP_RELAY) {
		if (!buf_append(&x->held, data.p, data.n))
			exchange_refuse(x, 503, "no memory for the request's body");
	} else {
		x->body_sent = true;
		keep_for_another(x, data);
		if (!x->back->body(x, data))
			exchange_origin_failed(x, 502, "the request's body could not be sent");
	}
}

/* Each direction ends by itself, the tunnel with the later one, once the origin has taken all. */
static void
end_tunnel_if_over(struct exchange *x)
{
	if (!x->ended && x->tunnel && x->client_ended && x->response_ended && x->back->pending(x) == 0)
		exchange_end(x, SIDE_DONE);
}

void
exchange_request_end(struct exchange *x, const struct http_head *trailers)
{
	if (x->client_ended)
		return; /* an end may be read again after a pause */
	x->client_ended = x->tunnel;
	x->request_ended = true;
	x->trailers = trailers;
	if (x->ended || x->step != STEP_RELAY)
		return;
	x->request_sent = true;
	if (!x->back->end(x, trailers))
		exchange_origin_failed(x, 502, "the request's end could not be sent");
	else
		end_tunnel_if_over(x);
}

void
exchange_client_drained(struct exchange *x)
{
	if (x->ended || !x->back_paused)
		return;
	x->back_paused = false;
	x->back->resume(x);
}

void
exchange_client_gone(struct exchange *x, const char *why)
{
	if (x->ended)
		return;
	if (!x->response_started)
		x->status = 499; /* the customary number in logs for a client that did not wait */
	x->failure = why;
	exchange_end(x, SIDE_BROKEN);
}

/* --- both --------------------------------------------------------------------------------------------------- */

void
exchange_flush(struct exchange *x)
{
	if (x->ended)
		return;
	if (!x->front->flush(x)) {
		exchange_client_gone(x, "the client broke the connection");
		return;
	}
	if (x->step != STEP_RELAY) {
		/* What comes before the origin is ready is held: one read of it, then the client waits. */
		if (buf_len(&x->held) > 0 && !x->front_paused) {
			x->front_paused = true;
			x->front->pause(x);
		}
		return;
	}
	if (!x->back->flush(x)) {
		exchange_origin_failed(x, 502, "the origin broke the connection while the request was sent");
		return;
	}
	if (x->ended || x->step != STEP_RELAY)
		return; /* what was sent was the end of the origin's stream, and of x, or it is asked elsewhere */
	if (!x->held_whole)
		buf_clear(&x->held);
	if (!x->front_paused && x->back->pending(x) > HIGH_WATER) {
		x->front_paused = true;
		x->front->pause(x);
	} else if (x->front_paused) {
		run(x); /* it may all have been taken at once */
	}
	if (!x->back_paused && x->front->pending(x) > HIGH_WATER) {
		x->back_paused = true;
		x->back->pause(x);
	}
}

/* --- from the back ------------------------------------------------------------------------------------------ */

void
exchange_origin_ready(struct exchange *x)
{
	x->step = STEP_SEND;
	run(x);
	exchange_flush(x);
}

/*
 * May the request go to another server, or again to a new connection? Only when it can have had no effect: nothing of it
 * has been sent, or it is idempotent and has no body, and the connection ended before an answer began (RFC 9110, 9.2.2).
 * One that waited in vain is not sent again: a server that is too slow already would get it twice.
 */
static bool
may_try_again(const struct exchange *x, unsigned status)
{
	if (x->response_started || x->body_sent)
		return false;
	if (!x->head_sent)
		return true;
	return status != 504 && x->origin != NULL && !x->answered && http_method_is_idempotent(x->request.method_id) &&
	       x->request_framing == HTTP_NO_BODY;
}

static void
count_failure(struct exchange *x, const char *why)
{
	const struct conf_upstream *conf = upstream_conf(x->upstream->balance);
	const struct upstream_server *server = upstream_at(x->upstream->balance, (unsigned)x->server);
	const char *address = server->conf->address;
	uint64_t now = net_loop_now(x->thread->loop);
	char left_out[CLOCK_DURATION_SIZE];
	enum server_news news = server_failed(server->state, now, conf->eject.failures, conf->eject.time);

	counter_add(&x->thread->counters.origin_failures, 1);
	if (news == SERVER_OUT || !log_allows(&x->thread->origin_lines, LOG_WARNING, now))
		return;
	if (news == SERVER_STILL_FAILS)
		log_warning("origin %s of upstream \"%s\" still fails and is left out for another %s: %s", address, conf->name,
		    clock_duration(conf->eject.time, left_out), why);
	else
		log_warning("origin %s of upstream \"%s\": %s", address, conf->name, why);
	if (news == SERVER_LEFT_OUT)
		log_warning("origin %s of upstream \"%s\" failed %llu times in a row and is left out for %s", address, conf->name,
		    (unsigned long long)conf->eject.failures, clock_duration(conf->eject.time, left_out));
}

static void
count_success(struct exchange *x)
{
	const struct upstream_server *server = upstream_at(x->upstream->balance, (unsigned)x->server);
	uint64_t since = server_succeeded(server->state, x->origin_version), now = net_loop_now(x->thread->loop);
	char out[CLOCK_DURATION_SIZE];

	if (since != 0 && log_allows(&x->thread->origin_lines, LOG_NOTICE, now))
		log_notice("origin %s of upstream \"%s\" answers again after %s left out", server->conf->address,
		    upstream_conf(x->upstream->balance)->name, clock_duration(now - MIN_OF(since, now), out));
}

/* A name may stand for several addresses: a failure of one is none of the server while there is another to connect to. */
static bool
has_another_address(struct exchange *x)
{
	return !x->head_sent && ++x->n_addresses < upstream_at(x->upstream->balance, (unsigned)x->server)->n_addresses;
}

static void
go_on(struct exchange *x, enum exchange_step from)
{
	x->step = (uint8_t)from;
	if (x->running)
		return; /* the step that found out goes on with this one */
	run(x);
	exchange_flush(x);
}

void
exchange_origin_failed(struct exchange *x, unsigned status, const char *why)
{
	if (x->ended)
		return;
	if (x->tunnel && x->response_ended) {
		exchange_end(x, SIDE_DONE); /* it had ended, and what it did not wait for is no failure */
		return;
	}
	bool again = may_try_again(x, status);
	/* An idle connection that the server closes is no fault of the server; of a new one others may have made a reused one since. */
	bool stale = again && x->head_sent && origin_was_stale(x->origin) && !x->fresh, elsewhere = again && has_another_address(x);
	if (!stale)
		server_leave_address(upstream_at(x->upstream->balance, (unsigned)x->server)->state, x->address_turn);
	if (stale) {
		/* The same server may be asked again, by a new connection; `fresh` sees to it that this happens once. */
		x->fresh = true;
		x->tries--;
		upstream_unmark_tried(&x->tried, x->server);
	} else if (!elsewhere && (x->origin == NULL || !x->origin->blamed)) {
		count_failure(x, why);
		if (x->origin != NULL)
			x->origin->blamed = x->origin->closed; /* one failure, however many requests the end of a connection strikes */
	}
	if (x->origin != NULL)
		detach_back(x, SIDE_BROKEN);
	else
		server_end(upstream_at(x->upstream->balance, (unsigned)x->server)->state);
	x->head_sent = x->request_sent = false;
	x->failure = why;
	x->status = (uint16_t)status;
	if (!again) {
		exchange_refuse(x, status, why);
		return;
	}
	go_on(x, elsewhere ? STEP_CONNECT : STEP_CHOOSE);
}

void
exchange_origin_late(struct exchange *x)
{
	const char *why = exchange_is_sending(x) ? "nothing of the request was taken within timeouts.send" :
	    !x->response_started ? "no response within timeouts.response" :
	    "no byte of the response's body within timeouts.response_body";

	exchange_origin_failed(x, 504, why);
}

static bool
has_another_server(const struct exchange *x)
{
	for (unsigned i = 0; i < upstream_count(x->upstream->balance); i++)
		if (!upstream_was_tried(&x->tried, (int)i))
			return true;
	return false;
}

/* Its body has gone: the client, which may have it yet, can try again, if it can be told. */
static void
pass_refusal_on(struct exchange *x, const char *why)
{
	if (!x->front->refuses) {
		exchange_refuse(x, 503, why);
		return;
	}
	exchange_blame(x, 503, why);
	x->status = 503;
	exchange_end(x, SIDE_REFUSED);
}

/*
 * It counts as a try, so that a server that always refuses is not asked for ever. Once it may have been the connection that
 * could take no more: the same server may be asked again. Then others come first.
 */
void
exchange_origin_refused(struct exchange *x, const char *why)
{
	if (x->ended)
		return;
	if (x->body_sent && !x->held_whole) {
		pass_refusal_on(x, why);
		return;
	}
	if (!x->fresh || !has_another_server(x))
		upstream_unmark_tried(&x->tried, x->server);
	detach_back(x, SIDE_BROKEN);
	x->fresh = true;
	x->head_sent = x->body_sent = x->request_sent = false;
	x->failure = why;
	x->status = 503;
	go_on(x, STEP_CHOOSE);
}

void
exchange_origin_elsewhere(struct exchange *x)
{
	detach_back(x, SIDE_BROKEN);
	go_on(x, STEP_CONNECT);
}

void
exchange_response_head(struct exchange *x, struct http_head *h, enum http_framing framing, uint64_t length)
{
	bool switching = h->status == 101;

	if (switching && !x->upgrade) {
		exchange_origin_failed(x, 502, "the origin switched protocols without being asked");
		return;
	}
	if (!forward_response_head(x, h)) {
		exchange_origin_failed(x, 502, "the origin's response head is ambiguous");
		return;
	}
	bool interim = h->status < 200 && !switching;
	if (!interim) {
		x->response_started = true;
		x->status = h->status;
		x->failure = NULL;
		x->origin_version = http_version(h);
		count_success(x);
		let_go_of_held(x);
	}
	if (switching) {
		x->tunnel = true;
		counter_add(&x->thread->counters.tunnels_open, 1);
	}
	if (!x->front->head(x, h, framing, length))
		exchange_client_gone(x, "the response head could not be sent");
}

void
exchange_response_body(struct exchange *x, struct sv data)
{
	x->body_out += data.n;
	if (!x->front->body(x, data))
		exchange_client_gone(x, "the response could not be sent");
}

void
exchange_response_end(struct exchange *x, const struct http_head *trailers)
{
	x->response_ended = true;
	if (!x->front->end(x, trailers)) {
		exchange_client_gone(x, "the response's end could not be sent");
		return;
	}
	if (!x->tunnel)
		exchange_end(x, SIDE_DONE);
	end_tunnel_if_over(x);
}

void
exchange_origin_drained(struct exchange *x)
{
	if (!x->ended && x->step == STEP_RELAY)
		run(x);
	end_tunnel_if_over(x);
}
