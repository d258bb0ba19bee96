#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "app/cli.h"
#include "base/sv.h"

/* What is asked of a rotation, and how. */
struct order {
	const char *word; /* of the command line and of the admin API */
	const char *method;
	bool changes;     /* it is told something, rather than asked */
};

static const struct order orders[] = {
	{"status", "GET", false},
	{"hold", "POST", true},
	{"resume", "POST", true},
	{"commit", "POST", true},
	{"rollback", "POST", true},
	{"retire", "POST", true},
};

enum { PATH_SIZE = 4096 };

/* The name as a segment of a path, all but letters, digits and a few others escaped. */
static bool
put_segment(char *out, size_t size, const char *name)
{
	size_t n = strlen(out);

	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;
		int put = snprintf(out + n, size - n, plain ? "%c" : "%%%02X", c);
		if (put < 0 || (size_t)put >= size - n)
			return false;
		n += (size_t)put;
	}
	return true;
}

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

static bool
make_path(char path[PATH_SIZE], const struct order *order, const struct cli_options *o)
{
	if (o->words[1] == NULL)
		return snprintf(path, PATH_SIZE, "/v1/rotations") > 0;
	(void)snprintf(path, PATH_SIZE, "/v1/rotations/");
	if (!put_segment(path, PATH_SIZE - 64, o->words[1]))
		return false;
	size_t n = strlen(path);
	if (order->changes)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "/%s", order->word);
	if (o->to != NULL)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?to=%s", o->to);
	else if (o->compromised)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?compromised=1");
	return n < PATH_SIZE;
}

static int
print(const struct order *order, const struct cli_options *o, const struct admin_reply *reply, struct err *err)
{
	bool safe = false;

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
	uint64_t generation;
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char path[PATH_SIZE];

	if (!cli_options(&o, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON | CLI_TAKES_ROTATION, argc, argv))
		return CLI_USAGE;
	const struct order *order = find_order(o.words[0]);
	if (order == NULL)
		return usage(o.words[0] == NULL ? "say what: status, hold, resume, commit, rollback or retire"
		                                : "it knows status, hold, resume, commit, rollback and retire");
	if (order->changes && o.words[1] == NULL)
		return usage("name the bundle");
	if ((o.to != NULL && strcmp(order->word, "rollback") != 0) || (o.compromised && strcmp(order->word, "retire") != 0))
		return usage("--to goes with rollback, --compromised with retire");
	if (o.to != NULL && !sv_u64(sv_cstr(o.to), &generation))
		return usage("--to takes the number of a generation");
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
