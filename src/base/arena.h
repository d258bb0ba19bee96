/*
 * arena.h: memory that is freed all at once.
 *
 * What lives as long as its whole (a config, a routing table) is allocated
 * here and freed by one call. One thread at a time.
 */
#ifndef BASCULE_BASE_ARENA_H
#define BASCULE_BASE_ARENA_H

#include "base/sv.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first; owned */
};

#define ARENA_EMPTY ((struct arena){NULL})

/* Zeroed memory, aligned for any type; NULL when memory is out. */
void *arena_alloc(struct arena *a, size_t size);

/* A NUL-terminated copy; NULL when memory is out. */
char *arena_copy(struct arena *a, struct sv s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A moment in its life, to go back to: what was allocated since is free again. */
struct arena_mark {
	struct arena_chunk *chunk;
	size_t used;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark to);

void arena_free(struct arena *a);

#endif
