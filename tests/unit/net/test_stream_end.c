/* test_stream_end.c: how a stream begins and how it ends: connecting, half and whole closing, closing within callbacks. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "held.h"
#include "probe.h"

enum { LARGE = 1024 * 1024 };

static struct net_loop *loop;
static struct buf heard;

static void
begin(void)
{
	loop = held_new();
	buf_init(&heard, 8 * LARGE);
}

static void
end(void)
{
	buf_clear(&heard);
	held_end();
}

TestSuite(stream_end, .init = begin, .fini = end);

static char large[LARGE];

static bool
write_large(struct probe *p)
{
	struct iovec v = {large, LARGE};

	return net_stream_write(&p->s, &v, 1);
}

/* --- our end of it ------------------------------------------------------------------------------------------ */

Test(stream_end, ours_is_sent_and_theirs_still_read)
{
	struct pair x;

	pair_tcp(&x, loop, LARGE);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert(probe_write(&x.p, "bye"));
	net_stream_finish(&x.p.s);
	net_stream_finish(&x.p.s);
	HELD_UNTIL(!peer_hear(x.peer, &heard));
	cr_expect(sv_eq(buf_view(&heard), SV("bye")));
	cr_expect(x.p.s.half_closed);
	peer_say(x.peer, "one more thing");
	HELD_UNTIL(buf_len(&x.p.in) == 14);
	pair_close(&x);
}

Test(stream_end, ours_comes_after_all_that_waits)
{
	struct pair x;

	pair_unix(&x, loop, 2 * LARGE);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert(write_large(&x.p));
	cr_assert_gt(net_stream_pending(&x.p.s), 0);
	net_stream_finish(&x.p.s);
	cr_expect_not(x.p.s.half_closed);
	HELD_UNTIL(!peer_hear(x.peer, &heard));
	cr_expect_eq(buf_len(&heard), LARGE);
	cr_expect_eq(x.p.drained, 1);
	pair_close(&x);
}

Test(stream_end, a_last_write_that_has_to_wait_is_followed_by_the_end)
{
	struct iovec v = {large, LARGE};
	struct pair x;

	pair_unix(&x, loop, 2 * LARGE);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert(net_stream_write_last(&x.p.s, &v, 1));
	HELD_UNTIL(!peer_hear(x.peer, &heard));
	cr_expect_eq(buf_len(&heard), LARGE);
	pair_close(&x);
}

Test(stream_end, a_last_write_and_finish_are_the_end)
{
	struct iovec v = iov("bye");
	struct pair x;

	pair_unix(&x, loop, LARGE);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert(net_stream_write_last(&x.p.s, &v, 1));
	net_stream_finish(&x.p.s);
	cr_expect(x.p.s.half_closed);
	cr_expect_not(peer_hear(x.peer, &heard));
	cr_expect(sv_eq(buf_view(&heard), SV("bye")));
	pair_close(&x);
}

/* --- closing ------------------------------------------------------------------------------------------------ */

static ssize_t
read_at_peer(int peer, int *error)
{
	char byte;
	ssize_t n = recv(peer, &byte, 1, 0);

	*error = errno;
	return n;
}

Test(stream_end, closing_ends_and_aborting_resets)
{
	struct pair x, y;
	int error = 0;

	pair_tcp(&x, loop, LARGE);
	pair_tcp(&y, loop, LARGE);
	cr_assert(net_stream_start(&x.p.s) && net_stream_start(&y.p.s));
	net_stream_close(&x.p.s, false);
	net_stream_close(&y.p.s, true);
	cr_expect_eq(read_at_peer(x.peer, &error), 0);
	cr_expect_eq(read_at_peer(y.peer, &error), -1);
	cr_expect_eq(error, ECONNRESET);
	pair_close(&x);
	pair_close(&y);
}

