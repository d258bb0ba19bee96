#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 8192 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size; /* of `data` */
	_Alignas(max_align_t) unsigned char data[];
};

static struct arena_chunk *
chunk_for(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t room = MAX_OF(size, (size_t)CHUNK_SIZE);

	if (c != NULL && c->size - c->used >= size)
		return c;
	if (room > SIZE_MAX - sizeof(*c) || (c = calloc(1, sizeof(*c) + room)) == NULL)
		return NULL;
	c->size = room;
	c->next = a->chunks;
	a->chunks = c;
	return c;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	const size_t align = _Alignof(max_align_t);

	if (size > SIZE_MAX - align)
		return NULL;
	size = (size + align - 1) / align * align;
	struct arena_chunk *c = chunk_for(a, size);
	if (c == NULL)
		return NULL;
	void *p = c->data + c->used;
	c->used += size;
	return p;
}

char *
arena_copy(struct arena *a, struct sv s)
{
	char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

	if (p != NULL && s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	char *p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){.chunk = a->chunks, .used = a->chunks != NULL ? a->chunks->used : 0};
}

void
arena_rewind(struct arena *a, struct arena_mark to)
{
	while (a->chunks != to.chunk) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->next;
		free(c);
	}
	if (to.chunk == NULL)
		return;
	memset(to.chunk->data + to.used, 0, to.chunk->used - to.used);
	to.chunk->used = to.used;
}

void
arena_free(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c != NULL) {
		struct arena_chunk *next = c->next;
		free(c);
		c = next;
	}
	a->chunks = NULL;
}
