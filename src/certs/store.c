#include "certs/store.h"

#include <stdlib.h>

#include "base/clock.h"
#include "certs/load.h"
#include "certs/outcomes.h"
#include "certs/store_internal.h"
#include "certs/watch.h"

/*
 * Up to so many changed bundles are proved at load (a signature each); beyond, as in a start with thousands, at first
 * use: what costs half a millisecond must not be done ten thousand times before the first client is served.
 */
enum { PROVE_MAX = 64 };

static int
by_bundle_name(const void *a, const void *b)
{
	const struct store_entry *x = a, *y = b;

	return strcmp(x->bundle->name, y->bundle->name);
}

const struct store_entry *
store_find(const struct tls_store *s, const char *name)
{
	struct tls_bundle key = {.name = name};
	struct store_entry wanted = {.bundle = &key};

	return s != NULL && s->n > 0 ? bsearch(&wanted, s->v, s->n, sizeof(*s->v), by_bundle_name) : NULL;
}

/* --- loading --- */

bool
store_is_unchanged(const struct job *job, const struct source *s)
{
	const struct store_entry *before = store_find(job->previous, s->name);
	unsigned char files[32];

	return s->problem == NULL && before != NULL && source_digest(s, job->loader.what->thread, files) &&
	    memcmp(files, before->bundle->private->files, sizeof(files)) == 0 &&
	    !__atomic_load_n(&before->bundle->private->unusable, __ATOMIC_RELAXED);
}

bool
store_add(struct tls_store *s, struct tls_bundle *b, const char *origin, bool listed)
{
	const char *kept = s->n > 0 && strcmp(s->v[s->n - 1].origin, origin) == 0
	    ? s->v[s->n - 1].origin /* one for many */
	    : arena_copy(&s->arena, sv_cstr(origin));

	if (kept == NULL)
		return false;
	s->v[s->n++] = (struct store_entry){tls_bundle_ref(b), kept, listed};
	return true;
}

bool
store_index(struct tls_store *s, const struct tls_store *before)
{
	if (before != NULL && before->n == s->n && names_fit(before->names, before->v, s->v, s->n))
		s->names = names_ref(before->names);
	else
		s->names = names_new(s->v, s->n);
	return s->names != NULL;
}

bool
store_arrange(struct tls_store *s, const struct tls_store *before)
{
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_bundle_name);
	return store_index(s, before);
}

struct tls_store *
store_new(void)
{
	struct tls_store *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->refs = 1;
	return s;
}

/* A directory that can not be listed now: nothing of it is lost. */
static bool
hold_directory(struct job *job, const struct source *s)
{
	bool any = false;

	for (size_t i = 0; job->previous != NULL && i < job->previous->n; i++) {
		const struct store_entry *e = &job->previous->v[i];
		if (!e->listed || strcmp(e->origin, s->origin) != 0 ||
		    sources_named(&job->sources, e->bundle->name) != NULL)
			continue;
		if (!store_add(job->store, e->bundle, s->origin, true))
			return false;
		any = true;
	}
	job->store->unsteady = true;
	if (job->left != NULL)
		tls_changes_forget(job->left);
	return outcomes_add(job->outcomes, any ? TLS_HELD : TLS_MISSING, s->name, "%s", s->problem);
}

/* What is refused may be accepted later; and what has a second name may change without an event. */
static void
note_left(struct job *job, const struct source *s, bool accepted)
{
	bool steady = accepted;

	for (unsigned i = 0; i < s->n_files; i++)
		steady = steady && s->files[i].stamp.links <= 1;
	if (!s->listed || steady)
		return;
	job->store->unsteady = true;
	if (job->left != NULL)
		tls_changes_add(job->left, s->conf->directory, s->name);
}

