/* print_rotation.c: rotations for people. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "admin/print.h"

static void
cell_flag(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%-*s", c->width, json_is_true(json_object_get(row, c->key)) ? "yes" : "no");
}

static void
cell_share(FILE *out, const json_t *row, const struct column *c)
{
	(void)fprintf(out, "%*.4g %%", c->width, json_number_value(json_object_get(row, c->key)));
}

bool
admin_print_rotations(const struct admin_reply *r, FILE *out, struct err *err)
{
	static const struct column columns[] = {
	    {"  ", "bundle", cell_text, 20},
	    {" ", "phase", cell_text, 12},
	    {" ", "share_percent", cell_share, 6},
	    {" ", "orphans", cell_number, 9},
	    {" ", "untested", cell_number, 9},
	    {"  ", "may_retire", cell_flag, 0},
	};
	json_t *root = reply_parse(r, err);

	if (root == NULL)
		return false;
	const json_t *list = json_object_get(root, "rotations");
	if (json_array_size(list) == 0) {
		(void)fputs("No rotation goes on: each bundle has one generation in service.\n", out);
	} else {
		(void)fputs("  bundle               phase           share   orphans  untested  old may go\n", out);
		print_table(out, list, columns, COUNTOF(columns));
	}
	json_decref(root);
	return print_done(out, err);
}

/* --- one rotation --- */

static void
print_generation(FILE *out, const char *which, const json_t *g)
{
	const json_t *h = json_object_get(g, "handshakes"), *alerts = json_object_get(h, "alerts");
	const char *name;
	json_t *n;

	if (!json_is_object(g))
		return;
	(void)fprintf(out, "\n%s: generation %" JSON_INTEGER_FORMAT ", SHA-256 %.16s, serial ", which, reply_number(g, "generation"),
	    reply_text(g, "fingerprint"));
	print_safe(out, reply_text(g, "serial"), 0);
	(void)fputs("\n  issued by ", out);
	print_safe(out, reply_text(g, "issuer"), 0);
	(void)fprintf(out, "\n  expires %.10s, in %" JSON_INTEGER_FORMAT " days\n", reply_text(g, "not_after"),
	    reply_number(g, "days_left"));
	(void)fprintf(out,
	    "  handshakes: %" JSON_INTEGER_FORMAT " accepted by %" JSON_INTEGER_FORMAT " client%s, %" JSON_INTEGER_FORMAT
	    " rejected, %" JSON_INTEGER_FORMAT " ended in silence\n",
	    reply_number(h, "accepted"), reply_number(h, "clients"), reply_number(h, "clients") == 1 ? "" : "s",
	    reply_number(h, "rejected"), reply_number(h, "silent"));
	json_object_foreach((json_t *)alerts, name, n) {
		(void)fputs("    alert ", out);
		print_safe(out, name, 24);
		(void)fprintf(out, " %8" JSON_INTEGER_FORMAT "\n", json_integer_value(n));
	}
}

static void
cell_name(FILE *out, const json_t *row, const struct column *c)
{
	const char *name = reply_text(row, c->key);

	print_safe(out, name[0] != '\0' ? name : "-", c->width);
}

static void
cell_seen(FILE *out, const json_t *row, const struct column *c)
{
	if (reply_number(row, "connections") > 0)
		(void)fprintf(out, "%-*s", c->width, "connected now");
	else
		cell_time(out, row, c);
}

static void
cell_evidence(FILE *out, const json_t *row, const struct column *c)
{
	print_safe(out, reply_text(row, c->key), 0);
	if (json_is_true(json_object_get(row, "suspected")))
		(void)fputs(" (suspected)", out);
	if (json_is_true(json_object_get(row, "mixed")))
		(void)fputs(" (refuses both: several clients behind one address?)", out);
}

static void
print_orphans(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "address", cell_text, 24},
	    {" ", "fingerprint", cell_text, 9},
	    {" ", "last_seen", cell_seen, 19},
	    {" ", "refusals", cell_number, 8},
	    {"  ", "name", cell_name, 32},
	    {" ", "evidence", cell_evidence, 0},
	};

	if (json_array_size(list) == 0)
		return;
	(void)fprintf(out, "\nClients that refuse the current generation (%zu)\n", json_array_size(list));
	(void)fputs("  address                  hello     last seen           refusals  name                             how\n", out);
	print_table(out, list, columns, COUNTOF(columns));
}

