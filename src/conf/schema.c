/*
 * schema.c: the rows as a JSON Schema, by which editors complete and check.
 */
#include <stdio.h>

#include "conf/reference.h"
#include "conf/value.h"

struct schema {
	json_t *definitions; /* by the name of the object; owned by the whole */
	bool failed;         /* memory is out */
};

static json_t *
fill(struct schema *s, json_t *into, const char *key, json_t *value)
{
	/* Takes over the value, also when it fails or there is nothing to fill. */
	if (json_object_set_new(into, key, value) != 0)
		s->failed = true;
	return into;
}

static void
add(struct schema *s, json_t *list, json_t *value)
{
	if (json_array_append_new(list, value) != 0)
		s->failed = true;
}

static json_t *
type(struct schema *s, const char *name)
{
	return fill(s, json_object(), "type", json_string(name));
}

static json_t *
either(struct schema *s, const char *one, const char *other)
{
	json_t *types = json_array();

	add(s, types, json_string(one));
	add(s, types, json_string(other));
	return fill(s, json_object(), "type", types);
}

static void define(struct schema *s, const struct key_object *o);

static json_t *
reference(struct schema *s, const struct key_object *o)
{
	char path[64];

	define(s, o);
	(void)snprintf(path, sizeof(path), "#/definitions/%s", o->name);
	return fill(s, json_object(), "$ref", json_string(path));
}

static json_t *
words(struct schema *s, const struct key *k)
{
	json_t *list = json_array();

	for (size_t i = 0; k->words[i] != NULL; i++)
		add(s, list, json_string(k->words[i]));
	return fill(s, json_object(), "enum", list);
}

static json_t *
one_or_many_words(struct schema *s, const struct key *k)
{
	json_t *any = json_array();

	add(s, any, words(s, k));
	add(s, any, fill(s, type(s, "array"), "items", words(s, k)));
	return fill(s, json_object(), "anyOf", any);
}

static json_t *
number(struct schema *s, const struct key *k)
{
	bool zero = k->zero != NULL || k->min == 0;
	json_t *t;

	if (k->type == KEY_DURATION) {
		t = zero ? either(s, "string", "integer") : type(s, "string");
		fill(s, t, "pattern", json_string("^[0-9]+(ms|s|m|h|d)$"));
		if (zero)
			fill(s, fill(s, t, "minimum", json_integer(0)), "maximum", json_integer(0));
		return t;
	}
	t = k->type == KEY_SIZE ? either(s, "integer", "string") : type(s, "integer");
	fill(s, t, "minimum", json_integer(zero ? 0 : (json_int_t)k->min));
	if (k->max < KEY_NO_MAX)
		fill(s, t, "maximum", json_integer((json_int_t)k->max));
	return k->type == KEY_SIZE ? fill(s, t, "pattern", json_string("^[0-9]+[kmg]$")) : t;
}

static json_t *
value_of(struct schema *s, const struct key *k)
{
	if (k->words != NULL)
		return k->type == KEY_WORDS ? one_or_many_words(s, k) : words(s, k);
	switch (k->type) {
	case KEY_BOOL:
		return type(s, "boolean");
	case KEY_NUMBER:
	case KEY_DURATION:
	case KEY_SIZE:
		return number(s, k);
	case KEY_STRINGS:
	case KEY_PATHS:
		return fill(s, either(s, "string", "array"), "items", type(s, "string"));
	case KEY_PAIRS:
		return fill(s, type(s, "object"), "additionalProperties", type(s, "string"));
	case KEY_LIST:
		return fill(s, type(s, "array"), "items", reference(s, k->object));
	case KEY_MAP:
		return fill(s, type(s, "object"), "additionalProperties", reference(s, k->object));
	case KEY_OBJECT: { /* what stands beside a $ref is not looked at in draft 7 */
		json_t *all = json_array();
		add(s, all, reference(s, k->object));
		return fill(s, json_object(), "allOf", all);
	}
	default:
		return fill(s, type(s, "string"), "minLength", json_integer(1));
	}
}

static json_t *
property(struct schema *s, const struct key *k)
{
	char text[1024], preset[VALUE_NUMBER_TEXT];
	json_t *p = value_of(s, k);

	(void)snprintf(text, sizeof(text), "%s%s%s%s%s", k->help, k->zero != NULL ? " 0: " : "",
	    k->zero != NULL ? k->zero : "", k->zero != NULL ? "." : "",
	    k->flags & KEY_RESTART ? " Takes effect at a restart." : "");
	fill(s, p, "description", json_string(text));
	value_preset(k, preset);
	if (preset[0] != '\0')
		fill(s, p, "default", json_loads(preset, JSON_DECODE_ANY, NULL));
	if (k->example != NULL) {
		json_t *examples = json_array();
		add(s, examples, json_loads(k->example, JSON_DECODE_ANY, NULL));
		fill(s, p, "examples", examples);
	}
	return p;
}

static json_t *
object(struct schema *s, const struct key_object *o)
{
	json_t *properties = json_object(), *required = json_array(), *t = type(s, "object");

	for (size_t i = 0; i < o->n_keys; i++) {
		fill(s, properties, o->keys[i].name, property(s, &o->keys[i]));
		if (o->keys[i].flags & KEY_REQUIRED)
			add(s, required, json_string(o->keys[i].name));
	}
	fill(s, t, "description", json_string(o->intro));
	fill(s, t, "properties", properties);
	if (json_array_size(required) > 0)
		fill(s, t, "required", required);
	else
		json_decref(required);
	return fill(s, t, "additionalProperties", json_false());
}

static void
define(struct schema *s, const struct key_object *o)
{
	if (s->failed || json_object_get(s->definitions, o->name) != NULL)
		return;
	json_t *t = object(s, o);
	if (o->shorthand != NULL) {
		json_t *any = json_array();
		const struct key *k = key_find(o, o->shorthand);
		add(s, any, k->type == KEY_STRINGS ? value_of(s, k) : type(s, "string"));
		add(s, any, t);
		t = fill(s, json_object(), "anyOf", any);
	}
	fill(s, s->definitions, o->name, t);
}

static int
append(const char *bytes, size_t n, void *out)
{
	return buf_append(out, bytes, n) ? 0 : -1;
}

bool
conf_write_schema(struct buf *out)
{
	struct schema s = {.definitions = json_object()};
	json_t *rows = object(&s, &conf_keys), *whole = json_object();

	fill(&s, whole, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
	fill(&s, whole, "title", json_string("bascule"));
	if (json_object_update(whole, rows) != 0)
		s.failed = true;
	fill(&s, whole, "definitions", s.definitions);
	bool ok = !s.failed && json_dump_callback(whole, append, out, JSON_INDENT(2)) == 0 && buf_append(out, "\n", 1);
	json_decref(rows);
	json_decref(whole);
	return ok;
}
