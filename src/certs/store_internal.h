/*
 * store_internal.h: what a store is made of, for the files of this folder that make one, or a part of it.
 */
#ifndef BASCULE_CERTS_STORE_INTERNAL_H
#define BASCULE_CERTS_STORE_INTERNAL_H

#include "certs/load.h"
#include "certs/names.h"
#include "certs/sources.h"
#include "certs/store.h"
#include "certs/watch.h"

struct store_entry {
	struct tls_bundle *bundle; /* one reference */
	const char *origin;        /* name of the config's bundle; in the store's arena */
	bool listed;               /* of a directory: found by the names in its certificate */
};

struct tls_store {
	int refs; /* atomic */
	struct arena arena;
	struct store_entry *v; /* in order of the bundles' names */
	size_t n;
	struct names_index *names; /* one reference */
	struct watch_place *places; /* this and the next are the background thread's */
	size_t n_places;
	struct watch_hidden *hidden;
	size_t n_hidden;
	struct arena where; /* strings of these two */
	const char *listings; /* the directories of the config that it was loaded from, each with its name, a line each */
	bool unsteady; /* something of a directory was refused, or can change unnoticed: the next load has to look at it again */
};

/* What a load works on. */
struct job {
	struct tls_store *store;          /* being made; v has room for all */
	const struct tls_store *previous; /* may be NULL */
	const struct conf *conf;
	struct sources sources;
	bool *unchanged; /* for each source */
	bool watched;    /* the store has its places */
	struct loader loader;
	struct tls_outcomes *outcomes;
	struct tls_changes *left; /* what is to be looked at again the next time; may be NULL */
};

/* NULL with err set: memory is out. */
MUST_CHECK bool job_begin(struct job *job, const struct tls_load *load, struct tls_outcomes *outcomes, struct err *err);

/* The store when all went well, else NULL. */
struct tls_store *job_end(struct job *job, bool ok);

const struct store_entry *store_find(const struct tls_store *s, const char *name); /* NULL: it is not there */

/* What each source is, and the store has of it now. False: out of memory. */
MUST_CHECK bool store_compare(struct job *job);

/* Enter the bundle of source i: the one before, or a new one. After store_compare(). False: out of memory. */
MUST_CHECK bool store_load_one(struct job *job, size_t i);

/*
 * Find the places to watch: what the config names, then each source of a directory, then the rest, with which `w`, which may
 * have some from before, is used up. store_watch() is all three for the sources of the job. False: out of memory.
 */
MUST_CHECK bool store_watch_configured(struct watch *w, const struct conf *conf);
MUST_CHECK bool store_watch_source(struct watch *w, const struct source *s);
MUST_CHECK bool store_watch_end(struct job *job, struct watch *w);
MUST_CHECK bool store_watch(struct job *job, struct watch *w);
void store_forget_places(struct job *job); /* if it has any */

/* Make the index of names, or share that of `before` (NULL: there is none). False: out of memory. */
MUST_CHECK bool store_index(struct tls_store *s, const struct tls_store *before);

/* Empty, with one reference; NULL: out of memory. */
struct tls_store *store_new(void);

/* References the bundle; there must be room in v. False: out of memory. */
MUST_CHECK bool store_add(struct tls_store *s, struct tls_bundle *b, const char *origin, bool listed);

/* All are in it: put them in order and make the index, as above. False: out of memory. */
MUST_CHECK bool store_arrange(struct tls_store *s, const struct tls_store *before);

/* Is the bundle of this name made of just these files, as they are now? */
bool store_is_unchanged(const struct job *job, const struct source *s);

/* --- survey.c --- */

/*
 * Have the directories, which are those of `previous`, just what that has? Then the store has its places to watch. False as
 * well where that can not be told.
 */
bool survey_is_same(struct job *job);

/* --- delta.c --- */

/* Can `previous` be brought up to date by what the sources, of changes alone, tell? */
bool delta_fits(const struct job *job);

/* Make the store of the one before and the sources. False: out of memory. */
MUST_CHECK bool delta_make(struct job *job);

#endif
