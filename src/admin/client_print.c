#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/client.h"

/* --- the JSON of a reply; what is missing reads as empty, so that an older proxy can still be asked --- */

static const char *
text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

static json_int_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static json_t *
parse(const struct admin_reply *r, struct err *err)
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

static bool
written(FILE *out, struct err *err)
{
	return fflush(out) == 0 && !ferror(out) ? true : err_set(err, "can not write the output");
}

bool
admin_unexpected(const struct admin_reply *r, struct err *err)
{
	struct sv s = sv_trim(buf_view(&r->body));

	return err_set(err, "the proxy answers with status %u: %.*s", r->status, (int)MIN_OF(s.n, (size_t)512),
	    s.n > 0 ? s.p : "");
}

bool
admin_print_body(const struct admin_reply *r, FILE *out, struct err *err)
{
	struct sv s = buf_view(&r->body);

	if (s.n > 0 && fwrite(s.p, 1, s.n, out) == s.n && s.p[s.n - 1] != '\n')
		(void)fputc('\n', out);
	return written(out, err);
}

/* --- for people --- */

/* A wide name or address pushes its columns, never loses its end. Bytes that command a terminal are not passed on. */
static void
print_safe(FILE *out, const char *s, int width)
{
	int n = 0;

	for (; *s != '\0'; s++, n++)
		(void)fputc((unsigned char)*s >= 0x20 && *s != 0x7f ? *s : '?', out);
	for (; n < width; n++)
		(void)fputc(' ', out);
}

static void
print_line(FILE *out, const char *before, const char *text)
{
	(void)fputs(before, out);
	print_safe(out, text, 0);
	(void)fputc('\n', out);
}

static void
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

static void
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

static void
print_outcomes(FILE *out, const json_t *outcomes)
{
	size_t i;
	json_t *o;

	json_array_foreach(outcomes, i, o) {
		(void)fputs("  ", out);
		print_safe(out, text_of(o, "bundle"), 20);
		(void)fputc(' ', out);
		print_safe(out, text_of(o, "outcome"), 8);
		print_line(out, " ", text_of(o, "text"));
	}
}

/* The problems as lines, as `bascule check` has them. */
static void
print_problems(FILE *out, const char *problems)
{
	struct sv rest = sv_cstr(problems);

	while (rest.p != NULL && rest.n > 0) {
		struct sv line = sv_cut(&rest, '\n');
		(void)fprintf(out, "  %.*s\n", SV_FMT(line));
	}
}

static void
print_head(FILE *out, const json_t *root)
{
	const json_t *last = json_object_get(root, "last_reload");

	(void)fputs("bascule ", out);
	print_safe(out, text_of(root, "version"), 0);
	(void)fprintf(out, ", worker %" JSON_INTEGER_FORMAT ", up ", number_of(root, "pid"));
	print_duration(out, number_of(root, "uptime_seconds"));
	(void)fprintf(out, ", %" JSON_INTEGER_FORMAT " threads, config generation %" JSON_INTEGER_FORMAT "\n",
	    number_of(root, "threads"), number_of(root, "generation"));
	if (!json_is_object(last))
		return;
	(void)fputs("Last reload ", out);
	print_safe(out, text_of(last, "at"), 0);
	bool done = json_is_true(json_object_get(last, "ok"));
	(void)fputs(done ? ": done\n" : ": refused, the config before it goes on\n", out);
	print_problems(out, text_of(last, "problems"));
	print_outcomes(out, json_object_get(last, "outcomes"));
}

static void
print_listeners(FILE *out, const json_t *list)
{
	size_t i;
	json_t *l;

	(void)fputs("\nListeners\n", out);
	json_array_foreach(list, i, l) {
		(void)fputs("  ", out);
		print_safe(out, text_of(l, "address"), 28);
		(void)fputs(json_is_true(json_object_get(l, "tls")) ? " TLS\n" : " plain\n", out);
	}
}

static void
print_sites(FILE *out, const json_t *list)
{
	size_t i;
	json_t *s;

	(void)fputs("\nSites\n", out);
	json_array_foreach(list, i, s) {
		const json_t *names = json_object_get(s, "names");
		(void)fputs("  ", out);
		print_names(out, names);
		(void)fputs(json_array_size(names) == 0 ? "(default)\n" : "\n", out);
	}
}

