/* client_h2.c: HTTP/2 on the client's side, the connection (RFC 9113). */
#include "proxy/client_h2.h"

#include <stdlib.h>

#include "base/log.h"
#include "proxy/client.h"

enum {
	TOGETHER = 16 * 1024,   /* bytes put together for the end of the turn: a record of TLS */
	DRAIN_NOTICE_MS = 1000, /* from the first GOAWAY to the one that refuses: requests on their way are answered */
};

/* --- sending -------------------------------------------------------------------------------------------------- */

static void
put(struct h2 *s, struct sv bytes)
{
	outbox_copy(&client_h2_of(s)->client->thread->to_client, bytes);
}

static void
point(struct h2 *s, struct sv bytes)
{
	outbox_add(&client_h2_of(s)->client->thread->to_client, bytes);
}

static bool
is_full(const struct h2 *s)
{
	const struct client_h2 *ch = CONTAINER_OF(s, const struct client_h2, h2);
	const struct client *c = ch->client;

	return net_stream_pending(&c->stream) + buf_len(&ch->out) + outbox_size(&c->thread->to_client) > HIGH_WATER;
}

static bool
write_out(struct client *c)
{
	struct client_h2 *ch = c->h2;
	bool before = net_stream_pending(&c->stream) > 0, ok = true;

	if (buf_len(&ch->out) > 0 || !outbox_is_empty(&c->thread->to_client))
		ok = outbox_flush_behind(&c->thread->to_client, buf_view(&ch->out), &c->stream);
	if (ch->n_streams > 0)
		buf_reset(&ch->out);
	else
		buf_clear(&ch->out);
	bool after = net_stream_pending(&c->stream) > 0;
	if (ok && !before && after)
		client_arm(c);
	if (ok && !after && h2_wants_to_send(&ch->h2))
		client_h2_flush_later(c); /* it was full, and has been taken at once */
	return ok;
}

/* --- the end, and what goes out at the end of the turn --------------------------------------------------------- */

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
	bool ok = h2_send(&c->h2->h2) && write_out(c);

	outbox_discard(&c->thread->to_client);
	end_streams(c, close_reason_text(why));
	if (ok && client_is_open(c))
		client_finish(c, why);
	else
		client_close(c, why);
}

/* Nothing more will come or go. */
static void
end_if_over(struct client *c)
{
	struct client_h2 *ch = c->h2;

	if (!client_is_open(c))
		return;
	if (h2_is_over(&ch->h2) || (ch->h2.goes_away && ch->n_streams == 0 && !net_timer_pending(&ch->drain)))
		finish(c, c->reason != CLOSE_CLIENT ? (enum close_reason)c->reason : CLOSE_LAST_REQUEST);
}

static void
on_flush(struct net_deferred *d)
{
	struct client_h2 *ch = CONTAINER_OF(d, struct client_h2, flush);
	struct client *c = ch->client;

	if (c == NULL) {
		free(ch);
		return;
	}
	if (!client_is_open(c))
		return;
	bool ok = h2_send(&ch->h2) && write_out(c);
	outbox_discard(&c->thread->to_client);
	if (ok)
		end_if_over(c);
	else
		client_close(c, CLOSE_CLIENT_BROKE);
}

void
client_h2_flush_later(struct client *c)
{
	if (!c->closed)
		net_loop_defer(c->thread->loop, &c->h2->flush, on_flush);
}

bool
client_h2_flush(struct client *c)
{
	struct outbox *o = &c->thread->to_client;
	struct client_h2 *ch = c->h2;

	if (!h2_send(&ch->h2)) {
		outbox_discard(o);
		return false;
	}
	if (outbox_is_empty(o))
		return true;
	if (buf_len(&ch->out) + outbox_size(o) > TOGETHER)
		return write_out(c);
	client_h2_flush_later(c);
	return outbox_move(o, &ch->out);
}

