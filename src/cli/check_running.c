#include "cli/check_running.h"

#include <errno.h>
#include <sys/stat.h>

#include "admin/client.h"
#include "certs/store.h"

/* False: there is no room, and what is missing is no error. */
static bool
tell_findings(const struct tls_outcome *o, struct buf *news)
{
	bool ok = buf_printf(news, "bundle \"%s\": %s what is in service:\n", o->name,
	    o->kind == TLS_LOADED    ? "would take the place of"
	    : o->kind == TLS_WAITING ? "would wait, to be started, and differs from"
	                             : "differs from");

	for (size_t i = 0; ok && i < o->n_findings; i++) {
		const struct tls_finding *f = &o->findings[i];
		const char *how = !f->lossy ? "" : f->accepted ? "accepted: " : "refused: ";
		ok = buf_printf(news, "  %s%s: %s\n", how, f->kind, f->text);
	}
	return ok;
}

static void
tell(const struct conf *conf, const struct tls_outcomes *outcomes, struct conf_problems *problems, struct buf *news)
{
	bool room = true;

	for (size_t i = 0; i < outcomes->n; i++) {
		const struct tls_outcome *o = &outcomes->v[i];
		const struct conf_bundle *c = conf_bundle(conf, o->name);
		if (o->n_findings == 0)
			continue; /* new, or not to be loaded at all, which has been told */
		room = room && tell_findings(o, news);
		if (o->kind == TLS_HELD)
			conf_error(problems, c != NULL ? &c->at : NULL, o->name, "%s", o->text);
	}
}

/* One that runs has its socket there, and one that ends takes it along. Before the first start there is nothing to tell. */
static bool
is_none_running(const char *socket)
{
	struct stat st;

	return lstat(socket, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static struct tls_bundle *
rolled_back_to(const void *arg, const char *bundle)
{
	const struct admin_chains *running = arg;
	struct tls_bundle *b = tls_store_bundle(running->rolled_back_to, bundle);

	return b != NULL ? tls_bundle_ref(b) : NULL;
}

void
check_against_running(
    const struct conf *conf, unsigned accept, struct tls_thread *thread, struct conf_problems *problems, struct buf *news)
{
	struct tls_outcomes outcomes = {0};
	struct err err = {"the config has no admin.socket"};
	struct admin_chains running = {NULL, NULL};
	struct tls_load load = {.conf = conf, .files = files_direct(), .thread = thread, .accept = accept,
	    .rolled_back_to = rolled_back_to, .arg = &running};
	struct tls_store *after = NULL;

	if (conf->admin_socket != NULL && is_none_running(conf->admin_socket))
		return;
	if (conf->admin_socket != NULL && admin_chains(conf->admin_socket, thread, &running, &err)) {
		load.previous = running.bundles;
		after = tls_store_load(&load, &outcomes, &err);
	}
	if (after != NULL)
		tell(conf, &outcomes, problems, news);
	else if (!buf_printf(news, "certificates are not compared with those in service: %s\n", err.text))
		conf_error(problems, NULL, NULL, "out of memory");
	tls_outcomes_free(&outcomes);
	tls_store_unref(after);
	admin_chains_free(&running);
}
