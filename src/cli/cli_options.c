#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "conf/config.h"

enum option_kind { OPTION_TEXT, OPTION_FLAG, OPTION_LOSSES };

/* One row an option. A value follows it, or stands behind "=" when its name is long. */
static const struct option {
	const char *name;
	enum option_kind kind;
	unsigned takes;
	size_t offset; /* in struct cli_options */
} options[] = {
#define AT(m) offsetof(struct cli_options, m)
	{"-c", OPTION_TEXT, CLI_TAKES_CONFIG, AT(config)},
	{"--config", OPTION_TEXT, CLI_TAKES_CONFIG, AT(config)},
	{"--socket", OPTION_TEXT, CLI_TAKES_SOCKET, AT(socket)},
	{"--accept", OPTION_LOSSES, CLI_TAKES_ACCEPT, AT(accept)},
	{"--json", OPTION_FLAG, CLI_TAKES_JSON, AT(json)},
	{"--to", OPTION_TEXT, CLI_TAKES_ROTATION, AT(to)},
	{"--compromised", OPTION_FLAG, CLI_TAKES_ROTATION, AT(compromised)},
	{"--force", OPTION_FLAG, CLI_TAKES_ROTATION, AT(force)},
#undef AT
};

/* "--name=value" and "--name"; *value is NULL in the second case. */
static const struct option *
find_option(unsigned takes, const char *argument, const char **value)
{
	for (size_t i = 0; i < COUNTOF(options); i++) {
		const struct option *o = &options[i];
		size_t n = strlen(o->name);
		if ((o->takes & takes) == 0 || strncmp(argument, o->name, n) != 0)
			continue;
		*value = argument[n] == '=' ? argument + n + 1 : NULL;
		if (argument[n] == '\0' || (*value != NULL && o->name[1] == '-'))
			return o;
	}
	return NULL;
}

/* NULL, or why not. */
static const char *
store(struct cli_options *to, const struct option *o, const char *value, struct err *err)
{
	char *field = (char *)to + o->offset;

	if (o->kind == OPTION_FLAG) {
		*(bool *)field = true;
		return value != NULL ? "it takes no value" : NULL;
	}
	if (value == NULL)
		return "a value must follow";
	if (o->kind == OPTION_LOSSES)
		return conf_losses(sv_cstr(value), (unsigned *)(void *)field, err) ? NULL : err->text;
	if (value[0] == '\0')
		return "the value is empty";
	*(const char **)(void *)field = value;
	return NULL;
}

bool
cli_options(struct cli_options *o, unsigned takes, int argc, char **argv)
{
	const unsigned words = (takes & CLI_TAKES_CLIENT_CA) != 0 ? 3 : (takes & CLI_TAKES_ROTATION) != 0 ? 2 : 0;
	struct err err;

	*o = (struct cli_options){.config = CLI_DEFAULT_CONFIG};
	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i], *value = NULL, *why = "not understood";
		const struct option *option = find_option(takes, argument, &value);
		if (option == NULL && argument[0] != '-' && o->n_words < words) {
			o->words[o->n_words++] = argument;
			continue;
		}
		if (option != NULL && option->kind != OPTION_FLAG && value == NULL && i + 1 < argc)
			value = argv[++i];
		if (option != NULL)
			why = store(o, option, value, &err);
		if (why != NULL) {
			(void)fprintf(stderr, "bascule %s: %s: %s; `bascule help %s` tells what it takes\n", argv[0], argument,
			    why, argv[0]);
			return false;
		}
	}
	return true;
}
