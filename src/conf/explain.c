/*
 * explain.c: a syntax error in words that help.
 *
 * jansson says what it expected where it gave up; here the tokens around that
 * place are read again, to say what was forgotten and where.
 */
#include "conf/scan.h"
#include "conf/text.h"

enum place {
	AT_TOKEN,  /* where the token begins that jansson stumbled over */
	AT_NAMED,  /* there too, and the text begins with the token */
	AT_BYTE,   /* at the byte after those it had read */
	AT_ESCAPE, /* at the backslash before the last byte it had read */
};

static const struct reason {
	const char *begins; /* of jansson's text */
	enum place place;
	const char *text;
} reasons[] = {
	{"unexpected newline", AT_TOKEN, "this string has no closing quote in its line"},
	{"premature end of input", AT_TOKEN, "this string has no closing quote"},
	{"invalid escape", AT_ESCAPE, "JSON knows no such escape; a backslash itself is written twice: \"\\\\.\""},
	{"control character", AT_BYTE, "a control character can not stand in a string; a tab is written \\t"},
	{"unable to decode", AT_BYTE, "not UTF-8; save the file in that encoding"},
	{"\\u0000", AT_TOKEN, "\\u0000 can not stand in a string"},
	{"invalid Unicode", AT_TOKEN, "half of a surrogate pair can not stand in a string"},
	{"duplicate object key", AT_NAMED, "is given twice in one object; keep one"},
	{"':' expected", AT_TOKEN, "a colon is missing before this, after its key"},
	{"too big", AT_TOKEN, "this number is too large"},
	{"too small", AT_TOKEN, "this number is too small"},
	{"real number overflow", AT_TOKEN, "this number is too large"},
	{"maximum parsing depth", AT_TOKEN, "objects and lists stand too deep in each other"},
	{"end of file expected", AT_TOKEN,
	    "something follows the closing bracket of the whole; is a bracket before it one too many?"},
};

/* What stands around the place where jansson gave up. */
struct around {
	struct token before, token;   /* of kind TOKEN_END when there is none */
	struct token open[TEXT_DEPTH_MAX]; /* brackets that are not closed yet */
	unsigned depth;               /* of them; may be more than are kept */
};

static void
look_around(const struct conf_text *t, size_t position, struct around *a)
{
	struct scan s;

	*a = (struct around){0};
	scan_init(&s, t->json);
	while (scan_next(&s, &a->token) && a->token.end < position) {
		a->before = a->token;
		if (a->token.kind == '{' || a->token.kind == '[') {
			if (a->depth < COUNTOF(a->open))
				a->open[a->depth] = a->token;
			a->depth++;
		} else if ((a->token.kind == '}' || a->token.kind == ']') && a->depth > 0) {
			a->depth--;
		}
	}
}

static struct conf_where
where_of(const struct conf_text *t, const struct token *token)
{
	return (struct conf_where){.file = t->path, .line = token->line, .column = token->column};
}

static struct conf_where
where_of_byte(const struct conf_text *t, size_t at)
{
	struct scan s;

	scan_init(&s, t->json);
	scan_to(&s, MIN_OF(at, t->json.n));
	return (struct conf_where){.file = t->path, .line = s.line, .column = s.column};
}

/* The innermost bracket that is open; NULL: none, or too deep to be known. */
static const struct token *
innermost(const struct around *a)
{
	return a->depth > 0 && a->depth <= COUNTOF(a->open) ? &a->open[a->depth - 1] : NULL;
}

static void
explain_end(const struct conf_text *t, const struct around *a, struct conf_problems *problems)
{
	const struct conf_where whole = {.file = t->path};
	const struct token *open = innermost(a);

	if (open == NULL) {
		conf_error(problems, &whole, NULL, "holds nothing; an object { … } is expected");
		return;
	}
	struct conf_where at = where_of(t, open);
	conf_error(problems, &at, NULL, "this %c is never closed", open->kind);
}

static bool
ends_value(char kind)
{
	return kind == TOKEN_STRING || kind == TOKEN_WORD || kind == '}' || kind == ']';
}

