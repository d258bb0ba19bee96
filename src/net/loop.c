#include "net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/internal.h"

STAILQ_HEAD(deferred_list, net_deferred);
STAILQ_HEAD(message_list, net_message);

enum {
	GATHER_MAX = 128 * 1024, /* more than one read of the scratch buffer with its framing around it */
	CIPHER_MAX = 256 * 1024, /* the same, encrypted */
};

struct net_loop {
	struct event_base *base;
	void *user;
	uint64_t now; /* of this turn; 0: not asked for yet */
	struct deferred_list deferred;
	struct buf gather, cipher;
	char *scratch;

	/* what other threads touch */
	int wake_fd;
	bool stop; /* atomic */
	struct event wake_ev;
	pthread_mutex_t inbox_lock;
	struct message_list inbox;
};

static void
wake(struct net_loop *loop)
{
	uint64_t one = 1;
	ssize_t n = write(loop->wake_fd, &one, sizeof(one));

	(void)n; /* EAGAIN: the counter is full, so the loop wakes anyway */
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct net_loop *loop = arg;
	struct message_list all = STAILQ_HEAD_INITIALIZER(all);
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n, (void)what;
	pthread_mutex_lock(&loop->inbox_lock);
	STAILQ_CONCAT(&all, &loop->inbox);
	pthread_mutex_unlock(&loop->inbox_lock);
	while (!STAILQ_EMPTY(&all)) {
		struct net_message *m = STAILQ_FIRST(&all);
		STAILQ_REMOVE_HEAD(&all, link);
		m->fn(m, loop);
	}
}

static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	/* One thread only ever touches a base: other threads go through the inbox. */
	if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return base;
}

struct net_loop *
net_loop_new(struct err *err)
{
	struct net_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL) {
		err_no_memory(err);
		return NULL;
	}
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->base = new_base();
	loop->scratch = malloc(NET_SCRATCH_SIZE);
	pthread_mutex_init(&loop->inbox_lock, NULL);
	STAILQ_INIT(&loop->inbox);
	STAILQ_INIT(&loop->deferred);
	buf_init(&loop->gather, GATHER_MAX);
	buf_init(&loop->cipher, CIPHER_MAX);
	if (loop->wake_fd < 0 || loop->base == NULL || loop->scratch == NULL ||
	    event_assign(&loop->wake_ev, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop) != 0 ||
	    event_add(&loop->wake_ev, NULL) != 0) {
		err_set(err, "can not make an event loop: %s", strerror(errno));
		net_loop_free(loop);
		return NULL;
	}
	return loop;
}

static void
run_deferred(struct net_loop *loop)
{
	while (!STAILQ_EMPTY(&loop->deferred)) {
		struct net_deferred *d = STAILQ_FIRST(&loop->deferred);
		void (*fn)(struct net_deferred *) = d->fn;
		STAILQ_REMOVE_HEAD(&loop->deferred, link);
		d->fn = NULL;
		fn(d);
	}
}

void
net_loop_settle(struct net_loop *loop)
{
	run_deferred(loop);
}

void
net_loop_free(struct net_loop *loop)
{
	if (loop == NULL)
		return;
	run_deferred(loop);
	if (event_initialized(&loop->wake_ev))
		event_del(&loop->wake_ev);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->inbox_lock);
	buf_clear(&loop->gather);
	buf_clear(&loop->cipher);
	free(loop->scratch);
	free(loop);
}

void
net_loop_run(struct net_loop *loop)
{
	run_deferred(loop);
	while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) {
		loop->now = 0;
		if (event_base_loop(loop->base, EVLOOP_ONCE) < 0) {
			log_error("the event loop failed: %s", strerror(errno));
			return;
		}
		run_deferred(loop);
	}
}

void
net_loop_stop(struct net_loop *loop)
{
	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE);
	wake(loop);
}

void
net_loop_post(struct net_loop *loop, struct net_message *m)
{
	pthread_mutex_lock(&loop->inbox_lock);
	bool first = STAILQ_EMPTY(&loop->inbox);
	STAILQ_INSERT_TAIL(&loop->inbox, m, link);
	pthread_mutex_unlock(&loop->inbox_lock);
	if (first)
		wake(loop);
}

uint64_t
net_loop_now(struct net_loop *loop)
{
	if (loop->now == 0)
		loop->now = clock_mono_ms();
	return loop->now;
}

void
net_loop_defer(struct net_loop *loop, struct net_deferred *d, void (*fn)(struct net_deferred *))
{
	if (d->fn != NULL)
		return;
	d->fn = fn;
	STAILQ_INSERT_TAIL(&loop->deferred, d, link);
}

char *
net_loop_scratch(struct net_loop *loop)
{
	return loop->scratch;
}

struct buf *
net_loop_gather(struct net_loop *loop)
{
	return &loop->gather;
}

struct buf *
net_loop_cipher(struct net_loop *loop)
{
	return &loop->cipher;
}

void
net_loop_set_user(struct net_loop *loop, void *user)
{
	loop->user = user;
}

void *
net_loop_user(const struct net_loop *loop)
{
	return loop->user;
}

struct event_base *
net_loop_base(struct net_loop *loop)
{
	return loop->base;
}

/* --- timers and plain descriptors --- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct net_timer *t = arg;

	(void)fd, (void)what;
	t->fn(t);
}

void
net_timer_init(struct net_timer *t, struct net_loop *loop, void (*fn)(struct net_timer *))
{
	t->loop = loop;
	t->fn = fn;
	(void)event_assign(&t->ev, loop->base, -1, 0, on_timer, t); /* fails only for a signal event */
}

void
net_timer_set(struct net_timer *t, uint64_t in_ms)
{
	struct timeval tv = {.tv_sec = (time_t)(in_ms / 1000), .tv_usec = (suseconds_t)(in_ms % 1000 * 1000)};

	if (event_add(&t->ev, &tv) != 0)
		log_error("a timer could not be set: out of memory");
}

void
net_timer_cancel(struct net_timer *t)
{
	event_del(&t->ev);
}

bool
net_timer_pending(const struct net_timer *t)
{
	return event_pending(&t->ev, EV_TIMEOUT, NULL) != 0;
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct net_watch *w = arg;

	(void)what;
	w->fn(w, fd);
}

bool
net_watch_start(struct net_watch *w, struct net_loop *loop, int fd, void (*fn)(struct net_watch *, int))
{
	w->fn = fn;
	return event_assign(&w->ev, loop->base, fd, EV_READ | EV_PERSIST, on_watch, w) == 0 && event_add(&w->ev, NULL) == 0;
}

void
net_watch_stop(struct net_watch *w)
{
	if (event_initialized(&w->ev))
		event_del(&w->ev);
}
