#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 512 };

char *
buf_room(struct buf *b, size_t n)
{
	size_t len = buf_len(b);

	if (n > b->max || len > b->max - n)
		return NULL;
	if (b->capacity - b->tail >= n)
		return b->data + b->tail;
	if (b->head > 0) {
		memmove(b->data, b->data + b->head, len);
		b->head = 0;
		b->tail = (uint32_t)len;
		if (b->capacity - b->tail >= n)
			return b->data + b->tail;
	}
	size_t want = MAX_OF((size_t)b->capacity, (size_t)SMALLEST);
	while (want < len + n)
		want = want > b->max / 2 ? b->max : want * 2;
	char *grown = realloc(b->data, want);
	if (grown == NULL)
		return NULL;
	b->data = grown;
	b->capacity = (uint32_t)want;
	return b->data + b->tail;
}

bool
buf_append(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return true;
	char *to = buf_room(b, n);
	if (to == NULL)
		return false;
	memcpy(to, p, n);
	b->tail += (uint32_t)n;
	return true;
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return false;
	char *to = buf_room(b, (size_t)n + 1); /* vsnprintf writes a NUL, which is not added */
	if (to == NULL)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->tail += (uint32_t)n;
	return true;
}

void
buf_consume(struct buf *b, size_t n)
{
	b->head += (uint32_t)n;
	if (b->head == b->tail)
		buf_clear(b);
}

void
buf_clear(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}
