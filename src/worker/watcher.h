/*
 * watcher.h: noticing changed certificates, CAs and CRLs without a signal.
 *
 * Directories are watched, not files: a certificate is replaced by a rename or
 * by a symbolic link that points elsewhere. A burst of events makes one look.
 * What only root may look into is watched by the supervisor. Where events can
 * not be had (a network file system) the poll notices. Background thread only.
 */
#ifndef BASCULE_WORKER_WATCHER_H
#define BASCULE_WORKER_WATCHER_H

#include "worker/loader.h"
#include "worker/tracker.h"

struct watcher {
	struct loader *loader;
	struct net_watch events;
	struct net_timer settle; /* runs a little after the last event */
	uint64_t settle_until;   /* ms; but not after that */
	struct net_timer poll, dates;
	int64_t dates_seen; /* seconds of the epoch: those of pins that had passed then have been looked at */
	struct tracker tracker;
	size_t unwatched; /* paths that can only be polled */
	bool asked;       /* the supervisor watches something */
};

void watcher_start(struct watcher *w, struct loader *l);

/*
 * Load everything anew, loader_reload(), but look only at those bundles that have changed, as far as the watch can tell; and
 * watch what is in service then.
 */
bool watcher_reload(struct watcher *w, unsigned accept);

/* loader_start(), and watch what is in service then. */
bool watcher_start_one(struct watcher *w, const char *bundle, unsigned accept, bool *changed, struct err *err);

/* The supervisor has seen something change. */
void watcher_look(struct watcher *w);

void watcher_stop(struct watcher *w);

#endif