static void
print_untested(FILE *out, const json_t *list)
{
	static const struct column columns[] = {
	    {"  ", "address", cell_text, 24},
	    {" ", "fingerprint", cell_text, 9},
	    {" ", "last_seen", cell_seen, 19},
	    {"  ", "name", cell_name, 0},
	};

	if (json_array_size(list) == 0)
		return;
	(void)fprintf(out, "\nClients that have neither accepted nor refused it (%zu)\n", json_array_size(list));
	(void)fputs("  address                  hello     last seen            name\n", out);
	print_table(out, list, columns, COUNTOF(columns));
}

static void
print_verdict(FILE *out, const json_t *root)
{
	size_t i;
	json_t *reason;

	(void)fputs(json_is_true(json_object_get(root, "may_retire")) ? "\nThe previous generation may go: yes\n"
	                                                             : "\nThe previous generation may go: not yet\n", out);
	json_array_foreach(json_object_get(root, "reasons"), i, reason)
		print_line(out, json_is_true(json_object_get(reason, "blocks")) ? "  no: " : "  ", reply_text(reason, "text"));
}

/* Of a plan that is done with, or given up, the stage tells nothing. */
static bool
has_stage(const char *phase)
{
	return strcmp(phase, "staged") == 0 || strcmp(phase, "held") == 0;
}

static void
print_plan(FILE *out, const json_t *root)
{
	json_int_t left = reply_number(root, "stage_left_seconds");

	(void)fputs("Bundle ", out);
	print_safe(out, reply_text(root, "bundle"), 0);
	(void)fputs(": ", out);
	print_safe(out, reply_text(root, "phase"), 0);
	(void)fprintf(out, ", %.4g %% of the clients get the current generation",
	    json_number_value(json_object_get(root, "share_percent")));
	if (has_stage(reply_text(root, "phase")) && reply_number(root, "stages") > 0)
		(void)fprintf(out, ", stage %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT, reply_number(root, "stage"),
		    reply_number(root, "stages"));
	if (left > 0) {
		(void)fputs(", the next in ", out);
		print_duration(out, left);
	}
	(void)fputc('\n', out);
	if (reply_text(root, "previous_ends_by")[0] != '\0')
		(void)fprintf(out, "The previous one is kept until %.10s at the latest\n", reply_text(root, "previous_ends_by"));
}

bool
admin_print_rotation(const struct admin_reply *r, FILE *out, struct err *err)
{
	json_t *root = reply_parse(r, err);

	if (root == NULL)
		return false;
	print_plan(out, root);
	print_generation(out, "Current", json_object_get(root, "current"));
	print_generation(out, "Previous", json_object_get(root, "previous"));
	print_orphans(out, json_object_get(root, "orphan_list"));
	print_untested(out, json_object_get(root, "untested_list"));
	print_verdict(out, root);
	json_decref(root);
	return print_done(out, err);
}

uint64_t
admin_rotation_generation(const struct admin_reply *r, const unsigned char sha256[32])
{
	json_t *root = reply_parse(r, NULL);
	const json_t *current = json_object_get(root, "current");
	char print[2 * 32 + 1];

	for (size_t i = 0; i < 32; i++)
		(void)snprintf(print + 2 * i, 3, "%02x", sha256[i]);
	json_int_t number = strcmp(reply_text(current, "fingerprint"), print) == 0 ? reply_number(current, "generation") : 0;
	json_decref(root);
	return number > 0 ? (uint64_t)number : 0;
}

bool
admin_rotation_verdict(const struct admin_reply *r, bool *may_retire, struct err *err)
{
	json_t *root = reply_parse(r, err);
	const json_t *may = json_object_get(root, "may_retire");
	bool tells = json_is_boolean(may);

	*may_retire = json_is_true(may);
	json_decref(root);
	return tells || (err->text[0] != '\0' ? false : err_set(err, "the reply has no verdict; is the proxy an older one?"));
}
