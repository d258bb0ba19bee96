#include "cli/check.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/check_running.h"
#include "cli/check_start.h"
#include "cli/check_state.h"
#include "tls/server.h"
#include "worker/warnings.h"

/* What a message "FILE: reason" is about. */
static struct sv
path_of(const char *text)
{
	const char *colon = strstr(text, ": ");

	return sv_of(text, colon != NULL ? (size_t)(colon - text) : 0);
}

#define NOT_FOR_THIS_USER "%s: not for this user to read, so it is not checked; check as the user who starts the proxy"

/* "FILE: reason": is the reason only that this is not root? */
static bool
begins_with_forbidden(const char *text)
{
	char path[PATH_MAX];

	return sv_copy(path_of(text), path, sizeof(path)) && path[0] != '\0' && check_is_forbidden(path);
}

static bool
is_bundle_forbidden(const struct conf *conf, const char *name)
{
	const struct conf_bundle *b = conf_bundle(conf, name);

	if (b == NULL)
		return false;
	const char *const files[] = {b->certificate, b->key, b->chain, b->combined, b->pkcs12, b->password_file};
	for (size_t i = 0; i < COUNTOF(files); i++)
		if (files[i] != NULL && check_is_forbidden(files[i]))
			return true;
	return false;
}

/* True: some were not for this user to read. */
static bool
check_bundles(const struct conf *conf, const struct tls_outcomes *outcomes, struct conf_problems *problems)
{
	char key[BUNDLE_KEY_TEXT];
	bool forbidden = false;

	for (size_t i = 0; i < outcomes->n; i++) {
		const struct tls_outcome *o = &outcomes->v[i];
		if (o->kind != TLS_HELD && o->kind != TLS_MISSING)
			continue;
		struct conf_where at = bundle_place(conf, o->name, path_of(o->text), key);
		if (begins_with_forbidden(o->text)) {
			conf_warning(problems, &at, key, NOT_FOR_THIS_USER, o->text);
			forbidden = true;
		} else {
			conf_error(problems, &at, key, "%s", o->text);
		}
	}
	return forbidden;
}

/* --- what this user may not read is not there for the rest of the check ------------------------------------- */

static bool
warn_if_forbidden(const struct conf_where *object, const char *const *path, const char *key, struct conf_problems *problems)
{
	struct conf_where at = conf_place(object, path);
	bool forbidden = *path != NULL && check_is_forbidden(*path);

	if (forbidden)
		conf_warning(problems, &at, key, NOT_FOR_THIS_USER, *path);
	return forbidden;
}

static void
leave_out_forbidden(struct conf *conf, struct conf_problems *problems)
{
	for (size_t i = 0; i < conf->n_sites; i++) {
		struct conf_client_certificate *c = &conf->sites[i].client;
		bool any = false;
		for (size_t k = 0; k < c->n_pins; k++)
			any |= warn_if_forbidden(&c->pins[k].at, &c->pins[k].ca, "ca", problems);
		for (size_t k = 0; k < c->crls.n; k++)
			any |= warn_if_forbidden(&c->at, &c->crls.v[k], "crls", problems);
		if (any)
			c->mode = CONF_CLIENT_NONE;
	}
	for (size_t i = 0; i < conf->n_upstreams; i++) {
		struct conf_upstream_tls *t = &conf->upstreams[i].tls;
		if (warn_if_forbidden(&t->at, &t->ca, "ca", problems))
			t->ca = NULL;
		if (t->bundle != NULL && is_bundle_forbidden(conf, t->bundle))
			t->bundle = NULL; /* its own message says it */
	}
}

static bool
choose_nothing(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)s;
	(void)hello;
	(void)out;
	return false;
}

/* Where the list stands that a message begins with. */
static struct conf_where
tls_place(const struct conf *conf, const char *text)
{
	const struct {
		struct sv begin;
		const void *field;
	} lists[] = {
		{SV("tls.ciphers:"), &conf->tls.ciphers},
		{SV("tls.ciphersuites:"), &conf->tls.ciphersuites},
		{SV("tls.groups:"), &conf->tls.groups},
	};

	for (size_t i = 0; i < COUNTOF(lists); i++)
		if (sv_starts(sv_cstr(text), lists[i].begin))
			return conf_place(&conf->at, lists[i].field);
	return conf->at;
}

/* Do OpenSSL's lists of ciphers and groups mean something? */
static void
check_tls(const struct conf *conf, struct tls_thread *thread, const struct secret *secret, struct conf_problems *problems)
{
	struct err err = {""};
	struct tls_server *server = tls_server_new(thread, &conf->tls, secret, choose_nothing, &err);

	if (server != NULL) {
		tls_server_unref(server);
		return;
	}
	struct conf_where at = tls_place(conf, err.text);
	conf_error(problems, &at, NULL, "%s", err.text);
}

static void
check_with(struct snap_conf *shared, bool whole, struct tls_thread *thread, struct server_registry *registry,
    struct conf_problems *problems)
{
	struct secret secret = {.n = SECRET_MIN}; /* of zeros: nothing is kept that it protects */
	struct snapshot_inputs in = {.files = files_direct(), .thread = thread, .secret = &secret, .registry = registry};
	struct tls_outcomes outcomes = {0};

	check_tls(shared->conf, thread, &secret, problems);
	check_state_dir(shared->conf, thread, problems);
	struct snapshot *s = snapshot_build(shared, &in, problems, &outcomes);
	whole &= !check_bundles(shared->conf, &outcomes, problems);
	if (s != NULL)
		warnings_of(s, whole, SIZE_MAX, problems);
	else if (problems->errors == 0)
		conf_error(problems, NULL, NULL, "out of memory");
	snapshot_unref(s);
	tls_outcomes_free(&outcomes);
}

void
check_config(struct conf *conf, unsigned accept, struct conf_problems *problems, struct buf *news)
{
	struct err err = {"out of memory"};
	bool whole = problems->errors == 0; /* else what is not there may be what was at fault */

	check_start(conf, problems);
	leave_out_forbidden(conf, problems);
	struct snap_conf *shared = snap_conf_new(conf);
	struct server_registry *registry = server_registry_new();
	struct tls_thread *thread = tls_thread_new(0, &err);

	if (shared != NULL && registry != NULL && thread != NULL) {
		check_with(shared, whole, thread, registry, problems);
		check_against_running(shared->conf, accept, thread, problems, news);
	} else {
		conf_error(problems, NULL, NULL, "%s", err.text);
	}
	if (shared != NULL)
		snap_conf_unref(shared);
	if (registry != NULL)
		server_registry_free(registry);
	if (thread != NULL)
		tls_thread_free(thread);
}
