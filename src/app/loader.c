#include "app/loader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/check.h"
#include "base/clock.h"
#include "base/log.h"

/* --- what a load reports ------------------------------------------------------------------------------------ */

static void
reset_report(struct admin_load *r)
{
	conf_problems_free(&r->problems);
	conf_problems_init(&r->problems);
	tls_outcomes_free(&r->outcomes);
	r->outcomes = (struct tls_outcomes){.n = 0};
	r->at_us = clock_wall_us();
	r->ok = false;
}

static void
log_problems(const struct conf_problems *problems)
{
	struct sv rest = buf_view(&problems->text);
	struct conf_problem p;

	while (conf_problems_next(&rest, &p))
		log_line(p.is_warning ? LOG_WARNING : LOG_ERROR, "%.*s%.*s", SV_FMT(p.before), SV_FMT(p.after));
}

/* What it was held back for stands in its text. */
static void
log_findings(const struct tls_outcome *o)
{
	for (size_t i = 0; i < o->n_findings; i++) {
		const struct tls_finding *f = &o->findings[i];
		if (!f->lossy || f->accepted)
			log_line(f->lossy ? LOG_WARNING : LOG_INFO, "bundle \"%s\": %s%s: %s", o->name, f->lossy ? "accepted: " : "",
			    f->kind, f->text);
	}
}

