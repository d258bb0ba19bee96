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
 *   POST /v1/rotations/NAME/WORD  hold, resume, commit, rollback?to=N, retire?compromised
 *
 * A service of a listener of the background thread: it answers exchanges
 * without an origin. Background thread only; other threads' counters are
 * read, nothing of theirs is written.
 */
#ifndef BASCULE_ADMIN_ADMIN_H
#define BASCULE_ADMIN_ADMIN_H

#include "proxy/thread.h"
#include "rotation/registry.h"

/* How the last load of config and certificates went. */
struct admin_load {
	uint64_t at_us; /* wall clock; 0: none yet */
	bool ok;
	struct conf_problems problems;
	struct tls_outcomes outcomes; /* of bundles whose content is new or refused */
};

/* Where the states of rotations are kept, and what is wrong there. */
struct admin_states {
	char directory[4096];  /* empty: in memory */
	struct buf problems;   /* what was refused at the start, a line each */
	struct err unwritten;  /* why the last write failed; empty: it did not */
};

struct admin {
	struct px_thread *const *threads; /* the loop threads; borrowed */
	unsigned n_threads;
	const struct snapshot *snapshot; /* the newest; borrowed */
	const struct rotation_registry *rotations; /* borrowed */
	const struct admin_states *states; /* borrowed */
	struct admin_load load;
	uint64_t started_ms;             /* monotonic */
	uint64_t drain_until_us;         /* wall clock; then what is left is cut; 0: not draining */
	/* Fills `load`; true: in service. `accept`: losses of certificates, see tls_store_load(). */
	bool (*reload)(struct admin *a, unsigned accept);
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
/* False with err set: it makes no sense now, or there is no such word. */
MUST_CHECK bool admin_rotation_command(struct rotation *r, struct sv word, struct sv query, struct err *err);

/* admin/metrics.c: append the Prometheus text; false when it does not fit. */
MUST_CHECK bool admin_metrics(const struct admin *a, struct buf *out);

/* docs/metrics.md, from the same rows. */
MUST_CHECK bool admin_metrics_reference(struct buf *out);

/* The sum of one counter, by its offset in struct counters, over all threads. */
uint64_t admin_sum(const struct admin *a, size_t offset);

#endif
