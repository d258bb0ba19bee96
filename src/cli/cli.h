/*
 * cli.h: the subcommands, one function each.
 *
 * argv[0] is the subcommand's name. A function returns the exit status: 0 it
 * was done, 1 it failed and standard error says why, 2 it was not understood.
 */
#ifndef BASCULE_CLI_CLI_H
#define BASCULE_CLI_CLI_H

#include "base/err.h"

/* CLI_HELD: the reload was done, but for bundles that were refused and keep their last good generation, if any. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_HELD = 3 };

#define CLI_DEFAULT_CONFIG "/etc/bascule/bascule.json"

struct cli_command {
	const char *name;
	const char *usage;   /* what follows the name */
	const char *summary; /* one line; NULL: not for people, not listed */
	const char *help;    /* paragraphs with a newline at their end */
	int (*run)(int argc, char **argv);
};

int cli_run(int argc, char **argv);
int cli_worker(int argc, char **argv);
int cli_webhook(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_metrics(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_rotation(int argc, char **argv);
int cli_client_ca(int argc, char **argv);
int cli_pki(int argc, char **argv);

/* Options that several subcommands share; which of them, each says. */
enum {
	CLI_TAKES_CONFIG = 1,
	CLI_TAKES_SOCKET = 2,
	CLI_TAKES_JSON = 4,
	CLI_TAKES_ACCEPT = 8,
	CLI_TAKES_ROTATION = 16,
	CLI_TAKES_CLIENT_CA = 32,
};

struct cli_options {
	const char *config; /* -c, --config FILE; the default when not given */
	const char *socket; /* --socket PATH; NULL: not given */
	bool json;          /* --json */
	unsigned accept;    /* --accept WORD,WORD: losses of certificates, each its bit; none when not given */
	/* What to do, and with what: with CLI_TAKES_ROTATION the bundle, with CLI_TAKES_CLIENT_CA the site and the CA. */
	const char *words[3];
	unsigned n_words;
	/* Of CLI_TAKES_ROTATION: */
	const char *to;   /* --to NUMBER; NULL: not given */
	bool compromised; /* --compromised */
	bool force;       /* --force */
};

/* False, with the reason on standard error, when something else stands there. */
MUST_CHECK bool cli_options(struct cli_options *o, unsigned takes, int argc, char **argv);

enum { CLI_PATH_SIZE = 256 };

/* `path` with what is to be accepted: "/v1/reload?accept=lost-names,too-fresh". */
void cli_accept_path(const char *path, unsigned accept, char out[CLI_PATH_SIZE]);

/* Append a name to a path as a segment of it, all but letters, digits and a few others escaped. False: it does not fit. */
MUST_CHECK bool cli_put_segment(char *path, size_t size, const char *name);

struct admin_reply;

/* Ask the running proxy that the options name. False with err set. */
MUST_CHECK bool cli_ask(const char *command, const struct cli_options *o, const char *method, const char *path,
    struct admin_reply *reply, struct err *err);

#endif
