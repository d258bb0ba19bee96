/* h2_window.c: how much of a body a peer may send ahead. */
#include "http/h2_internal.h"

enum { FIRST_WINDOW = 64 * 1024 };

uint32_t
h2_first_window(const struct h2 *s)
{
	return MIN_OF((uint32_t)FIRST_WINDOW, s->limits.stream_window);
}

/*
 * When the client has filled the window once, and all of that was taken as it came, the window is what holds it up, and is
 * doubled: up to the limit, and as long as all streams together have grown by no more than half of the connection's window.
 * So those that grew, and are slow now, leave half of it to others, which it takes many slow ones to use up.
 */
static void
grow(struct h2 *s, struct h2_stream *st)
{
	uint32_t more = MIN_OF(st->window, s->limits.stream_window - st->window);

	more = MIN_OF(more, s->limits.connection_window / 2 - s->grown);
	if (more == 0)
		return;
	st->window += more;
	s->grown += more;
	h2_check(s, nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, st->id, (int32_t)st->window));
}

void
h2_shrink(struct h2 *s, struct h2_stream *st)
{
	s->grown -= st->window - h2_first_window(s);
	st->window = h2_first_window(s);
	st->ends = true;
}

/*
 * The library would wait until half of the connection's window is due, which never comes when slow uploads have more than the
 * other half: it is given back as well when the client has no more left than that.
 */
void
h2_give_back(struct h2 *s, uint64_t n)
{
	uint32_t window = s->limits.connection_window;
	int64_t left = (int64_t)window - nghttp2_session_get_effective_recv_data_length(s->session);

	s->due += n;
	if ((int64_t)s->due < MIN_OF((int64_t)window / 2, left))
		return;
	h2_check(s, nghttp2_submit_window_update(s->session, NGHTTP2_FLAG_NONE, 0, (int32_t)s->due));
	s->due = 0;
}

void
h2_take(struct h2 *s, struct h2_stream *st)
{
	uint64_t n = st->received;

	if (n == 0)
		return;
	st->received = 0;
	st->taken += n;
	if (st->open)
		h2_check(s, nghttp2_session_consume_stream(s->session, st->id, (size_t)n));
	if (!s->is_client) /* what a server sends is given back as it comes */
		h2_give_back(s, n);
	if (!st->open || st->ends || st->taken < st->window)
		return;
	if (!st->slow)
		grow(s, st);
	st->taken = 0;
	st->slow = false;
}
