/*
 * threads.h: the loop threads of the worker, as the background thread sees them.
 *
 * The background thread starts them and speaks to them by messages to their
 * loops; each call below waits until all have done what was asked.
 */
#ifndef BASCULE_WORKER_THREADS_H
#define BASCULE_WORKER_THREADS_H

#include <pthread.h>

#include "proxy/thread.h"

struct loop_thread {
	struct px_thread *px;
	pthread_t id;
	bool started;
};

struct threads {
	unsigned n;
	struct loop_thread v[TLS_THREADS_MAX];
	struct px_thread *px[TLS_THREADS_MAX]; /* the same, for those who only read */
	struct px_shared shared;
	int log; /* the access log, -1: none; all write to it */
};

/* Start n threads, without a snapshot yet. False with err set: there is none then. */
MUST_CHECK bool threads_start(struct threads *t, unsigned n, struct err *err);

/*
 * A snapshot comes to all threads or to none, in two steps (proxy/thread.h). For the new listeners there is fds[thread][listener]
 * (-1: as before; what is taken over becomes -1), n rows of conf->n_listeners. False with err set when a thread could not;
 * all of them are to abandon it then.
 */
MUST_CHECK bool threads_prepare(struct threads *t, struct snapshot *s, const struct secret *secret, int *const *fds,
    struct err *err);
void threads_commit(struct threads *t);
void threads_abandon(struct threads *t);

/* All log requests to fd (taken over; -1: not at all). */
void threads_log(struct threads *t, int fd, enum conf_access_format format);

void threads_drain(struct threads *t);

/* End all loops, wait for them, free them. */
void threads_stop(struct threads *t);

#endif
