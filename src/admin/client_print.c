#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/client.h"
#include "admin/print.h"

bool
admin_unexpected(const struct admin_reply *r, struct err *err)
{
	struct sv s = buf_view(&r->body);

	while (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n == 0)
		return err_set(err, "the proxy answers with status %u", r->status);
	return err_set(err, "the proxy answers: %.*s", (int)MIN_OF(s.n, (size_t)512), s.p);
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

/* Below the row, a line each; what a bundle is held back for stands in its text. */
static void
cell_findings(FILE *out, const json_t *row, const struct column *c)
{
	size_t i;
	json_t *f;

	json_array_foreach(json_object_get(row, c->key), i, f) {
		bool lossy = json_is_true(json_object_get(f, "lossy")), accepted = json_is_true(json_object_get(f, "accepted"));
		if (lossy && !accepted)
			continue;
		(void)fputs(accepted ? "\n    accepted: " : "\n    ", out);
		print_safe(out, reply_text(f, "kind"), 0);
		(void)fputs(": ", out);
		print_safe(out, reply_text(f, "text"), 0);
	}
}

/* The key tells what was loaded or not: a bundle, or whom a site or an upstream trusts. */
static void
cell_outcome_name(FILE *out, const json_t *row, const struct column *c)
{
	static const char *const keys[] = {"bundle", "site", "upstream"};
	size_t i = 0;

	while (i + 1 < COUNTOF(keys) && json_object_get(row, keys[i]) == NULL)
		i++;
	print_safe(out, reply_text(row, keys[i]), c->width);
}

/* In service, and nobody loses anything by it. */
static bool
is_unremarkable(const json_t *outcome)
{
	size_t i;
	json_t *f;

	if (strcmp(reply_text(outcome, "outcome"), "loaded") != 0)
		return false;
	json_array_foreach(json_object_get(outcome, "findings"), i, f) if (json_is_true(json_object_get(f, "lossy")))
		return false;
	return true;
}

/* Of thousands that are fine their number is enough: what is not must not drown among them. */
static void
print_outcomes(FILE *out, const json_t *outcomes)
{
	enum { LISTED = 50 };
	static const struct column columns[] = {
	    {"  ", NULL, cell_outcome_name, 20},
	    {" ", "outcome", cell_text, 8},
	    {" ", "text", cell_text, 0},
	    {"", "findings", cell_findings, 0},
	};

	size_t i, fine = 0;
	json_t *o, *others = json_array();

	json_array_foreach(outcomes, i, o) {
		if (is_unremarkable(o))
			fine++;
		else
			(void)json_array_append(others, o);
	}
	print_table(out, fine > LISTED ? others : outcomes, columns, COUNTOF(columns));
	if (fine > LISTED)
		(void)fprintf(out, "  %zu loaded; --json lists them\n", fine);
	json_decref(others);
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
print_warnings(FILE *out, const json_t *load)
{
	json_int_t n = reply_number(load, "warnings");

	if (n > 0)
		(void)fprintf(out, ", %" JSON_INTEGER_FORMAT " warning%s", n, n == 1 ? "" : "s");
	(void)fputc('\n', out);
}

static void
print_drain(FILE *out, const json_t *drain)
{
	json_int_t n = reply_number(drain, "connections");

	if (!json_is_object(drain))
		return;
	(void)fprintf(out, "Draining: %" JSON_INTEGER_FORMAT " connection%s left, cut at ", n, n == 1 ? "" : "s");
	print_safe(out, reply_text(drain, "until"), 0);
	(void)fputs(" (in ", out);
	print_duration(out, reply_number(drain, "seconds_left"));
	(void)fputs(")\n", out);
}

/* What came after it (changed certificates were taken over) does not make it good. */
static void
print_refused(FILE *out, const char *refused, const char *last)
{
	if (refused[0] == '\0' || strcmp(refused, last) == 0)
		return;
	(void)fputs("The config on the disk was refused at ", out);
	print_safe(out, refused, 0);
	(void)fputs("; `bascule check` tells why\n", out);
}

/* While the last reload is refused, what the one before had to tell still goes: what it held back is held back. */
static void
print_taken(FILE *out, const json_t *taken)
{
	const json_t *outcomes = json_object_get(taken, "outcomes");

	if (json_array_size(outcomes) == 0)
		return;
	(void)fputs("In service since ", out);
	print_safe(out, reply_text(taken, "at"), 0);
	(void)fputc('\n', out);
	print_outcomes(out, outcomes);
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
	print_drain(out, json_object_get(root, "drain"));
	print_refused(out, reply_text(root, "config_refused"), reply_text(last, "at"));
	if (!json_is_object(last))
		return;
	(void)fputs("Last reload ", out);
	print_safe(out, reply_text(last, "at"), 0);
	bool done = json_is_true(json_object_get(last, "ok"));
	(void)fputs(done ? ": done" : ": refused, the config before it goes on", out);
	print_warnings(out, last);
	print_problems(out, reply_text(last, "problems"));
	print_outcomes(out, json_object_get(last, "outcomes"));
	print_taken(out, json_object_get(root, "last_taken"));
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
print_notices(FILE *out, const json_t *notices)
{
	const char *why = reply_text(notices, "failure");

	if (why[0] == '\0')
		return;
	(void)fprintf(out, "\nPeople could not be told of %" JSON_INTEGER_FORMAT " events of rotations, the last time at %s\n",
	    reply_number(notices, "failed"), reply_text(notices, "failed_at"));
	print_line(out, "  ", why);
}

static void
cell_tls(FILE *out, const json_t *row, const struct column *c)
{
	(void)fputs(json_is_true(json_object_get(row, c->key)) ? "TLS" : "plain", out);
}

static void
print_listeners(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "address", cell_text, 28},
	    {" ", "tls", cell_tls, 0},
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
cell_date(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%-10.10s", reply_text(row, c->key));
}

static void
cell_expiry(FILE *out, const json_t *row, const struct column *c)
{
	json_int_t days = reply_number(row, c->key);

	(void)fputs(days < 0 ? "  EXPIRED" : days < 14 ? "  expires soon" : "", out);
}

/* Then the generation in its row is not the only one that clients are shown. */
static void
cell_rotation(FILE *out, const json_t *row, const struct column *c)
{
	const char *phase = reply_text(row, c->key);

	if (phase[0] == '\0')
		return;
	(void)fputs("  (rotation: ", out);
	print_safe(out, phase, 0);
	(void)fputc(')', out);
}

static void
print_bundles(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "name", cell_text, 18},
	    {" ", "generation", cell_number, 5},
	    {"  ", "not_after", cell_date, 10},
	    {" ", "days_left", cell_number, 6},
	    {"  ", "names", cell_names, 0},
	    {"", "days_left", cell_expiry, 0},
	    {"", "rotation", cell_rotation, 0},
	};

	(void)fputs("\nBundles               gen.  expires      days  names\n", out);
	print_table(out, list, columns, COUNTOF(columns));
}

static void
print_servers(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"    ", "address", cell_text, 26},
	    {" ", "state", cell_text, 10},
	    {" ", "protocol", cell_text, 8},
	    {" ", "in_flight", cell_number, 6},
	    {" in flight ", "requests", cell_number, 10},
	    {" requests ", "errors", cell_number, 8},
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
print_counters(FILE *out, const char *title, json_t *counters, bool zeros)
{
	const char *name;
	bool begun = false;
	json_t *value;

	json_object_foreach(counters, name, value) {
		if (!zeros && json_integer_value(value) == 0)
			continue;
		if (!begun)
			(void)fprintf(out, "\n%s\n", title);
		begun = true;
		(void)fputs("  ", out);
		print_safe(out, name, 30);
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
	print_notices(out, json_object_get(root, "notices"));
	print_listeners(out, json_object_get(root, "listeners"));
	print_sites(out, json_object_get(root, "sites"));
	print_bundles(out, json_object_get(root, "bundles"));
	print_upstreams(out, json_object_get(root, "upstreams"));
	print_counters(out, "Counters", json_object_get(root, "counters"), true);
	print_counters(out, "Connections closed, by reason", json_object_get(root, "connections_closed"), false);
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

/* Is there a row about this bundle that has one of these words? Then `err` is what it says. */
static bool
is_told(const struct admin_reply *r, const char *bundle, const char *word, const char *or, struct err *err)
{
	json_t *root = reply_parse(r, NULL);
	const json_t *outcome;
	bool told = false;
	size_t i;

	json_array_foreach(json_object_get(root, "outcomes"), i, outcome) {
		const char *is = reply_text(outcome, "outcome");
		if (strcmp(reply_text(outcome, "bundle"), bundle) != 0 || (strcmp(is, word) != 0 && strcmp(is, or) != 0))
			continue;
		err_set(err, "%s", reply_text(outcome, "text"));
		told = true;
	}
	json_decref(root);
	return told;
}

bool
admin_reload_held(const struct admin_reply *r, const char *bundle, struct err *err)
{
	return is_told(r, bundle, "held", "missing", err);
}

bool
admin_reload_waits(const struct admin_reply *r, const char *bundle, struct err *err)
{
	return is_told(r, bundle, "waiting", "waiting", err);
}

void
admin_reload_problem(const struct admin_reply *r, struct err *err)
{
	json_t *root = reply_parse(r, NULL);
	struct sv rest = sv_cstr(reply_text(root, "problems")), line = sv_cut(&rest, '\n');

	err_set(err, "%.*s", SV_FMT(line));
	json_decref(root);
}

bool
admin_print_reload(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = reply_parse(r, err);

	if (root == NULL)
		return false;
	print_problems(out, reply_text(root, "problems"));
	if (json_is_true(json_object_get(root, "ok")))
		(void)fprintf(out, "reloaded: config generation %" JSON_INTEGER_FORMAT, reply_number(root, "generation"));
	else
		(void)fputs("reload refused: the config before it goes on", out);
	print_warnings(out, root);
	print_outcomes(out, json_object_get(root, "outcomes"));
	json_decref(root);
	return print_done(out, err);
}
