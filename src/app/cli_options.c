#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "conf/config.h"

/* The value of an option "NAME VALUE" or "NAME=VALUE" at *i, which moves on; NULL: it is another option. */
static const char *
value_of(const char *name, int argc, char **argv, int *i, bool *missing)
{
	size_t n = strlen(name);

	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): *i is below argc, so it is no NULL */
	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (n > 2 && argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n] != '\0')
		return NULL;
	if (*i + 1 >= argc) {
		*missing = true;
		return NULL;
	}
	return argv[++*i];
}

static const char *
config_of(int argc, char **argv, int *i, bool *missing)
{
	const char *value = value_of("-c", argc, argv, i, missing);

	return value != NULL ? value : value_of("--config", argc, argv, i, missing);
}

static bool
refuse(const char *command, const char *argument, const char *why)
{
	(void)fprintf(stderr, "bascule %s: %s: %s; `bascule help %s` tells what it takes\n", command, argument, why,
	    command);
	return false;
}

bool
cli_options(struct cli_options *o, unsigned takes, int argc, char **argv)
{
	struct err err;

	*o = (struct cli_options){.config = CLI_DEFAULT_CONFIG};
	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i], *value;
		bool missing = false;
		if ((takes & CLI_TAKES_CONFIG) != 0 && (value = config_of(argc, argv, &i, &missing)) != NULL)
			o->config = value;
		else if ((takes & CLI_TAKES_SOCKET) != 0 &&
		         (value = value_of("--socket", argc, argv, &i, &missing)) != NULL)
			o->socket = value;
		else if ((takes & CLI_TAKES_ACCEPT) != 0 &&
		         (value = value_of("--accept", argc, argv, &i, &missing)) != NULL) {
			if (!conf_losses(sv_cstr(value), &o->accept, &err))
				return refuse(argv[0], argument, err.text);
		}
		else if ((takes & CLI_TAKES_JSON) != 0 && strcmp(argument, "--json") == 0)
			o->json = true;
		else
			return refuse(argv[0], argument, missing ? "a value must follow" : "not understood");
		if (o->config[0] == '\0' || (o->socket != NULL && o->socket[0] == '\0'))
			return refuse(argv[0], argument, "the value is empty");
	}
	return true;
}