static void
print_bundles(FILE *out, const json_t *list)
{
	size_t i;
	json_t *b;

	(void)fputs("\nBundles               gen.  expires      days  names\n", out);
	json_array_foreach(list, i, b) {
		json_int_t days = number_of(b, "days_left");
		(void)fputs("  ", out);
		print_safe(out, text_of(b, "name"), 18);
		(void)fprintf(out, " %5" JSON_INTEGER_FORMAT "  %-10.10s %6" JSON_INTEGER_FORMAT "  ",
		    number_of(b, "generation"), text_of(b, "not_after"), days);
		print_names(out, json_object_get(b, "names"));
		(void)fputs(days < 0 ? "  EXPIRED\n" : days < 14 ? "  expires soon\n" : "\n", out);
	}
}

static void
print_servers(FILE *out, const json_t *list)
{
	size_t i;
	json_t *s;

	json_array_foreach(list, i, s) {
		(void)fputs("    ", out);
		print_safe(out, text_of(s, "address"), 26);
		(void)fputc(' ', out);
		print_safe(out, text_of(s, "state"), 8);
		(void)fprintf(out,
		    " %6" JSON_INTEGER_FORMAT " in flight %10" JSON_INTEGER_FORMAT " requests %8" JSON_INTEGER_FORMAT " errors\n",
		    number_of(s, "in_flight"), number_of(s, "requests"), number_of(s, "errors"));
	}
}

static void
print_upstreams(FILE *out, const json_t *list)
{
	size_t i, k;
	json_t *u, *w;

	(void)fputs("\nUpstreams\n", out);
	json_array_foreach(list, i, u) {
		print_line(out, "  ", text_of(u, "name"));
		json_array_foreach(json_object_get(u, "warnings"), k, w)
			print_line(out, "    warning: ", json_is_string(w) ? json_string_value(w) : "?");
		print_servers(out, json_object_get(u, "servers"));
	}
}

static void
print_counters(FILE *out, json_t *counters)
{
	const char *name;
	json_t *value;

	(void)fputs("\nCounters\n", out);
	json_object_foreach(counters, name, value) {
		(void)fputs("  ", out);
		print_safe(out, name, 28);
		(void)fprintf(out, " %14" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	}
}

bool
admin_print_status(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = parse(r, err);

	if (root == NULL)
		return false;
	print_head(out, root);
	print_listeners(out, json_object_get(root, "listeners"));
	print_sites(out, json_object_get(root, "sites"));
	print_bundles(out, json_object_get(root, "bundles"));
	print_upstreams(out, json_object_get(root, "upstreams"));
	print_counters(out, json_object_get(root, "counters"));
	json_decref(root);
	return written(out, err);
}

bool
admin_reload_outcome(const struct admin_reply *r, bool *done, bool *whole, struct err *err)
{
	json_t *root = parse(r, NULL);
	const json_t *ok = json_object_get(root, "ok"), *outcome;
	bool tells = json_is_boolean(ok);
	size_t i;

	*done = *whole = json_is_true(ok);
	json_array_foreach(json_object_get(root, "outcomes"), i, outcome) {
		const char *word = json_string_value(json_object_get(outcome, "outcome"));
		if (word != NULL && (strcmp(word, "held") == 0 || strcmp(word, "missing") == 0))
			*whole = false;
	}
	json_decref(root);
	return tells ? true : admin_unexpected(r, err);
}

bool
admin_reload_held(const struct admin_reply *r, const char *bundle, struct err *err)
{
	json_t *root = parse(r, NULL);
	const json_t *outcome;
	bool held = false;
	size_t i;

	json_array_foreach(json_object_get(root, "outcomes"), i, outcome) {
		const char *word = text_of(outcome, "outcome");
		if (strcmp(text_of(outcome, "bundle"), bundle) != 0 || (strcmp(word, "held") != 0 && strcmp(word, "missing") != 0))
			continue;
		err_set(err, "%s", text_of(outcome, "text"));
		held = true;
	}
	json_decref(root);
	return held;
}

void
admin_reload_problem(const struct admin_reply *r, struct err *err)
{
	json_t *root = parse(r, NULL);
	struct sv rest = sv_cstr(text_of(root, "problems")), line = sv_cut(&rest, '\n');

	err_set(err, "%.*s", SV_FMT(line));
	json_decref(root);
}

bool
admin_print_reload(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = parse(r, err);

	if (root == NULL)
		return false;
	print_problems(out, text_of(root, "problems"));
	if (json_is_true(json_object_get(root, "ok")))
		(void)fprintf(out, "reloaded: config generation %" JSON_INTEGER_FORMAT "\n", number_of(root, "generation"));
	else
		(void)fputs("reload refused: the config before it goes on\n", out);
	print_outcomes(out, json_object_get(root, "outcomes"));
	json_decref(root);
	return written(out, err);
}
