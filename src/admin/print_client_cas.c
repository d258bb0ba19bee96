/* print_client_cas.c: the CAs of client certificates for people. */
#include <inttypes.h>
#include <string.h>

#include "admin/print.h"

static const char *
verdict_words(const json_t *ca)
{
	const char *v = reply_text(ca, "verdict");

	return strcmp(v, "yes") == 0 ? "yes" : strcmp(v, "no") == 0 ? "not yet" : "nobody can tell yet";
}

/* --- all sites --- */

static void
cell_count(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%*" JSON_INTEGER_FORMAT, c->width, reply_number(json_object_get(row, "counts"), c->key));
}

/* Those in the way of dropping it. */
static void
cell_waiting(FILE *out, const json_t *row, const struct column *c)
{
	const json_t *counts = json_object_get(row, "counts");

	(void)fprintf(out, "%*" JSON_INTEGER_FORMAT, c->width,
	    reply_number(counts, "current") + reply_number(counts, "both") + reply_number(counts, "shared"));
}

static void
cell_verdict(FILE *out, const json_t *row, const struct column *c)
{
	(void)c;
	if (json_is_true(json_object_get(row, "pinned")))
		(void)fputs(verdict_words(row), out);
	else
		(void)fprintf(out, "dropped on %.10s", reply_text(row, "dropped"));
}

bool
admin_print_client_cas(const struct admin_reply *r, FILE *out, struct err *err)
{
	static const struct column columns[] = {
	    {"    ", "name", cell_text, 32},
	    {" ", NULL, cell_waiting, 7},
	    {" ", "moved", cell_count, 7},
	    {" ", "connected", cell_count, 9},
	    {" ", "refused", cell_count, 7},
	    {"  ", NULL, cell_verdict, 0},
	};
	json_t *root = reply_parse(r, err), *site;
	size_t i;

	if (root == NULL)
		return false;
	const json_t *sites = json_object_get(root, "sites");
	if (json_array_size(sites) == 0)
		(void)fputs("No site asks for client certificates.\n", out);
	else
		(void)fputs("  site, client CA                    need it   moved connected refused  may be dropped\n", out);
	json_array_foreach(sites, i, site) {
		print_line(out, "  ", reply_text(site, "site"));
		print_table(out, json_object_get(site, "cas"), columns, COUNTOF(columns));
	}
	json_decref(root);
	return print_done(out, err);
}

/* --- one site --- */

static void
cell_date(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%-*.10s", c->width, reply_text(row, c->key));
}

static void
cell_handshakes(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%*" JSON_INTEGER_FORMAT, c->width, reply_number(row, "handshakes") + reply_number(row, "resumed"));
}

/* "10:20:30.123Z" of "2026-11-21T10:20:30.123Z". */
static const char *
clock_of(const char *time)
{
	const char *t = strchr(time, 'T');

	return t != NULL ? t + 1 : "";
}

/* The subject, and what else there is to say. */
static void
cell_who(FILE *out, const json_t *row, const struct column *c)
{
	const char *subject = reply_text(row, c->key), *to = reply_text(row, "moved_to"), *at = reply_text(row, "last_refused");
	json_int_t refused = reply_number(row, "refused"), open = reply_number(row, "connections");

	print_safe(out, subject[0] != '\0' ? subject : "(no subject)", 0);
	(void)fputs(" (serial ", out);
	print_safe(out, reply_text(row, "serial"), 0);
	(void)fputc(')', out);
	if (to[0] != '\0') {
		(void)fputs(" -> ", out);
		print_safe(out, to, 0);
	}
	if (open > 0)
		(void)fprintf(out, ", connected (%" JSON_INTEGER_FORMAT ")", open);
	if (refused > 0)
		(void)fprintf(out, ", refused %" JSON_INTEGER_FORMAT " times, last on %.10s %.8s", refused, at, clock_of(at));
}

/* Those that stand in the way of dropping it, or those that do not. */
static void
print_certificates(FILE *out, const json_t *list, bool in_the_way)
{
	static const struct column columns[] = {
	    {"    ", "status", cell_text, 8},
	    {" ", "last_seen", cell_time, 19},
	    {"  ", "address", cell_text, 24},
	    {" ", "not_after", cell_date, 10},
	    {" ", NULL, cell_handshakes, 10},
	    {"  ", "subject", cell_who, 0},
	};
	json_t *some = json_array(), *row;
	size_t i;

	json_array_foreach(list, i, row) if (json_is_true(json_object_get(row, "in_the_way")) == in_the_way)
		(void)json_array_append(some, row);
	if (json_array_size(some) > 0) {
		(void)fprintf(out, "  Certificates that %s it (%zu)\n", in_the_way ? "need" : "do not need", json_array_size(some));
		(void)fputs("    status   last seen            address                  expires    handshakes  whose\n", out);
		print_table(out, some, columns, COUNTOF(columns));
	}
	json_decref(some);
}

