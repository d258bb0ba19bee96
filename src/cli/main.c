#include <config.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/usage.h"
#include "cli/cli.h"
#include "cli/demo.h"
#include "pki/pki.h"

static int help(int argc, char **argv);
static int version(int argc, char **argv);

#define CONFIG_HELP "  -c, --config FILE  the config, a file or a directory of *.json (" CLI_DEFAULT_CONFIG ")\n"
#define ACCEPT_HELP "  --accept WORDS     take new certificates this once in spite of what clients lose: lost-names,\n" \
	"                     earlier-expiry, another-root, weaker-key, too-fresh; several with commas\n"
#define SOCKET_HELP "  --socket PATH      the admin socket of the proxy, in place of the one its config names\n"

static const struct cli_command commands[] = {
	{"run", "[-c FILE]", "Run the proxy in the foreground.",
	    CONFIG_HELP "\n"
	    "A supervisor keeps the listening sockets and starts a worker, which serves as an unprivileged user.\n"
	    "  SIGHUP           load config and certificates anew; nothing is dropped, errors change nothing\n"
	    "  SIGUSR1          open the log files again, after they were moved\n"
	    "  SIGQUIT          drain: no new connections, end when those in flight have ended\n"
	    "  SIGTERM, SIGINT  stop at once\n",
	    cli_run},
	{"check", "[-c FILE] [--accept WORDS]", "Say what is wrong with a config, its certificates and patterns.",
	    CONFIG_HELP ACCEPT_HELP "\n"
	    "Each problem is a line FILE:LINE:COLUMN: KEY: what is wrong; what to do. Status 0: a reload would\n"
	    "take it.\n"
	    "Run it as the user who starts the proxy, so that it may read the same files.\n"
	    "When the proxy runs, certificates are compared with those in service, as a reload does.\n",
	    cli_check},
	{"reload", "[-c FILE | --socket PATH] [--accept WORDS] [--json]",
	    "Have the running proxy load its config and certificates anew.",
	    CONFIG_HELP SOCKET_HELP ACCEPT_HELP "  --json             the reply as JSON\n\n"
	                            "As SIGHUP does, but waits and tells how each changed bundle fared. Status 0: all of it is in\n"
	                            "service; 1: refused, nothing has changed; 3: done, but for bundles that were held back.\n",
	    cli_reload},
	{"status", "[-c FILE | --socket PATH] [--json]", "Show what the running proxy serves and how it is.",
	    CONFIG_HELP SOCKET_HELP "  --json             everything, as JSON\n", cli_status},
	{"rotation", "status [NAME] | start NAME [--accept WORDS] | hold NAME | resume NAME | commit NAME | "
	             "rollback NAME [--to N] | retire NAME [--compromised] [--force] [-c FILE | --socket PATH] [--json]",
	    "Follow and steer the rotation of a bundle.",
	    CONFIG_HELP SOCKET_HELP ACCEPT_HELP
	    "  --to N             of rollback: to this generation, an earlier one\n"
	    "  --compromised      of retire: at once, whoever needs it, and it can not be rolled back to\n"
	    "  --force            though clients need what is taken from them\n"
	    "  --json             the reply as JSON\n\n"
	    "A rotation begins when the content of a bundle changes. Clients that refuse the new generation are\n"
	    "served the one before.\n"
	    "  status     the rotations that go on; with NAME: who refuses the new one, who has neither accepted\n"
	    "             nor refused it, and whether the one before may go. Status 0: it may; 3: not yet\n"
	    "  start      begin with what its files are now, though it was rolled back, or held back for a loss\n"
	    "             that --accept names\n"
	    "  hold       let the share of the clients that get the new one not grow\n"
	    "  resume     let it grow again; after a rollback: begin anew\n"
	    "  commit     all clients get the new one now; who refuses it is served the one before as long as\n"
	    "             that is kept\n"
	    "  rollback   back to the generation before, or to number N of those that are kept\n"
	    "  retire     give up the one before: nobody is served it any more\n"
	    "What would take the one before from clients that need it, or may, is refused and tells who they are;\n"
	    "--force does it all the same.\n",
	    cli_rotation},
	{"client-ca", "status [SITE [CA]] [-c FILE | --socket PATH] [--json]",
	    "Tell who comes with a client certificate of which CA, and which pin may be dropped.",
	    CONFIG_HELP SOCKET_HELP
	    "  --json             the reply as JSON\n\n"
	    "Two CAs are pinned side by side while devices get new certificates. A device is known by the\n"
	    "subject of its certificates.\n"
	    "  status     the CAs of all sites; with SITE (its first name): each certificate that came, when last,\n"
	    "             from where; with CA (its name, the common name in it, or the first digits of its\n"
	    "             fingerprint) that one alone, and then status 0: its pin may be dropped, or was and\n"
	    "             nobody is missing it; 3: not yet, or nobody can tell yet\n",
	    cli_client_ca},
	{"metrics", "[-c FILE | --socket PATH]", "Print the counters as Prometheus text.", CONFIG_HELP SOCKET_HELP,
	    cli_metrics},
	{"config", "schema | reference | manual | metrics", "Print the JSON schema of the config, or the references.",
	    "  schema     for editors that complete and check: name it as \"$schema\" in a config\n"
	    "  reference  every key with its meaning and default, as Markdown\n"
	    "  manual     the same as a manual page, bascule.json(5)\n"
	    "  metrics    every counter with what it tells, as Markdown\n",
	    cli_config},
	{"pki", "SUBCOMMAND …", "Make, inspect and install certificates: requests, a small CA, chains, PKCS#12.", PKI_OVERVIEW,
	    cli_pki},
	{"demo", "ADDRESS", "Run a small origin server to try the proxy with.",
	    "ADDRESS is where it listens, such as 127.0.0.1:9001. It answers every request with what it got.\n", demo_main},
	{"help", "[COMMAND]", "Explain a command.", "", help},
	{"version", "", "Print the version.", "", version},
	{"webhook", "", NULL, "Started by the worker only.\n", cli_webhook},
	{"worker", "-c FILE", NULL, "Started by `bascule run` only.\n", cli_worker},
};

