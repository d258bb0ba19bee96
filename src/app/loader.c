#include "app/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/check.h"
#include "base/clock.h"
#include "base/log.h"

/* --- what a load reports ------------------------------------------------------------------------------------ */

enum { PROBLEMS_MAX = 256 * 1024 };

static void
reset_report(struct admin_load *r)
{
	buf_clear(&r->problems);
	buf_init(&r->problems, PROBLEMS_MAX);
	tls_outcomes_free(&r->outcomes);
	r->outcomes = (struct tls_outcomes){.n = 0};
	r->at_us = clock_wall_us();
	r->ok = false;
}

static void
add_problems(struct admin_load *r, const struct conf_problems *problems)
{
	struct sv lines = buf_view(&problems->text);

	if (lines.n > 0 && !buf_append(&r->problems, lines.p, lines.n))
		log_error("more problems than the report has room for");
}

static void
add_problem(struct admin_load *r, const char *text)
{
	if (!buf_printf(&r->problems, "%s\n", text))
		log_error("%s", text); /* the reply has no room for it, the log has */
}

static void
log_lines(struct sv text, bool refused)
{
	while (text.p != NULL && text.n > 0) {
		struct sv line = sv_cut(&text, '\n');
		if (line.n > 0)
			log_line(refused ? LOG_ERROR : LOG_WARNING, "%.*s", SV_FMT(line));
	}
}

static void
log_outcomes(const struct tls_outcomes *o)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct tls_outcome *v = &o->v[i];
		bool bad = v->kind == TLS_HELD || v->kind == TLS_MISSING;
		log_line(bad ? LOG_ERROR : LOG_NOTICE, "bundle \"%s\": %s: %s", v->bundle, tls_outcome_word(v->kind), v->text != NULL ? v->text : "");
	}
}

/* --- listeners ---------------------------------------------------------------------------------------------- */

/* One row a thread, one column a listener of the config. */
struct fd_table {
	int *rows[TLS_THREADS_MAX];
	size_t columns;
	unsigned n;
};

static void
close_fds(struct fd_table *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		for (size_t k = 0; t->rows[i] != NULL && k < t->columns; k++)
			if (t->rows[i][k] >= 0)
				close(t->rows[i][k]);
		free(t->rows[i]);
	}
}

static void
free_rows(struct fd_table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free(t->rows[i]);
}

static bool
listens_already(const struct snapshot *s, const char *address)
{
	for (size_t i = 0; s != NULL && i < s->conf->n_listeners; i++)
		if (strcmp(s->conf->listeners[i].address, address) == 0)
			return true;
	return false;
}

/* A socket a thread for each address that the config in service does not have. */
static bool
open_listeners(struct loader *l, const struct conf *c, struct fd_table *out, struct err *err)
{
	*out = (struct fd_table){.columns = c->n_listeners, .n = l->threads.n};
	for (unsigned i = 0; i < out->n; i++) {
		out->rows[i] = malloc((c->n_listeners + 1) * sizeof(int));
		if (out->rows[i] == NULL)
			return err_no_memory(err);
		for (size_t k = 0; k < c->n_listeners; k++)
			out->rows[i][k] = -1;
	}
	for (size_t k = 0; k < c->n_listeners; k++) {
		const char *address = c->listeners[k].address;
		/* Threads share a Unix socket; of a port each has a socket of its own. */
		bool shared = sv_starts(sv_cstr(address), SV("unix:"));
		for (unsigned i = 0; !listens_already(l->snapshot, address) && i < out->n; i++) {
			out->rows[i][k] = control_listen(l->control, address, shared ? 0 : i, shared ? 1 : out->n, err);
			if (out->rows[i][k] < 0)
				return err_prefix(err, "listener");
		}
	}
	return true;
}

/* --- logs --------------------------------------------------------------------------------------------------- */

static void
open_error_log(struct loader *l, const struct conf_log *c)
{
	struct err err = {""};
	int fd = c->error != NULL ? l->files->open_append(l->files, c->error, &err) : STDERR_FILENO;

	log_set_level(c->level);
	if (fd >= 0)
		log_set_fd(fd);
	else
		log_error("the error log stays where it was: %s", err.text);
}

/* --- one load ----------------------------------------------------------------------------------------------- */

/* Client connections at once: two descriptors each, and some for files, logs and idle origins. */
static uint64_t
connection_limit(const struct conf *c)
{
	struct rlimit files;
	uint64_t possible = 1024;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		possible = files.rlim_cur > 128 ? (files.rlim_cur - 64) / 2 : 32;
	return c->connections != 0 ? MIN_OF(c->connections, possible) : possible;
}