static void
log_report(const struct admin_load *r)
{
	const struct tls_outcomes *o = &r->outcomes;

	log_problems(&r->problems);
	for (size_t i = 0; i < o->n; i++) {
		const struct tls_outcome *v = &o->v[i];
		bool bad = v->kind == TLS_HELD || v->kind == TLS_MISSING;
		log_line(bad ? LOG_ERROR : LOG_NOTICE, "%s \"%s\": %s: %s", v->of, v->name, tls_outcome_word(v->kind), v->text != NULL ? v->text : "");
		log_findings(v);
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

/* Those of a config, opened before it is in service: one whose logs can not be written is refused. -1: none. */
struct logs {
	int error, access;
};

static bool
open_log(struct loader *l, const struct conf *c, const char *const *path, const char *key, int *fd)
{
	struct conf_where at = conf_place(&c->at, path);
	struct err err = {""};

	*fd = *path != NULL ? l->files->open_append(l->files, *path, &err) : -1;
	if (*path == NULL || *fd >= 0)
		return true;
	conf_error(&l->admin.load.problems, &at, key, "%s", err.text);
	return false;
}

static bool
open_logs(struct loader *l, const struct conf *c, struct logs *out)
{
	bool ok = open_log(l, c, &c->log.error, "log.error", &out->error);

	return open_log(l, c, &c->log.access, "log.access", &out->access) && ok;
}

static void
use_error_log(const struct conf_log *c, struct logs *logs)
{
	log_set_level(c->level);
	log_set_fd(logs->error >= 0 ? logs->error : STDERR_FILENO);
	logs->error = -1;
}

static void
close_logs(struct logs *logs)
{
	if (logs->error >= 0)
		close(logs->error);
	if (logs->access >= 0)
		close(logs->access);
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

/* `before`: the record of what is in service, where `record` is to become the next one. */
static struct snapshot_inputs
inputs(struct loader *l, struct record *record, const struct record *before)
{
	tls_changes_forget(&l->left);
	return (struct snapshot_inputs){.files = l->files, .thread = l->background->tls, .secret = &l->secret, .registry = l->registry,
	    .previous = l->snapshot, .record = record, .before = before, .changes = &l->changes, .left = &l->left, .kept = l->kept.store};
}

/* Bring what was built (NULL: nothing could be) into service; the report is filled. */
static bool
serve(struct loader *l, struct snapshot *s)
{
	struct admin_load *r = &l->admin.load;
	struct err err = {""};

	if (s != NULL)
		worker_warnings(s, &r->problems);
	else if (r->problems.errors == 0 && r->outcomes.failed > 0)
		conf_error(&r->problems, NULL, NULL,
		    "nothing was taken over, because something was refused and \"reload\" has \"policy\": \"all_or_nothing\"");
	else if (r->problems.errors == 0)
		conf_error(&r->problems, NULL, NULL, "out of memory");
	if (s == NULL)
		return false;
	if (bring_into_service(l, s, &err))
		return true;
	conf_error(&l->admin.load.problems, NULL, NULL, "%s", err.text);
	return false;
}

/* Nothing that has changed until the last load is to be looked at again, but what that has left. */
static void
settle(struct loader *l)
{
	tls_changes_forget(&l->changes);
	l->changes = l->left;
	l->left = TLS_CHANGES_UNKNOWN;
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
		log_warning("should this worker die, the next one has nothing but what is on the disk then, and no earlier generation of a "
		            "bundle: %s", err.text);
	if (fd >= 0)
		close(fd);
	if (record != l->record)
		record_free(l->record);
	l->record = record;
}

static struct snap_conf *
read_conf(struct loader *l, struct files *files)
{
	struct conf_problems *problems = &l->admin.load.problems;
	struct err err = {""};
	/* The supervisor's message is cut to what fits: when it refuses, read it ourselves for the whole of it. */
	bool allowed = control_refresh(l->control, &err);
	struct conf *c = conf_load(files, l->config_path, problems);

	if (!allowed && (c != NULL || problems->errors == 0))
		conf_error(problems, NULL, NULL, "%s", err.text);
	if (allowed && c != NULL)
		return snap_conf_new(c);
	conf_free(c);
	return NULL;
}

/* Say which of the changed keys wait for a restart. */
static void
compare_with_start(struct loader *l)
{
	char keys[256];

	if (l->started == NULL) {
		l->started = snap_conf_ref(l->snapshot->shared);
		return;
	}
	conf_needs_restart(l->started->conf, l->snapshot->conf, keys, sizeof(keys));
	if (keys[0] == '\0')
		return;
	conf_warning(&l->admin.load.problems, NULL, NULL, "these have changed and take effect only at a restart: %s", keys);
}

/* Asked for once: it holds until a restart, and what is derived from it as well. A worker's death is no restart. */
static bool
have_secret(struct loader *l, const struct conf *c)
{
	struct conf_where at = conf_place(&c->at, &c->secret_file);
	struct err err = {""};

	if (l->rotations.registry != NULL)
		return true;
	if (l->kept.secret.n > 0)
		l->secret = l->kept.secret;
	if ((l->secret.n > 0 || control_secret(l->control, l->secret.bytes, &l->secret.n, &err)) &&
	    rotations_init(&l->rotations, l->background->loop, &l->secret, l->threads.shared.rotation_key, &err)) {
		l->admin.rotations = l->rotations.registry;
		return true;
	}
	conf_error(&l->admin.load.problems, &at, "secret_file", "%s", err.text);
	return false;
}

static bool
load_with_logs(struct loader *l, struct snap_conf *shared, unsigned accept, struct record *record)
{
	struct snapshot_inputs in = inputs(l, record, l->record);
	const struct conf *c = shared->conf;
	struct admin_load *r = &l->admin.load;
	struct logs logs = {-1, -1};
	bool first = l->snapshot == NULL, ok = open_logs(l, c, &logs);

	in.accept = accept;
	if (ok && first)
		use_error_log(&c->log, &logs); /* what the first load has to tell belongs there, too */
	ok = ok && have_secret(l, c) && serve(l, snapshot_build(shared, &in, &r->problems, &r->outcomes));
	if (ok && !first)
		use_error_log(&c->log, &logs);
	if (ok)
		threads_log(&l->threads, logs.access, c->log.format);
	close_logs(&logs);
	return ok;
}

static bool
load(struct loader *l, unsigned accept)
{
	struct admin_load *r = &l->admin.load;
	struct record *record = record_new();
	struct snap_conf *conf = NULL;

	reset_report(r);
	if (record == NULL)
		conf_error(&r->problems, NULL, NULL, "out of memory");
	else
		conf = read_conf(l, record_note(record, l->files, NULL));
	r->ok = conf != NULL && load_with_logs(l, conf, accept, record);
	if (r->ok) {
		settle(l);
		hand_over(l, record);
		compare_with_start(l);
	} else {
		record_free(record);
	}
	snap_conf_unref(conf);
	log_report(r);
	return r->ok;
}

bool
loader_reload(struct loader *l, unsigned accept)
{
	bool ok = load(l, accept);

	if (ok)
		log_notice("generation %llu is in service", (unsigned long long)l->generation);
	else
		log_error("reload refused: generation %llu stays in service", (unsigned long long)l->generation);
	control_reloaded(l->control, ok, NULL);
	return ok;
}

void
loader_refuse(struct loader *l, const char *why)
{
	reset_report(&l->admin.load);
	conf_error(&l->admin.load.problems, NULL, NULL, "%s", why);
	log_report(&l->admin.load);
}

/*
 * Is it what the last look already told? Then nobody wants to read it again every few seconds. What was then taken over
 * would not come up again, had it not changed once more.
 */
static bool
same_outcomes(const struct tls_outcomes *a, const struct tls_outcomes *b, bool taken_over)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct tls_outcome *x = &a->v[i], *y = &b->v[i];
		bool news = taken_over && (x->kind == TLS_LOADED || x->kind == TLS_GONE);
		if (news || x->kind != y->kind || strcmp(x->of, y->of) != 0 || strcmp(x->name, y->name) != 0 || strcmp(x->text, y->text) != 0)
			return false;
	}
	return true;
}

/* `fresh` was loaded, and `reads` noted meanwhile; the config is not read again. */
static bool
refresh_with(struct loader *l, const struct snapshot_inputs *in, const struct credentials *fresh, const struct record *reads)
{
	struct admin_load *r = &l->admin.load;
	struct record *record = record_copy(l->record);
	struct snapshot *s = NULL;

	if (record == NULL)
		conf_error(&r->problems, NULL, NULL, "out of memory");
	else if (!credentials_held_back(l->snapshot->conf, &r->outcomes))
		s = snapshot_build_with(l->snapshot->shared, in, fresh, &r->problems);
	r->ok = record != NULL && serve(l, s);
	if (r->ok) {
		settle(l);
		record_add(record, reads);
		hand_over(l, record);
	} else {
		record_free(record);
	}
	log_report(r);
	if (r->ok)
		log_notice("generation %llu is in service: certificates have changed", (unsigned long long)l->generation);
	return r->ok;
}

bool
loader_refresh(struct loader *l)
{
	struct record *reads = record_new();
	const struct snapshot_inputs in = inputs(l, reads, NULL);
	struct admin_load *r = &l->admin.load;
	struct conf_problems problems;
	struct tls_outcomes outcomes;
	struct credentials fresh;
	bool changed = false;

	conf_problems_init(&problems);
	if (!credentials_load(&fresh, l->snapshot->conf, &in, &problems, &outcomes) || reads == NULL) {
		log_error("looking for changed certificates: out of memory");
	} else if (outcomes.n > 0 && !same_outcomes(&outcomes, &r->outcomes, r->ok)) {
		reset_report(r);
		r->problems = problems;
		r->outcomes = outcomes;
		conf_problems_init(&problems);
		outcomes = (struct tls_outcomes){.n = 0};
		changed = refresh_with(l, &in, &fresh, reads);
	} else if (outcomes.n == outcomes.failed) {
		settle(l);
		record_add(l->record, reads); /* the same again, with other stamps */
	}
	tls_outcomes_free(&outcomes);
	credentials_free(&fresh);
	conf_problems_free(&problems);
	record_free(reads);
	return changed;
}

/* What can not be opened stays as it was, and the rest is opened: this comes after the files were moved. */
void
loader_open_logs(struct loader *l)
{
	const struct conf_log *c = &l->snapshot->conf->log;
	struct err err = {""};
	int error = c->error != NULL ? l->files->open_append(l->files, c->error, &err) : -1;

	if (error >= 0)
		log_set_fd(error);
	else if (c->error != NULL)
		log_error("the error log stays where it was: %s", err.text);
	int access = c->access != NULL ? l->files->open_append(l->files, c->access, &err) : -1;
	if (access >= 0)
		threads_log(&l->threads, access, c->format);
	else if (c->access != NULL)
		log_error("the access log stays where it was: %s", err.text);
	if (access >= 0)
		close(access);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static bool
admin_reload(struct admin *a, unsigned accept)
{
	return loader_reload(CONTAINER_OF(a, struct loader, admin), accept);
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
	bool ok = s != NULL && have_secret(l, s->conf) && bring_into_service(l, s, &err);
	if (ok) {
		hand_over(l, l->kept.record);
		l->kept.record = NULL;
		log_set_level(l->snapshot->conf->log.level);
		loader_open_logs(l);
		compare_with_start(l);
		log_error("the config on the disk is refused: generation %llu, which the worker before had in service, goes on",
		    (unsigned long long)l->generation);
	} else {
		log_problems(&problems);
		log_error("what the worker before had in service can not be brought back: %s", err.text);
	}
	conf_problems_free(&problems);
	return ok;
}

static bool
begin(struct loader *l)
{
	inherit(l);
	if (load(l, 0))
		return true;
	return l->follows && go_on(l);
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
	return true;
}

void
loader_end(struct loader *l)
{
	threads_stop(&l->threads);
	snapshot_unref(l->snapshot);
	l->snapshot = NULL;
	rotations_free(&l->rotations);
	tls_changes_forget(&l->changes);
	tls_changes_forget(&l->left);
	record_free(l->record);
	snap_conf_unref(l->started);
	tls_outcomes_free(&l->admin.load.outcomes);
	conf_problems_free(&l->admin.load.problems);
	explicit_bzero(&l->secret, sizeof(l->secret));
}
