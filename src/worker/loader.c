#include "worker/loader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/load_report.h"
#include "worker/publish.h"
#include "worker/warnings.h"

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

/* `before`: the record of what is in service, where `record` is to become the next one. */
static struct snapshot_inputs
inputs(struct loader *l, struct record *record, const struct record *before)
{
	tls_changes_forget(&l->left);
	return (struct snapshot_inputs){.files = l->files, .thread = l->background->tls, .secret = &l->secret, .registry = l->registry,
	    .previous = l->snapshot, .record = record, .before = before, .changes = &l->changes, .left = &l->left,
	    .rolled_back_to = rotations_rolled_back_to, .rotations = &l->rotations, .kept = l->kept.store};
}

/* Bring what was built (NULL: nothing could be) into service; the report is filled. */
static bool
serve(struct loader *l, struct snapshot *s)
{
	struct admin_load *r = &l->admin.load;
	struct err err = {""};

	if (s != NULL)
		warnings_of(s, true, WARNINGS_NAMED, &r->problems);
	else if (r->problems.errors == 0 && r->outcomes.failed > 0)
		conf_error(&r->problems, NULL, NULL,
		    "nothing was taken over, because something was refused and \"reload\" has \"policy\": \"all_or_nothing\"");
	else if (r->problems.errors == 0)
		conf_error(&r->problems, NULL, NULL, "out of memory");
	if (s == NULL)
		return false;
	if (publish(l, s, &err))
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
	bool ok = keep_hand_over(&k, &l->held, l->background->tls, l->control, &err);

	explicit_bzero(&k.secret, sizeof(k.secret));
	if (!ok)
		log_warning("should this worker die, the next one has nothing but what is on the disk then, and the states of rotations: "
		            "%s", err.text);
	if (record != l->record)
		record_free(l->record);
	l->record = record;
	states_keep(&l->rotations.states, STATES_DUE);
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
	    rotations_init(&l->rotations, l->background->loop, l->control, l->background->tls, &l->secret,
		l->threads.shared.rotation_key, &err)) {
		l->admin.rotations = l->rotations.registry;
		l->admin.client_cas = l->rotations.client_cas;
		l->admin.states = &l->rotations.states.told;
		l->admin.notices = &l->rotations.notify.told;
		return true;
	}
	conf_error(&l->admin.load.problems, &at, "secret_file", "%s", err.text);
	return false;
}

/* Once, when there is a log to say in what becomes of it: rotations go on from what is kept of them. */
static void
recover(struct loader *l, const struct conf *conf)
{
	struct states *s = &l->rotations.states;

	if (l->recovered)
		return;
	l->recovered = true;
	states_begin(s);
	if (l->kept.store == NULL)
		l->kept.store = states_store(s, conf);
	if (!l->follows && !s->unread && s->told.directory[0] == '\0')
		log_notice("no \"state_dir\": rotations live in memory, and do not survive a restart of the supervisor");
}

static bool
load_with_logs(struct loader *l, struct snap_conf *shared, unsigned accept, struct record *record)
{
	const struct conf *c = shared->conf;
	struct admin_load *r = &l->admin.load;
	struct logs logs = {-1, -1};
	bool first = l->snapshot == NULL, ok = open_logs(l, c, &logs);

	if (ok && first)
		use_error_log(&c->log, &logs); /* what the first load has to tell belongs there, too */
	ok = ok && have_secret(l, c);
	if (ok && first)
		recover(l, c);
	struct snapshot_inputs in = inputs(l, record, l->record);
	in.accept = accept;
	in.first = first && !l->follows;
	ok = ok && serve(l, snapshot_build(shared, &in, &r->problems, &r->outcomes));
	if (ok && !first)
		use_error_log(&c->log, &logs);
	if (ok) {
		threads_log(&l->threads, logs.access, c->log.format);
		logs.access = -1;
	}
	close_logs(&logs);
	return ok;
}

/* To the log, and to those who are to be told. `whole`: all bundles were looked at. */
static void
report(struct loader *l, bool whole)
{
	load_report_log(&l->admin.load);
	if (l->snapshot != NULL)
		rotations_told(&l->rotations, &l->admin.load.outcomes, whole);
}

static bool
load(struct loader *l, unsigned accept)
{
	struct admin_load *r = &l->admin.load;
	struct record *record = record_new();
	struct snap_conf *conf = NULL;

	load_report_reset(r);
	if (record == NULL)
		conf_error(&r->problems, NULL, NULL, "out of memory");
	else
		conf = read_conf(l, record_note(record, l->files, NULL));
	r->ok = conf != NULL && load_with_logs(l, conf, accept, record);
	r->refused_us = r->ok ? 0 : r->at_us;
	if (r->ok) {
		settle(l);
		hand_over(l, record);
		compare_with_start(l);
	} else {
		record_free(record);
	}
	snap_conf_unref(conf);
	report(l, r->ok); /* one that is refused may have ended before it came to the bundles */
	return r->ok;
}

bool
loader_reload(struct loader *l, unsigned accept)
{
	bool ok = load(l, accept);

	if (ok)
		log_notice("config generation %llu is in service", (unsigned long long)l->generation);
	else
		log_error("reload refused: config generation %llu stays in service", (unsigned long long)l->generation);
	control_reloaded(l->control, ok, NULL);
	return ok;
}