static bool
publish(struct loader *l, struct snapshot *s, struct fd_table *fds, struct err *err)
{
	s->generation = l->generation + 1;
	/* The background thread goes first: what it refuses (a cipher list, say) the others would refuse, too. */
	bool ok = px_thread_publish(l->background, snapshot_ref(s), &l->secret, err);
	if (ok)
		rotations_sync(&l->rotations, s);
	if (!ok || !threads_publish(&l->threads, s, &l->secret, fds->rows, err)) {
		l->rotations.snapshot = l->snapshot;
		close_fds(fds);
		return false;
	}
	free_rows(fds);
	__atomic_store_n(&l->threads.shared.max_connections, connection_limit(s->conf), __ATOMIC_RELAXED);
	snapshot_unref(l->snapshot);
	l->snapshot = s;
	l->admin.snapshot = s;
	l->generation = s->generation;
	server_registry_sweep(l->registry);
	return true;
}

/* Threads are counted once, for all workers: their sockets share a port in fixed numbers. */
static bool
start_threads(struct loader *l, const struct conf *c, struct err *err)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = c->threads != 0 ? c->threads : (uint64_t)MAX_OF(processors, 1L);

	if (l->threads.n > 0)
		return true;
	if (l->kept.threads != 0)
		n = l->kept.threads;
	return threads_start(&l->threads, (unsigned)MIN_OF(n, (uint64_t)TLS_THREADS_MAX - 1), err);
}

/* Takes over `s`. */
static bool
bring_into_service(struct loader *l, struct snapshot *s, struct err *err)
{
	struct fd_table fds = {.n = 0};
	bool ok = start_threads(l, s->conf, err) && open_listeners(l, s->conf, &fds, err);

	if (!ok)
		close_fds(&fds);
	ok = ok && publish(l, s, &fds, err);
	if (!ok)
		snapshot_unref(s);
	return ok;
}

/* Build from `conf` and bring it into service; the report is filled. What is read is noted in `record`. */
static bool
load_conf(struct loader *l, struct snap_conf *conf, struct record *record, struct conf_problems *problems)
{
	struct admin_load *r = &l->admin.load;
	struct snapshot_inputs in = {.files = l->files, .thread = l->background->tls, .secret = &l->secret, .registry = l->registry,
	    .previous = l->snapshot, .trust = record_note(record, l->files, l->record), .kept = l->kept.store,
	    .first = l->snapshot == NULL && !l->follows};
	struct err err = {""};
	struct snapshot *s = snapshot_build(conf, &in, problems, &r->outcomes);

	if (s != NULL)
		worker_warnings(s, problems);
	add_problems(r, problems);
	if (s == NULL) {
		if (problems->errors == 0 && r->outcomes.failed > 0)
			add_problem(r, "nothing was taken over, because a bundle was refused and \"reload\" has \"policy\": \"all_or_nothing\"");
		return false;
	}
	bool ok = bring_into_service(l, s, &err);
	if (!ok)
		add_problem(r, err.text);
	return ok;
}

/* What is in service was made of `record`, which is taken over: hand it all to the supervisor. */
static void
hand_over(struct loader *l, struct record *record)
{
	struct keep k = {.generation = l->generation, .threads = l->threads.n, .secret = l->secret, .record = record,
	    .store = l->snapshot->store};
	struct err err = {""};
	int fd = keep_seal(&k, &err);

	explicit_bzero(&k.secret, sizeof(k.secret));
	if (!control_keep(l->control, fd, fd >= 0 ? &err : NULL) || fd < 0)
		log_warning("should this worker die, the next one has nothing but what is on the disk then, and the states of rotations: "
		            "%s", err.text);
	if (fd >= 0)
		close(fd);
	if (record != l->record)
		record_free(l->record);
	l->record = record;
	states_keep(&l->rotations.states, STATES_DUE);
}

/* Once, when there is a log to say in what becomes of it: rotations go on from what is kept of them. */
static void
recover(struct loader *l, const struct conf *conf)
{
	struct states *s = &l->rotations.states;

	open_error_log(l, &conf->log);
	if (l->recovered)
		return;
	l->recovered = true;
	states_begin(s);
	if (l->kept.store == NULL)
		l->kept.store = states_store(s, conf);
	if (!l->follows && !s->unread && s->told.directory[0] == '\0')
		log_notice("no \"state_dir\": rotations live in memory, and do not survive a restart of the supervisor");
}

