#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "held.h"

static struct net_loop *loop;

static void
begin(void)
{
	loop = held_new();
}

TestSuite(loop, .init = begin, .fini = held_end);

/* --- what is put off ---------------------------------------------------------------------------------------- */

struct job {
	struct net_deferred d;
	unsigned runs;
	struct job *next; /* put off from within this one */
};

static struct job *order[16];
static unsigned n_order;

static void
do_job(struct net_deferred *d)
{
	struct job *j = CONTAINER_OF(d, struct job, d);

	j->runs++;
	order[n_order++] = j;
	if (j->next != NULL)
		net_loop_defer(loop, &j->next->d, do_job);
}

Test(loop, what_is_put_off_runs_once_at_the_end_of_the_turn)
{
	struct job a = {.runs = 0}, b = {.runs = 0};

	net_loop_defer(loop, &a.d, do_job);
	net_loop_defer(loop, &b.d, do_job);
	net_loop_defer(loop, &a.d, do_job);
	cr_expect_eq(n_order, 0, "not before the callback has returned");
	held_turn();
	cr_assert_eq(n_order, 2);
	cr_expect(order[0] == &a && order[1] == &b, "in order");
	held_turns(3);
	cr_expect_eq(n_order, 2);
	net_loop_defer(loop, &a.d, do_job);
	held_turn();
	cr_expect_eq(a.runs, 2, "it can be put off anew");
}

Test(loop, what_is_put_off_may_put_off_more)
{
	struct job b = {.runs = 0}, a = {.next = &b}, again = {.next = NULL};

	net_loop_defer(loop, &a.d, do_job);
	held_turn();
	cr_expect_eq(b.runs, 1, "within the same turn");
	net_loop_defer(loop, &again.d, do_job);
	net_loop_settle(loop);
	cr_expect_eq(again.runs, 1);
	held_turn();
	cr_expect_eq(again.runs, 1);
}

Test(loop, freeing_runs_what_was_put_off)
{
	struct job a = {.runs = 0};
	struct net_loop *own = net_loop_new(NULL);

	cr_assert_not_null(own);
	net_loop_defer(own, &a.d, do_job);
	net_loop_free(own);
	cr_expect_eq(a.runs, 1);
	net_loop_free(NULL);
}

/* --- messages ----------------------------------------------------------------------------------------------- */

enum { SENDERS = 3, EACH = 2000 };

struct numbered {
	struct net_message m;
	unsigned sender, number;
};

static unsigned received[SENDERS], out_of_order, received_elsewhere;
static pthread_t loop_thread;

static void
on_numbered(struct net_message *m, struct net_loop *in)
{
	struct numbered *x = CONTAINER_OF(m, struct numbered, m);

	out_of_order += x->number != received[x->sender]++;
	received_elsewhere += in != loop || !pthread_equal(pthread_self(), loop_thread);
	free(x);
}

static void *
send_all(void *arg)
{
	for (unsigned i = 0; i < EACH; i++) {
		struct numbered *x = malloc(sizeof(*x));
		*x = (struct numbered){.m.fn = on_numbered, .sender = (unsigned)(uintptr_t)arg, .number = i};
		net_loop_post(loop, &x->m);
	}
	return NULL;
}

static void
note_thread(struct net_message *m, struct net_loop *in)
{
	(void)m, (void)in;
	loop_thread = pthread_self();
}

Test(loop, messages_of_other_threads_come_in_order_and_all_of_them)
{
	struct net_message who = {.fn = note_thread};
	pthread_t threads[SENDERS];

	net_loop_post(loop, &who);
	held_turn();
	for (uintptr_t i = 0; i < SENDERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, send_all, (void *)i), 0);
	HELD_UNTIL(received[0] == EACH && received[1] == EACH && received[2] == EACH);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(out_of_order, 0);
	cr_expect_eq(received_elsewhere, 0);
}

struct chain {
	struct net_message m;
	unsigned left, turns;
};

static void
on_chain(struct net_message *m, struct net_loop *in)
{
	struct chain *c = CONTAINER_OF(m, struct chain, m);

	c->turns++;
	if (--c->left > 0)
		net_loop_post(in, m);
}

Test(loop, a_message_may_be_posted_again_from_within_itself)
{
	struct chain c = {.m.fn = on_chain, .left = 5};

	net_loop_post(loop, &c.m);
	HELD_UNTIL(c.left == 0);
	held_turns(2);
	cr_expect_eq(c.turns, 5);
}

/* --- timers ------------------------------------------------------------------------------------------------- */

