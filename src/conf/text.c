#include "conf/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/scan.h"

struct conf_text *
conf_text_new(const char *path, const struct conf_text *from)
{
	struct conf_text *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->path = path;
	t->from = from;
	buf_init(&t->bytes, TEXT_SIZE_MAX);
	return t;
}

static struct conf_node *
add_node(struct conf_text *t, uint32_t parent, const struct token *at)
{
	if (t->n_nodes == t->capacity) {
		uint32_t more = t->capacity == 0 ? 64 : t->capacity * 2;
		struct conf_node *grown = reallocarray(t->nodes, more, sizeof(*grown));
		if (grown == NULL)
			return NULL;
		t->nodes = grown;
		t->capacity = more;
	}
	uint32_t i = t->n_nodes++;
	t->nodes[i] = (struct conf_node){
		.value = (uint32_t)at->start,
		.value_end = (uint32_t)at->end,
		.line = at->line,
		.column = at->column,
		.parent = parent,
		.end = i + 1,
		.index = i == 0 ? 0 : t->nodes[parent].children++,
	};
	return &t->nodes[i];
}

static bool
is_object(const struct conf_text *t, uint32_t node)
{
	return t->n_nodes > 0 && t->json.p[t->nodes[node].value] == '{';
}

/* Where the walk over the tokens stands. */
struct walk {
	uint32_t parent, depth;
	bool key_next;    /* the next string is a key */
	struct token key; /* of the next value in an object */
};

/* A value begins: a scalar, or the opening bracket of what is walked next. */
static bool
begin_value(struct conf_text *t, struct walk *w, const struct token *at, struct conf_problems *problems)
{
	uint32_t i = t->n_nodes;
	struct conf_node *node = add_node(t, w->parent, at);

	if (node == NULL) {
		conf_error(problems, NULL, NULL, "out of memory");
		return false;
	}
	if (i > 0 && is_object(t, w->parent)) {
		node->key = (uint32_t)w->key.start;
		node->key_end = (uint32_t)w->key.end;
		node->key_line = w->key.line;
		node->key_column = w->key.column;
	}
	if (at->kind != '{' && at->kind != '[')
		return true;
	w->parent = i;
	w->key_next = at->kind == '{';
	if (++w->depth <= TEXT_DEPTH_MAX)
		return true;
	conf_text_error(t, i, problems, "objects and lists stand more than %d deep in each other", TEXT_DEPTH_MAX);
	return false;
}

/*
 * The places of all values. jansson has accepted the text, so brackets match and each key has its value; a comma or an
 * opening brace in an object is followed by a key.
 */
static bool
index_nodes(struct conf_text *t, struct conf_problems *problems)
{
	struct walk w = {0};
	struct token at;
	struct scan s;

	scan_init(&s, t->json);
	while (scan_next(&s, &at)) {
		if (at.kind == '}' || at.kind == ']') {
			t->nodes[w.parent].end = t->n_nodes;
			t->nodes[w.parent].value_end = (uint32_t)at.end;
			w.parent = t->nodes[w.parent].parent;
			w.depth--;
			w.key_next = false;
		} else if (at.kind == ',') {
			w.key_next = is_object(t, w.parent);
		} else if (w.key_next && at.kind == TOKEN_STRING) {
			w.key = at;
			w.key_next = false;
		} else if (at.kind != ':' && !begin_value(t, &w, &at, problems)) {
			return false;
		}
	}
	return true;
}

static bool
refuse(const struct conf_text *t, size_t offset, const char *what, struct conf_problems *problems)
{
	struct scan s;

	scan_init(&s, t->json);
	scan_to(&s, offset);
	struct conf_where at = {.file = t->path, .line = s.line, .column = s.column};
	conf_error(problems, &at, NULL, "%s", what);
	return false;
}

/* A text without its places is of no use to the reader. */
static bool
drop(struct conf_text *t)
{
	json_decref(t->root);
	t->root = NULL;
	t->n_nodes = 0;
	return false;
}

