#include "cases.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef SRCDIR
#error "SRCDIR must say where the sources are"
#endif

static const char *const files[] = {"chunks", "fields", "lengths", "lines", "responses", "targets"};

enum { FILE_MAX = 1 << 20 };

static void
load(const char *name, struct buf *text)
{
	char path[1024];

	size_t n = (size_t)snprintf(path, sizeof(path), "%s/tests/unit/http/cases/%s.txt", SRCDIR, name);
	cr_assert_lt(n, sizeof(path));
	FILE *f = fopen(path, "r");
	cr_assert_not_null(f, "%s can not be opened", path);
	buf_init(text, FILE_MAX);
	for (n = 1; n > 0; buf_added(text, n)) {
		char *room = buf_room(text, 4096);
		cr_assert_not_null(room);
		n = fread(room, 1, 4096, f);
	}
	fclose(f);
}

/* The byte that the escape at *s stands for; *s is moved behind it. */
static char
unescape(struct sv *s)
{
	static const char from[] = "rnt\\", to[] = "\r\n\t\\";
	char hex[3] = {0};

	cr_assert_gt(s->n, 1, "a lone backslash");
	char c = s->p[1];
	const char *at = memchr(from, c, sizeof(from) - 1);
	if (at != NULL) {
		*s = sv_of(s->p + 2, s->n - 2);
		return to[at - from];
	}
	cr_assert(c == 'x' && s->n >= 4, "unknown escape \\%c", c);
	memcpy(hex, s->p + 2, 2);
	*s = sv_of(s->p + 4, s->n - 4);
	return (char)strtoul(hex, NULL, 16);
}

static void
add_raw(struct buf *bytes, struct sv raw)
{
	while (raw.n > 0) {
		char c = *raw.p;
		if (c == '\\')
			c = unescape(&raw);
		else
			raw = sv_of(raw.p + 1, raw.n - 1);
		cr_assert(buf_append(bytes, &c, 1));
	}
}

static bool
cut_word(struct sv *line, struct sv word)
{
	if (!sv_starts(*line, word))
		return false;
	*line = sv_of(line->p + word.n, line->n - word.n);
	return true;
}

static uint32_t
number(struct sv s)
{
	uint64_t n = 0;

	cr_assert(sv_u64(s, &n) && n < UINT32_MAX, "not a number: %.*s", SV_FMT(s));
	return (uint32_t)n;
}

static void
read_line(struct test_case *c, struct sv line)
{
	if (cut_word(&line, SV("|"))) {
		add_raw(&c->message.bytes, line);
	} else if (cut_word(&line, SV("answers "))) {
		c->message.is_response = true;
		c->message.answered = http_method_id(line);
		cr_assert_neq(c->message.answered, HTTP_METHOD_OTHER);
	} else if (cut_word(&line, SV("limit head "))) {
		c->message.limits.head_bytes = number(line);
	} else if (cut_word(&line, SV("limit fields "))) {
		c->message.limits.fields = number(line);
	} else {
		cr_assert_lt(c->n_expected, COUNTOF(c->expected));
		c->expected[c->n_expected++] = line;
	}
}

static size_t
finish(struct test_case *c, case_visitor *visit, void *arg)
{
	if (c->name.p == NULL)
		return 0;
	cr_assert_gt(c->n_expected, 0, "case %.*s expects nothing", SV_FMT(c->name));
	visit(c, arg);
	c->n_expected = 0;
	return 1;
}

size_t
cases_visit(case_visitor *visit, void *arg)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNTOF(files); i++) {
		struct test_case c = {.name = SV_NONE};
		struct buf text;
		load(files[i], &text);
		struct sv rest = buf_view(&text);
		while (rest.p != NULL) {
			struct sv line = sv_cut(&rest, '\n');
			if (line.n == 0 || line.p[0] == '#')
				continue;
			if (!cut_word(&line, SV("case "))) {
				cr_assert_not_null(c.name.p, "%s.txt begins without a case", files[i]);
				read_line(&c, line);
				continue;
			}
			n += finish(&c, visit, arg);
			message_clear(&c.message);
			c.name = line;
		}
		n += finish(&c, visit, arg);
		buf_clear(&c.message.bytes);
		buf_clear(&text);
	}
	return n;
}
