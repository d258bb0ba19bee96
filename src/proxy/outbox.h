/*
 * outbox.h: what one callback has to send on one stream, put together for one system call.
 *
 * A thread has two, one for each direction. Heads and chunk framing are
 * written into its own bytes; body data is only pointed to, in the buffer it
 * was read into. So it must be flushed before that buffer is read into
 * again, and is empty between callbacks.
 */
#ifndef BASCULE_PROXY_OUTBOX_H
#define BASCULE_PROXY_OUTBOX_H

#include "net/stream.h"

enum { OUTBOX_PIECES = 48 };

struct outbox {
	struct buf text; /* fixed memory: never moves */
	struct iovec v[OUTBOX_PIECES];
	int n;
	bool overflow; /* something did not fit: the flush fails */
};

MUST_CHECK bool outbox_init(struct outbox *o, size_t text_size);
void outbox_free(struct outbox *o);

static inline bool
outbox_is_empty(const struct outbox *o)
{
	return o->n == 0;
}

/* Bytes that live until the flush. */
void outbox_add(struct outbox *o, struct sv data);

/* Text written to o->text from length `from` on. */
void outbox_add_text(struct outbox *o, size_t from);

/* A copy of bytes that do not live that long. */
void outbox_copy(struct outbox *o, struct sv data);

/* Send all; with `last`, the end of the stream too. False: the stream is broken. Empty afterwards in any case. */
MUST_CHECK bool outbox_flush(struct outbox *o, struct net_stream *s, bool last);

/* The same behind other bytes, in one system call. */
MUST_CHECK bool outbox_flush_behind(struct outbox *o, struct sv before, struct net_stream *s);

/* All of it in bytes, and copied behind others. */
size_t outbox_size(const struct outbox *o);
MUST_CHECK bool outbox_move(struct outbox *o, struct buf *to);

void outbox_discard(struct outbox *o);

#endif
