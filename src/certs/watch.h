/*
 * watch.h: in which directories a change can change what a path leads to.
 *
 * A certificate is replaced by a rename in its directory, or by a symbolic
 * link on the way to it that is made to point elsewhere (Kubernetes swaps
 * "..data", others "current"). So these are: the file's directory, and each
 * directory in which a link of the way lies, and where it points to.
 */
#ifndef BASCULE_CERTS_WATCH_H
#define BASCULE_CERTS_WATCH_H

#include <sys/inotify.h>

#include "base/arena.h"

enum {
	/* What can change what a file holds, or where a link leads to. */
	WATCH_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
	    IN_MOVE_SELF | IN_ONLYDIR,
};

struct watch_path;

/*
 * What of the bundles can a change in a directory concern? One bundle of a listing (a folder, or where its links lead to); in
 * the listing itself, the one whose file it is; else, anything.
 */
struct watch_owner {
	const char *listing; /* a bundles' directory, as the config names it; NULL: anything */
	const char *bundle;  /* NAME; NULL: the event's name tells */
};

#define WATCH_ANYTHING ((struct watch_owner){NULL, NULL})

/* The same? */
bool watch_owner_is(const struct watch_owner *a, const struct watch_owner *b);

struct watch_place {
	const char *path;
	struct watch_owner owner;
	bool loose; /* another directory can take its place without an event in any of these places */
};

/* A path on whose way something can not be looked at with the rights of this process. */
struct watch_hidden {
	const char *path;
	bool is_file;
};

struct watch {
	struct arena *arena;      /* where the strings of v are to be; the caller's */
	struct arena scratch;
	struct watch_path *known; /* a hash table of the paths walked so far */
	struct watch_owner owner; /* whose paths are walked now; copied where it is kept */
	struct watch_place *v;    /* malloc'ed */
	size_t n, capacity;
	struct watch_hidden *hidden; /* malloc'ed */
	size_t n_hidden, hidden_capacity;
	bool blocked;             /* on the way that is being walked */
};

/* The file, or directory, at `path`. What can not be looked at is left out. False when memory is out. */
MUST_CHECK bool watch_file(struct watch *w, const char *path);
MUST_CHECK bool watch_directory(struct watch *w, const char *path);

/* A place that was found at an earlier load; all is copied. Whether it still is one is not looked at. */
MUST_CHECK bool watch_again(struct watch *w, const struct watch_place *p);

/* Frees all but `v` and `hidden`, which are the caller's from now on. */
void watch_finish(struct watch *w);

/* Are the n places of each the same, in whatever order? False as well when memory is out. */
bool watch_places_eq(const struct watch_place *a, const struct watch_place *b, size_t n);

#endif
