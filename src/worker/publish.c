#include "worker/publish.h"

#include <sys/resource.h>
#include <unistd.h>

#include "worker/listeners.h"

/* Client connections at once: two descriptors each, and some for files, logs and idle origins. */
static uint64_t
connection_limit(const struct conf *c)
{
	struct rlimit files;
	uint64_t possible = 1024;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		possible = files.rlim_cur > 128 ? (files.rlim_cur - 64) / 2 : 32;
	return c->connections != 0 ? MIN_OF(c->connections, possible) : possible;
}

/* Threads are counted once, for all workers: their sockets share a port in fixed numbers. */
static bool
start_threads(struct loader *l, const struct conf *c, struct err *err)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = c->threads != 0 ? c->threads : (uint64_t)MAX_OF(processors, 1L);

	if (l->threads.n > 0)
		return true;
	if (l->kept.threads != 0)
		n = l->kept.threads;
	return threads_start(&l->threads, (unsigned)MIN_OF(n, (uint64_t)TLS_THREADS_MAX - 1), err);
}

/* All that can fail; nobody sees anything of it. */
static bool
prepare(struct loader *l, struct snapshot *s, struct err *err)
{
	const struct conf *before = l->snapshot != NULL ? l->snapshot->conf : NULL;
	struct listeners fds = {.n = 0};

	/* The background thread goes first: what it refuses (a cipher list, say) the others would refuse, too. */
	bool ok = px_thread_prepare(l->background, s, &l->secret, NULL, err) && rotations_prepare(&l->rotations, s, err) &&
	    start_threads(l, s->conf, err) && listeners_open(&fds, l->control, l->threads.n, s->conf, before, err) &&
	    threads_prepare(&l->threads, s, &l->secret, fds.rows, err);
	listeners_close(&fds);
	return ok;
}

/* Nothing of it can fail. Rotations come first: they are ready when a thread serves the snapshot. */
static void
commit(struct loader *l, struct snapshot *s)
{
	rotations_commit(&l->rotations, s);
	px_thread_commit(l->background);
	threads_commit(&l->threads);
	__atomic_store_n(&l->threads.shared.max_connections, connection_limit(s->conf), __ATOMIC_RELAXED);
	snapshot_unref(l->snapshot);
	l->snapshot = s;
	l->admin.snapshot = s;
	l->generation = s->generation;
	server_registry_sweep(l->registry);
}

static void
abandon(struct loader *l, struct snapshot *s)
{
	rotations_abandon(&l->rotations);
	px_thread_abandon(l->background);
	threads_abandon(&l->threads);
	snapshot_unref(s);
}

bool
publish(struct loader *l, struct snapshot *s, struct err *err)
{
	s->generation = l->generation + 1;
	bool ok = prepare(l, s, err);
	if (ok)
		commit(l, s);
	else
		abandon(l, s);
	return ok;
}
