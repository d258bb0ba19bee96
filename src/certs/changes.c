#include "certs/changes.h"

#include <string.h>

void
tls_changes_forget(struct tls_changes *c)
{
	arena_free(&c->arena);
	c->known = false;
	c->n = 0;
}

void
tls_changes_none(struct tls_changes *c)
{
	tls_changes_forget(c);
	c->known = true;
}

void
tls_changes_add(struct tls_changes *c, const char *directory, const char *entry)
{
	if (!c->known)
		return;
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].entry, entry) == 0 && strcmp(c->v[i].directory, directory) == 0)
			return;
	struct tls_change new = {NULL, NULL};
	if (c->n < TLS_CHANGES_MAX)
		new = (struct tls_change){arena_copy(&c->arena, sv_cstr(directory)), arena_copy(&c->arena, sv_cstr(entry))};
	if (new.directory == NULL || new.entry == NULL)
		tls_changes_forget(c);
	else
		c->v[c->n++] = new;
}