static struct net_timer timers[3];
static unsigned fired[3], fired_first[3], n_fired;

static void
on_fire(struct net_timer *t)
{
	fired[t - timers]++;
	if (n_fired < 3)
		fired_first[n_fired] = (unsigned)(t - timers);
	n_fired++;
}

/* After the suite's own begin(). */
static void
make_timers(void)
{
	for (unsigned i = 0; i < 3; i++)
		net_timer_init(&timers[i], loop, on_fire);
}

Test(loop, timers_fire_once_and_in_order, .init = make_timers)
{
	net_timer_set(&timers[0], 30);
	net_timer_set(&timers[1], 10);
	net_timer_set(&timers[2], 0);
	cr_expect(net_timer_pending(&timers[0]));
	HELD_UNTIL(n_fired == 3);
	cr_expect(fired_first[0] == 2 && fired_first[1] == 1 && fired_first[2] == 0);
	cr_expect_not(net_timer_pending(&timers[0]));
	held_turns(3);
	cr_expect_eq(n_fired, 3);
}

Test(loop, a_timer_that_is_set_again_replaces_itself, .init = make_timers)
{
	net_timer_set(&timers[0], 5);
	net_timer_set(&timers[0], 3600 * 1000);
	net_timer_set(&timers[1], 5);
	net_timer_cancel(&timers[1]);
	cr_expect_not(net_timer_pending(&timers[1]));
	net_timer_cancel(&timers[1]);
	net_timer_set(&timers[2], 20);
	HELD_UNTIL(fired[2] == 1);
	cr_expect_eq(fired[0], 0);
	cr_expect_eq(fired[1], 0);
	cr_expect(net_timer_pending(&timers[0]));
	net_timer_set(&timers[0], 1);
	HELD_UNTIL(fired[0] == 1);
}

Test(loop, now_stands_still_within_a_turn_and_goes_on_with_the_next)
{
	uint64_t first = net_loop_now(loop);

	usleep(5000);
	cr_expect_eq(net_loop_now(loop), first);
	HELD_UNTIL(net_loop_now(loop) > first);
}

/* --- descriptors -------------------------------------------------------------------------------------------- */

static unsigned watched;

static void
on_watched(struct net_watch *w, int fd)
{
	char byte;

	(void)w;
	watched++;
	(void)!read(fd, &byte, 1);
}

Test(loop, a_descriptor_is_watched_until_told_otherwise)
{
	struct net_watch w = {.fn = NULL};
	int fds[2];

	net_watch_stop(&w); /* never started: nothing to stop */
	cr_assert_eq(pipe(fds), 0);
	cr_assert(net_watch_start(&w, loop, fds[0], on_watched));
	held_turns(2);
	cr_expect_eq(watched, 0);
	cr_assert_eq(write(fds[1], "ab", 2), 2);
	HELD_UNTIL(watched == 2);
	net_watch_stop(&w);
	cr_assert_eq(write(fds[1], "c", 1), 1);
	held_turns(3);
	cr_expect_eq(watched, 2);
	close(fds[0]);
	close(fds[1]);
}

Test(loop, what_belongs_to_the_owner)
{
	int thing;

	cr_expect_null(net_loop_user(loop));
	net_loop_set_user(loop, &thing);
	cr_expect_eq(net_loop_user(loop), &thing);
	memset(net_loop_scratch(loop), 'x', NET_SCRATCH_SIZE);
	cr_expect_eq(buf_len(net_loop_gather(loop)), 0);
	cr_expect_neq(net_loop_gather(loop), net_loop_cipher(loop));
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void *
run(void *arg)
{
	net_loop_run(arg);
	return NULL;
}

Test(loop, another_thread_stops_it_while_it_sleeps)
{
	struct net_loop *own = net_loop_new(NULL);
	pthread_t t;

	cr_assert_not_null(own);
	cr_assert_eq(pthread_create(&t, NULL, run, own), 0);
	usleep(10000); /* it will be asleep by now; if not, the test is the easier */
	net_loop_stop(own);
	pthread_join(t, NULL);
	net_loop_free(own);
}

Test(loop, one_that_was_stopped_before_does_not_begin)
{
	struct job a = {.runs = 0};
	struct net_loop *own = net_loop_new(NULL);

	cr_assert_not_null(own);
	net_loop_defer(own, &a.d, do_job);
	net_loop_stop(own);
	net_loop_run(own);
	cr_expect_eq(a.runs, 1);
	net_loop_free(own);
}
