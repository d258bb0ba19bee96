/*
 * restart.c: what a reload can not change.
 */
#include <stdio.h>

#include "conf/keys.h"

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Only numbers, strings and paths are marked so. */
static bool
same(const struct key *k, const void *a, const void *b)
{
	if (k->type == KEY_STRING || k->type == KEY_PATH)
		return same_text(*(const char *const *)a, *(const char *const *)b);
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static size_t
compare(const struct key_object *o, const char *prefix, const char *a, const char *b, char *out, size_t size, size_t n)
{
	for (size_t i = 0; i < o->n_keys; i++) {
		const struct key *k = &o->keys[i];
		if (k->type == KEY_OBJECT && prefix[0] == '\0')
			n = compare(k->object, k->name, a + k->offset, b + k->offset, out, size, n);
		else if ((k->flags & KEY_RESTART) && n < size && !same(k, a + k->offset, b + k->offset))
			n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", n > 0 ? ", " : "", prefix,
			    prefix[0] != '\0' ? "." : "", k->name);
	}
	return n;
}

void
conf_needs_restart(const struct conf *running, const struct conf *loaded, char *out, size_t size)
{
	if (size > 0)
		out[0] = '\0';
	compare(&conf_keys, "", (const char *)running, (const char *)loaded, out, size, 0);
}
