#include "proxy/outbox.h"

#include <errno.h>
#include <stdlib.h>

enum { SMALL_PIECE = 256 };

bool
outbox_init(struct outbox *o, size_t text_size)
{
	*o = (struct outbox){.n = 0};
	buf_init(&o->text, text_size);
	o->text.data = malloc(text_size);
	o->text.capacity = o->text.data != NULL ? text_size : 0;
	return o->text.data != NULL;
}

void
outbox_free(struct outbox *o)
{
	buf_clear(&o->text);
}

/* Let the last piece grow when the new bytes lie right behind it. */
static bool
extend_last(struct outbox *o, struct sv data)
{
	struct iovec *last = o->n > 0 ? &o->v[o->n - 1] : NULL;

	if (last == NULL || (const char *)last->iov_base + last->iov_len != data.p)
		return false;
	last->iov_len += data.n;
	return true;
}

static void
add_piece(struct outbox *o, struct sv data)
{
	if (!extend_last(o, data))
		o->v[o->n++] = (struct iovec){.iov_base = (char *)data.p, .iov_len = data.n};
}

/* The pieces have run out (many chunks in one read): all of them become one run of text. */
static bool
flatten(struct outbox *o)
{
	size_t from = buf_len(&o->text);

	for (int i = 0; i < o->n; i++)
		if (!buf_append(&o->text, o->v[i].iov_base, o->v[i].iov_len))
			return false;
	o->n = 0;
	add_piece(o, sv_of(o->text.data + from, buf_len(&o->text) - from));
	return true;
}

void
outbox_add_text(struct outbox *o, size_t from)
{
	struct sv data = sv_of(o->text.data + from, buf_len(&o->text) - from);

	if (data.n == 0 || extend_last(o, data))
		return;
	if (o->n == OUTBOX_PIECES && !flatten(o))
		o->overflow = true;
	else
		add_piece(o, data);
}

void
outbox_copy(struct outbox *o, struct sv data)
{
	size_t from = buf_len(&o->text);

	if (buf_append(&o->text, data.p, data.n))
		outbox_add_text(o, from);
	else
		o->overflow = true;
}

void
outbox_add(struct outbox *o, struct sv data)
{
	if (data.n <= SMALL_PIECE)
		outbox_copy(o, data); /* cheaper than a piece of its own */
	else if (o->n == OUTBOX_PIECES && !flatten(o))
		o->overflow = true;
	else
		add_piece(o, data);
}

void
outbox_discard(struct outbox *o)
{
	o->n = 0;
	o->overflow = false;
	buf_reset(&o->text);
}

bool
outbox_flush(struct outbox *o, struct net_stream *s, bool last)
{
	bool ok = !o->overflow;

	if (!ok)
		errno = ENOBUFS;
	if (ok && last)
		ok = net_stream_write_last(s, o->v, o->n);
	else if (ok && o->n > 0)
		ok = net_stream_write(s, o->v, o->n);
	outbox_discard(o);
	return ok;
}

bool
outbox_flush_behind(struct outbox *o, struct sv before, struct net_stream *s)
{
	struct iovec all[OUTBOX_PIECES + 1] = {{.iov_base = (char *)before.p, .iov_len = before.n}};
	bool ok = !o->overflow;

	for (int i = 0; i < o->n; i++)
		all[i + 1] = o->v[i];
	if (!ok)
		errno = ENOBUFS;
	int skip = before.n == 0;
	ok = ok && net_stream_write(s, all + skip, o->n + 1 - skip);
	outbox_discard(o);
	return ok;
}

size_t
outbox_size(const struct outbox *o)
{
	size_t n = 0;

	for (int i = 0; i < o->n; i++)
		n += o->v[i].iov_len;
	return n;
}

bool
outbox_move(struct outbox *o, struct buf *to)
{
	bool ok = !o->overflow;

	for (int i = 0; ok && i < o->n; i++)
		ok = buf_append(to, o->v[i].iov_base, o->v[i].iov_len);
	outbox_discard(o);
	return ok;
}