Test(stream_end, a_closed_one_is_dead)
{
	char byte;
	struct pair x;

	pair_unix(&x, loop, 2 * LARGE);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert(write_large(&x.p));
	net_stream_deadline(&x.p.s, 1);
	net_stream_close(&x.p.s, false);
	net_stream_close(&x.p.s, true);
	cr_expect_eq(net_stream_pending(&x.p.s), 0);
	net_stream_pause(&x.p.s);
	net_stream_resume(&x.p.s);
	net_stream_deadline(&x.p.s, 1);
	cr_expect_eq(x.p.s.timer_at, 0, "a timer in memory that is about to be freed");
	net_stream_finish(&x.p.s);
	cr_expect_not(probe_write(&x.p, "too late"));
	cr_expect_leq(net_stream_read(&x.p.s, &byte, 1), NET_AGAIN);
	peer_hear(x.peer, &heard);
	held_turns(5);
	cr_expect_eq(x.p.readable + x.p.drained + x.p.timeouts + x.p.failures, 0);
	pair_close(&x);
}

/* Closes itself in a callback and is freed after that turn; with a sanitizer any touch of it afterwards is seen. */
static struct probe *
mortal(enum probe_event when, int *peer, bool *gone)
{
	struct probe *p = malloc(sizeof(*p));
	struct pair x;

	cr_assert_not_null(p);
	pair_unix(&x, loop, 2 * LARGE);
	*p = x.p;
	pair_init(p, loop, x.p.s.fd, 2 * LARGE);
	p->close_in = when;
	p->gone = gone;
	*peer = x.peer;
	*gone = false;
	return p;
}

static void
all_at_once(struct probe *p, int peer)
{
	/* Everything is due in the same turn. */
	cr_assert(write_large(p));
	peer_say(peer, "x");
	net_stream_deadline(&p->s, 1);
	usleep(3000);
	peer_hear(peer, &heard);
}

Test(stream_end, closed_while_it_opens)
{
	bool gone;
	int peer;
	struct probe *p = mortal(PROBE_OPEN, &peer, &gone);

	cr_assert(net_stream_start(&p->s));
	HELD_UNTIL(gone);
	cr_expect_not(peer_hear(peer, &heard));
	close(peer);
}

Test(stream_end, closed_while_it_reads)
{
	bool gone;
	int peer;
	struct probe *p = mortal(PROBE_READABLE, &peer, &gone);

	cr_assert(net_stream_start(&p->s));
	all_at_once(p, peer);
	HELD_UNTIL(gone);
	held_turns(3);
	close(peer);
}

Test(stream_end, closed_when_drained)
{
	bool gone;
	int peer;
	struct probe *p = mortal(PROBE_DRAINED, &peer, &gone);

	cr_assert(net_stream_start(&p->s));
	all_at_once(p, peer);
	net_stream_finish(&p->s);
	HELD_UNTIL((peer_hear(peer, &heard), gone));
	cr_expect_eq(buf_len(&heard), LARGE);
	held_turns(3);
	close(peer);
}

Test(stream_end, closed_when_its_time_is_over)
{
	bool gone;
	int peer;
	struct probe *p = mortal(PROBE_TIMEOUT, &peer, &gone);

	cr_assert(net_stream_start(&p->s));
	all_at_once(p, peer);
	HELD_UNTIL(gone);
	held_turns(3);
	close(peer);
}

Test(stream_end, closed_when_it_fails)
{
	bool gone;
	int peer;
	struct probe *p = mortal(PROBE_FAILED, &peer, &gone);

	p->reads = false;
	cr_assert(net_stream_start(&p->s));
	cr_assert(write_large(p));
	close(peer);
	HELD_UNTIL(gone);
	held_turns(3);
}

/* --- connecting --------------------------------------------------------------------------------------------- */

static struct net_address to;

static void
connect_to(struct probe *p)
{
	pair_init(p, loop, -1, LARGE);
	cr_assert(net_stream_connect(&p->s, loop, &to, &probe_events, LARGE));
	cr_expect_eq(p->opened, 0, "told from the loop");
}