static struct snap_conf *
read_conf(struct loader *l, struct files *files, struct conf_problems *problems)
{
	struct err err = {""};

	if (!control_refresh(l->control, &err)) {
		/* The supervisor's message is cut to what fits: read it ourselves for the whole of it. */
		struct conf *c = conf_load(l->files, l->config_path, problems);
		if (c != NULL || problems->errors == 0)
			add_problem(&l->admin.load, err.text);
		conf_free(c);
		return NULL;
	}
	struct conf *c = conf_load(files, l->config_path, problems);
	return c != NULL ? snap_conf_new(c) : NULL;
}

/* Say which of the changed keys wait for a restart. */
static void
compare_with_start(struct loader *l)
{
	char keys[256], text[512];

	if (l->started == NULL) {
		l->started = snap_conf_ref(l->snapshot->shared);
		return;
	}
	conf_needs_restart(l->started->conf, l->snapshot->conf, keys, sizeof(keys));
	if (keys[0] == '\0')
		return;
	(void)snprintf(text, sizeof(text), "warning: these have changed and take effect only at a restart: %s", keys);
	add_problem(&l->admin.load, text);
}

static bool
load(struct loader *l)
{
	struct admin_load *r = &l->admin.load;
	struct record *record = record_new();
	struct conf_problems problems;
	struct snap_conf *conf = NULL;

	reset_report(r);
	conf_problems_init(&problems);
	if (record == NULL)
		add_problem(r, "out of memory");
	else if ((conf = read_conf(l, record_note(record, l->files, NULL), &problems)) == NULL)
		add_problems(r, &problems);
	if (conf != NULL && l->snapshot == NULL)
		recover(l, conf->conf); /* what the first load has to tell belongs into the log, too */
	r->ok = conf != NULL && load_conf(l, conf, record, &problems);
	if (r->ok) {
		hand_over(l, record);
		log_set_level(l->snapshot->conf->log.level);
		compare_with_start(l);
	} else {
		record_free(record);
	}
	snap_conf_unref(conf);
	conf_problems_free(&problems);
	return r->ok;
}

static void
tell(const struct admin_load *r)
{
	log_lines(buf_view(&r->problems), !r->ok);
	log_outcomes(&r->outcomes);
}

bool
loader_reload(struct loader *l)
{
	bool ok = load(l);

	tell(&l->admin.load);
	if (ok) {
		loader_open_logs(l);
		log_notice("generation %llu is in service", (unsigned long long)l->generation);
	} else {
		log_error("reload refused: generation %llu stays in service", (unsigned long long)l->generation);
	}
	control_reloaded(l->control, ok, NULL);
	return ok;
}

/* Is it what the last look already told? Then nobody wants to read it again every few seconds. */
static bool
same_outcomes(const struct tls_outcomes *a, const struct tls_outcomes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const char *x = a->v[i].text, *y = b->v[i].text;
		if (a->v[i].kind == TLS_LOADED || a->v[i].kind == TLS_GONE || a->v[i].kind != b->v[i].kind ||
		    strcmp(a->v[i].bundle, b->v[i].bundle) != 0 || strcmp(x != NULL ? x : "", y != NULL ? y : "") != 0)
			return false;
	}
	return true;
}

bool
loader_refresh_bundles(struct loader *l)
{
	struct tls_outcomes outcomes;
	struct err err = {""};
	struct tls_store *store =
	    tls_store_load(l->snapshot->conf, l->snapshot->store, l->files, l->background->tls, &outcomes, &err);
	struct conf_problems problems;

	if (store == NULL) {
		log_error("looking for changed certificates: %s", err.text);
		return false;
	}
	tls_store_unref(store);
	bool nothing = outcomes.n == 0 || same_outcomes(&outcomes, &l->admin.load.outcomes);
	tls_outcomes_free(&outcomes);
	if (nothing)
		return false;
	struct admin_load *r = &l->admin.load;
	struct record *record = record_copy(l->record); /* the config is not read again */
	reset_report(r);
	conf_problems_init(&problems);
	if (record == NULL)
		add_problem(r, "out of memory");
	r->ok = record != NULL && load_conf(l, l->snapshot->shared, record, &problems);
	conf_problems_free(&problems);
	if (r->ok)
		hand_over(l, record);
	else
		record_free(record);
	tell(r);
	if (r->ok)
		log_notice("generation %llu is in service: certificates have changed", (unsigned long long)l->generation);
	return r->ok;
}

