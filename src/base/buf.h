/*
 * buf.h: a byte queue with a declared maximum.
 *
 * Bytes are appended at the end and consumed at the front. It owns its
 * memory, which it gives back when it runs empty (buf_consume, buf_clear), so
 * that an idle connection holds none. One thread at a time.
 */
#ifndef BASCULE_BASE_BUF_H
#define BASCULE_BASE_BUF_H

#include "base/sv.h"

/* Short, since each connection has several; no declared maximum comes near 4 GiB. */
struct buf {
	char *data;        /* NULL while empty and never used */
	uint32_t head;     /* first byte not consumed */
	uint32_t tail;     /* one past the last byte */
	uint32_t capacity; /* bytes allocated */
	uint32_t max;      /* never holds more than this */
};

/* A `max` beyond UINT32_MAX is taken for that. */
static inline void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = (uint32_t)MIN_OF(max, (size_t)UINT32_MAX)};
}

/* Over memory of the caller's, which is to stay where it is: full when that is, and never to be cleared. */
static inline void
buf_over(struct buf *b, char *memory, size_t size)
{
	buf_init(b, size);
	b->data = memory;
	b->capacity = b->max;
}

static inline size_t
buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline struct sv
buf_view(const struct buf *b)
{
	return sv_of(b->data + b->head, b->tail - b->head);
}

/* False, with nothing appended, when it would exceed `max` or memory is out. */
MUST_CHECK bool buf_append(struct buf *b, const void *p, size_t n);
MUST_CHECK bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for at least n more bytes, to be filled by the caller and then added by buf_added(); NULL as above. */
MUST_CHECK char *buf_room(struct buf *b, size_t n);
static inline void
buf_added(struct buf *b, size_t n)
{
	b->tail += (uint32_t)n;
}

/* n must not exceed buf_len(). */
void buf_consume(struct buf *b, size_t n);

/* Empties it and keeps its memory, for a buffer that is needed again at once. */
static inline void
buf_reset(struct buf *b)
{
	b->head = b->tail = 0;
}

/* Empties it and frees its memory; it can be used again. */
void buf_clear(struct buf *b);

#endif
