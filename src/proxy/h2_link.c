#include "proxy/h2_link.h"

#include "proxy/exchange.h"

enum { TOGETHER = 16 * 1024 }; /* bytes put together for the end of the turn: a record of TLS */

static struct h2_link *
link_of(struct h2 *s)
{
	return CONTAINER_OF(s, struct h2_link, h2);
}

void
h2_link_put(struct h2 *s, struct sv bytes)
{
	outbox_copy(link_of(s)->box, bytes);
}

void
h2_link_point(struct h2 *s, struct sv bytes)
{
	outbox_add(link_of(s)->box, bytes);
}

bool
h2_link_is_full(const struct h2 *s)
{
	const struct h2_link *l = CONTAINER_OF(s, const struct h2_link, h2);

	return net_stream_pending(l->stream) + buf_len(&l->out) + outbox_size(l->box) > HIGH_WATER;
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static bool
write_out(struct h2_link *l)
{
	bool before = net_stream_pending(l->stream) > 0, ok = true;

	if (buf_len(&l->out) > 0 || !outbox_is_empty(l->box))
		ok = outbox_flush_behind(l->box, buf_view(&l->out), l->stream);
	if (l->h2.n_streams > 0)
		buf_reset(&l->out);
	else
		buf_clear(&l->out); /* an idle connection owns no buffer */
	bool after = net_stream_pending(l->stream) > 0;
	if (ok && !before && after)
		l->owner->waits(l);
	if (ok && !after && h2_wants_to_send(&l->h2))
		h2_link_flush_later(l); /* it was full, and has been taken at once */
	return ok;
}

bool
h2_link_send(struct h2_link *l)
{
	bool ok = l->silent || (h2_send(&l->h2) && write_out(l));

	outbox_discard(l->box);
	return ok;
}

static void
on_flush(struct net_deferred *d)
{
	struct h2_link *l = CONTAINER_OF(d, struct h2_link, flush);

	if (l->closed)
		l->owner->free(l);
	else if (!l->silent)
		l->owner->flushed(l, h2_link_send(l));
}

void
h2_link_flush_later(struct h2_link *l)
{
	if (!l->closed && !l->silent)
		net_loop_defer(l->stream->loop, &l->flush, on_flush);
}

bool
h2_link_flush(struct h2_link *l)
{
	if (l->receiving || l->silent)
		return true;
	if (!h2_send(&l->h2)) {
		outbox_discard(l->box);
		return false;
	}
	if (outbox_is_empty(l->box))
		return true;
	if (buf_len(&l->out) + outbox_size(l->box) > TOGETHER)
		return write_out(l);
	h2_link_flush_later(l);
	return outbox_move(l->box, &l->out);
}

bool
h2_link_receive(struct h2_link *l, struct sv bytes)
{
	l->receiving = true;
	bool ok = h2_receive(&l->h2, bytes, net_loop_now(l->stream->loop));
	l->receiving = false;
	return ok;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

void
h2_link_init(struct h2_link *l, struct net_stream *s, struct outbox *box, const struct h2_link_owner *owner)
{
	l->stream = s;
	l->box = box;
	l->owner = owner;
	buf_init(&l->out, STREAM_OUT_MAX);
}

void
h2_link_close(struct h2_link *l)
{
	l->closed = true;
	h2_close(&l->h2);
	buf_clear(&l->out);
	if (l->flush.fn == NULL) /* else it runs yet */
		l->owner->free(l);
}