bool
conf_text_parse(struct conf_text *t, struct conf_problems *problems)
{
	json_error_t refusal;
	const char *zero;

	t->json = buf_view(&t->bytes);
	if (sv_starts(t->json, SV("\xef\xbb\xbf")))
		t->json = sv_of(t->json.p + 3, t->json.n - 3);
	size_t n = t->json.n, end = scan_blank_comments(t->bytes.data + t->bytes.tail - n, n);
	if (end < n)
		return refuse(t, end, "this comment is never closed; end it with */", problems);
	if (n > 0 && (zero = memchr(t->json.p, '\0', n)) != NULL)
		return refuse(
		    t, (size_t)(zero - t->json.p), "a zero byte; this is no text in UTF-8: save it in that encoding", problems);
	t->root = json_loadb(n > 0 ? t->json.p : "", n, JSON_REJECT_DUPLICATES, &refusal);
	if (t->root == NULL) {
		conf_text_explain(t, &refusal, problems);
		return false;
	}
	if (!json_is_object(t->root)) {
		const char *list = memchr(t->json.p, '[', n);
		refuse(t, (size_t)(list - t->json.p), "a list, where an object { … } is expected", problems);
		return drop(t);
	}
	return index_nodes(t, problems) || drop(t);
}

void
conf_text_free(struct conf_text *t)
{
	json_decref(t->root);
	free(t->nodes);
	buf_clear(&t->bytes);
	free(t);
}

struct conf_where
conf_text_where(const struct conf_text *t, uint32_t node)
{
	return (struct conf_where){.file = t->path, .line = t->nodes[node].line, .column = t->nodes[node].column};
}

void
conf_text_path(const struct conf_text *t, uint32_t node, char out[TEXT_PATH_SIZE])
{
	uint32_t way[TEXT_DEPTH_MAX + 1], n = 0;
	size_t len = 0;

	for (; node != 0 && n < COUNTOF(way); node = t->nodes[node].parent)
		way[n++] = node;
	out[0] = '\0';
	while (n > 0 && len < TEXT_PATH_SIZE) {
		const struct conf_node *at = &t->nodes[way[--n]];
		if (at->key_end > 0)
			len += (size_t)snprintf(out + len, TEXT_PATH_SIZE - len, "%s%.*s", len > 0 ? "." : "",
			    (int)(at->key_end - at->key - 2), t->json.p + at->key + 1);
		else
			len += (size_t)snprintf(out + len, TEXT_PATH_SIZE - len, "[%u]", at->index);
	}
}

/* At most n bytes, none of them of a character that is cut. */
static int
whole_characters(const char *p, int n)
{
	while (n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void
conf_text_raw(const struct conf_text *t, uint32_t node, char out[TEXT_RAW_SIZE])
{
	const struct conf_node *at = &t->nodes[node];
	const char *p = t->json.p + at->value;
	int n = (int)(at->value_end - at->value), room = TEXT_RAW_SIZE - 8;

	if (p[0] == '{' || p[0] == '[')
		(void)snprintf(out, TEXT_RAW_SIZE, "%s", p[0] == '{' ? "an object" : "a list");
	else if (n <= room)
		(void)snprintf(out, TEXT_RAW_SIZE, "%.*s", n, p);
	else
		(void)snprintf(out, TEXT_RAW_SIZE, "%.*s…", whole_characters(p, room), p);
}

static void
report(struct conf_text *t, uint32_t node, const struct conf_where *at, struct conf_problems *problems, const char *fmt,
    va_list ap)
{
	char path[TEXT_PATH_SIZE], what[1024];

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	conf_text_path(t, node, path);
	conf_error(problems, at, path, "%s", what);
	while (!t->nodes[node].faulty) {
		t->nodes[node].faulty = true;
		node = t->nodes[node].parent;
	}
}

void
conf_text_error(struct conf_text *t, uint32_t node, struct conf_problems *problems, const char *fmt, ...)
{
	const struct conf_where at = conf_text_where(t, node);
	va_list ap;

	va_start(ap, fmt);
	report(t, node, &at, problems, fmt, ap);
	va_end(ap);
}

void
conf_text_key_error(struct conf_text *t, uint32_t node, struct conf_problems *problems, const char *fmt, ...)
{
	const struct conf_node *n = &t->nodes[node];
	const struct conf_where at = {.file = t->path, .line = n->key_line, .column = n->key_column};
	va_list ap;

	va_start(ap, fmt);
	report(t, node, &at, problems, fmt, ap);
	va_end(ap);
}
