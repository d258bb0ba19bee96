/* client_h2.c: HTTP/2 on the client's side, the connection (RFC 9113). */
#include "proxy/client_h2.h"

#include <stdlib.h>

#include "base/log.h"
#include "proxy/client.h"

enum {
	DRAIN_NOTICE_MS = 1000, /* from the first GOAWAY to the one that refuses: requests on their way are answered */
	UNSENT = 64 * 1024,     /* bytes in the kernel that an urgent response would wait for */
};

static struct client_h2 *
of_link(struct h2_link *l)
{
	return CONTAINER_OF(l, struct client_h2, link);
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static void
end_streams(struct client *c, const char *why)
{
	struct client_stream *st;

	net_timer_cancel(&c->h2->drain);
	while ((st = LIST_FIRST(&c->h2->streams)) != NULL) {
		if (st->exchange != NULL)
			exchange_client_gone(st->exchange, why);
		client_stream_drop(st);
	}
}

/* The connection ends, whatever is under way. */
static void
finish(struct client *c, enum close_reason why)
{
	bool ok = h2_link_send(&c->h2->link);

	c->h2->link.silent = true;
	end_streams(c, close_reason_text(why));
	if (ok && client_is_open(c))
		client_finish(c, why);
	else
		client_close(c, why);
}

/* What is wrong goes to the client in a GOAWAY, and to the log. */
static void
fail(struct client *c)
{
	const struct h2 *h2 = &c->h2->link.h2;
	uint64_t now = net_loop_now(c->thread->loop);

	if (h2->kind == H2_FLOODED && log_allows(&c->thread->client_lines, LOG_WARNING, now))
		log_warning("client %.*s: HTTP/2: %s: its connection is closed", SV_FMT(client_address(c)), h2->fault);
	else if (h2->kind != H2_FLOODED && log_allows(&c->thread->client_lines, LOG_INFO, now))
		log_info("client %.*s: HTTP/2: %s", SV_FMT(client_address(c)), h2->fault);
	c->logged = true;
	if (h2->kind == H2_BROKE_RULE)
		counter_add(&c->thread->counters.http2_protocol_errors, 1);
	finish(c, h2->kind == H2_FLOODED ? CLOSE_FLOOD : h2->kind == H2_NO_MEMORY ? CLOSE_NO_MEMORY : CLOSE_MALFORMED);
}

/* Nothing more will come or go. */
static void
end_if_over(struct client *c)
{
	struct h2 *h2 = &c->h2->link.h2;

	if (!client_is_open(c))
		return;
	if (h2->fault != NULL) {
		fail(c); /* it was found on the way out */
		return;
	}
	if (h2_is_over(h2) || (h2->goes_away && h2->n_streams == 0 && !net_timer_pending(&c->h2->drain)))
		finish(c, c->reason != CLOSE_CLIENT ? (enum close_reason)c->reason : CLOSE_LAST_REQUEST);
}

/* --- the link's owner ----------------------------------------------------------------------------------------- */

static void
waits(struct h2_link *l)
{
	client_arm(of_link(l)->client);
}

static void
flushed(struct h2_link *l, bool ok)
{
	struct client *c = of_link(l)->client;

	if (ok)
		end_if_over(c);
	else
		client_close(c, l->h2.broken ? CLOSE_NO_MEMORY : CLOSE_CLIENT_BROKE);
}

static void
free_link(struct h2_link *l)
{
	free(of_link(l));
}

static const struct h2_link_owner owner = {
	.waits = waits,
	.flushed = flushed,
	.free = free_link,
};

static const struct h2_events events = {
	.on_drained = client_h2_on_drained,
	.on_request = client_h2_on_request,
	.on_body = client_h2_on_body,
	.on_end = client_h2_on_end,
	.on_closed = client_h2_on_closed,
	.on_refused = client_h2_on_refused,
	.put = h2_link_put,
	.point = h2_link_point,
	.is_full = h2_link_is_full,
};

/* --- reading -------------------------------------------------------------------------------------------------- */

/* False: there is nothing more to read for now. */
static bool
read_once(struct client *c)
{
	char *to = net_loop_scratch(c->thread->loop);
	ssize_t n = net_stream_read(&c->stream, to, NET_SCRATCH_SIZE);

	if (n == NET_AGAIN)
		return false;
	if (n == NET_ERROR || n == NET_EOF) {
		client_close(c, c->h2->link.h2.n_streams == 0 ? CLOSE_CLIENT : CLOSE_CLIENT_BROKE);
		return false;
	}
	if (UNLIKELY(c->untold))
		client_rotation_spoke(c);
	if (!h2_link_receive(&c->h2->link, sv_of(to, (size_t)n))) {
		if (!c->closed)
			fail(c);
		return false;
	}
	client_arm(c);
	return !c->closed;
}

/* What has been read asks for answers. */
static void
send_answers(struct client *c)
{
	if (!client_is_open(c))
		return;
	if (!h2_link_flush(&c->h2->link)) {
		client_close(c, CLOSE_CLIENT_BROKE);
		return;
	}
	h2_link_flush_later(&c->h2->link);
}

static void
readable(struct client *c)
{
	int reads = 0;

	while (client_is_open(c) && !c->stream.paused && reads < NET_READS && read_once(c))
		reads++;
	send_answers(c);
	if (reads == NET_READS && client_is_open(c))
		net_stream_again(&c->stream);
}

/* --- the connection's codec ----------------------------------------------------------------------------------- */

static void
on_drain(struct net_timer *t)
{
	struct client_h2 *ch = CONTAINER_OF(t, struct client_h2, drain);

	h2_go_away(&ch->link.h2, true);
	h2_link_flush_later(&ch->link);
}

static bool
begin(struct client *c)
{
	const struct snapshot *s = c->thread->view->snapshot;
	const struct conf_http2 *conf = &s->conf->http2;
	const struct h2_limits limits = {
		.head_bytes = s->head_bytes,
		.fields = s->fields,
		.streams = (uint32_t)conf->streams,
		.stream_window = (uint32_t)conf->stream_window,
		.connection_window = (uint32_t)conf->connection_window,
		.calm = (uint32_t)conf->flood_burst,
		.calm_per_second = (uint32_t)conf->flood_rate,
	};
	struct client_h2 *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return false;
	h2_link_init(&ch->link, &c->stream, &c->thread->to_client, &owner);
	if (!h2_open(&ch->link.h2, &events, &limits, &c->thread->block)) {
		free(ch);
		return false;
	}
	ch->client = c;
	ch->keep_max = (size_t)conf->send_buffer;
	LIST_INIT(&ch->streams);
	net_timer_init(&ch->drain, c->thread->loop, on_drain);
	net_stream_keep_short(&c->stream, UNSENT);
	c->h2 = ch;
	counter_add(&c->thread->counters.http2_connections_open, 1);
	h2_link_flush_later(&c->h2->link);
	return true;
}

void
client_h2_take_over(struct client *c, struct sv bytes)
{
	const struct client_codec *before = c->codec;

	c->codec = &client_h2_codec;
	if (!begin(c)) {
		client_close(c, CLOSE_NO_MEMORY);
	} else if (!h2_link_receive(&c->h2->link, bytes)) {
		if (!c->closed)
			fail(c);
	} else {
		client_arm(c);
		send_answers(c);
	}
	before->free(c);
}

static void
drained(struct client *c)
{
	if (!h2_link_flush(&c->h2->link))
		client_close(c, CLOSE_CLIENT_BROKE);
}

static const struct conf_timeouts *
timeouts(const struct client *c)
{
	return &c->thread->view->snapshot->conf->timeouts;
}

static uint64_t
patience(const struct client *c, const struct conf_timeouts *t)
{
	if (h2_awaits_section(&c->h2->link.h2))
		return t->head;
	return c->h2->link.h2.n_streams == 0 ? t->idle : 0; /* streams have their own deadlines */
}

static void
expired(struct client *c)
{
	c->reason = h2_awaits_section(&c->h2->link.h2) ? CLOSE_HEAD_TIMEOUT : CLOSE_IDLE;
	h2_go_away(&c->h2->link.h2, true);
	finish(c, c->reason);
}

static void
drain(struct client *c)
{
	if (c->h2->link.h2.goes_away)
		return;
	c->reason = c->ends ? CLOSE_ORIGIN_LEFT : CLOSE_DRAIN;
	h2_go_away(&c->h2->link.h2, c->h2->link.h2.n_streams == 0);
	if (c->h2->link.h2.n_streams > 0)
		net_timer_set(&c->h2->drain, DRAIN_NOTICE_MS);
	h2_link_flush_later(&c->h2->link);
}

/* Windows and requests may always be on their way; closed with those unread, the last response would lose its end. */
static bool
awaits_more(const struct client *c)
{
	(void)c;
	return true;
}

static void
gone(struct client *c, const char *why)
{
	if (c->h2 == NULL)
		return;
	c->h2->link.silent = true;
	end_streams(c, why);
	counter_sub(&c->thread->counters.http2_connections_open, 1);
}

static void
free_connection(struct client *c)
{
	if (c->h2 != NULL) /* else it could not begin */
		h2_link_close(&c->h2->link);
}

const struct client_codec client_h2_codec = {
	.begin = begin,
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
