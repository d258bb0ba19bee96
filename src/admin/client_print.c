#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/client.h"
#include "admin/print.h"

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
	return print_done(out, err);
}

/* --- the parts of a status --- */

static void
print_outcomes(FILE *out, const json_t *outcomes)
{
	static const struct column columns[] = {
	    {"  ", "bundle", show_text, 20},
	    {" ", "outcome", show_text, 8},
	    {" ", "text", show_text, 0},
	};

	print_table(out, outcomes, columns, COUNTOF(columns));
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
	print_safe(out, reply_text(root, "version"), 0);
	(void)fprintf(out, ", worker %" JSON_INTEGER_FORMAT ", up ", reply_number(root, "pid"));
	print_duration(out, reply_number(root, "uptime_seconds"));
	(void)fprintf(out, ", %" JSON_INTEGER_FORMAT " threads, config generation %" JSON_INTEGER_FORMAT "\n",
	    reply_number(root, "threads"), reply_number(root, "generation"));
	if (!json_is_object(last))
		return;
	(void)fputs("Last reload ", out);
	print_safe(out, reply_text(last, "at"), 0);
	bool done = json_is_true(json_object_get(last, "ok"));
	(void)fputs(done ? ": done\n" : ": refused, the config before it goes on\n", out);
	print_problems(out, reply_text(last, "problems"));
	print_outcomes(out, json_object_get(last, "outcomes"));
}

/* Only when something is wrong with it. */
static void
print_state(FILE *out, const json_t *state)
{
	const char *problems = reply_text(state, "problems");
	const json_t *unwritten = json_object_get(state, "unwritten");

	if (problems[0] == '\0' && !json_is_string(unwritten))
		return;
	(void)fputs("\nState of rotations\n", out);
	print_problems(out, problems);
	if (json_is_string(unwritten)) {
		(void)fputs("  not kept: ", out);
		print_safe(out, json_string_value(unwritten), 0);
		(void)fputc('\n', out);
	}
}

static void
show_tls(FILE *out, const json_t *row, const struct column *c)
{
	(void)fputs(json_is_true(json_object_get(row, c->key)) ? "TLS" : "plain", out);
}

static void
print_listeners(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "address", show_text, 28},
	    {" ", "tls", show_tls, 0},
	};

	(void)fputs("\nListeners\n", out);
	print_table(out, list, columns, COUNTOF(columns));
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

/* Of a time only the date. */
static void
show_date(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%-10.10s", reply_text(row, c->key));
}

static void
show_expiry(FILE *out, const json_t *row, const struct column *c)
{
	json_int_t days = reply_number(row, c->key);

	(void)fputs(days < 0 ? "  EXPIRED" : days < 14 ? "  expires soon" : "", out);
}

static void
print_bundles(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "name", show_text, 18},
	    {" ", "generation", show_number, 5},
	    {"  ", "not_after", show_date, 10},
	    {" ", "days_left", show_number, 6},
	    {"  ", "names", show_names, 0},
	    {"", "days_left", show_expiry, 0},
	};

	(void)fputs("\nBundles               gen.  expires      days  names\n", out);
	print_table(out, list, columns, COUNTOF(columns));
}

static void
print_servers(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"    ", "address", show_text, 26},
	    {" ", "state", show_text, 8},
	    {" ", "in_flight", show_number, 6},
	    {" in flight ", "requests", show_number, 10},
	    {" requests ", "errors", show_number, 8},
	    {" errors", NULL, NULL, 0},
	};

	print_table(out, list, columns, COUNTOF(columns));
}

static void
print_upstreams(FILE *out, const json_t *list)
{
	size_t i, k;
	json_t *u, *w;

	(void)fputs("\nUpstreams\n", out);
	json_array_foreach(list, i, u) {
		print_line(out, "  ", reply_text(u, "name"));
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
	json_t *root = reply_parse(r, err);

	if (root == NULL)
		return false;
	print_head(out, root);
	print_state(out, json_object_get(root, "state"));
	print_listeners(out, json_object_get(root, "listeners"));
	print_sites(out, json_object_get(root, "sites"));
	print_bundles(out, json_object_get(root, "bundles"));
	print_upstreams(out, json_object_get(root, "upstreams"));
	print_counters(out, json_object_get(root, "counters"));
	json_decref(root);
	return print_done(out, err);
}

bool
admin_reload_outcome(const struct admin_reply *r, bool *done, bool *whole, struct err *err)
{
	json_t *root = reply_parse(r, NULL);
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
admin_print_reload(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = reply_parse(r, err);

	if (root == NULL)
		return false;
	print_problems(out, reply_text(root, "problems"));
	if (json_is_true(json_object_get(root, "ok")))
		(void)fprintf(out, "reloaded: config generation %" JSON_INTEGER_FORMAT "\n", reply_number(root, "generation"));
	else
		(void)fputs("reload refused: the config before it goes on\n", out);
	print_outcomes(out, json_object_get(root, "outcomes"));
	json_decref(root);
	return print_done(out, err);
}
