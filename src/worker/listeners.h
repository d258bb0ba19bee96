/*
 * listeners.h: the sockets that a config listens on and the one before it did
 * not, open before it is in service: one that can not have its ports is
 * refused. Background thread only.
 */
#ifndef BASCULE_WORKER_LISTENERS_H
#define BASCULE_WORKER_LISTENERS_H

#include "certs/thread.h"
#include "conf/config.h"
#include "line/control.h"

/* One row a thread, one column a listener of the config; -1: no new socket. All zero: none. */
struct listeners {
	int *rows[TLS_THREADS_MAX];
	size_t columns;
	unsigned n;
};

/*
 * A socket a thread for each address of `c` that `before` (NULL: none) does not have. False with err set; what is in
 * `out` is to be closed then as well.
 */
MUST_CHECK bool listeners_open(struct listeners *out, struct control *control, unsigned threads, const struct conf *c,
    const struct conf *before, struct err *err);

/* Close what no thread has taken (and made -1), and free the table. */
void listeners_close(struct listeners *l);

#endif
