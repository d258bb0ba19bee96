/*
 * shelf.h: where the supervisor keeps for its workers the states of rotations, and who came with which client certificate.
 *
 * With a state_dir each lies in a file of its own there, written whole or not
 * at all, for its owner's eyes only. Without one, or while the directory
 * takes no writes, each is kept as the sealed memory that the worker handed
 * over: that outlives the worker, not the supervisor. Nothing of it is looked
 * into. Names come from the worker and are taken for an attempt.
 */
#ifndef BASCULE_SUPERVISOR_SHELF_H
#define BASCULE_SUPERVISOR_SHELF_H

#include "base/err.h"
#include "base/files.h"
#include "line/state_name.h"

struct held;

struct shelf {
	char *path;        /* of the directory; owned; NULL: none */
	struct held *held; /* in memory, by name */
	size_t n_held;
	bool unread;       /* the directory is there and could not be read: what lies in it is not written over */
};

/* `path` NULL: no directory. False: out of memory. */
MUST_CHECK bool shelf_init(struct shelf *s, const char *path);
void shelf_free(struct shelf *s);

/*
 * Put sealed memory under this name, in place of what was there; takes over fd in any case. False with err set: what could
 * be done was done, in memory.
 */
MUST_CHECK bool shelf_put(struct shelf *s, const char *name, int fd, struct err *err);

/* A descriptor to read it from, the caller's. -1 with err set. */
int shelf_get(struct shelf *s, const char *name, struct err *err);

/* All names, malloc'ed. False with err set: the directory can not be read, and there are none in memory. */
MUST_CHECK bool shelf_list(struct shelf *s, struct file_entry **out, size_t *n, struct err *err);

/*
 * Somebody can not make anything of it: move it out of the way, under a name that is not taken, into `to`. False with err
 * set: it lies where it was.
 */
MUST_CHECK bool shelf_refuse(struct shelf *s, const char *name, char *to, size_t size, struct err *err);

#endif