void
loader_refuse(struct loader *l, const char *why)
{
	load_report_reset(&l->admin.load);
	conf_error(&l->admin.load.problems, NULL, NULL, "%s", why);
	load_report_log(&l->admin.load);
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
	else if (!credentials_held_back(l->snapshot->conf, false, &r->outcomes))
		s = snapshot_build_with(l->snapshot->shared, in, fresh, &r->problems);
	r->ok = record != NULL && serve(l, s);
	if (r->ok) {
		settle(l);
		record_add(record, reads);
		hand_over(l, record);
	} else {
		record_free(record);
	}
	report(l, in->only == NULL);
	if (r->ok)
		log_notice("config generation %llu is in service: certificates have changed", (unsigned long long)l->generation);
	return r->ok;
}

/* Nothing is new on the disk. But is something that was held back what is served again? */
static void
note_mended(struct loader *l, const struct tls_outcomes *outcomes)
{
	struct admin_load *r = &l->admin.load;

	if (outcomes->n > 0 || !r->ok || load_report_same(outcomes, &r->outcomes, true))
		return;
	load_report_mended(r);
	rotations_told(&l->rotations, &r->outcomes, true);
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
	} else if (outcomes.n > 0 && !load_report_same(&outcomes, &r->outcomes, r->ok)) {
		load_report_reset(r);
		r->problems = problems;
		r->outcomes = outcomes;
		conf_problems_init(&problems);
		outcomes = (struct tls_outcomes){.n = 0};
		changed = refresh_with(l, &in, &fresh, reads);
	} else if (outcomes.n == outcomes.failed + outcomes.waiting) {
		note_mended(l, &outcomes);
		settle(l);
		record_add(l->record, reads); /* the same again, with other stamps */
		changed = tls_store_take_places(l->snapshot->store, fresh.store);
	}
	tls_outcomes_free(&outcomes);
	credentials_free(&fresh);
	conf_problems_free(&problems);
	record_free(reads);
	return changed;
}

/* There is something new: `outcomes`, which is taken over. */
static bool
start_with(struct loader *l, const struct snapshot_inputs *in, const struct credentials *fresh, const struct record *reads,
    struct tls_outcomes *outcomes, struct err *err)
{
	struct admin_load *r = &l->admin.load;
	struct tls_outcomes refused = {.n = 0};

	if (!r->ok) {
		refused = r->outcomes;
		r->outcomes = (struct tls_outcomes){.n = 0};
	}
	load_report_reset(r);
	r->outcomes = *outcomes;
	*outcomes = (struct tls_outcomes){.n = 0};
	bool ok = refresh_with(l, in, fresh, reads);
	load_report_keep_others(&r->outcomes, refused.n > 0 ? &refused : &r->taken, in->only);
	tls_outcomes_free(&refused);
	return ok || err_set(err, "bundle \"%s\": it can not be brought into service; the log says why", in->only);
}

bool
loader_start(struct loader *l, const char *bundle, unsigned accept, bool *changed, struct err *err)
{
	struct record *reads = record_new();
	struct snapshot_inputs in = inputs(l, reads, NULL);
	struct conf_problems problems;
	struct conf_problem first = {.after = SV_NONE};
	struct tls_outcomes outcomes;
	struct credentials fresh;
	bool ok = false;

	in.only = bundle;
	in.accept = accept;
	conf_problems_init(&problems);
	bool loaded = credentials_load(&fresh, l->snapshot->conf, &in, &problems, &outcomes) && reads != NULL;
	struct sv text = buf_view(&problems.text);
	*changed = loaded && outcomes.n > 0;
	if (!loaded)
		err_set(err, "%.*s", SV_FMT(conf_problems_next(&text, &first) ? first.after : SV("out of memory")));
	else if (outcomes.failed > 0)
		err_set(err, "%s", outcomes.v[0].text);
	else
		ok = outcomes.n == 0 || start_with(l, &in, &fresh, reads, &outcomes, err);
	tls_outcomes_free(&outcomes);
	credentials_free(&fresh);
	conf_problems_free(&problems);
	record_free(reads);
	return ok;
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
}

/* --- life --------------------------------------------------------------------------------------------------- */

static bool
admin_reload(struct admin *a, unsigned accept)
{
	return loader_reload(CONTAINER_OF(a, struct loader, admin), accept);
}

static void
admin_obeyed(struct admin *a, struct rotation *r, enum rotation_phase before)
{
	rotations_obeyed(&CONTAINER_OF(a, struct loader, admin)->rotations, r, before);
}

/* What the worker before us had in service, if there was one. */
static void
inherit(struct loader *l)
{
	struct err err = {""};

	if (!keep_take(&l->kept, &l->held, l->background->tls, l->control, &err))
		log_error("what the worker before had in service is lost, all is loaded from the disk: %s", err.text);
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
	struct tls_outcomes none = {.n = 0};

	if (conf == NULL)
		return NULL;
	bool ready = have_secret(l, conf->conf);
	if (ready)
		recover(l, conf->conf);
	struct snapshot *s = ready ? snapshot_build(conf, &in, problems, &none) : NULL;
	tls_outcomes_free(&none);
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
	bool ok = s != NULL && publish(l, s, &err);
	if (ok) {
		hand_over(l, l->kept.record);
		l->kept.record = NULL;
		log_set_level(l->snapshot->conf->log.level);
		loader_open_logs(l);
		compare_with_start(l);
		log_error("the config on the disk is refused: config generation %llu, which the worker before had in service, goes on",
		    (unsigned long long)l->generation);
	} else {
		load_report_log_problems(&problems);
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
	l->admin.started_ms = clock_mono_ms();
	l->admin.reload = admin_reload;
	l->admin.obeyed = admin_obeyed;
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
	load_report_free(&l->admin.load);
	explicit_bzero(&l->secret, sizeof(l->secret));
}
