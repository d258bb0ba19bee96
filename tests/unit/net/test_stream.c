/* test_stream.c: bytes in, bytes out, and what is asked of the loop for them. */
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "held.h"
#include "probe.h"

enum { LARGE = 1024 * 1024 };

static struct net_loop *loop;
static struct pair x;
static struct buf heard;

static void
begin(void)
{
	loop = held_new();
	pair_unix(&x, loop, 4 * LARGE);
	buf_init(&heard, 8 * LARGE);
}

static void
end(void)
{
	pair_close(&x);
	buf_clear(&heard);
	held_end();
}

TestSuite(stream, .init = begin, .fini = end);

static void
start(void)
{
	cr_assert(net_stream_start(&x.p.s));
}

/* Bytes that tell their place. */
static char *
pattern(size_t n)
{
	char *p = malloc(n);

	cr_assert_not_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 257);
	return p;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

Test(stream, opens_within_start_when_nothing_has_to_be_waited_for)
{
	start();
	cr_expect_eq(x.p.opened, 1);
	held_turns(3);
	cr_expect_eq(x.p.opened, 1);
	cr_expect_eq(x.p.readable, 0);
}

Test(stream, reads_what_comes_until_the_end)
{
	start();
	peer_say(x.peer, "hello");
	HELD_UNTIL(buf_len(&x.p.in) == 5);
	cr_expect_eq(x.p.result, NET_AGAIN);
	peer_say(x.peer, " world");
	HELD_UNTIL(buf_len(&x.p.in) == 11);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("hello world")));
	close(x.peer);
	x.peer = -1;
	HELD_UNTIL(x.p.result == NET_EOF);
	cr_expect(x.p.s.eof);
}

Test(stream, after_a_short_read_the_socket_is_not_asked_again_before_the_next_event)
{
	char bytes[100];

	x.p.reads = false;
	start();
	peer_say(x.peer, "12345");
	HELD_UNTIL(x.p.readable > 0);
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), 5);
	peer_say(x.peer, "678");
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), NET_AGAIN, "no system call");
	unsigned before = x.p.readable;
	HELD_UNTIL(x.p.readable > before);
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), 3);
}

Test(stream, after_a_full_read_it_is)
{
	char bytes[5];

	x.p.reads = false;
	start();
	peer_say(x.peer, "12345");
	HELD_UNTIL(x.p.readable > 0);
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), 5);
	peer_say(x.peer, "678");
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), 3);
	cr_expect_eq(net_stream_read(&x.p.s, bytes, sizeof(bytes)), NET_AGAIN);
}

Test(stream, bytes_that_come_with_the_end_are_read_before_it)
{
	start();
	peer_say(x.peer, "last words");
	close(x.peer);
	x.peer = -1;
	HELD_UNTIL(x.p.result == NET_EOF && x.p.readable > 0);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("last words")));
}

/* --- writing ------------------------------------------------------------------------------------------------ */

Test(stream, what_the_socket_takes_does_not_wait)
{
	struct iovec v[] = {iov("one "), iov(""), iov("two")};

	start();
	cr_assert(net_stream_write(&x.p.s, v, 3));
	cr_expect_eq(net_stream_pending(&x.p.s), 0);
	cr_expect_eq(x.p.s.sent, 7);
	peer_hear(x.peer, &heard);
	cr_expect(sv_eq(buf_view(&heard), SV("one two")));
	held_turns(3);
	cr_expect_eq(x.p.drained, 0, "nothing had to wait");
	cr_expect(net_stream_write(&x.p.s, v + 1, 1), "nothing is easily written");
	cr_expect(net_stream_write(&x.p.s, NULL, 0));
}

