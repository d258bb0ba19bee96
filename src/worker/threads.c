#include "worker/threads.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Something all threads are to do, and who waits for it. On the caller's stack: it outlives the wait. */
struct task {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned left;
	bool failed;
	struct err err; /* of the last that failed */

	bool (*fn)(struct px_thread *px, unsigned number, const struct task *t, struct err *err);
	struct snapshot *snapshot;
	const struct secret *secret;
	int *const *fds;
	int fd;
	enum conf_access_format format;
};

struct task_message {
	struct net_message message;
	struct task *task;
	unsigned number;
};

static void
run_task(struct net_message *m, struct net_loop *loop)
{
	struct task_message *message = CONTAINER_OF(m, struct task_message, message);
	struct task *t = message->task;
	struct err err = {""};

	bool ok = t->fn(net_loop_user(loop), message->number, t, &err);
	pthread_mutex_lock(&t->lock);
	if (!ok) {
		t->failed = true;
		t->err = err;
	}
	if (--t->left == 0)
		pthread_cond_signal(&t->done);
	pthread_mutex_unlock(&t->lock);
}

static bool
all_do(struct threads *threads, struct task *t, struct err *err)
{
	struct task_message messages[TLS_THREADS_MAX];

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->done, NULL);
	t->left = threads->n;
	for (unsigned i = 0; i < threads->n; i++) {
		messages[i] = (struct task_message){.message = {.fn = run_task}, .task = t, .number = i};
		net_loop_post(threads->v[i].px->loop, &messages[i].message);
	}
	pthread_mutex_lock(&t->lock);
	while (t->left > 0)
		pthread_cond_wait(&t->done, &t->lock);
	pthread_mutex_unlock(&t->lock);
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
	if (t->failed && err != NULL)
		*err = t->err;
	return !t->failed;
}

/* --- what they can be told ---------------------------------------------------------------------------------- */

static bool
prepare(struct px_thread *px, unsigned number, const struct task *t, struct err *err)
{
	return px_thread_prepare(px, t->snapshot, t->secret, t->fds[number], err);
}

bool
threads_prepare(struct threads *t, struct snapshot *s, const struct secret *secret, int *const *fds, struct err *err)
{
	struct task task = {.fn = prepare, .snapshot = s, .secret = secret, .fds = fds};

	return all_do(t, &task, err);
}

static bool
commit(struct px_thread *px, unsigned number, const struct task *t, struct err *err)
{
	(void)number, (void)t, (void)err;
	px_thread_commit(px);
	return true;
}

void
threads_commit(struct threads *t)
{
	struct task task = {.fn = commit};

	(void)all_do(t, &task, NULL);
}

static bool
abandon(struct px_thread *px, unsigned number, const struct task *t, struct err *err)
{
	(void)number, (void)t, (void)err;
	px_thread_abandon(px);
	return true;
}

void
threads_abandon(struct threads *t)
{
	struct task task = {.fn = abandon};

	(void)all_do(t, &task, NULL);
}

static bool
set_log(struct px_thread *px, unsigned number, const struct task *t, struct err *err)
{
	(void)number, (void)err;
	px_thread_log(px, t->fd, t->format);
	return true;
}

void
threads_log(struct threads *t, int fd, enum conf_access_format format)
{
	struct task task = {.fn = set_log, .fd = fd, .format = format};

	(void)all_do(t, &task, NULL);
	if (t->log >= 0)
		close(t->log);
	t->log = fd;
}

static bool
drain(struct px_thread *px, unsigned number, const struct task *t, struct err *err)
{
	(void)number, (void)t, (void)err;
	px_thread_drain(px);
	return true;
}

void
threads_drain(struct threads *t)
{
	struct task task = {.fn = drain};

	__atomic_store_n(&t->shared.draining, true, __ATOMIC_RELAXED);
	(void)all_do(t, &task, NULL);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void *
run(void *arg)
{
	struct px_thread *px = arg;

	net_loop_run(px->loop);
	return NULL;
}

bool
threads_start(struct threads *t, unsigned n, struct err *err)
{
	sigset_t all, old;
	bool ok = true;

	t->log = -1;
	/* Signals are the background thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (unsigned i = 0; ok && i < n; i++) {
		struct loop_thread *l = &t->v[i];
		/* Slot 0 of the TLS objects is the background thread's. */
		struct px_thread *px = px_thread_new(i + 1, i + 1, &t->shared, err);
		if (px == NULL) {
			ok = false;
			break;
		}
		int r = pthread_create(&l->id, NULL, run, px);
		ok = r == 0 || err_set(err, "can not start a thread: %s", strerror(r));
		l->started = ok;
		t->px[i] = l->px = px;
		t->n = i + 1;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!ok)
		threads_stop(t);
	return ok;
}

void
threads_stop(struct threads *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->v[i].started)
			net_loop_stop(t->v[i].px->loop);
	for (unsigned i = 0; i < t->n; i++) {
		if (t->v[i].started)
			pthread_join(t->v[i].id, NULL);
		px_thread_free(t->v[i].px);
	}
	if (t->n > 0 && t->log >= 0)
		close(t->log);
	t->n = 0;
}