static void
print_counts(FILE *out, const json_t *counts)
{
	const char *name;
	json_t *n;

	(void)fprintf(out, "  %" JSON_INTEGER_FORMAT " certificate%s came", reply_number(counts, "certificates"),
	    reply_number(counts, "certificates") == 1 ? "" : "s");
	const char *between = ": ";
	json_object_foreach((json_t *)counts, name, n) {
		if (json_integer_value(n) == 0 || strcmp(name, "certificates") == 0 || strcmp(name, "not_remembered") == 0 ||
		    strcmp(name, "strangers_refused") == 0)
			continue;
		(void)fprintf(out, "%s%" JSON_INTEGER_FORMAT " ", between, json_integer_value(n));
		print_safe(out, name, 0);
		between = ", ";
	}
	(void)fputc('\n', out);
}

static void
print_pin(FILE *out, const json_t *ca)
{
	(void)fputc('\n', out);
	print_safe(out, reply_text(ca, "name"), 0);
	if (json_is_true(json_object_get(ca, "pinned"))) {
		(void)fprintf(out, ": pinned since %.10s, watched for ", reply_text(ca, "pinned_since"));
		print_duration(out, reply_number(ca, "watched_seconds"));
	} else {
		(void)fprintf(out, ": dropped on %.10s", reply_text(ca, "dropped"));
	}
	(void)fprintf(out, "\n  SHA-256 %.16s, expires %.10s, in %" JSON_INTEGER_FORMAT " days\n", reply_text(ca, "fingerprint"),
	    reply_text(ca, "not_after"), reply_number(ca, "days_left"));
}

static void
print_verdict(FILE *out, const json_t *ca)
{
	size_t i;
	json_t *reason;

	if (json_is_true(json_object_get(ca, "pinned")))
		(void)fprintf(out, "  The pin may be dropped: %s\n", verdict_words(ca));
	else
		(void)fprintf(out, "  Nobody is missing it: %s\n", strcmp(reply_text(ca, "verdict"), "yes") == 0 ? "yes" : "no");
	json_array_foreach(json_object_get(ca, "reasons"), i, reason) {
		const char *says = reply_text(reason, "says");
		print_line(out, strcmp(says, "no") == 0 ? "    no: " : strcmp(says, "unknown") == 0 ? "    not known: " : "    ",
		    reply_text(reason, "text"));
	}
}

/* Mostly days, and no hours. */
static void
print_window(FILE *out, json_int_t s)
{
	if (s > 0 && s % 86400 == 0)
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT " d", s / 86400);
	else
		print_duration(out, s);
}

static void
print_coming(FILE *out, const json_t *list)
{
	const json_t *pin;
	size_t i;

	json_array_foreach(list, i, pin) {
		(void)fprintf(out, "From %.10s %.5s on: ", reply_text(pin, "from"), clock_of(reply_text(pin, "from")));
		print_line(out, "", reply_text(pin, "ca"));
	}
}

bool
admin_print_client_ca(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = reply_parse(r, err), *ca;
	size_t i;

	if (root == NULL)
		return false;
	(void)fputs("Site ", out);
	print_safe(out, reply_text(root, "site"), 0);
	(void)fputs(": who has not come for ", out);
	print_window(out, reply_number(root, "window_seconds"));
	(void)fprintf(out, " is not waited for; %" JSON_INTEGER_FORMAT " certificates of each CA are remembered\n",
	    reply_number(root, "remember"));
	print_coming(out, json_object_get(root, "coming"));
	json_array_foreach(json_object_get(root, "cas"), i, ca) {
		print_pin(out, ca);
		print_counts(out, json_object_get(ca, "counts"));
		print_certificates(out, json_object_get(ca, "certificates"), true);
		print_certificates(out, json_object_get(ca, "certificates"), false);
		print_verdict(out, ca);
	}
	json_decref(root);
	return print_done(out, err);
}

bool
admin_client_ca_verdict(const struct admin_reply *r, bool *may_drop, struct err *err)
{
	json_t *root = reply_parse(r, err);
	const json_t *may = json_object_get(json_array_get(json_object_get(root, "cas"), 0), "may_drop");
	bool tells = json_is_boolean(may);

	*may_drop = json_is_true(may);
	json_decref(root);
	return tells || (err->text[0] != '\0' ? false : err_set(err, "the reply has no verdict; is the proxy an older one?"));
}
