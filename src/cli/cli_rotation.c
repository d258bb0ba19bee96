#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "base/sv.h"
#include "cli/cli.h"

/* What is asked of a rotation, and how. */
struct order {
	const char *word; /* of the command line and of the admin API */
	const char *method;
	bool changes;     /* it is told something, rather than asked */
	bool forced;      /* takes --force */
};

static const struct order orders[] = {
	{"status", "GET", false, false},
	{"start", "POST", true, true},
	{"hold", "POST", true, false},
	{"resume", "POST", true, true},
	{"commit", "POST", true, true},
	{"rollback", "POST", true, true},
	{"retire", "POST", true, true},
};

enum { PATH_SIZE = 4096 };

static int
usage(const char *why)
{
	(void)fprintf(stderr, "bascule rotation: %s; `bascule help rotation` tells what it takes\n", why);
	return CLI_USAGE;
}

static const struct order *
find_order(const char *word)
{
	for (size_t i = 0; word != NULL && i < COUNTOF(orders); i++)
		if (strcmp(word, orders[i].word) == 0)
			return &orders[i];
	return NULL;
}

/* Why these options do not go with this order; NULL: they do. */
static const char *
misfit(const struct order *order, const struct cli_options *o)
{
	uint64_t generation;

	if (order->changes && o->words[1] == NULL)
		return "name the bundle";
	if ((o->to != NULL && strcmp(order->word, "rollback") != 0) || (o->compromised && strcmp(order->word, "retire") != 0))
		return "--to goes with rollback, --compromised with retire";
	if (o->force && !order->forced)
		return "--force goes with start, resume, commit, rollback and retire";
	if (o->accept != 0 && strcmp(order->word, "start") != 0)
		return "--accept goes with start";
	if (o->force && o->compromised)
		return "--compromised asks nobody: leave --force out";
	if (o->to != NULL && !sv_u64(sv_cstr(o->to), &generation))
		return "--to takes the number of a generation";
	return NULL;
}

static bool
make_path(char path[PATH_SIZE], const struct order *order, const struct cli_options *o)
{
	char accepted[CLI_PATH_SIZE];

	if (o->words[1] == NULL)
		return snprintf(path, PATH_SIZE, "/v1/rotations") > 0;
	(void)snprintf(path, PATH_SIZE, "/v1/rotations/");
	if (!cli_put_segment(path, PATH_SIZE - CLI_PATH_SIZE, o->words[1]))
		return false;
	size_t n = strlen(path);
	if (order->changes)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "/%s", order->word);
	if (o->to != NULL)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?to=%s", o->to);
	else if (o->compromised)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?compromised=1");
	cli_accept_path("", o->accept, accepted);
	n += (size_t)snprintf(path + n, PATH_SIZE - n, "%s", accepted);
	if (o->force)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "%cforce=1", o->to != NULL || o->accept != 0 ? '&' : '?');
	return n < PATH_SIZE;
}

/* It is the answer to what was asked, and may be some lines long: who would be locked out. */
static int
refused(const struct admin_reply *reply)
{
	struct sv text = sv_trim(buf_view(&reply->body));

	(void)fprintf(stderr, "bascule rotation: %.*s\n", SV_FMT(text));
	return CLI_FAILED;
}

static int
print(const struct order *order, const struct cli_options *o, const struct admin_reply *reply, struct err *err)
{
	bool safe = false;

	if (reply->status == 409)
		return refused(reply);
	if (reply->status != 200)
		return admin_unexpected(reply, err) ? CLI_OK : CLI_FAILED;
	bool ok = o->json ? admin_print_body(reply, stdout, err)
	        : o->words[1] == NULL ? admin_print_rotations(reply, stdout, err)
	                              : admin_print_rotation(reply, stdout, err);
	if (!ok)
		return CLI_FAILED;
	/* A script asks whether the previous one may go. */
	if (order->changes || o->words[1] == NULL)
		return CLI_OK;
	return !admin_rotation_verdict(reply, &safe, err) ? CLI_FAILED : safe ? CLI_OK : CLI_HELD;
}

int
cli_rotation(int argc, char **argv)
{
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char path[PATH_SIZE];

	unsigned takes = CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON | CLI_TAKES_ACCEPT | CLI_TAKES_ROTATION;
	if (!cli_options(&o, takes, argc, argv))
		return CLI_USAGE;
	const struct order *order = find_order(o.words[0]);
	if (order == NULL)
		return usage("say what: status, start, hold, resume, commit, rollback or retire");
	const char *wrong = misfit(order, &o);
	if (wrong != NULL)
		return usage(wrong);
	if (!make_path(path, order, &o))
		return usage("the name is too long");
	if (!cli_ask("rotation", &o, order->method, path, &reply, &err)) {
		(void)fprintf(stderr, "bascule rotation: %s\n", err.text);
		return CLI_FAILED;
	}
	int status = print(order, &o, &reply, &err);
	admin_reply_free(&reply);
	if (err.text[0] != '\0')
		(void)fprintf(stderr, "bascule rotation: %s\n", err.text);
	return status;
}
