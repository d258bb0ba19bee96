#include "conf/read.h"

#include "conf/hints.h"
#include "conf/places.h"
#include "conf/value.h"

void
reader_init(struct conf_reader *r, struct conf *conf, struct conf_problems *problems)
{
	*r = (struct conf_reader){.conf = conf, .problems = problems, .scratch = ARENA_EMPTY, .kept = places_new(conf)};
	r->no_memory = r->kept == NULL;
}

void
reader_free(struct conf_reader *r)
{
	HASH_CLEAR(hh, r->places);
	arena_free(&r->scratch);
}

const struct conf_place *
reader_place(const struct conf_reader *r, const void *field)
{
	struct conf_place *found;

	HASH_FIND_PTR(r->places, &field, found);
	return found;
}

static void
keep_place(struct conf_reader *r, const void *field, uint32_t node)
{
	struct conf_place *p = arena_alloc(&r->scratch, sizeof(*p));

	if (p == NULL) {
		r->no_memory = true;
		return;
	}
	*p = (struct conf_place){.field = field, .text = r->text, .node = node};
	HASH_ADD_PTR(r->places, field, p);
	if (p->hh.tbl == NULL)
		r->no_memory = true;
}

static void *
field_of(void *base, size_t offset)
{
	return (char *)base + offset;
}

static size_t *
count_of(void *base, const struct key *k)
{
	return field_of(base, k->n_offset);
}

void
reader_presets(const struct key_object *o, void *base)
{
	for (size_t i = 0; i < o->n_keys; i++) {
		const struct key *k = &o->keys[i];
		void *field = field_of(base, k->offset);
		if (k->flags & KEY_NOT_STORED)
			continue;
		if (k->type == KEY_BOOL)
			*(bool *)field = k->preset != 0;
		else if (k->type == KEY_NUMBER || k->type == KEY_DURATION || k->type == KEY_SIZE)
			*(uint64_t *)field = o->inherits ? CONF_UNSET : k->preset;
		else if (k->type == KEY_WORD || k->type == KEY_WORDS)
			*(unsigned *)field = (unsigned)k->preset;
		else if (k->type == KEY_STRING)
			*(const char **)field = k->text;
		else if (k->type == KEY_OBJECT)
			reader_presets(k->object, field);
	}
}

static void
wrong(struct conf_reader *r, const struct key *k, const json_t *json, uint32_t node)
{
	hint_wrong_value(r->text, node, k, json, r->problems);
}

char *
conf_absolute(struct arena *a, const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');

	while (path[0] == '.' && path[1] == '/')
		for (path += 2; path[0] == '/'; path++)
			;
	if (path[0] == '/')
		return arena_copy(a, sv_cstr(path));
	return arena_printf(a, "%.*s/%s", slash != NULL ? (int)(slash - from) : 0, from, path);
}

/* Control characters never are what was meant, and would forge lines in logs and fields in heads. */
static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* The text that a row wants, checked and copied. NULL: reported. */
static const char *
read_text(struct conf_reader *r, const struct key *k, const char *s, uint32_t node)
{
	char raw[TEXT_RAW_SIZE];
	struct err why;

	conf_text_raw(r->text, node, raw);
	if (has_control(s)) {
		conf_text_error(r->text, node, r->problems, "%s has a control character in it", raw);
		return NULL;
	}
	if (s[0] == '\0' && !(k->flags & KEY_EMPTY)) {
		conf_text_error(r->text, node, r->problems, "is empty");
		return NULL;
	}
	if (k->check != NULL && !k->check(s, &why)) {
		conf_text_error(r->text, node, r->problems, "%s %s", raw, why.text);
		return NULL;
	}
	bool path = k->type == KEY_PATH || k->type == KEY_PATHS;
	char *copy = path ? conf_absolute(&r->conf->arena, r->text->path, s) : arena_copy(&r->conf->arena, sv_cstr(s));
	if (copy == NULL)
		r->no_memory = true;
	for (char *c = copy; (k->flags & KEY_LOWER) && c != NULL && *c != '\0'; c++)
		*c = ascii_lower(*c);
	return copy;
}

