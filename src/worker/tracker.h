/*
 * tracker.h: which bundles' files have changed, as inotify tells.
 *
 * Events come in the order of the changes, and a change has made its event
 * before the one who made it can send a signal: who reads all events first
 * knows what has changed. When that can not be told (the queue ran over, a
 * place that several bundles depend on, one that another directory has
 * replaced, a file system that others write to as well), anything may have.
 * Background thread only.
 */
#ifndef BASCULE_WORKER_TRACKER_H
#define BASCULE_WORKER_TRACKER_H

#include <sys/types.h>

#include "base/err.h"
#include "certs/changes.h"
#include "certs/watch.h"

struct tracked;

struct tracker {
	int fd;            /* inotify; -1: it does not watch */
	struct tracked *v; /* by the number of the watch */
	size_t n;
	struct arena arena;
	bool complete;     /* all that was to be watched is, and tells of every change */
};

#define TRACKER_NONE ((struct tracker){.fd = -1})

/* False with errno set. */
MUST_CHECK bool tracker_begin(struct tracker *t);
void tracker_end(struct tracker *t);

/* Watch the place, which is copied. False with err set; what is denied is hidden, and no failure. */
MUST_CHECK bool tracker_add(struct tracker *t, const struct watch_place *p, struct err *err);

/* Read all events there are, and add to `changes` what they tell. */
void tracker_read(struct tracker *t, struct tls_changes *changes);

#endif
