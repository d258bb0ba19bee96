#include <stdio.h>

#include "app/cli.h"
#include "app/privileges.h"
#include "app/process.h"
#include "app/supervisor.h"
#include "app/worker.h"

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