bool
store_load_one(struct job *job, size_t i)
{
	struct source *s = &job->sources.v[i];
	const struct store_entry *before = s->doubled ? NULL : store_find(job->previous, s->name);
	struct tls_bundle *old = before != NULL ? before->bundle : NULL, *new;
	struct err err;

	if (s->unlisted)
		return hold_directory(job, s);
	if (job->unchanged[i]) {
		note_left(job, s, true);
		return store_add(job->store, old, s->origin, s->listed);
	}
	new = load_bundle(&job->loader, s, old, &err);
	note_left(job, s, new != NULL);
	if (new == NULL) {
		enum tls_outcome_kind kind = job->loader.waits ? TLS_WAITING : old != NULL ? TLS_HELD : TLS_MISSING;
		return outcomes_add(job->outcomes, kind, s->name, "%s", err.text) &&
		    outcomes_add_findings(job->outcomes, &job->loader.findings) &&
		    (old == NULL || store_add(job->store, old, s->origin, s->listed));
	}
	bool ok = store_add(job->store, new, s->origin, s->listed) &&
	    (new == old || (outcomes_add_loaded(job->outcomes, new) &&
		outcomes_add_findings(job->outcomes, &job->loader.findings)));
	tls_bundle_unref(new);
	return ok;
}

/* Intermediates in service are shared with what is loaded now. */
static void
share_previous(struct job *job)
{
	for (size_t i = 0; job->previous != NULL && i < job->previous->n; i++) {
		const struct tls_bundle *b = job->previous->v[i].bundle;
		for (unsigned k = 1; k < b->n_chain; k++)
			tls_der_unref(der_intern(&job->loader.shared, tls_der_ref(b->chain[k])));
	}
}

bool
store_compare(struct job *job)
{
	size_t changed = 0;

	job->unchanged = calloc(MAX_OF(job->sources.n, (size_t)1), sizeof(*job->unchanged));
	if (job->unchanged == NULL)
		return false;
	for (size_t i = 0; i < job->sources.n; i++) {
		job->unchanged[i] = store_is_unchanged(job, &job->sources.v[i]);
		changed += !job->unchanged[i] && job->sources.v[i].problem == NULL;
	}
	job->loader.prove = changed <= PROVE_MAX;
	if (changed > 0)
		share_previous(job);
	return true;
}

static bool
load_all(struct job *job)
{
	if (!store_compare(job))
		return false;
	for (size_t i = 0; i < job->sources.n; i++)
		if (!store_load_one(job, i))
			return false;
	return true;
}

/* --- what is made of it --- */

static bool
note_gone(const struct job *job)
{
	for (size_t i = 0; job->previous != NULL && i < job->previous->n; i++) {
		const struct store_entry *e = &job->previous->v[i];
		if (store_find(job->store, e->bundle->name) == NULL &&
		    !outcomes_add(job->outcomes, TLS_GONE, e->bundle->name, "%s: %s", e->bundle->where,
			e->listed ? "the directory no longer has it" : "no longer configured"))
			return false;
	}
	return true;
}

static bool
watch_configured(struct watch *w, const struct conf_bundle *c)
{
	const char *const paths[] = {c->certificate, c->key, c->chain, c->combined, c->pkcs12, c->password_file};

	w->owner = c->directory != NULL ? (struct watch_owner){c->directory, NULL} : WATCH_ANYTHING;
	if (c->directory != NULL)
		return watch_directory(w, c->directory);
	for (size_t i = 0; i < COUNTOF(paths); i++)
		if (paths[i] != NULL && !watch_file(w, paths[i]))
			return false;
	return true;
}

bool
store_watch_configured(struct watch *w, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_bundles; i++)
		if (!watch_configured(w, &conf->bundles[i]))
			return false;
	return true;
}

bool
store_watch_source(struct watch *w, const struct source *s)
{
	if (!s->listed)
		return true;
	w->owner = (struct watch_owner){s->conf->directory, s->name};
	if (s->problem != NULL && !watch_directory(w, s->where))
		return false;
	for (unsigned i = 0; i < s->n_files; i++)
		if (!watch_file(w, s->files[i].path))
			return false;
	return true;
}

