#include <stdio.h>
#include <string.h>

#include "admin/admin.h"
#include "cli/cli.h"
#include "conf/reference.h"

/* What `bascule config` can print. */
static const struct {
	const char *name;
	bool (*write)(struct buf *out);
} pages[] = {
	{"schema", conf_write_schema},
	{"reference", conf_write_reference},
	{"manual", conf_write_manual},
	{"metrics", admin_metrics_reference},
};

static int
print(bool (*write)(struct buf *out))
{
	struct buf text;

	buf_init(&text, CONF_REFERENCE_MAX);
	bool ok = write(&text) && fwrite(text.data + text.head, 1, buf_len(&text), stdout) == buf_len(&text) &&
	          fflush(stdout) == 0;
	buf_clear(&text);
	if (!ok)
		(void)fputs("bascule config: can not write all of it\n", stderr);
	return ok ? CLI_OK : CLI_FAILED;
}

int
cli_config(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < COUNTOF(pages); i++)
		if (strcmp(argv[1], pages[i].name) == 0)
			return print(pages[i].write);
	(void)fputs("bascule config: \"schema\", \"reference\", \"manual\" or \"metrics\" must follow; "
	            "`bascule help config` tells more\n",
	    stderr);
	return CLI_USAGE;
}