/* One value into `field`, which no file has given yet. */
static void
read_scalar(struct conf_reader *r, const struct key *k, void *field, const json_t *json, uint32_t node)
{
	const char *text = json_string_value(json);
	uint64_t number;
	int word;

	if (k->type == KEY_BOOL && json_is_boolean(json))
		*(bool *)field = json_is_true(json);
	else if (k->type == KEY_WORD && text != NULL && (word = value_word(k, text)) >= 0)
		*(unsigned *)field = (unsigned)word;
	else if ((k->type == KEY_NUMBER || k->type == KEY_DURATION || k->type == KEY_SIZE) &&
	    value_number(k, json, &number))
		*(uint64_t *)field = number;
	else if ((k->type == KEY_STRING || k->type == KEY_PATH) && text != NULL &&
	    (k->words == NULL || value_word(k, text) >= 0))
		*(const char **)field = read_text(r, k, text, node);
	else
		wrong(r, k, json, node);
	keep_place(r, field, node);
}

/* Some of the row's words, into `set`, which no file has given yet. */
static void
read_words(struct conf_reader *r, const struct key *k, unsigned *set, const json_t *json, uint32_t node)
{
	const struct key one = {.type = KEY_WORD, .words = k->words};
	size_t n = json_is_string(json) ? 1 : json_array_size(json);
	uint32_t at = json_is_string(json) ? node : node + 1;

	for (size_t i = 0; i < n; i++, at = r->text->nodes[at].end) {
		const json_t *v = json_is_string(json) ? json : json_array_get(json, i);
		int word = json_is_string(v) ? value_word(k, json_string_value(v)) : -1;
		if (word >= 0)
			*set |= 1u << word;
		else
			wrong(r, &one, v, at);
	}
	keep_place(r, set, node);
}

/* How many elements a value adds to an array. */
static size_t
elements(const struct key *k, const json_t *json)
{
	if ((k->type == KEY_STRINGS || k->type == KEY_PATHS) && json_is_string(json))
		return 1;
	return MAX_OF(json_array_size(json), json_object_size(json)); /* 0 for what is neither */
}

static size_t
element_size(const struct key *k)
{
	if (k->type == KEY_LIST || k->type == KEY_MAP)
		return k->object->size;
	return k->type == KEY_PAIRS ? 2 * sizeof(char *) : sizeof(char *);
}

static bool
is_array(const struct key *k)
{
	return k->type == KEY_STRINGS || k->type == KEY_PATHS || k->type == KEY_PAIRS || k->type == KEY_LIST ||
	    k->type == KEY_MAP;
}

static void
reserve(struct conf_reader *r, const struct key *k, void *base, size_t n)
{
	void **array = field_of(base, k->offset);
	size_t size;

	if (*array != NULL || n == 0)
		return;
	if (__builtin_mul_overflow(n, element_size(k), &size) || (*array = arena_alloc(&r->conf->arena, size)) == NULL)
		r->no_memory = true;
}

void
reader_reserve(struct conf_reader *r, const struct key_object *o, void *base, const struct conf_text *texts)
{
	for (size_t i = 0; i < o->n_keys; i++) {
		const struct key *k = &o->keys[i];
		size_t n = 0;
		if (!is_array(k) || (k->flags & KEY_NOT_STORED))
			continue;
		for (const struct conf_text *t = texts; t != NULL; t = t->next)
			n += elements(k, json_object_get(t->root, k->name));
		reserve(r, k, base, n);
	}
}

/* The next element of an array, for which there is room. */
static void *
append(const struct key *k, void *base)
{
	char **array = field_of(base, k->offset);

	return *array + (*count_of(base, k))++ * element_size(k);
}

/* What the value of a pair is expected to be. */
static const struct key one_string = {.type = KEY_STRING, .flags = KEY_EMPTY};

static void
read_strings(struct conf_reader *r, const struct key *k, void *base, const json_t *json, uint32_t node)
{
	size_t n = json_is_string(json) ? 1 : json_array_size(json);
	uint32_t at = json_is_string(json) ? node : node + 1;
	const struct key one = {.type = k->type == KEY_PATHS ? KEY_PATH : KEY_STRING, .check = k->check};

	for (size_t i = 0; i < n; i++, at = r->text->nodes[at].end) {
		const char *text = json_string_value(json_is_string(json) ? json : json_array_get(json, i));
		if (text == NULL) {
			wrong(r, &one, json_array_get(json, i), at);
			continue;
		}
		const char *copy = read_text(r, k, text, at);
		if (copy != NULL) {
			const char **slot = append(k, base);
			*slot = copy;
			keep_place(r, slot, at);
		}
	}
}