static bool
watch_trust(struct watch *w, const struct conf *conf)
{
	w->owner = WATCH_ANYTHING;
	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_client_certificate *c = &conf->sites[i].client;
		for (size_t k = 0; c->mode != CONF_CLIENT_NONE && k < c->n_pins; k++)
			if (!watch_file(w, c->pins[k].ca))
				return false;
		for (size_t k = 0; c->mode != CONF_CLIENT_NONE && k < c->crls.n; k++)
			if (!watch_file(w, c->crls.v[k]))
				return false;
	}
	for (size_t i = 0; i < conf->n_upstreams; i++)
		if (conf->upstreams[i].tls.ca != NULL && !watch_file(w, conf->upstreams[i].tls.ca))
			return false;
	return true;
}

bool
store_watch_end(struct job *job, struct watch *w)
{
	struct tls_store *s = job->store;
	bool ok = watch_trust(w, job->conf);

	watch_finish(w);
	s->places = w->v;
	s->n_places = w->n;
	s->hidden = w->hidden;
	s->n_hidden = w->n_hidden;
	job->watched = true;
	return ok;
}

bool
store_watch(struct job *job, struct watch *w)
{
	bool ok = store_watch_configured(w, job->conf);

	for (size_t i = 0; ok && i < job->sources.n; i++)
		ok = store_watch_source(w, &job->sources.v[i]);
	return store_watch_end(job, w) && ok;
}

void
store_forget_places(struct job *job)
{
	struct tls_store *s = job->store;

	free(s->places);
	free(s->hidden);
	arena_free(&s->where);
	s->places = NULL;
	s->hidden = NULL;
	s->n_places = s->n_hidden = 0;
	job->watched = false;
}

/* Of the config; in the arena. NULL: out of memory. */
static const char *
listings_of(const struct conf *conf, struct arena *a)
{
	const char *all = "";

	for (size_t i = 0; all != NULL && i < conf->n_bundles; i++)
		if (conf->bundles[i].directory != NULL)
			all = arena_printf(a, "%s%s\n%s\n", all, conf->bundles[i].name, conf->bundles[i].directory);
	return all;
}

static bool
make(struct job *job)
{
	struct tls_store *s = job->store;
	struct watch w = {.arena = &s->where};

	return load_all(job) && store_arrange(s, job->previous) && note_gone(job) && store_watch(job, &w);
}

/*
 * What has changed in the directories since `previous` was loaded, as it was told or is found now. NULL: anything may have.
 * Of places that another has to watch for us nobody tells.
 */
static const struct tls_changes *
known_changes(struct job *job, const struct tls_changes *told)
{
	static const struct tls_changes none = {.known = true};
	const struct tls_store *previous = job->previous;

	if (previous == NULL || previous->listings == NULL || strcmp(job->store->listings, previous->listings) != 0)
		return NULL;
	if (told != NULL && told->known && previous->n_hidden == 0)
		return told;
	return !previous->unsteady && survey_is_same(job) ? &none : NULL;
}

/* Only what has changed is looked for, as long as that tells all; else everything. */
static bool
find_and_make(struct job *job, const struct tls_changes *told, struct err *err)
{
	struct tls_store *s = job->store;
	struct files *files = job->loader.what->files;

	if ((s->listings = listings_of(job->conf, &s->arena)) == NULL)
		return err_no_memory(err);
	const struct tls_changes *changes = known_changes(job, told);
	if (!sources_find_changed(&job->sources, job->conf, changes, files, err))
		return false;
	if (changes != NULL && !delta_fits(job)) {
		changes = NULL;
		store_forget_places(job);
		sources_free(&job->sources);
		if (!sources_find_changed(&job->sources, job->conf, NULL, files, err))
			return false;
	}
	/* One for each source, and for each entry of before. */
	size_t room = job->sources.n + (job->previous != NULL ? job->previous->n : 0);
	s->v = calloc(MAX_OF(room, (size_t)1), sizeof(*s->v));
	return (s->v != NULL && (changes != NULL ? delta_make(job) : make(job))) || err_no_memory(err);
}

