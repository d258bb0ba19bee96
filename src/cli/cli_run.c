#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "line/control.h"
#include "supervisor/privileges.h"
#include "supervisor/supervisor.h"
#include "webhook/webhook.h"
#include "worker/worker.h"

int
cli_run(int argc, char **argv)
{
	struct cli_options o;

	if (!cli_options(&o, CLI_TAKES_CONFIG, argc, argv))
		return CLI_USAGE;
	return supervisor_run(o.config);
}

/* What the supervisor execs; its socket is descriptor 3. */
int
cli_worker(int argc, char **argv)
{
	struct cli_options o;

	if (!cli_options(&o, CLI_TAKES_CONFIG, argc, argv))
		return CLI_USAGE;
	privileges_harden();
	return worker_main(WORKER_CONTROL_FD, o.config);
}

/* What the worker runs for each try to post something; nothing is taken from the command line. */
int
cli_webhook(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	privileges_harden();
	return (int)webhook_run(STDIN_FILENO, STDOUT_FILENO);
}
