/*
 * store.h: all bundles of a snapshot, immutable, and how they are loaded.
 *
 * Loading reuses from the previous store every bundle whose files have not
 * changed, and keeps the previous generation in service for one whose new
 * content is refused. Background thread only, but for tls_store_find_name().
 */
#ifndef BASCULE_CERTS_STORE_H
#define BASCULE_CERTS_STORE_H

#include "certs/bundle.h"
#include "certs/changes.h"
#include "conf/config.h"

struct tls_store; /* reference-counted */

enum tls_outcome_kind {
	TLS_UNCHANGED, /* not in the list of outcomes */
	TLS_LOADED,    /* new content in service */
	TLS_GONE,      /* a directory no longer has it */
	TLS_WAITING,   /* nothing is wrong with it, and it waits to be started; the generation before stays in service */
	TLS_HELD,      /* refused or half-written; the last good generation stays in service */
	TLS_MISSING,   /* refused, and there is no earlier generation: names of this bundle can not be served */
};

/* How a new content differs from the one in service. */
struct tls_finding {
	const char *kind; /* "lost-names", …: see certs/guard.h */
	const char *text; /* for people: "it …" */
	bool lossy;       /* some clients may reject it for that */
	bool accepted;    /* and so they shall */
};

struct tls_outcome {
	enum tls_outcome_kind kind;
	const char *of;   /* what `name` is the name of: "bundle"; "site", "upstream" for whom they trust */
	const char *name;
	const char *text; /* for TLS_HELD, TLS_MISSING, TLS_WAITING: "FILE: reason; what to do". Else what is new, for people */
	const struct tls_finding *findings;
	size_t n_findings;
};

struct tls_outcomes {
	struct arena arena;
	struct tls_outcome *v;
	size_t n, capacity;
	unsigned failed; /* TLS_HELD and TLS_MISSING */
	unsigned waiting;
};

void tls_outcomes_free(struct tls_outcomes *o);

/* Copies name and text; `of` must last. False when memory is out. */
MUST_CHECK bool tls_outcomes_add(struct tls_outcomes *o, enum tls_outcome_kind kind, const char *of, const char *name,
    const char *text);

const char *tls_outcome_word(enum tls_outcome_kind k); /* "loaded", "held", … for JSON and people */

/* What a load goes by; all borrowed. */
struct tls_load {
	const struct conf *conf;
	struct files *files;
	struct tls_thread *thread;
	struct tls_store *previous; /* what is in service; NULL: nothing is */
	unsigned accept; /* losses (1 << enum conf_loss) for which nothing is held back, besides those the config accepts */
	/*
	 * What clients are shown in place of the bundle in service, when that is rolled back, referenced: then new content is
	 * compared with this. NULL: it is not rolled back. Itself NULL: none is.
	 */
	struct tls_bundle *(*rolled_back_to)(const void *arg, const char *bundle);
	const void *arg; /* of that */

	/*
	 * When somebody watches: all that may differ from `previous`, which has been in service since it was loaded. NULL: not
	 * known; whether anything does is looked at first.
	 */
	const struct tls_changes *changes;
	/*
	 * NULL, or becomes what is to be looked at again at the next load, whatever changes until then: what is refused now,
	 * and what can change unwatched.
	 */
	struct tls_changes *left;
};

/*
 * Load what the config names. NULL only when memory is out; what is wrong with single bundles is in `outcomes`
 * (initialised by the call).
 */
struct tls_store *tls_store_load(const struct tls_load *load, struct tls_outcomes *outcomes, struct err *err);

/*
 * Only the bundle of this name, the others of `previous` (not NULL, and of the same config) as they are; `changes` and
 * `left` are not looked at. NULL: it is not there, or memory is out; err says which.
 */
struct tls_store *tls_store_load_one(const struct tls_load *load, const char *name, struct tls_outcomes *outcomes,
    struct err *err);

/* A row of another load, copied. False when memory is out. */
MUST_CHECK bool tls_outcomes_copy(struct tls_outcomes *o, const struct tls_outcome *from);

struct tls_store *tls_store_ref(struct tls_store *s);
void tls_store_unref(struct tls_store *s); /* NULL is fine */

/* By the name in the config, or NAME of a directory's. NULL: not there. Borrowed. */
struct tls_bundle *tls_store_bundle(const struct tls_store *s, const char *name);

/* For people and the admin API: walk all, in order of name. */
size_t tls_store_count(const struct tls_store *s);
struct tls_bundle *tls_store_at(const struct tls_store *s, size_t i);
const char *tls_store_origin_at(const struct tls_store *s, size_t i); /* name of the config's bundle that leads to it */

/*
 * Bundles of directories by the names in their certificates: an exact name first, then the wildcard that covers it.
 * At most one RSA and one EC; the one valid longest wins. Lower case, no trailing dot. Returns how many; borrowed.
 */
size_t tls_store_find_name(const struct tls_store *s, struct sv host, struct tls_bundle *out[2]);

/*
 * `fresh`, of the same config, has nothing new, but perhaps links lead to the same by another way: make its places those of `s`.
 * False: they are the same anyhow. Background thread only.
 */
bool tls_store_take_places(struct tls_store *s, struct tls_store *fresh);

/*
 * The directories to watch for changes, of all files that the config leads to: bundles, pins, CRLs, CAs of upstreams; links
 * resolved at both ends.
 */
struct watch_place;
size_t tls_store_places(const struct tls_store *s, const struct watch_place **out);

/* The files and directories (certs/watch.h) that need somebody with more rights to find all of theirs, or to watch them. */
struct watch_hidden;
size_t tls_store_hidden(const struct tls_store *s, const struct watch_hidden **out);

#endif
