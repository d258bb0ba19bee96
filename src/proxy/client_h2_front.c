/* client_h2_front.c: HTTP/2 on the client's side, the responses: the front of an exchange. */
#include "proxy/client.h"
#include "proxy/origin.h"

/* Which response matters more, who makes them may know better than who asks for them. */
static void
prioritize(struct exchange *x, const struct http_head *h)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (!h->fields[i].dropped && sv_ieq(h->fields[i].name, SV("priority")))
			h2_prioritize(&x->client->h2->link.h2, &x->stream->h2, h->fields[i].value);
}

static bool
front_head(struct exchange *x, const struct http_head *h, enum http_framing framing, uint64_t length)
{
	struct client_stream *st = x->stream;
	bool bodiless = x->request.method_id == HTTP_HEAD || h->status == 204 || h->status == 304 || framing == HTTP_NO_BODY ||
	    (framing == HTTP_LENGTH_BODY && length == 0);
	const struct h2_response r = {
		.bodiless = bodiless,
		.keep_length = framing == HTTP_NO_BODY && h->status != 204,
		.has_length = framing == HTTP_LENGTH_BODY,
		.length = length,
	};

	if (x->origin != NULL && (x->origin->authenticated || http_authenticates_connection(h))) {
		/* Who authenticates a connection needs it for himself, and for one request at a time (RFC 9113, 7). */
		h2_reset(&x->client->h2->link.h2, &st->h2, H2_HTTP_1_1_REQUIRED);
		return false;
	}
	if (x->tunnel) {
		client_stream_arm(st);
		x->status = client_h2_upgraded.status;
		return h2_respond(&x->client->h2->link.h2, &st->h2, h, &client_h2_upgraded);
	}
	if (h->status < 200)
		return h2_interim(&x->client->h2->link.h2, &st->h2, h);
	client_stream_arm(st);
	prioritize(x, h);
	return h2_respond(&x->client->h2->link.h2, &st->h2, h, &r);
}

static bool
front_body(struct exchange *x, struct sv data)
{
	struct client_h2 *ch = x->client->h2;
	struct h2_stream *st = &x->stream->h2;

	if (x->tunnel)
		client_stream_arm(x->stream);
	return h2_body(&ch->link.h2, st, data) && (!ch->link.receiving || h2_keep(&ch->link.h2, st));
}

static bool
front_end(struct exchange *x, const struct http_head *trailers)
{
	return h2_end(&x->client->h2->link.h2, &x->stream->h2, trailers);
}

/* While the connection is being read nothing can be sent: whoever reads sends afterwards. */
static bool
front_flush(struct exchange *x)
{
	struct client *c = x->client;
	struct client_stream *st = x->stream;

	if (c->h2->link.receiving)
		return true;
	bool ok = h2_link_flush(&c->h2->link) && !x->ended && h2_keep(&c->h2->link.h2, &st->h2);
	if (ok && h2_pending(&st->h2) > 0)
		client_stream_arm(st);
	return ok;
}

/* Each stream has its own bound, and so have all of them together: beyond it each waits with what it has. */
static size_t
front_pending(const struct exchange *x)
{
	const struct client_h2 *ch = x->client->h2;
	size_t own = h2_pending(&x->stream->h2);

	return own > 0 && ch->link.h2.kept > ch->keep_max ? MAX_OF(own, (size_t)HIGH_WATER + 1) : own;
}

static void
front_pause(struct exchange *x)
{
	x->stream->paused = true;
	client_stream_arm(x->stream);
}

static void
front_resume(struct exchange *x)
{
	struct client_stream *st = x->stream;

	st->paused = false;
	h2_take(&x->client->h2->link.h2, &st->h2);
	client_stream_arm(st);
	h2_link_flush_later(&x->client->h2->link);
}

/* The stream goes on by itself until all has been sent. */
static void
front_detach(struct exchange *x, enum side_end how)
{
	struct client *c = x->client;
	struct client_stream *st = x->stream;
	struct h2 *h2 = &c->h2->link.h2;

	st->exchange = NULL;
	if (c->closed || !st->h2.open)
		return;
	st->paused = false;
	h2_take(h2, &st->h2);
	if (how == SIDE_REFUSED)
		h2_reset(h2, &st->h2, H2_REFUSED_STREAM);
	else if (how == SIDE_BROKEN || !h2_keep(h2, &st->h2))
		h2_reset(h2, &st->h2, H2_INTERNAL_ERROR);
	st->lingers = !st->read;
	if (x->last && x->status == 421)
		h2_go_away(h2, true); /* the rule that the connection was made under has changed */
	client_stream_arm(st);
	h2_link_flush_later(&c->h2->link);
}

const struct side_ops client_h2_front = {
	.head = front_head,
	.body = front_body,
	.end = front_end,
	.flush = front_flush,
	.pending = front_pending,
	.pause = front_pause,
	.resume = front_resume,
	.detach = front_detach,
	.refuses = true,
};