static void
print_overview(FILE *out)
{
	(void)fputs("bascule: a TLS-terminating reverse proxy whose certificates change while it runs.\n\n"
	            "Commands:\n",
	    out);
	for (size_t i = 0; i < COUNTOF(commands); i++)
		if (commands[i].summary != NULL)
			(void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	(void)fputs("\nA first round:\n"
	            "  bascule check -c bascule.json    before every change that goes live\n"
	            "  bascule run -c bascule.json      then, from another terminal:\n"
	            "  bascule reload -c bascule.json   after certificates or the config have changed\n"
	            "  bascule status -c bascule.json   to see what is served\n"
	            "\n`bascule help COMMAND` tells more.\n",
	    out);
}

static const struct cli_command *
find(const char *name)
{
	for (size_t i = 0; i < COUNTOF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	const char *names[COUNTOF(commands)];
	for (size_t i = 0; i < COUNTOF(commands); i++)
		names[i] = commands[i].name;
	const char *meant = nearest_word(name, names, COUNTOF(names));
	(void)fprintf(stderr, "bascule: there is no command \"%s\"%s%s%s; `bascule help` lists them\n", name,
	    meant != NULL ? ", did you mean \"" : "", meant != NULL ? meant : "", meant != NULL ? "\"?" : "");
	return NULL;
}

static int
print_command(const struct cli_command *c)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "bascule %s", c->name);
	usage_print(stdout, name, c->usage);
	(void)printf("\n%s\n%s%s", c->summary != NULL ? c->summary : "", c->help[0] != '\0' ? "\n" : "", c->help);
	return CLI_OK;
}

static int
help(int argc, char **argv)
{
	if (argc < 2) {
		print_overview(stdout);
		return CLI_OK;
	}
	const struct cli_command *c = find(argv[1]);
	return c != NULL ? print_command(c) : CLI_USAGE;
}

static int
version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	(void)puts(PACKAGE_STRING);
	return CLI_OK;
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_overview(stderr);
		return CLI_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct cli_command *c = find(name);
	if (c == NULL)
		return CLI_USAGE;
	for (int i = 2; i < argc; i++)
		if ((strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) && (i == 2 || c->run != cli_pki))
			return print_command(c);
	argv[1] = (char *)(uintptr_t)c->name;
	return c->run(argc - 1, argv + 1);
}