Test(stream, what_the_socket_does_not_take_follows_in_order)
{
	char *bytes = pattern(LARGE);
	/* Uneven pieces, so that the socket stops within one. */
	struct iovec v[] = {{bytes, 3}, {bytes + 3, LARGE / 3}, {bytes + 3 + LARGE / 3, LARGE - LARGE / 3 - 3}};

	start();
	cr_assert(net_stream_write(&x.p.s, v, 3));
	cr_expect_gt(net_stream_pending(&x.p.s), 0);
	cr_expect_eq(x.p.s.sent + net_stream_pending(&x.p.s), LARGE);
	cr_assert(probe_write(&x.p, "and this comes last"));
	HELD_UNTIL((peer_hear(x.peer, &heard), buf_len(&heard) == LARGE + 19));
	cr_expect_eq(memcmp(buf_view(&heard).p, bytes, LARGE), 0);
	cr_expect_eq(memcmp(buf_view(&heard).p + LARGE, "and this comes last", 19), 0);
	HELD_UNTIL(x.p.drained > 0);
	held_turns(3);
	cr_expect_eq(x.p.drained, 1, "told once");
	cr_expect_eq(x.p.s.sent, LARGE + 19);
	cr_expect_eq(net_stream_pending(&x.p.s), 0);
	cr_expect_null(x.p.s.out.data, "an idle connection holds no buffer");
	free(bytes);
}

Test(stream, more_than_out_max_is_refused)
{
	char *bytes = pattern(LARGE);
	struct iovec v = {bytes, LARGE};
	unsigned n = 0;

	start();
	while (n < 10 && net_stream_write(&x.p.s, &v, 1))
		n++;
	cr_expect_eq(n, 4, "out_max and what the socket took");
	cr_expect_leq(net_stream_pending(&x.p.s), 4 * LARGE);
	free(bytes);
}

Test(stream, a_peer_that_has_gone_is_told_by_write)
{
	start();
	close(x.peer);
	x.peer = -1;
	cr_expect_not(probe_write(&x.p, "is anybody there?"), "and no signal");
}

Test(stream, a_peer_that_goes_while_bytes_wait_makes_it_fail)
{
	char *bytes = pattern(LARGE);
	struct iovec v = {bytes, LARGE};

	start();
	x.p.reads = false;
	cr_assert(net_stream_write(&x.p.s, &v, 1));
	close(x.peer);
	x.peer = -1;
	HELD_UNTIL(x.p.failures == 1);
	cr_expect_eq(x.p.error, EPIPE);
	cr_expect_eq(x.p.drained, 0);
	free(bytes);
}

/* --- pausing ------------------------------------------------------------------------------------------------ */

Test(stream, a_paused_one_is_not_told_and_a_resumed_one_is)
{
	start();
	net_stream_pause(&x.p.s);
	net_stream_pause(&x.p.s);
	peer_say(x.peer, "wait for it");
	held_turns(5);
	cr_expect_eq(x.p.readable, 0);
	net_stream_resume(&x.p.s);
	net_stream_resume(&x.p.s);
	HELD_UNTIL(x.p.readable > 0);
	held_turns(3);
	cr_expect_eq(x.p.readable, 1);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("wait for it")));
}

Test(stream, a_resumed_one_is_told_once_though_nothing_came)
{
	start();
	net_stream_pause(&x.p.s);
	net_stream_resume(&x.p.s);
	HELD_UNTIL(x.p.readable > 0);
	held_turns(5);
	cr_expect_eq(x.p.readable, 1);
	cr_expect_eq(x.p.result, NET_AGAIN);
	net_stream_resume(&x.p.s);
	held_turns(3);
	cr_expect_eq(x.p.readable, 1, "it was not paused");
}

Test(stream, paused_again_before_it_was_told)
{
	start();
	net_stream_pause(&x.p.s);
	peer_say(x.peer, "x");
	net_stream_resume(&x.p.s);
	net_stream_pause(&x.p.s);
	held_turns(5);
	cr_expect_eq(x.p.readable, 0);
	net_stream_resume(&x.p.s);
	HELD_UNTIL(buf_len(&x.p.in) == 1);
}

Test(stream, paused_within_its_own_callback)
{
	x.p.pauses = true;
	x.p.reads = false;
	start();
	peer_say(x.peer, "x");
	HELD_UNTIL(x.p.readable == 1);
	held_turns(5);
	cr_expect_eq(x.p.readable, 1);
	x.p.pauses = false;
	x.p.reads = true;
	net_stream_resume(&x.p.s);
	HELD_UNTIL(buf_len(&x.p.in) == 1);
}

