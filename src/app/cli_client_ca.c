#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "app/cli.h"
#include "base/defs.h"

enum { PATH_SIZE = 8192 };

/* status, site and CA are taken out of argv; what stays is for cli_options(). */
struct words {
	const char *v[3];
	unsigned n;
};

static void
take_words(struct words *w, int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		bool valued = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--socket") == 0;
		if (argv[i][0] != '-' && w->n < COUNTOF(w->v)) {
			w->v[w->n++] = argv[i];
			continue;
		}
		argv[kept++] = argv[i];
		if (valued && i + 1 < *argc)
			argv[kept++] = argv[++i];
	}
	*argc = kept;
}

static bool
make_path(char path[PATH_SIZE], const struct words *w)
{
	(void)snprintf(path, PATH_SIZE, "/v1/client-cas");
	for (unsigned i = 1; i < w->n; i++) {
		size_t n = strlen(path);
		if (n + 2 > PATH_SIZE)
			return false;
		memcpy(path + n, "/", 2);
		if (w->v[i][0] == '\0' || !cli_put_segment(path, PATH_SIZE, w->v[i]))
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
print(const struct words *w, const struct admin_reply *reply, bool json, struct err *err)
{
	bool safe = false;

	if (reply->status != 200)
		return admin_unexpected(reply, err) ? CLI_OK : CLI_FAILED;
	bool ok = json ? admin_print_body(reply, stdout, err)
	        : w->n == 1 ? admin_print_client_cas(reply, stdout, err)
	                    : admin_print_client_ca(reply, stdout, err);
	if (!ok)
		return CLI_FAILED;
	/* A script asks whether the pin of this one may be dropped. */
	if (w->n < 3)
		return CLI_OK;
	return !admin_client_ca_verdict(reply, &safe, err) ? CLI_FAILED : safe ? CLI_OK : CLI_HELD;
}

int
cli_client_ca(int argc, char **argv)
{
	struct words w = {.n = 0};
	struct cli_options o;
	struct admin_reply reply;
	struct err err = {""};
	char path[PATH_SIZE];

	take_words(&w, &argc, argv);
	if (!cli_options(&o, CLI_TAKES_CONFIG | CLI_TAKES_SOCKET | CLI_TAKES_JSON, argc, argv))
		return CLI_USAGE;
	if (w.n == 0 || strcmp(w.v[0], "status") != 0)
		return usage(w.n == 0 ? "say what: status" : "it knows status");
	if (!make_path(path, &w))
		return usage("a name is empty or too long");
	if (!cli_ask("client-ca", &o, "GET", path, &reply, &err)) {
		(void)fprintf(stderr, "bascule client-ca: %s\n", err.text);
		return CLI_FAILED;
	}
	int status = print(&w, &reply, o.json, &err);
	admin_reply_free(&reply);
	if (err.text[0] != '\0')
		(void)fprintf(stderr, "bascule client-ca: %s\n", err.text);
	return status;
}
