#include "conf/scan.h"

void
scan_init(struct scan *s, struct sv text)
{
	*s = (struct scan){.text = text, .line = 1, .column = 1};
}

static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80; /* of a UTF-8 character that was counted at its first byte */
}

void
scan_to(struct scan *s, size_t at)
{
	for (; s->at < at; s->at++) {
		char c = s->text.p[s->at];
		if (c == '\n') {
			s->line++;
			s->column = 1;
		} else if (c != '\r' && !is_continuation(c)) {
			s->column++;
		}
	}
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of a string that begins at `i`: after its closing quote, or at the end of the line that lacks one. */
static size_t
string_end(struct sv text, size_t i)
{
	for (i++; i < text.n && text.p[i] != '\n'; i++) {
		if (text.p[i] == '"')
			return i + 1;
		if (text.p[i] == '\\' && i + 1 < text.n && text.p[i + 1] != '\n')
			i++;
	}
	return i;
}

static bool
ends_word(char c)
{
	return is_space(c) || c == '"' || strchr("{}[],:", c) != NULL;
}

bool
scan_next(struct scan *s, struct token *t)
{
	size_t i = s->at;

	while (i < s->text.n && is_space(s->text.p[i]))
		i++;
	scan_to(s, i);
	*t = (struct token){.start = i, .end = i, .line = s->line, .column = s->column};
	if (i == s->text.n)
		return false;
	char c = s->text.p[i];
	if (c == '"') {
		t->kind = TOKEN_STRING;
		i = string_end(s->text, i);
	} else if (c != '\0' && ends_word(c)) {
		t->kind = c;
		i++;
	} else {
		t->kind = TOKEN_WORD;
		do
			i++;
		while (i < s->text.n && !ends_word(s->text.p[i]));
	}
	t->end = i;
	scan_to(s, i);
	return true;
}

/*
 * A character of several bytes becomes one space and carriage returns, which take no column and are white space to
 * JSON: so the columns after a comment stay those that an editor shows.
 */
static void
blank(char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != '\n')
			p[i] = p[i] == '\r' || is_continuation(p[i]) ? '\r' : ' ';
}

static size_t
block_end(const char *p, size_t n, size_t i)
{
	for (i += 2; i + 1 < n; i++)
		if (p[i] == '*' && p[i + 1] == '/')
			return i + 2;
	return 0;
}

size_t
scan_blank_comments(char *p, size_t n)
{
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (p[i] == '"') {
			end = string_end(sv_of(p, n), i);
		} else if (p[i] == '#' || (p[i] == '/' && i + 1 < n && p[i + 1] == '/')) {
			const char *newline = memchr(p + i, '\n', n - i);
			end = newline != NULL ? (size_t)(newline - p) : n;
			blank(p, i, end);
		} else if (p[i] == '/' && i + 1 < n && p[i + 1] == '*') {
			end = block_end(p, n, i);
			if (end == 0)
				return i;
			blank(p, i, end);
		}
	}
	return n;
}
