/*
 * template.h: a text with variables in it, taken apart once at load.
 *
 * "${name}" and, for numbers, "$1" stand for a variable, "$$" for a dollar
 * sign; a dollar sign before anything else is refused. Immutable once parsed.
 */
#ifndef BASCULE_ROUTE_TEMPLATE_H
#define BASCULE_ROUTE_TEMPLATE_H

#include "base/arena.h"
#include "base/err.h"

enum { TEMPLATE_TEXT = -1 };

struct template_piece {
	struct sv text;
	int variable; /* an index into the values, or TEMPLATE_TEXT: `text` as it is */
};

struct template {
	struct template_piece *pieces; /* in the arena */
	size_t n;
};

/* The index of the variable of this name; -1 with `err` set when there is none. */
typedef int template_lookup(const void *context, struct sv name, struct err *err);

/* The template's memory is in the arena, with a copy of `text`. */
MUST_CHECK bool template_parse(struct template *t, struct arena *arena, const char *text, template_lookup *lookup,
    const void *context, struct err *err);

/* Does it hold any variable? */
bool template_varies(const struct template *t);

/* Bytes that it takes with these values. */
size_t template_length(const struct template *t, const struct sv *values);

/* Write it to `out`, which has room for template_length(); returns what follows the last byte. */
char *template_write(const struct template *t, const struct sv *values, char *out);

#endif