/* The name of a pair or of an object in a map, with which messages begin; NULL: reported. */
static const char *
read_name(struct conf_reader *r, const struct key *k, const char *name, uint32_t node)
{
	struct err why;
	char *copy;

	if (name[0] == '\0' || has_control(name))
		conf_text_key_error(r->text, node, r->problems,
		    "a name that is empty or has a control character in it");
	else if (k->type == KEY_PAIRS && !k->check(name, &why))
		conf_text_key_error(r->text, node, r->problems, "\"%s\" %s", name, why.text);
	else if ((copy = arena_copy(&r->conf->arena, sv_cstr(name))) != NULL)
		return copy;
	else
		r->no_memory = true;
	return NULL;
}

/* Values of pairs are patterns and field values: any text without control characters, also none. */
static void
read_pairs(struct conf_reader *r, const struct key *k, void *base, json_t *json, uint32_t node)
{
	uint32_t at = node + 1;
	const char *name;
	json_t *v;

	json_object_foreach(json, name, v) {
		const char *pair[2] = {read_name(r, k, name, at), NULL};
		if (json_is_string(v))
			pair[1] = read_text(r, &one_string, json_string_value(v), at);
		else
			wrong(r, &one_string, v, at);
		if (pair[0] != NULL && pair[1] != NULL) {
			const char **slot = append(k, base);
			slot[0] = pair[0];
			slot[1] = pair[1];
			keep_place(r, slot, at);
		}
		at = r->text->nodes[at].end;
	}
}

static bool
is_left_out(const struct conf_reader *r, uint32_t node)
{
	return r->sound_only && r->text->nodes[node].faulty;
}

static void
read_list(struct conf_reader *r, const struct key *k, void *base, const json_t *json, uint32_t node)
{
	uint32_t at = node + 1;

	for (size_t i = 0; i < json_array_size(json); i++, at = r->text->nodes[at].end) {
		if (is_left_out(r, at))
			continue;
		void *element = append(k, base);
		reader_presets(k->object, element);
		reader_object(r, r->text, k->object, element, json_array_get(json, i), at);
	}
}

static void
read_map(struct conf_reader *r, const struct key *k, void *base, json_t *json, uint32_t node)
{
	uint32_t at = node + 1;
	const char *name;
	json_t *v;

	json_object_foreach(json, name, v) {
		const char *copy = is_left_out(r, at) ? NULL : read_name(r, k, name, at);
		if (copy != NULL) {
			void *element = append(k, base);
			reader_presets(k->object, element);
			*(const char **)field_of(element, k->object->name_at) = copy;
			reader_object(r, r->text, k->object, element, v, at);
		}
		at = r->text->nodes[at].end;
	}
}

static bool
has_type(const struct key *k, const json_t *json)
{
	if (is_array(k) || k->type == KEY_WORDS)
		return value_has_form(k, json);
	return !(k->flags & KEY_NOT_STORED) || json_is_string(json); /* else told by those who read it */
}

static void
read_array(struct conf_reader *r, const struct key *k, void *base, json_t *json, uint32_t node)
{
	reserve(r, k, base, elements(k, json));
	if (r->no_memory)
		return;
	if (reader_place(r, field_of(base, k->offset)) == NULL)
		keep_place(r, field_of(base, k->offset), node);
	if (k->type == KEY_LIST)
		read_list(r, k, base, json, node);
	else if (k->type == KEY_MAP)
		read_map(r, k, base, json, node);
	else if (k->type == KEY_PAIRS)
		read_pairs(r, k, base, json, node);
	else
		read_strings(r, k, base, json, node);
}

/* The loader has used it, or nobody will; yet it must have the right form. */
static void
check_unstored(struct conf_reader *r, const struct key *k, const json_t *json, uint32_t node)
{
	static const struct key one = {.type = KEY_STRING, .flags = KEY_NOT_STORED};
	uint32_t at = node + 1;

	if (!json_is_string(json) && !json_is_array(json))
		wrong(r, k, json, node);
	for (size_t i = 0; i < json_array_size(json); i++, at = r->text->nodes[at].end)
		if (!json_is_string(json_array_get(json, i)))
			wrong(r, &one, json_array_get(json, i), at);
}