static bool
is_number_like(struct sv word)
{
	return word.p[0] == '-' || (word.p[0] >= '0' && word.p[0] <= '9');
}

static bool
has_other_than_number(struct sv word)
{
	for (size_t i = 0; i < word.n; i++)
		if (memchr("0123456789+-.eE", word.p[i], 15) == NULL)
			return true;
	return false;
}

static bool
is_word(struct sv word)
{
	return sv_eq(word, SV("true")) || sv_eq(word, SV("false")) || sv_eq(word, SV("null"));
}

/* Grammar: a comma too many or too few, a word without quotes, a bracket of the wrong kind. */
static void
explain_token(const struct conf_text *t, const struct around *a, bool malformed, struct conf_problems *problems)
{
	const struct token *open = innermost(a);
	struct conf_where at = where_of(t, &a->token), before = where_of(t, &a->before);
	struct sv token = sv_of(t->json.p + a->token.start, MIN_OF(a->token.end - a->token.start, (size_t)40));
	bool closes = a->token.kind == '}' || a->token.kind == ']';

	if (a->before.kind == ',' && closes)
		conf_error(problems, &before, NULL, "a comma with nothing after it; remove it");
	else if (a->token.kind == TOKEN_WORD && is_number_like(token) && (malformed || has_other_than_number(token)))
		conf_error(problems, &at, NULL, "%.*s is no number as JSON writes them", SV_FMT(token));
	else if (a->token.kind == TOKEN_WORD && !is_number_like(token) && !is_word(token))
		conf_error(problems, &at, NULL,
		    "%.*s is no value; strings and keys stand in double quotes", SV_FMT(token));
	else if (ends_value(a->before.kind) && closes && open != NULL)
		conf_error(problems, &at, NULL,
		    "%c can not close the %c of line %u", a->token.kind, open->kind, open->line);
	else if (ends_value(a->before.kind) && !closes && a->token.kind != ',' && a->token.kind != ':')
		conf_error(problems, &at, NULL, "a comma is missing before this");
	else if (open != NULL && open->kind == '{' && (a->before.kind == '{' || a->before.kind == ','))
		conf_error(problems, &at, NULL, "'%.*s' stands where a key in double quotes is expected", SV_FMT(token));
	else
		conf_error(problems, &at, NULL, "'%.*s' stands where a value is expected", SV_FMT(token));
}

static void
explain_reason(const struct conf_text *t, const struct reason *r, const struct token *token, size_t position,
    struct conf_problems *problems)
{
	struct conf_where at = where_of(t, token);
	int n = (int)MIN_OF(token->end - token->start, (size_t)80);

	if (r->place == AT_BYTE || r->place == AT_ESCAPE)
		at = where_of_byte(t, r->place == AT_BYTE ? position : position - 2);
	if (r->place == AT_NAMED)
		conf_error(problems, &at, NULL, "%.*s %s", n, t->json.p + token->start, r->text);
	else
		conf_error(problems, &at, NULL, "%s", r->text);
}

void
conf_text_explain(const struct conf_text *t, const json_error_t *refusal, struct conf_problems *problems)
{
	size_t position = refusal->position > 0 ? (size_t)refusal->position : 0;
	enum json_error_code code = json_error_code(refusal);
	struct around a;

	if (code == json_error_out_of_memory) {
		conf_error(problems, NULL, NULL, "out of memory");
		return;
	}
	look_around(t, position, &a);
	for (size_t i = 0; i < COUNTOF(reasons); i++) {
		const struct reason *r = &reasons[i];
		if (strncmp(refusal->text, r->begins, strlen(r->begins)) != 0)
			continue;
		explain_reason(t, r, &a.token, position, problems);
		return;
	}
	if (code == json_error_premature_end_of_input) {
		look_around(t, t->json.n + 1, &a);
		explain_end(t, &a, problems);
	} else {
		explain_token(t, &a, strncmp(refusal->text, "invalid token", 13) == 0, problems);
	}
}
