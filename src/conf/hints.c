#include "conf/hints.h"

#include <stdio.h>

#include "base/nearest.h"
#include "conf/value.h"

/* --- the right place of a key ------------------------------------------------------------------------------- */

enum { HOMES_MAX = 8, HOME_TEXT = 96 };

/* The objects that have a key of this name, by their place: "the top", "listeners[]", "upstreams.NAME". */
struct homes {
	const char *name;
	const json_t *value; /* which the key is to take; NULL: any */
	char v[HOMES_MAX][HOME_TEXT];
	size_t n;
};

static void
find_homes(struct homes *h, const struct key_object *o, const char *path)
{
	static const char *const suffixes[] = {[KEY_OBJECT] = "", [KEY_LIST] = "[]", [KEY_MAP] = ".NAME"};
	const struct key *named = key_find(o, h->name);
	char below[HOME_TEXT];

	if (named != NULL && (h->value == NULL || value_has_form(named, h->value)) && h->n < HOMES_MAX)
		(void)snprintf(h->v[h->n++], HOME_TEXT, "%s", path[0] != '\0' ? path : "the top");
	for (size_t i = 0; i < o->n_keys; i++) {
		const struct key *k = &o->keys[i];
		if (k->object == NULL)
			continue;
		(void)snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] != '\0' ? "." : "", k->name, suffixes[k->type]);
		find_homes(h, k->object, below);
	}
}

/* "the top, listeners[] and upstreams.NAME"; empty: there is none. */
static void
homes_text(const char *name, const json_t *value, char *out, size_t size)
{
	struct homes h = {.name = name, .value = value};
	size_t len = 0;

	find_homes(&h, &conf_keys, "");
	out[0] = '\0';
	for (size_t i = 0; i < h.n && len < size; i++)
		len += (size_t)snprintf(
		    out + len, size - len, "%s%s", i == 0 ? "" : i + 1 < h.n ? ", " : " and ", h.v[i]);
}

/* The object within this one that knows a key which this one does not. */
static const struct key *
inner_home(const struct key_object *o, const char *name)
{
	for (size_t i = 0; i < o->n_keys; i++)
		if (o->keys[i].type == KEY_OBJECT && key_find(o->keys[i].object, name) != NULL)
			return &o->keys[i];
	return NULL;
}

void
hint_unknown_key(
    struct conf_text *t, uint32_t node, const struct key_object *o, const char *name, struct conf_problems *problems)
{
	char known[512] = "", homes[512];
	const char *names[64], *meant;
	const struct key *inner = inner_home(o, name);
	size_t n = 0, len = 0;

	for (; n < MIN_OF(o->n_keys, COUNTOF(names)); n++) {
		names[n] = o->keys[n].name;
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", n > 0 ? ", " : "", names[n]);
	}
	homes_text(name, NULL, homes, sizeof(homes));
	meant = nearest_word(name, names, n);
	if (meant != NULL && homes[0] != '\0')
		conf_text_key_error(t, node, problems, "unknown key here; did you mean \"%s\"? \"%s\" is a key of %s", meant, name,
		    inner != NULL ? inner->name : homes);
	else if (meant != NULL)
		conf_text_key_error(t, node, problems, "unknown key; did you mean \"%s\"?", meant);
	else if (inner != NULL)
		conf_text_key_error(t, node, problems, "unknown key here; it belongs into \"%s\"", inner->name);
	else if (homes[0] != '\0')
		conf_text_key_error(t, node, problems, "unknown key here; it is a key of %s", homes);
	else
		conf_text_key_error(t, node, problems, "unknown key; known here are: %s", known);
}

/* --- the right value ---------------------------------------------------------------------------------------- */

/* Keys of the same name that take this value: "tls": true is right for a listener. Texts and numbers are right for too many. */
static void
namesakes(const struct key *k, const json_t *json, char *out, size_t size)
{
	out[0] = '\0';
	if (k->name != NULL && (k->type == KEY_OBJECT || json_is_boolean(json) || json_is_object(json)))
		homes_text(k->name, json, out, size);
}

void
hint_wrong_value(
    struct conf_text *t, uint32_t node, const struct key *k, const json_t *json, struct conf_problems *problems)
{
	char expected[VALUE_EXPECTED_TEXT], example[VALUE_EXPECTED_TEXT], hint[VALUE_EXPECTED_TEXT], raw[TEXT_RAW_SIZE];
	char homes[512];
	const char *word = json_string_value(json), *meant = NULL;
	size_t n = 0;

	value_expected(k, expected);
	value_example(k, example);
	conf_text_raw(t, node, raw);
	value_meant(k, json, raw, hint);
	if (hint[0] == '\0' && example[0] != '\0')
		(void)snprintf(hint, sizeof(hint), "write %s", example);
	namesakes(k, json, homes, sizeof(homes));
	while (k->words != NULL && k->words[n] != NULL)
		n++;
	if (word != NULL && n > 0)
		meant = nearest_word(word, k->words, n);
	if (meant != NULL)
		conf_text_error(t, node, problems, "expected %s, not %s; did you mean \"%s\"?", expected, raw, meant);
	else if (homes[0] != '\0')
		conf_text_error(t, node, problems, "expected %s, not %s%s%s; the \"%s\" of %s takes %s", expected, raw,
		    hint[0] != '\0' ? "; " : "", hint, k->name, homes, raw);
	else
		conf_text_error(t, node, problems, "expected %s, not %s%s%s", expected, raw, hint[0] != '\0' ? "; " : "", hint);
}