bool
job_begin(struct job *job, const struct tls_load *load, struct tls_outcomes *outcomes, struct err *err)
{
	*outcomes = (struct tls_outcomes){.arena = ARENA_EMPTY};
	*job = (struct job){
		.store = store_new(),
		.previous = load->previous,
		.conf = load->conf,
		.loader = {.what = load, .now = (int64_t)(clock_wall_us() / 1000000)},
		.outcomes = outcomes,
	};
	if (job->store == NULL)
		err_no_memory(err);
	return job->store != NULL;
}

struct tls_store *
job_end(struct job *job, bool ok)
{
	der_table_free(&job->loader.shared);
	sources_free(&job->sources);
	free(job->unchanged);
	if (ok)
		return job->store;
	tls_store_unref(job->store);
	return NULL;
}

struct tls_store *
tls_store_load(const struct tls_load *load, struct tls_outcomes *outcomes, struct err *err)
{
	struct job job;

	if (load->left != NULL)
		tls_changes_none(load->left);
	bool ok = job_begin(&job, load, outcomes, err);
	job.left = load->left;
	return job_end(&job, ok && find_and_make(&job, load->changes, err));
}

/* --- looking up --- */

struct tls_store *
tls_store_ref(struct tls_store *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
tls_store_unref(struct tls_store *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	names_unref(s->names);
	for (size_t i = 0; i < s->n; i++)
		tls_bundle_unref(s->v[i].bundle);
	free(s->v);
	free(s->places);
	free(s->hidden);
	arena_free(&s->where);
	arena_free(&s->arena);
	free(s);
}

struct tls_bundle *
tls_store_bundle(const struct tls_store *s, const char *name)
{
	const struct store_entry *e = store_find(s, name);

	return e != NULL ? e->bundle : NULL;
}

size_t
tls_store_count(const struct tls_store *s)
{
	return s->n;
}

struct tls_bundle *
tls_store_at(const struct tls_store *s, size_t i)
{
	return s->v[i].bundle;
}

const char *
tls_store_origin_at(const struct tls_store *s, size_t i)
{
	return s->v[i].origin;
}

size_t
tls_store_find_name(const struct tls_store *s, struct sv host, struct tls_bundle *out[2])
{
	return names_find(s->names, s->v, host, out);
}

size_t
tls_store_places(const struct tls_store *s, const struct watch_place **out)
{
	*out = s->places;
	return s->n_places;
}

size_t
tls_store_hidden(const struct tls_store *s, const struct watch_hidden **out)
{
	*out = s->hidden;
	return s->n_hidden;
}

static bool
same_places(const struct tls_store *a, const struct tls_store *b)
{
	if (a->n_places != b->n_places || a->n_hidden != b->n_hidden)
		return false;
	for (size_t i = 0; i < a->n_hidden; i++)
		if (strcmp(a->hidden[i].path, b->hidden[i].path) != 0 || a->hidden[i].is_file != b->hidden[i].is_file)
			return false;
	return watch_places_eq(a->places, b->places, a->n_places);
}

/* Other threads look names up in `s` meanwhile, and count its references: nothing else of it is touched. */
bool
tls_store_take_places(struct tls_store *s, struct tls_store *fresh)
{
	const struct arena where = s->where;
	struct watch_place *places = s->places;
	struct watch_hidden *hidden = s->hidden;
	size_t n_places = s->n_places, n_hidden = s->n_hidden;

	if (same_places(s, fresh))
		return false;
	s->places = fresh->places, s->n_places = fresh->n_places;
	s->hidden = fresh->hidden, s->n_hidden = fresh->n_hidden;
	s->where = fresh->where;
	fresh->places = places, fresh->n_places = n_places;
	fresh->hidden = hidden, fresh->n_hidden = n_hidden;
	fresh->where = where;
	return true;
}
