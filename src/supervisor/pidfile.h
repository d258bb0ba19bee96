/*
 * pidfile.h: the file that tells the process id, locked while we live.
 */
#ifndef BASCULE_SUPERVISOR_PIDFILE_H
#define BASCULE_SUPERVISOR_PIDFILE_H

#include "base/err.h"

struct pidfile {
	char *path; /* owned; NULL: none */
	int fd;     /* holds the lock; -1: none */
};

#define PIDFILE_NONE ((struct pidfile){NULL, -1})

/*
 * Write our process id to `path` (NULL: do nothing) and lock it. One that a dead process left is taken over; a lock
 * that somebody holds is another instance: false with err set.
 */
MUST_CHECK bool pidfile_take(struct pidfile *p, const char *path, struct err *err);

void pidfile_remove(struct pidfile *p);

#endif
