#include "route/fields.h"

#include <stdio.h>
#include <stdlib.h>

#include "route/template.h"

struct field_set {
	struct sv name;
	struct sv constant; /* the value of one without variables */
	bool varies;
	struct template value; /* of one with variables */
};

struct field_edits {
	struct arena arena;
	struct field_set *set;
	size_t n_set;
	struct sv *remove;
	size_t n_remove;
};

/* --- compiling ---------------------------------------------------------------------------------------------- */

struct compiler {
	struct field_edits *edits;
	enum field_edits_of of;
	const struct conf_where *at;
	struct conf_problems *problems;
};

/* "request_headers.set.X-Name: what", at the place of `name`, which is a field of the config; always false. */
static bool
fault(const struct compiler *c, const char *verb, const char *const *name, const char *what)
{
	struct conf_where at = conf_place(c->at, name);
	char key[160];

	(void)snprintf(key, sizeof(key), "%s.%s.%s",
	    c->of == FIELDS_OF_REQUESTS ? "request_headers" : "response_headers", verb, *name);
	conf_error(c->problems, &at, key, "%s", what);
	return false;
}

/* May the config touch this field? */
static bool
check_name(const struct compiler *c, const char *verb, const char *const *name)
{
	enum http_field_id id;

	if (!http_is_token(sv_cstr(*name)))
		return fault(c, verb, name, "not a field name; use letters, digits and hyphens");
	id = http_field_id(sv_cstr(*name));
	if (http_field_flags(id) & (HTTP_HOP | HTTP_FRAMING))
		return fault(c, verb, name,
		    "the proxy itself decides about this field on each connection; leave it out");
	if (id == HTTP_HOST && c->of == FIELDS_OF_RESPONSES)
		return fault(c, verb, name, "a response has no Host");
	if (id == HTTP_HOST && strcmp(verb, "remove") == 0)
		return fault(c, verb, name, "a request needs its Host; set another one, or leave it");
	return true;
}

static int
find_variable(const void *context, struct sv name, struct err *err)
{
	static const char *const names[] = {
#define X(id, name, help) name,
		FIELD_VARIABLES(X)
#undef X
	};

	(void)context;
	for (int i = 0; i < FIELD_VARIABLES_N; i++)
		if (sv_eq(name, sv_cstr(names[i])))
			return i;
	err_set(err, "no variable \"%.*s\"; there are"
#define X(id, name, help) " " name
	    FIELD_VARIABLES(X)
#undef X
	    , SV_FMT(name));
	return -1;
}

static bool
is_named_before(const struct field_edits *e, struct sv name)
{
	for (size_t i = 0; i < e->n_remove; i++)
		if (sv_ieq(e->remove[i], name))
			return true;
	for (size_t i = 0; i < e->n_set; i++)
		if (sv_ieq(e->set[i].name, name))
			return true;
	return false;
}

static bool
compile_remove(const struct compiler *c, const char *const *name)
{
	struct field_edits *e = c->edits;
	struct sv copy = sv_cstr(arena_copy(&e->arena, sv_cstr(*name)));

	if (copy.p == NULL)
		return fault(c, "remove", name, "out of memory");
	if (!check_name(c, "remove", name))
		return false;
	if (is_named_before(e, copy))
		return fault(c, "remove", name, "named twice");
	e->remove[e->n_remove++] = copy;
	return true;
}

static bool
compile_set(const struct compiler *c, const struct conf_field *field)
{
	struct field_edits *e = c->edits;
	struct field_set set = {.name = sv_cstr(arena_copy(&e->arena, sv_cstr(field->name)))};
	struct err err;

	if (set.name.p == NULL)
		return fault(c, "set", &field->name, "out of memory");
	if (!check_name(c, "set", &field->name))
		return false;
	if (is_named_before(e, set.name))
		return fault(c, "set", &field->name, "named twice; to set a field replaces what was there");
	if (!http_is_value(sv_cstr(field->value)))
		return fault(c, "set", &field->name, "the value holds a control byte, which no field may hold");
	if (!template_parse(&set.value, &e->arena, field->value, find_variable, NULL, &err))
		return fault(c, "set", &field->name, err.text);
	set.varies = template_varies(&set.value);
	if (!set.varies) { /* put it together now: it may hold "$$" */
		char *text = arena_alloc(&e->arena, template_length(&set.value, NULL) + 1);
		if (text == NULL)
			return fault(c, "set", &field->name, "out of memory");
		set.constant = sv_trim(sv_of(text, (size_t)(template_write(&set.value, NULL, text) - text)));
	}
	e->set[e->n_set++] = set;
	return true;
}

struct field_edits *
field_edits_new(const struct conf_fields *conf, enum field_edits_of of, const struct conf_where *at,
    struct conf_problems *problems)
{
	struct field_edits *e = calloc(1, sizeof(*e));
	struct compiler c = {e, of, at, problems};
	bool sound = true;

	if (e == NULL || (e->remove = arena_alloc(&e->arena, conf->remove.n * sizeof(*e->remove))) == NULL ||
	    (e->set = arena_alloc(&e->arena, conf->n_set * sizeof(*e->set))) == NULL) {
		conf_error(problems, at, "request_headers", "out of memory");
		field_edits_free(e);
		return NULL;
	}
	for (size_t i = 0; i < conf->remove.n; i++)
		sound = compile_remove(&c, &conf->remove.v[i]) && sound;
	for (size_t i = 0; i < conf->n_set; i++)
		sound = compile_set(&c, &conf->set[i]) && sound;
	if (sound)
		return e;
	field_edits_free(e);
	return NULL;
}

void
field_edits_free(struct field_edits *e)
{
	if (e == NULL)
		return;
	arena_free(&e->arena);
	free(e);
}

/* --- applying ----------------------------------------------------------------------------------------------- */

size_t
field_edits_room(const struct field_edits *e, const struct sv values[FIELD_VARIABLES_N])
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_set; i++)
		if (e->set[i].varies)
			n += template_length(&e->set[i].value, values);
	return n;
}

/* The value of a field to set, put together in the room that `text` has. */
static struct sv
value_of(const struct field_set *set, const struct sv values[FIELD_VARIABLES_N], struct buf *text)
{
	if (!set->varies)
		return set->constant;
	char *start = text->data + text->tail;
	struct sv value = sv_of(start, (size_t)(template_write(&set->value, values, start) - start));
	buf_added(text, value.n);
	return sv_trim(value);
}

bool
field_edits_apply(const struct field_edits *e, struct http_head *h, const struct sv values[FIELD_VARIABLES_N],
    struct buf *text)
{
	if (text->capacity - text->tail < field_edits_room(e, values))
		return false; /* to append would move what the head looks into */
	for (size_t i = 0; i < e->n_remove; i++)
		http_head_drop_name(h, e->remove[i]);
	for (size_t i = 0; i < e->n_set; i++) {
		struct sv value = value_of(&e->set[i], values, text);
		http_head_drop_name(h, e->set[i].name);
		if (!http_head_add(h, e->set[i].name, value)) /* which looks at the value's bytes */
			return false;
	}
	return true;
}
