/*
 * places.c: where each value of a loaded config was written, for those who find a fault in it later.
 */
#include "conf/places.h"

#include <stdlib.h>

struct place {
	const void *field;
	const char *file;
	unsigned line, column;
};

struct conf_places {
	struct place *v; /* by field */
	size_t n;
};

struct conf_places *
places_new(struct conf *c)
{
	return arena_alloc(&c->arena, sizeof(struct conf_places));
}

static int
by_field(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->field > y->field) - (x->field < y->field);
}

bool
places_keep(struct conf_places *places, struct conf *c, const struct conf_place *places_of_reader)
{
	size_t n = HASH_COUNT(places_of_reader);

	places->v = arena_alloc(&c->arena, n * sizeof(*places->v));
	if (places->v == NULL)
		return false;
	for (const struct conf_place *p = places_of_reader; p != NULL; p = p->hh.next) {
		struct conf_where at = conf_text_where(p->text, p->node);
		places->v[places->n++] = (struct place){p->field, at.file, at.line, at.column};
	}
	if (n > 0)
		qsort(places->v, n, sizeof(*places->v), by_field);
	return true;
}

struct conf_where
conf_place(const struct conf_where *at, const void *field)
{
	const struct conf_places *places = at->places;
	const struct place key = {.field = field};
	const struct place *p = places == NULL || places->n == 0
	    ? NULL
	    : bsearch(&key, places->v, places->n, sizeof(key), by_field);

	return p != NULL ? (struct conf_where){p->file, p->line, p->column, places} : *at;
}
