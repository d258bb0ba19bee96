/*
 * admin_socket.c: where the admin socket is, however broken the rest of the config.
 */
#include "conf/gather.h"
#include "conf/read.h"
#include "conf/scan.h"

/* In a text that is no JSON: the string behind the key "socket", which stands in no other object. */
static struct sv
scan_for_socket(struct sv text)
{
	const struct sv wanted = SV("\"socket\"");
	struct token key = {.kind = TOKEN_END}, colon = {.kind = TOKEN_END}, at;
	struct scan s;

	scan_init(&s, text);
	for (; scan_next(&s, &at); key = colon, colon = at) {
		struct sv name = sv_of(text.p + key.start, key.end - key.start);
		if (at.kind == TOKEN_STRING && colon.kind == ':' && key.kind == TOKEN_STRING && sv_eq(name, wanted))
			return at.end - at.start > 2 && text.p[at.end - 1] == '"' /* it may have none, at the end of a line */
			    ? sv_of(text.p + at.start + 1, at.end - at.start - 2)
			    : SV_NONE;
	}
	return SV_NONE;
}

static const char *
socket_in(const struct conf_text *t, struct arena *arena)
{
	if (t->root != NULL)
		return json_string_value(json_object_get(json_object_get(t->root, "admin"), "socket"));
	struct sv found = scan_for_socket(t->json);
	/* What escapes mean is not known here; a path has none. */
	if (found.n == 0 || memchr(found.p, '\\', found.n) != NULL)
		return NULL;
	return arena_copy(arena, found);
}

const char *
conf_find_admin_socket(struct files *files, const char *path, struct arena *arena, struct conf_problems *problems)
{
	struct gathered g = conf_gather(files, path, arena, problems);
	const char *found = NULL;

	for (const struct conf_text *t = g.texts; t != NULL && found == NULL; t = t->next) {
		const char *value = socket_in(t, arena);
		if (value != NULL && value[0] != '\0')
			found = conf_absolute(arena, t->path, value);
	}
	gathered_free(&g);
	return found;
}
