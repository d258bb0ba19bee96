#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "base/defs.h"
#include "cli/cli.h"

enum { PATH_SIZE = 8192 };

static bool
make_path(char path[PATH_SIZE], const struct cli_options *o)
{
	(void)snprintf(path, PATH_SIZE, "/v1/client-cas");
	for (unsigned i = 1; i < o->n_words; i++) {
		size_t n = strlen(path);
		if (n + 2 > PATH_SIZE)
			return false;
		memcpy(path + n, "/", 2);
		if (o->words[i][0] == '\0' || !cli_put_segment(path, PATH_SIZE, o->words[i]))
			return false;
	}
	return true;
}

static int
usage(const char *why)
{
	(void)fprintf(stderr, "bascule client-ca: %s; `bascule help client-ca` tells what it takes\n", why);
	return CLI_USAGE;
}

static int
print(const struct cli_options *o, const struct admin_reply *reply, struct err *err)
{
	bool safe = false;

	if (reply->status != 200)
		return admin_unexpected(reply, err) ? CLI_OK : CLI_FAILED;
	bool ok = o->json ? admin_print_body(reply, stdout, err)
	        : o->n_words == 1 ? admin_print_client_cas(reply, stdout, err)
	                    : admin_print_client_ca(reply, stdout, err);
	if (!ok)
		return CLI_FAILED;
	/* A script asks whether the pin of this one may be dropped. */
	if (o->n_words < 3)
		return CLI_OK;
	return !admin_client_ca_verdict(reply, &safe, err) ? CLI_FAILED : safe ? CLI_OK : CLI_HELD;
}

int
cli_client_ca(int argc, char **argv)
{
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char path[PATH_SIZE];

	if (!cli_options(&o, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON | CLI_TAKES_CLIENT_CA, argc, argv))
		return CLI_USAGE;
	if (o.n_words == 0 || strcmp(o.words[0], "status") != 0)
		return usage("say what: status");
	if (!make_path(path, &o))
		return usage("a name is empty or too long");
	if (!cli_ask("client-ca", &o, "GET", path, &reply, &err)) {
		(void)fprintf(stderr, "bascule client-ca: %s\n", err.text);
		return CLI_FAILED;
	}
	int status = print(&o, &reply, &err);
	admin_reply_free(&reply);
	if (err.text[0] != '\0')
		(void)fprintf(stderr, "bascule client-ca: %s\n", err.text);
	return status;
}
