/* demo.c: an origin without files or config: a service on a loop of the proxy's own kind. */
#include "cli/demo.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "proxy/client.h"

enum { PAGE_MAX = 64 * 1024 };

static struct px_thread *demo_thread; /* for the signal handler */

static void
on_signal(int number)
{
	(void)number;
	net_loop_stop(demo_thread->loop); /* NOLINT(bugprone-signal-handler,cert-sig30-c): made for it: a store and a write(2) */
}

/* Who answered, and what of the request arrived. */
static bool
write_page(const struct exchange *x, const char *address, struct buf *page)
{
	bool ok = buf_printf(page, "Hello from the demo node on %s.\n\n%.*s %.*s\n", address, SV_FMT(x->request.method),
	    SV_FMT(x->request.target));

	for (unsigned i = 0; ok && i < x->request.n_fields; i++)
		ok = buf_printf(page, "%.*s: %.*s\n", SV_FMT(x->request.fields[i].name), SV_FMT(x->request.fields[i].value));
	return ok;
}

static void
demo_service(struct exchange *x, void *arg)
{
	struct exchange_field fields[] = {
		{SV("Content-Type"), SV("text/plain; charset=utf-8")},
		{SV("X-Demo-Node"), sv_cstr(arg)},
	};
	struct buf page;

	buf_init(&page, PAGE_MAX);
	if (write_page(x, arg, &page))
		exchange_respond(x, 200, fields, COUNTOF(fields), buf_view(&page));
	else
		exchange_refuse(x, 503, "out of memory");
	buf_clear(&page);
}

/* A thread wants a snapshot for its limits and timeouts: one of an empty config. */
static bool
publish_empty(struct px_thread *t, struct err *err)
{
	static const struct conf_limits limits = {.head_bytes = 32 * 1024, .fields = 100};
	static const struct conf_timeouts timeouts = {.head = 10000, .body = 30000, .idle = 75000, .send = 30000};
	struct tls_outcomes outcomes = {.n = 0};
	struct conf_problems problems;
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_no_memory(err);
	c->limits = limits;
	c->timeouts = timeouts;
	struct snap_conf *shared = snap_conf_new(c);
	struct snapshot_inputs in = {.files = files_direct(), .thread = t->tls};
	conf_problems_init(&problems);
	struct snapshot *s = shared != NULL ? snapshot_build(shared, &in, &problems, &outcomes) : NULL;
	snap_conf_unref(shared);
	conf_problems_free(&problems);
	tls_outcomes_free(&outcomes);
	if (s == NULL)
		return err_no_memory(err);
	bool ok = px_thread_prepare(t, s, NULL, NULL, err);
	snapshot_unref(s);
	if (ok)
		px_thread_commit(t);
	return ok;
}

static int
serve(struct px_thread *t, char *address)
{
	struct net_address a;
	struct err err = {""};
	bool any;
	int fd;

	if (!net_address_parse_listen(sv_cstr(address), &a, &any, &err) || !net_listen_is_free(&a, any, &err) ||
	    (fd = net_listen(&a, any, 1024, 0600, &err)) < 0 || !publish_empty(t, &err) ||
	    !px_thread_listen(t, fd, address, NULL, demo_service, address)) {
		(void)fprintf(stderr, "bascule demo: %s\n", err.text);
		return CLI_FAILED;
	}
	demo_thread = t;
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGINT, on_signal);
	net_loop_run(t->loop);
	return CLI_OK;
}

int
demo_main(int argc, char **argv)
{
	static struct px_shared shared;
	struct err err = {""};

	if (argc != 2) {
		(void)fputs("bascule demo: give the address to listen on, such as 127.0.0.1:9001\n", stderr);
		return CLI_USAGE;
	}
	log_init("demo", LOG_NOTICE);
	(void)signal(SIGPIPE, SIG_IGN);
	struct px_thread *t = px_thread_new(0, 0, &shared, &err);
	if (t == NULL) {
		(void)fprintf(stderr, "bascule demo: %s\n", err.text);
		return CLI_FAILED;
	}
	int status = serve(t, argv[1]);
	px_thread_free(t);
	return status;
}
