#include <stdio.h>

#include "cli/check.h"
#include "cli/cli.h"

enum { ALL_MAX = 16 * 1024 * 1024 }; /* bytes: each of ten thousand bundles may be new, or be warned of */

static void
print_count(const char *before, size_t n, const char *what)
{
	(void)printf("%s%zu %s%s", before, n, what, n == 1 ? "" : "s");
}

/* What a config holds; conf itself is gone once it has been checked. */
struct counts {
	size_t listeners, sites, bundles, upstreams;
};

static void
print_verdict(const char *path, const struct counts *n, const struct conf_problems *p)
{
	if (p->errors > 0)
		(void)printf("%s: refused: ", path);
	else
		(void)printf("%s: fine: ", path);
	if (p->errors == 0) {
		print_count("", n->listeners, "listener");
		print_count(", ", n->sites, "site");
		print_count(", ", n->bundles, "bundle");
		print_count(", ", n->upstreams, "upstream");
	} else {
		print_count("", p->errors, "error");
	}
	print_count(", ", p->warnings, "warning");
	(void)putchar('\n');
}

int
cli_check(int argc, char **argv)
{
	struct cli_options o;
	struct conf_problems problems;
	struct counts n = {0};
	struct buf news;

	if (!cli_options(&o, CLI_TAKES_CONFIG | CLI_TAKES_ACCEPT, argc, argv))
		return CLI_USAGE;
	log_init("check", LOG_WARNING);
	conf_problems_init(&problems);
	conf_problems_room(&problems, ALL_MAX);
	buf_init(&news, ALL_MAX);
	struct conf *conf = conf_load_sound(files_direct(), o.config, &problems);
	if (conf != NULL) {
		n = (struct counts){conf->n_listeners, conf->n_sites, conf->n_bundles, conf->n_upstreams};
		check_config(conf, o.accept, &problems, &news);
	}
	(void)fprintf(stderr, "%.*s", SV_FMT(buf_view(&problems.text)));
	(void)printf("%.*s", SV_FMT(buf_view(&news)));
	print_verdict(o.config, &n, &problems);
	int status = problems.errors == 0 ? CLI_OK : CLI_FAILED;
	buf_clear(&news);
	conf_problems_free(&problems);
	return status;
}
