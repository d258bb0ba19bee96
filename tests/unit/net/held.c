#include "held.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_MS = 30000, NAP_US = 200 };

static struct {
	struct net_loop *loop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct net_message hold;
	bool held; /* under lock */
} h = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void
on_hold(struct net_message *m, struct net_loop *loop)
{
	(void)m, (void)loop;
	pthread_mutex_lock(&h.lock);
	h.held = true;
	pthread_cond_broadcast(&h.changed);
	while (h.held)
		pthread_cond_wait(&h.changed, &h.lock);
	pthread_mutex_unlock(&h.lock);
}

static void *
run(void *arg)
{
	net_loop_run(arg);
	return NULL;
}

static void
release(void)
{
	pthread_mutex_lock(&h.lock);
	h.held = false;
	pthread_cond_broadcast(&h.changed);
	pthread_mutex_unlock(&h.lock);
}

static void
wait_held(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&h.lock);
	int r = 0;
	while (!h.held && r == 0)
		r = pthread_cond_timedwait(&h.changed, &h.lock, &until);
	pthread_mutex_unlock(&h.lock);
	cr_assert_eq(r, 0, "the loop did not come round");
}

void
held_start(struct net_loop *loop)
{
	h.loop = loop;
	h.hold.fn = on_hold;
	net_loop_post(loop, &h.hold);
	cr_assert_eq(pthread_create(&h.thread, NULL, run, loop), 0);
	wait_held();
}

struct net_loop *
held_new(void)
{
	struct err err = {""};
	struct net_loop *loop = net_loop_new(&err);

	cr_assert_not_null(loop, "%s", err.text);
	held_start(loop);
	return loop;
}

void
held_turn(void)
{
	release();
	net_loop_post(h.loop, &h.hold);
	wait_held();
}

void
held_turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		held_turn();
}

void
held_stop(void)
{
	net_loop_stop(h.loop);
	release();
	pthread_join(h.thread, NULL);
}

void
held_end(void)
{
	held_stop();
	net_loop_free(h.loop);
}

uint64_t
held_now(void)
{
	return clock_mono_ms();
}

void
held_expect_soon(uint64_t since_ms, const char *what)
{
	cr_assert_lt(clock_mono_ms() - since_ms, PATIENCE_MS, "this did not come: %s", what);
	usleep(NAP_US);
}