static const struct h2_events events = {
	.on_drained = client_h2_on_drained,
	.on_request = client_h2_on_request,
	.on_body = client_h2_on_body,
	.on_end = client_h2_on_end,
	.on_closed = client_h2_on_closed,
	.put = put,
	.point = point,
	.is_full = is_full,
};

/* --- reading -------------------------------------------------------------------------------------------------- */

/* What was wrong goes to the client in a GOAWAY, and to the log. */
static void
fail(struct client *c)
{
	struct client_h2 *ch = c->h2;

	if (log_allows(&c->thread->client_lines, LOG_INFO, net_loop_now(c->thread->loop)))
		log_info("client %.*s: HTTP/2: %s", SV_FMT(c->address), ch->h2.fault);
	finish(c, CLOSE_MALFORMED);
}

static bool
receive(struct client *c, struct sv bytes)
{
	struct client_h2 *ch = c->h2;

	ch->receiving = true;
	bool ok = h2_receive(&ch->h2, bytes, net_loop_now(c->thread->loop));
	ch->receiving = false;
	return ok;
}

/* False: there is nothing more to read for now. */
static bool
read_once(struct client *c)
{
	char *to = net_loop_scratch(c->thread->loop);
	ssize_t n = net_stream_read(&c->stream, to, NET_SCRATCH_SIZE);

	if (n == NET_AGAIN)
		return false;
	if (n == NET_ERROR || n == NET_EOF) {
		client_close(c, c->h2->n_streams == 0 ? CLOSE_CLIENT : CLOSE_CLIENT_BROKE);
		return false;
	}
	if (UNLIKELY(c->untold))
		client_rotation_spoke(c);
	if (!receive(c, sv_of(to, (size_t)n))) {
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
	if (!client_h2_flush(c)) {
		client_close(c, CLOSE_CLIENT_BROKE);
		return;
	}
	client_h2_flush_later(c);
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

	h2_go_away(&ch->h2, true);
	client_h2_flush_later(ch->client);
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
	};
	struct client_h2 *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return false;
	if (!h2_open(&ch->h2, &events, &limits, &c->thread->block)) {
		free(ch);
		return false;
	}
	ch->client = c;
	ch->keep_max = (size_t)conf->send_buffer;
	LIST_INIT(&ch->streams);
	buf_init(&ch->out, STREAM_OUT_MAX);
	net_timer_init(&ch->drain, c->thread->loop, on_drain);
	c->h2 = ch;
	client_h2_flush_later(c);
	return true;
}

void
client_h2_take_over(struct client *c, struct sv bytes)
{
	const struct client_codec *before = c->codec;

	c->codec = &client_h2_codec;
	if (!begin(c)) {
		client_close(c, CLOSE_NO_MEMORY);
	} else if (!receive(c, bytes)) {
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
	if (!client_h2_flush(c))
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
	if (h2_awaits_section(&c->h2->h2))
		return t->head;
	return c->h2->n_streams == 0 ? t->idle : 0; /* streams have their own deadlines */
}

static void
expired(struct client *c)
{
	c->reason = h2_awaits_section(&c->h2->h2) ? CLOSE_HEAD_TIMEOUT : CLOSE_IDLE;
	h2_go_away(&c->h2->h2, true);
	finish(c, c->reason);
}

static void
drain(struct client *c)
{
	if (c->h2->h2.goes_away)
		return;
	c->reason = c->ends ? CLOSE_ORIGIN_LEFT : CLOSE_DRAIN;
	h2_go_away(&c->h2->h2, c->h2->n_streams == 0);
	if (c->h2->n_streams > 0)
		net_timer_set(&c->h2->drain, DRAIN_NOTICE_MS);
	client_h2_flush_later(c);
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
	if (c->h2 != NULL)
		end_streams(c, why);
}

static void
free_connection(struct client *c)
{
	struct client_h2 *ch = c->h2;

	if (ch == NULL)
		return; /* it could not begin */
	h2_close(&ch->h2);
	buf_clear(&ch->out);
	ch->client = NULL;
	if (ch->flush.fn == NULL) /* else it runs yet */
		free(ch);
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
