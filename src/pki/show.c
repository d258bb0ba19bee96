#include "pki/show.h"

enum { LABEL_WIDTH = 12 };

void
show_safe(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		(void)fputc((unsigned char)*text >= 0x20 && *text != 0x7f ? *text : '?', out);
}

void
show_message(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		(void)fputc(((unsigned char)*text >= 0x20 && *text != 0x7f) || *text == '\n' ? *text : '?', out);
	(void)fputc('\n', out);
}

static void
put_json(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f)
			(void)fprintf(out, "\\u%04x", c);
		else
			(void)fprintf(out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
	}
	(void)fputc('"', out);
}

static void
next(struct show *s, const char *key)
{
	(void)fprintf(s->out, "%s\n%*s", s->any[s->depth] ? "," : "", (int)s->depth * 2, "");
	s->any[s->depth] = true;
	if (key != NULL)
		(void)fprintf(s->out, "\"%s\": ", key);
}

static void
down(struct show *s, char bracket)
{
	(void)fputc(bracket, s->out);
	s->any[++s->depth] = false;
}

static void
up(struct show *s, char bracket)
{
	bool any = s->any[s->depth--];

	if (any)
		(void)fprintf(s->out, "\n%*s", (int)s->depth * 2, "");
	(void)fputc(bracket, s->out);
}

void
show_begin(struct show *s, FILE *out, bool json)
{
	*s = (struct show){.out = out, .json = json};
	if (json)
		down(s, '{');
}

void
show_end(struct show *s)
{
	if (!s->json)
		return;
	up(s, '}');
	(void)fputc('\n', s->out);
}

void
show_list_begin(struct show *s, const char *key)
{
	if (!s->json)
		return;
	next(s, key);
	down(s, '[');
}

void
show_list_end(struct show *s)
{
	if (s->json)
		up(s, ']');
}

void
show_item_begin(struct show *s, const char *title)
{
	if (s->json) {
		next(s, NULL);
		down(s, '{');
	} else if (title != NULL) {
		show_safe(s->out, title);
		(void)fputc('\n', s->out);
	}
}

void
show_item_end(struct show *s)
{
	if (s->json)
		up(s, '}');
}

void
show_text(struct show *s, const char *key, const char *label, const char *value)
{
	if (s->json && key != NULL) {
		next(s, key);
		put_json(s->out, value);
	} else if (!s->json && label != NULL) {
		(void)fprintf(s->out, "  %-*s ", LABEL_WIDTH, label);
		show_safe(s->out, value);
		(void)fputc('\n', s->out);
	}
}

void
show_number(struct show *s, const char *key, const char *label, int64_t value)
{
	if (s->json && key != NULL) {
		next(s, key);
		(void)fprintf(s->out, "%lld", (long long)value);
	} else if (!s->json && label != NULL) {
		(void)fprintf(s->out, "  %-*s %lld\n", LABEL_WIDTH, label, (long long)value);
	}
}

void
show_bool(struct show *s, const char *key, bool value)
{
	if (!s->json)
		return;
	next(s, key);
	(void)fputs(value ? "true" : "false", s->out);
}

void
show_texts(struct show *s, const char *key, const char *label, const char *const *values, size_t n)
{
	if (s->json) {
		next(s, key);
		(void)fputc('[', s->out);
		for (size_t i = 0; i < n; i++) {
			(void)fputs(i > 0 ? ", " : "", s->out);
			put_json(s->out, values[i]);
		}
		(void)fputc(']', s->out);
		return;
	}
	if (n == 0)
		return;
	(void)fprintf(s->out, "  %-*s ", LABEL_WIDTH, label);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i > 0 ? ", " : "", s->out);
		show_safe(s->out, values[i]);
	}
	(void)fputc('\n', s->out);
}
