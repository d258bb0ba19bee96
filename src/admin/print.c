#include "admin/print.h"

#include <inttypes.h>
#include <string.h>

/* --- the JSON of a reply; what is missing reads as empty, so that an older proxy can still be asked --- */

const char *
reply_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

json_int_t
reply_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

json_t *
reply_parse(const struct admin_reply *r, struct err *err)
{
	json_error_t where;
	struct sv s = buf_view(&r->body);
	json_t *root = json_loadb(s.p != NULL ? s.p : "", s.n, 0, &where);

	if (root == NULL || !json_is_object(root)) {
		err_set(err, "the reply is no JSON object (line %d: %s); is it the admin socket of a bascule?", where.line,
		    where.text);
		json_decref(root);
		return NULL;
	}
	return root;
}

bool
print_done(FILE *out, struct err *err)
{
	return fflush(out) == 0 && !ferror(out) ? true : err_set(err, "can not write the output");
}

/* --- for people --- */

/* A wide name or address pushes its columns, never loses its end. Bytes that command a terminal are not passed on. */
void
print_safe(FILE *out, const char *s, int width)
{
	int n = 0;

	for (; *s != '\0'; s++, n++)
		(void)fputc((unsigned char)*s >= 0x20 && *s != 0x7f ? *s : '?', out);
	for (; n < width; n++)
		(void)fputc(' ', out);
}

void
print_line(FILE *out, const char *before, const char *text)
{
	(void)fputs(before, out);
	print_safe(out, text, 0);
	(void)fputc('\n', out);
}

void
print_names(FILE *out, const json_t *names)
{
	enum { SHOWN = 8 };
	size_t i, n = json_array_size(names);

	for (i = 0; i < n && i < SHOWN; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		const char *s = json_string_value(json_array_get(names, i));
		print_safe(out, s != NULL ? s : "?", 0);
	}
	if (n > i)
		(void)fprintf(out, " and %zu more", n - i);
}

void
print_duration(FILE *out, json_int_t s)
{
	if (s >= 86400)
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT " d %" JSON_INTEGER_FORMAT " h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT " h %" JSON_INTEGER_FORMAT " min", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT " min %" JSON_INTEGER_FORMAT " s", s / 60, s % 60);
	else
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT " s", s);
}

/* --- tables: one row for each object of a list --- */

void
cell_text(FILE *out, const json_t *row, const struct column *c)
{
	print_safe(out, reply_text(row, c->key), c->width);
}

void
cell_number(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%*" JSON_INTEGER_FORMAT, c->width, reply_number(row, c->key));
}

/* "2026-11-21T10:20:30.123Z" to the second, without the letters. */
void
cell_time(FILE *out, const json_t *row, const struct column *c)
{
	const char *at = reply_text(row, c->key);
	const char *clock = strchr(at, 'T');

	(void)fprintf(out, "%.10s %-*.8s", at, c->width - 11, clock != NULL ? clock + 1 : "");
}

void
cell_names(FILE *out, const json_t *row, const struct column *c)
{
	print_names(out, json_object_get(row, c->key));
}

void
print_table(FILE *out, const json_t *list, const struct column *columns, size_t n)
{
	size_t i;
	json_t *row;

	json_array_foreach(list, i, row) {
		for (const struct column *c = columns; c < columns + n; c++) {
			(void)fputs(c->before, out);
			if (c->show != NULL)
				c->show(out, row, c);
		}
		(void)fputc('\n', out);
	}
}