void
loader_open_logs(struct loader *l)
{
	const struct conf_log *c = &l->snapshot->conf->log;
	struct err err = {""};
	int fd = -1;

	open_error_log(l, c);
	if (c->access != NULL && (fd = l->files->open_append(l->files, c->access, &err)) < 0) {
		log_error("requests are logged where they were before, if anywhere: %s", err.text);
		return;
	}
	threads_log(&l->threads, fd, c->format);
	if (fd >= 0)
		close(fd);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static bool
admin_reload(struct admin *a)
{
	return loader_reload(CONTAINER_OF(a, struct loader, admin));
}

/* What the worker before us had in service, if there was one. */
static void
inherit(struct loader *l)
{
	struct err err = {""};
	int fd;

	bool ok = control_kept(l->control, &fd, &err);
	if (ok && fd >= 0)
		ok = keep_open(&l->kept, fd, l->background->tls, &err);
	if (!ok)
		log_error("what the worker before had in service is lost, all is loaded from the disk: %s", err.text);
	if (fd >= 0)
		close(fd);
	l->generation = l->kept.generation;
	l->follows = l->kept.store != NULL;
}

/* The secret is one of the things that change with a restart only, and a worker's death is none. */
static bool
find_secret(struct loader *l, struct err *err)
{
	if (l->kept.secret.n == 0)
		return control_secret(l->control, l->secret.bytes, &l->secret.n, err);
	l->secret = l->kept.secret;
	return true;
}

/* From the copies of its files, and with its bundles. */
static struct snapshot *
rebuild(struct loader *l, struct conf_problems *problems)
{
	struct files *files = record_files(l->kept.record);
	struct conf *c = conf_load(files, l->config_path, problems);
	struct snap_conf *conf = c != NULL ? snap_conf_new(c) : NULL;
	struct snapshot_inputs in = {.files = files, .thread = l->background->tls, .secret = &l->secret, .registry = l->registry,
	    .kept = l->kept.store, .only_kept = true};
	struct tls_outcomes none;

	if (conf == NULL)
		return NULL;
	recover(l, conf->conf);
	struct snapshot *s = snapshot_build(conf, &in, problems, &none);
	snap_conf_unref(conf);
	return s;
}

/* The disk's config is refused, and its report stays; bring what was in service before back into it, as it was. */
static bool
go_on(struct loader *l)
{
	struct conf_problems problems;
	struct err err = {"out of memory"};

	control_reloaded(l->control, false, NULL);
	conf_problems_init(&problems);
	l->generation = l->kept.generation - 1; /* it is no new one */
	struct snapshot *s = rebuild(l, &problems);
	bool ok = s != NULL && bring_into_service(l, s, &err);
	tell(&l->admin.load);
	if (ok) {
		hand_over(l, l->kept.record);
		l->kept.record = NULL;
		log_set_level(l->snapshot->conf->log.level);
		compare_with_start(l);
		log_error("the config on the disk is refused: generation %llu, which the worker before had in service, goes on",
		    (unsigned long long)l->generation);
	} else {
		log_lines(buf_view(&problems.text), true);
		log_error("what the worker before had in service can not be brought back: %s", err.text);
	}
	conf_problems_free(&problems);
	return ok;
}

static bool
begin(struct loader *l)
{
	struct err err = {""};

	inherit(l);
	if (!find_secret(l, &err)) {
		log_error("%s", err.text);
		return false;
	}
	if (!rotations_init(&l->rotations, l->background->loop, l->control, l->background->tls, &l->secret, l->threads.shared.rotation_key, &err)) {
		log_error("%s", err.text);
		return false;
	}
	l->admin.rotations = l->rotations.registry;
	l->admin.states = &l->rotations.states.told;
	if (!load(l) && l->follows)
		return go_on(l);
	tell(&l->admin.load);
	return l->admin.load.ok;
}

bool
loader_begin(struct loader *l)
{
	l->admin.started_us = clock_wall_us();
	l->admin.reload = admin_reload;
	l->registry = server_registry_new();
	if (l->registry == NULL) {
		log_error("out of memory");
		return false;
	}
	bool ok = begin(l);
	keep_free(&l->kept);
	if (!ok)
		return false;
	l->admin.threads = l->threads.px;
	l->admin.n_threads = l->threads.n;
	loader_open_logs(l);
	return true;
}

void
loader_end(struct loader *l)
{
	threads_stop(&l->threads);
	snapshot_unref(l->snapshot);
	l->snapshot = NULL;
	rotations_free(&l->rotations);
	record_free(l->record);
	snap_conf_unref(l->started);
	tls_outcomes_free(&l->admin.load.outcomes);
	buf_clear(&l->admin.load.problems);
	explicit_bzero(&l->secret, sizeof(l->secret));
}