Test(stream, a_paused_one_goes_on_writing)
{
	char *bytes = pattern(LARGE);
	struct iovec v = {bytes, LARGE};

	start();
	net_stream_pause(&x.p.s);
	cr_assert(net_stream_write(&x.p.s, &v, 1));
	HELD_UNTIL((peer_hear(x.peer, &heard), buf_len(&heard) == LARGE));
	HELD_UNTIL(x.p.drained == 1);
	free(bytes);
}

/* --- deadlines ---------------------------------------------------------------------------------------------- */

Test(stream, a_deadline_is_told_once)
{
	start();
	net_stream_deadline(&x.p.s, 5);
	HELD_UNTIL(x.p.timeouts == 1);
	held_turns(3);
	cr_expect_eq(x.p.timeouts, 1);
	net_stream_deadline(&x.p.s, 1);
	HELD_UNTIL(x.p.timeouts == 2);
}

Test(stream, a_deadline_that_moves_away_leaves_the_timer_alone)
{
	start();
	net_stream_deadline(&x.p.s, 10);
	uint64_t set_for = x.p.s.timer_at;
	net_stream_deadline(&x.p.s, 60);
	uint64_t due = x.p.s.deadline;
	cr_expect_eq(x.p.s.timer_at, set_for, "no timer operation");
	HELD_UNTIL(x.p.timeouts == 1);
	cr_expect_geq(x.p.timed_out_at, due, "not when the timer first fired");
}

Test(stream, a_deadline_that_comes_nearer_moves_the_timer)
{
	start();
	net_stream_deadline(&x.p.s, 3600 * 1000);
	net_stream_deadline(&x.p.s, 5);
	cr_expect_eq(x.p.s.timer_at, x.p.s.deadline);
	HELD_UNTIL(x.p.timeouts == 1);
}

Test(stream, a_deadline_that_is_lifted_is_not_told)
{
	struct pair y;

	start();
	pair_unix(&y, loop, LARGE);
	cr_assert(net_stream_start(&y.p.s));
	net_stream_deadline(&x.p.s, 5);
	net_stream_deadline(&x.p.s, 0);
	net_stream_deadline(&y.p.s, 30);
	HELD_UNTIL(y.p.timeouts == 1);
	cr_expect_eq(x.p.timeouts, 0);
	net_stream_deadline(&x.p.s, 5);
	HELD_UNTIL(x.p.timeouts == 1);
	pair_close(&y);
}

/* --- is it still there? ------------------------------------------------------------------------------------- */

Test(stream, stale_is_one_whose_peer_has_ended)
{
	start();
	net_stream_pause(&x.p.s);
	cr_expect_not(net_stream_is_stale(&x.p.s));
	cr_expect_not(net_stream_is_stale(&x.p.s), "asking changes nothing");
	close(x.peer);
	x.peer = -1;
	cr_expect(net_stream_is_stale(&x.p.s));
	net_stream_close(&x.p.s, false);
	cr_expect(net_stream_is_stale(&x.p.s));
}

Test(stream, stale_is_one_with_bytes_that_nobody_asked_for)
{
	start();
	net_stream_pause(&x.p.s);
	peer_say(x.peer, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	cr_expect(net_stream_is_stale(&x.p.s));
	net_stream_resume(&x.p.s);
	HELD_UNTIL(buf_len(&x.p.in) == 32);
	cr_expect_not(net_stream_is_stale(&x.p.s), "looking took nothing away, reading did");
}

Test(stream, stale_is_one_that_was_reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	struct pair y;

	pair_tcp(&y, loop, LARGE);
	cr_assert(net_stream_start(&y.p.s));
	net_stream_pause(&y.p.s);
	(void)setsockopt(y.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(y.peer);
	y.peer = -1;
	HELD_UNTIL(net_stream_is_stale(&y.p.s));
	pair_close(&y);
}
