/*
 * reference.c: the rows as a page for people.
 */
#include "conf/reference.h"

#include <stdio.h>

#include "conf/value.h"

enum { PAGE_WIDTH = 110, OBJECTS_MAX = 64 };

static const char preamble[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by `bascule config reference` from the rows in src/conf/keys_*.c: change it there. -->\n"
    "\n"
    "The config is JSON with comments (`// …`, `# …` and `/* … */`): one file, a directory of `*.json` files, or a file\n"
    "that includes others. `bascule check` reads it as a reload would and reports everything that is wrong, each line\n"
    "with file, line, column and key. `bascule config schema` writes the JSON Schema; an editor completes and checks by\n"
    "it when the config begins with `\"$schema\": \"schema.json\"`.\n"
    "\n"
    "- **Durations** are strings with a unit: `\"250ms\"`, `\"90s\"`, `\"10m\"`, `\"7d\"`. Only `0` needs none.\n"
    "- **Sizes** are numbers of bytes, or strings with a unit: `\"64k\"`, `\"10m\"`, `\"2g\"`, by powers of 1024.\n"
    "- **Paths** that do not begin with `/` are taken from the directory of the file they stand in.\n"
    "- **Patterns** are PCRE2. A backslash is written twice: `\"\\\\.\"` in JSON is `\\.` to PCRE2.\n"
    "- **Lists of strings** with one element can be that string.\n"
    "- What is marked *restart* takes effect when the proxy is started anew; everything else at a reload.\n";

struct page {
	struct buf *out;
	const struct key_object *done[OBJECTS_MAX]; /* sections that were written, or are about to be */
	size_t n, written;
	bool failed;
};

static void
put(struct page *p, const char *text)
{
	if (!buf_append(p->out, text, strlen(text)))
		p->failed = true;
}

/* A paragraph broken at spaces, its lines indented but for the first. Spaces in code stay together. */
static void
put_wrapped(struct page *p, const char *text, size_t indent)
{
	size_t column = 0;
	bool code = false;

	while (*text != '\0') {
		size_t n = 0;
		for (; text[n] != '\0' && (text[n] != ' ' || code); n++)
			code ^= text[n] == '`';
		if (column > 0 && column + 1 + n > PAGE_WIDTH - indent) {
			put(p, "\n");
			for (size_t i = 0; i < indent; i++)
				put(p, " ");
			column = 0;
		} else if (column > 0) {
			put(p, " ");
			column++;
		}
		if (!buf_append(p->out, text, n))
			p->failed = true;
		column += n;
		text += n + (text[n] == ' ');
	}
	put(p, "\n");
}

static void
plan(struct page *p, const struct key_object *o)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->done[i] == o)
			return;
	if (p->n == OBJECTS_MAX)
		p->failed = true;
	else
		p->done[p->n++] = o;
}

/* The name of an object with another character for the underscore. */
static const char *
name_with(const struct key_object *o, char between, char out[64])
{
	(void)snprintf(out, 64, "%s", o->name);
	for (char *c = out; *c != '\0'; c++)
		*c = *c == '_' ? between : *c;
	return out;
}

/* "list of [listener](#listener)": what kind of value, and where it is described. */
static void
describe_type(const struct key *k, char out[VALUE_EXPECTED_TEXT])
{
	const char *of = k->type == KEY_LIST ? "list of " : k->type == KEY_MAP ? "object of named " : "object ";
	char name[64], anchor[64];
	struct key bare = *k;

	bare.zero = NULL; /* said with the default */
	if (k->object == NULL)
		value_expected(&bare, out);
	else
		(void)snprintf(out, VALUE_EXPECTED_TEXT, "%s[%s](#%s)", of, name_with(k->object, ' ', name),
		    name_with(k->object, '-', anchor));
}

/* What it is in the first line, what it does below. */
static void
put_key(struct page *p, const struct key *k)
{
	char type[VALUE_EXPECTED_TEXT], example[VALUE_EXPECTED_TEXT], preset[VALUE_NUMBER_TEXT], text[2048];

	describe_type(k, type);
	value_preset(k, preset);
	value_example(k, example);
	(void)snprintf(text, sizeof(text), "- **`%s`**: %s", k->name, type);
	put(p, text);
	if (k->flags & KEY_REQUIRED)
		put(p, ", required");
	if (preset[0] != '\0' || (example[0] != '\0' && k->object == NULL)) {
		(void)snprintf(text, sizeof(text), "%s `%s`", preset[0] != '\0' ? "; default" : ", such as",
		    preset[0] != '\0' ? preset : example);
		put(p, text);
	}
	if (k->zero != NULL) {
		(void)snprintf(text, sizeof(text), "; `0`: %s", k->zero);
		put(p, text);
	}
	put(p, k->flags & KEY_RESTART ? "; *restart*\\\n  " : "\\\n  ");
	put_wrapped(p, k->help, 2);
	if (k->object != NULL)
		plan(p, k->object);
}

static void
put_object(struct page *p, const struct key_object *o)
{
	char name[64];

	name_with(o, ' ', name); /* which begins with a small letter */
	name[0] = (char)(name[0] - 'a' + 'A');
	put(p, "\n## ");
	put(p, name);
	put(p, "\n\n");
	put_wrapped(p, o->intro, 0);
	put(p, "\n```jsonc\n");
	put(p, o->example);
	put(p, "\n```\n\n");
	for (size_t i = 0; i < o->n_keys; i++)
		put_key(p, &o->keys[i]);
}

bool
conf_write_reference(struct buf *out)
{
	struct page p = {.out = out};

	put(&p, preamble);
	plan(&p, &conf_keys);
	while (p.written < p.n)
		put_object(&p, p.done[p.written++]);
	return !p.failed;
}