/* The key that this value stands for, a string or a list in place of the object; NULL: it is to be the object. */
static const struct key *
shorthand(const struct key_object *o, const json_t *json)
{
	const struct key *k = o->shorthand != NULL ? key_find(o, o->shorthand) : NULL;

	return k != NULL && (json_is_string(json) || (k->type == KEY_STRINGS && json_is_array(json))) ? k : NULL;
}

/* `name`: of the key whose value is to be the object; NULL: it has none. */
static void
wrong_object(struct conf_reader *r, const char *name, const struct key_object *o, const json_t *json, uint32_t node)
{
	/* An example of several lines would not stand in one. */
	bool is_short = o->example != NULL && strchr(o->example, '\n') == NULL;
	const struct key k = {.name = name, .type = KEY_OBJECT, .object = o, .example = is_short ? o->example : NULL};

	wrong(r, &k, json, node);
}

static void
read_value(struct conf_reader *r, const struct key *k, void *base, json_t *json, uint32_t node)
{
	void *field = field_of(base, k->offset);
	const struct conf_place *first;

	if (!has_type(k, json)) {
		wrong(r, k, json, node);
		if (is_array(k) && !(k->flags & KEY_NOT_STORED) && reader_place(r, field) == NULL)
			keep_place(r, field, node); /* it was given, if wrongly */
	} else if (k->flags & KEY_NOT_STORED) {
		check_unstored(r, k, json, node);
	} else if (is_array(k)) {
		read_array(r, k, base, json, node);
	} else if (k->type == KEY_OBJECT && !json_is_object(json) && shorthand(k->object, json) == NULL) {
		wrong_object(r, k->name, k->object, json, node);
	} else if (k->type == KEY_OBJECT) {
		reader_object(r, r->text, k->object, field, json, node);
	} else if ((first = reader_place(r, field)) != NULL) {
		struct conf_where at = conf_text_where(first->text, first->node);
		conf_text_key_error(r->text, node, r->problems, "given already at %s:%u:%u; keep one of the two",
		    at.file, at.line, at.column);
	} else if (k->type == KEY_WORDS) {
		read_words(r, k, field, json, node);
	} else {
		read_scalar(r, k, field, json, node);
	}
}

static void
refuse_missing(struct conf_reader *r, const struct key_object *o, const json_t *json, uint32_t node)
{
	char example[VALUE_EXPECTED_TEXT];

	for (size_t i = 0; i < o->n_keys; i++) {
		const struct key *k = &o->keys[i];
		if (!(k->flags & KEY_REQUIRED) || json_object_get(json, k->name) != NULL)
			continue;
		value_example(k, example);
		conf_text_error(r->text, node, r->problems,
		    "\"%s\" is missing; write \"%s\": %s", k->name, k->name, example);
	}
}

void
reader_object(
    struct conf_reader *r, struct conf_text *text, const struct key_object *o, void *base, json_t *json, uint32_t node)
{
	uint32_t at = node + 1;
	bool all_known = true;
	const char *name;
	json_t *v;

	r->text = text;
	if (o->at != KEY_NO_FIELD) {
		struct conf_where at_object = conf_text_where(text, node);
		at_object.places = r->kept;
		*(struct conf_where *)field_of(base, o->at) = at_object;
		keep_place(r, field_of(base, o->at), node);
	}
	if (o->present != KEY_NO_FIELD)
		*(bool *)field_of(base, o->present) = true;
	const struct key *k = shorthand(o, json);
	if (k != NULL) {
		read_value(r, k, base, json, node);
		return;
	}
	if (!json_is_object(json)) {
		wrong_object(r, NULL, o, json, node);
		return;
	}
	json_object_foreach(json, name, v) {
		k = key_find(o, name);
		if (k != NULL)
			read_value(r, k, base, v, at);
		else
			hint_unknown_key(text, at, o, name, r->problems);
		all_known = all_known && k != NULL;
		at = text->nodes[at].end;
	}
	if (all_known) /* else the one that is missing may be the one that is misspelt */
		refuse_missing(r, o, json, node);
}
