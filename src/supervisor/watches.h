/*
 * watches.h: what the supervisor watches for its worker: directories that only root may look into.
 *
 * The watch tells once that something has changed, not what, and is over
 * then: the worker looks, and asks to be told again. So a worker gets neither
 * a descriptor nor a name from it, and a directory in which much happens
 * costs a message for each look, not for each change.
 */
#ifndef BASCULE_SUPERVISOR_WATCHES_H
#define BASCULE_SUPERVISOR_WATCHES_H

#include "base/err.h"

enum {
	WATCHES_MAX = 32768, /* directories; each holds a kilobyte of the kernel's */
};

struct watches {
	int fd; /* inotify, readable when something has changed; -1: nothing is watched */
};

#define WATCHES_NONE ((struct watches){-1})

/* Watch whatever changes the file, or directory, that `path` leads to: links on its way, too. False with err set, errno kept. */
MUST_CHECK bool watches_add(struct watches *w, const char *path, bool is_file, struct err *err);

/* All of it is over. */
void watches_end(struct watches *w);

#endif
