#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/config.h"

enum { PROBLEMS_MAX = 256 * 1024, PROBLEM_MAX = 1024 };

void
conf_problems_init(struct conf_problems *p)
{
	*p = (struct conf_problems){0};
	buf_init(&p->text, PROBLEMS_MAX);
}

void
conf_problems_room(struct conf_problems *p, size_t max)
{
	buf_init(&p->text, max);
}

void
conf_problems_free(struct conf_problems *p)
{
	buf_clear(&p->text);
}

/* What does not fit is counted and said once: by then there is enough to do. */
static void
add_line(struct conf_problems *p, const char *line, size_t n)
{
	static const char more[] = "more problems are not shown; mend these first\n";

	if (buf_len(&p->text) + n + sizeof(more) <= p->text.max && buf_append(&p->text, line, n))
		return;
	(void)!buf_append(&p->text, more, sizeof(more) - 1);
	p->text.max = (uint32_t)buf_len(&p->text);
}

static void
add(struct conf_problems *p, const struct conf_where *at, const char *key, const char *kind, const char *fmt,
    va_list ap)
{
	char line[PROBLEM_MAX + 4352], what[PROBLEM_MAX], place[24] = ""; /* a path is at most PATH_MAX, 4096 */

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	if (at != NULL && at->line > 0)
		(void)snprintf(place, sizeof(place), ":%u:%u", at->line, at->column);
	bool has_file = at != NULL && at->file != NULL;
	bool has_key = key != NULL && key[0] != '\0';
	int n = snprintf(line, sizeof(line), "%s%s%s%s%s%s%s\n", has_file ? at->file : "", place, has_file ? ": " : "",
	    kind, has_key ? key : "", has_key ? ": " : "", what);
	size_t len = MIN_OF((size_t)n, sizeof(line) - 1);
	for (size_t i = 0; i < len; i++) /* what a broken file holds does not command a terminal */
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len - 1] = '\n';
	add_line(p, line, len);
}

void
conf_error(struct conf_problems *p, const struct conf_where *at, const char *key, const char *fmt, ...)
{
	va_list ap;

	p->errors++;
	va_start(ap, fmt);
	add(p, at, key, "", fmt, ap);
	va_end(ap);
}

void
conf_warning(struct conf_problems *p, const struct conf_where *at, const char *key, const char *fmt, ...)
{
	va_list ap;

	p->warnings++;
	va_start(ap, fmt);
	add(p, at, key, "warning: ", fmt, ap);
	va_end(ap);
}

void
conf_problems_add(struct conf_problems *p, const struct conf_problems *more)
{
	struct sv rest = buf_view(&more->text);

	while (rest.n > 0) {
		struct sv line = sv_cut(&rest, '\n');
		add_line(p, line.p, line.n + 1); /* with its end */
	}
	p->errors += more->errors;
	p->warnings += more->warnings;
}

bool
conf_problems_next(struct sv *rest, struct conf_problem *out)
{
	static const struct sv mark = {"warning: ", 9};

	if (rest->n == 0)
		return false;
	struct sv line = sv_cut(rest, '\n');
	const char *colon = memmem(line.p, line.n, ": ", 2);
	size_t place = sv_starts(line, mark) || colon == NULL ? 0 : (size_t)(colon - line.p) + 2;
	struct sv after = sv_of(line.p + place, line.n - place);

	if (sv_starts(after, mark))
		*out = (struct conf_problem){true, sv_of(line.p, place), sv_of(after.p + mark.n, after.n - mark.n)};
	else
		*out = (struct conf_problem){false, SV_NONE, line};
	return true;
}
