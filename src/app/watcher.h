/*
 * watcher.h: noticing changed certificates, CAs and CRLs without a signal.
 *
 * Directories are watched, not files: a certificate is replaced by a rename or
 * by a symbolic link that points elsewhere. A burst of events makes one look.
 * Where events can not be had (a network file system, a directory that only
 * root may read) the poll notices. Background thread only.
 */
#ifndef BASCULE_APP_WATCHER_H
#define BASCULE_APP_WATCHER_H

#include "app/loader.h"

struct watcher {
	struct loader *loader;
	struct net_watch events;
	struct net_timer settle; /* runs a little after the last event */
	struct net_timer poll;
	int inotify;      /* -1: not watching */
	size_t unwatched; /* directories that can only be polled */
};

void watcher_start(struct watcher *w, struct loader *l);

/* Watch what the snapshot in service has: after each load. */
void watcher_update(struct watcher *w);

void watcher_stop(struct watcher *w);

#endif