Test(stream_end, connects_and_talks)
{
	int listening = tcp_listening(&to), peer, on = 0;
	socklen_t n = sizeof(on);
	struct probe p;

	connect_to(&p);
	HELD_UNTIL(p.opened == 1);
	peer = accept(listening, NULL, NULL);
	cr_assert(probe_write(&p, "ping"));
	HELD_UNTIL((peer_hear(peer, &heard), buf_len(&heard) == 4));
	peer_say(peer, "pong");
	HELD_UNTIL(buf_len(&p.in) == 4);
	cr_expect_eq(p.opened, 1);
	cr_expect_eq(p.drained, 0);
	cr_expect_eq(getsockopt(p.s.fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
	cr_expect_neq(on, 0);
	net_stream_close(&p.s, false);
	buf_clear(&p.in);
	close(peer);
	close(listening);
}

Test(stream_end, what_is_written_before_it_is_connected_is_sent)
{
	int listening = tcp_listening(&to), peer;
	struct probe p;

	connect_to(&p);
	cr_assert(probe_write(&p, "early "));
	cr_assert(probe_write(&p, "bird"));
	cr_expect_eq(net_stream_pending(&p.s), 10);
	net_stream_finish(&p.s);
	peer = accept(listening, NULL, NULL);
	HELD_UNTIL(!peer_hear(peer, &heard));
	cr_expect(sv_eq(buf_view(&heard), SV("early bird")));
	cr_expect_eq(p.drained, 1);
	net_stream_close(&p.s, false);
	close(peer);
	close(listening);
}

Test(stream_end, an_end_that_is_asked_for_before_it_is_connected)
{
	int listening = tcp_listening(&to), peer;
	struct probe p;

	connect_to(&p);
	net_stream_finish(&p.s);
	HELD_UNTIL(p.opened == 1);
	cr_expect_eq(p.failures, 0);
	peer = accept(listening, NULL, NULL);
	HELD_UNTIL(!peer_hear(peer, &heard));
	net_stream_close(&p.s, false);
	close(peer);
	close(listening);
}

Test(stream_end, a_refused_connection_is_told_as_such)
{
	struct probe p;

	close(tcp_listening(&to));
	connect_to(&p);
	HELD_UNTIL(p.failures == 1);
	cr_expect_eq(p.error, ECONNREFUSED);
	cr_expect_eq(p.opened, 0);
	held_turns(3);
	cr_expect_eq(p.failures, 1);
}

Test(stream_end, one_that_fails_at_once_says_so_and_can_be_closed)
{
	struct probe p;

	cr_assert(net_address_parse(SV("unix:/nonexistent/bascule/socket"), &to, NULL));
	pair_init(&p, loop, -1, LARGE);
	errno = 0;
	cr_expect_not(net_stream_connect(&p.s, loop, &to, &probe_events, LARGE));
	cr_expect_eq(errno, ENOENT);
	net_stream_close(&p.s, false);
	held_turns(2);
	cr_expect_eq(p.failures, 0);
}

Test(stream_end, closed_while_it_connects)
{
	int listening = tcp_listening(&to);
	struct probe p;

	connect_to(&p);
	cr_assert(probe_write(&p, "never mind"));
	net_stream_close(&p.s, false);
	cr_expect_not(probe_write(&p, "nobody would free this"));
	cr_expect_null(p.s.out.data);
	held_turns(3);
	cr_expect_eq(p.opened + p.failures, 0);
	close(listening);
}

Test(stream_end, closed_when_the_connection_opens)
{
	int listening = tcp_listening(&to), peer;
	bool gone = false;
	struct probe *p = malloc(sizeof(*p));

	cr_assert_not_null(p);
	connect_to(p);
	p->close_in = PROBE_OPEN;
	p->gone = &gone;
	peer = accept(listening, NULL, NULL);
	peer_say(peer, "the greeting comes with the opening");
	HELD_UNTIL(gone);
	held_turns(3);
	close(peer);
	close(listening);
}

Test(stream_end, closed_when_the_connection_is_refused)
{
	bool gone = false;
	struct probe *p = malloc(sizeof(*p));

	cr_assert_not_null(p);
	close(tcp_listening(&to));
	connect_to(p);
	p->close_in = PROBE_FAILED;
	p->gone = &gone;
	HELD_UNTIL(gone);
	held_turns(3);
}

Test(stream_end, a_deadline_holds_while_it_connects)
{
	struct probe p;
	int others[64], listening = tcp_listening(&to);
	size_t n = 0;

	/* A full backlog: the kernel lets the next one wait. */
	cr_assert_eq(listen(listening, 0), 0);
	for (; n < COUNTOF(others); n++) {
		others[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(others[n], &to.u.sa, to.length);
	}
	connect_to(&p);
	net_stream_deadline(&p.s, 10);
	HELD_UNTIL(p.timeouts == 1);
	cr_expect_eq(p.opened, 0);
	net_stream_close(&p.s, false);
	while (n > 0)
		close(others[--n]);
	close(listening);
}
