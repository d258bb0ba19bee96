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

/* Words and options that only this command has are taken out of argv; what stays is for cli_options(). */
struct asked {
	const char *words[2];
	unsigned n_words;
	const char *to;
	bool compromised;
};

static void
take_own(struct asked *a, int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--compromised") == 0) {
			a->compromised = true;
		} else if (strcmp(argv[i], "--to") == 0 && i + 1 < *argc) {
			a->to = argv[++i];
		} else if (argv[i][0] != '-' && a->n_words < COUNTOF(a->words)) {
			a->words[a->n_words++] = argv[i];
		} else {
			/* An option of all commands, with its value. */
			bool valued = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--socket") == 0;
			argv[kept++] = argv[i];
			if (valued && i + 1 < *argc)
				argv[kept++] = argv[++i];
		}
	}
	*argc = kept;
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
make_path(char path[PATH_SIZE], const struct order *o, const struct asked *a)
{
	if (a->words[1] == NULL)
		return snprintf(path, PATH_SIZE, "/v1/rotations") > 0;
	(void)snprintf(path, PATH_SIZE, "/v1/rotations/");
	if (!cli_put_segment(path, PATH_SIZE - 64, a->words[1]))
		return false;
	size_t n = strlen(path);
	if (o->changes)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "/%s", o->word);
	if (a->to != NULL)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?to=%s", a->to);
	else if (a->compromised)
		n += (size_t)snprintf(path + n, PATH_SIZE - n, "?compromised=1");
	return n < PATH_SIZE;
}

static int
print(const struct order *o, const struct asked *a, const struct admin_reply *reply, bool json, struct err *err)
{
	bool safe = false;

	if (reply->status != 200)
		return admin_unexpected(reply, err) ? CLI_OK : CLI_FAILED;
	bool ok = json ? admin_print_body(reply, stdout, err)
	        : a->words[1] == NULL ? admin_print_rotations(reply, stdout, err)
	                              : admin_print_rotation(reply, stdout, err);
	if (!ok)
		return CLI_FAILED;
	/* A script asks whether the previous one may go. */
	if (o->changes || a->words[1] == NULL)
		return CLI_OK;
	return !admin_rotation_verdict(reply, &safe, err) ? CLI_FAILED : safe ? CLI_OK : CLI_HELD;
}

int
cli_rotation(int argc, char **argv)
{
	struct asked a = {.n_words = 0};
	uint64_t generation;
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char path[PATH_SIZE];

	take_own(&a, &argc, argv);
	if (!cli_options(&o, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON, argc, argv))
		return CLI_USAGE;
	const struct order *order = find_order(a.words[0]);
	if (order == NULL)
		return usage(a.words[0] == NULL ? "say what: status, hold, resume, commit, rollback or retire"
		                                : "it knows status, hold, resume, commit, rollback and retire");
	if (order->changes && a.words[1] == NULL)
		return usage("name the bundle");
	if ((a.to != NULL && strcmp(order->word, "rollback") != 0) || (a.compromised && strcmp(order->word, "retire") != 0))
		return usage("--to goes with rollback, --compromised with retire");
	if (a.to != NULL && !sv_u64(sv_cstr(a.to), &generation))
		return usage("--to takes the number of a generation");
	if (!make_path(path, order, &a))
		return usage("the name is too long");
	if (!cli_ask("rotation", &o, order->method, path, &reply, &err)) {
		(void)fprintf(stderr, "bascule rotation: %s\n", err.text);
		return CLI_FAILED;
	}
	int status = print(order, &a, &reply, o.json, &err);
	admin_reply_free(&reply);
	if (err.text[0] != '\0')
		(void)fprintf(stderr, "bascule rotation: %s\n", err.text);
	return status;
}
