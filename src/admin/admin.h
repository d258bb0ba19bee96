/*
 * admin.h: the admin API, HTTP on a Unix socket.
 *
 *   GET  /v1/status   everything, as JSON
 *   GET  /v1/chains   the certificates in service, as PEM in JSON
 *   POST /v1/reload   load config and certificates anew; the reply tells how it went. With ?accept=lost-names,…: whatever
 *                     new certificates lose of that
 *   GET  /metrics     the counters, as Prometheus text
 *   GET  /v1/rotations            those that go on
 *   GET  /v1/rotations/NAME       of one bundle: numbers, lists, verdict
 *   POST /v1/rotations/NAME/start   begin with what its files are now; with ?accept= as at a reload
 *   POST /v1/rotations/NAME/WORD  hold, resume, commit, rollback?to=N, retire?compromised=1. All but hold with force=1, too:
 *                                 though clients that need the previous generation lose it, for which it is refused (409) else
 *   GET  /v1/client-cas           the CAs of client certificates, of all sites that ask for them: numbers and verdicts
 *   GET  /v1/client-cas/SITE      of one site, with each certificate that came
 *   GET  /v1/client-cas/SITE/CA   of one of its CAs, by name or by the first digits of its fingerprint
 *
 * A service of a listener of the background thread: it answers exchanges
 * without an origin. Background thread only; other threads' counters are
 * read, nothing of theirs is written.
 */
#ifndef BASCULE_ADMIN_ADMIN_H
#define BASCULE_ADMIN_ADMIN_H

#include "proxy/thread.h"
#include "rotation/client_ca_registry.h"
#include "rotation/registry.h"

/* How the last load of config and certificates went. */
struct admin_load {
	uint64_t at_us; /* wall clock; 0: none yet */
	bool ok;
	struct conf_problems problems;
	struct tls_outcomes outcomes; /* of bundles whose content is new or refused */
	uint64_t taken_us;            /* while `ok` is false: the same of the last load that was taken; 0: none that we know of */
	struct tls_outcomes taken;    /* the same */
	uint64_t refused_us;          /* wall clock: the config on the disk was refused then, and none was taken since; 0: no */
};

/* Where the states of rotations are kept, and what is wrong there. */
struct admin_states {
	char directory[4096];  /* empty: in memory */
	struct buf problems;   /* what was refused at the start, a line each */
	struct err unwritten;  /* why the last write failed; empty: it did not */
};

/* Of those who are told of rotations ("notify"): commands and posts. */
struct admin_notices {
	uint64_t delivered, failed;  /* failed: given up */
	uint64_t tries_failed;       /* of posts, most of which are tried again */
	uint64_t waiting;            /* posts */
	uint64_t failed_at_us;       /* wall clock; 0: none has */
	struct err failure;          /* why the last one has */
};

struct admin {
	struct px_thread *const *threads; /* the loop threads; borrowed */
	unsigned n_threads;
	const struct snapshot *snapshot; /* the newest; borrowed */
	const struct rotation_registry *rotations; /* borrowed */
	const struct client_ca_registry *client_cas; /* borrowed */
	const struct admin_states *states; /* borrowed */
	const struct admin_notices *notices; /* borrowed */
	struct admin_load load;
	uint64_t started_ms;             /* monotonic */
	uint64_t drain_until_us;         /* wall clock; then what is left is cut; 0: not draining */
	/* Fills `load`; true: in service. `accept`: losses of certificates, see struct tls_load. */
	bool (*reload)(struct admin *a, unsigned accept);
	/* The rotation to what the files of this bundle are now. False: err says why not. */
	bool (*start)(struct admin *a, struct rotation *r, unsigned accept, enum rotation_will will, struct err *err);
	/* It was told something else, and did it; before that it was in this phase. */
	void (*obeyed)(struct admin *a, struct rotation *r, enum rotation_phase before);
};

/* A px_service_fn; arg is the struct admin. */
void admin_service(struct exchange *x, void *arg);

/* admin/status.c: NULL when memory is out; the caller frees. */
char *admin_status_json(const struct admin *a);
char *admin_load_json(const struct admin *a);
char *admin_chains_json(const struct admin *a);

/* admin/rotation.c: NULL when memory is out; the caller frees. */
char *admin_rotations_json(const struct admin *a);
char *admin_rotation_json(struct rotation *r);

/* What people are told: an event, its circumstances, and how the rotation is then, with the first of those on its lists. */
struct admin_event {
	const char *word;   /* "rolled_back" */
	const char *bundle;
	struct rotation *rotation; /* NULL: it has none */
	const char *why;    /* NULL: nothing is to be said */
};
char *admin_event_json(const struct admin_event *e);

/* False with err set: it makes no sense now, or there is no such word. */
MUST_CHECK bool admin_rotation_command(struct admin *a, struct rotation *r, struct sv word, struct sv query, struct err *err);

/* admin/client_cas.c: NULL when memory is out; the caller frees. */
char *admin_client_cas_json(const struct admin *a);
/*
 * Of one site; `word` NULL: all of its CAs. The status of the reply: 200 with *out; 404, 409: the word means none of them, or
 * several.
 */
unsigned admin_client_ca_json(const struct admin *a, struct client_cas *c, const char *word, char **out);

/* admin/metrics.c: append the Prometheus text; false when it does not fit. */
MUST_CHECK bool admin_metrics(const struct admin *a, struct buf *out);

/* docs/metrics.md, from the same rows. */
MUST_CHECK bool admin_metrics_reference(struct buf *out);

/* The sum of one counter, by its offset in struct counters, over all threads. */
uint64_t admin_sum(const struct admin *a, size_t offset);

/* How many connections of clients were closed for that reason. */
uint64_t admin_closed(const struct admin *a, enum close_reason r);

#endif
