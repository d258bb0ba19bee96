/*
 * test_transform.c: a layer between the socket and the owner. The toy of these tests turns every bit over; its handshake
 * is one "HI" from the peer, answered with "OK", and its end is a "Z" before the end of the socket.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "held.h"
#include "probe.h"

struct toy {
	char ahead[64]; /* decoded, not yet asked for */
	size_t n;
	unsigned handshakes, lasts;
};

static unsigned freed;

static int
toy_handshake(struct net_stream *s)
{
	struct toy *t = s->state;
	char hi[2];
	ssize_t n = net_raw_read(s, hi, 2);

	t->handshakes++;
	if (n == NET_AGAIN)
		return NET_AGAIN;
	if (n != 2 || memcmp(hi, "HI", 2) != 0) {
		errno = EPROTO;
		return NET_ERROR;
	}
	struct iovec ok = iov("OK");
	return net_raw_write(s, &ok, 1) == 0 ? 1 : NET_ERROR;
}

/* Reads ahead, as a record layer does. */
static ssize_t
toy_read(struct net_stream *s, void *p, size_t n)
{
	struct toy *t = s->state;

	if (t->n == 0) {
		ssize_t got = net_raw_read(s, t->ahead, sizeof(t->ahead));
		if (got <= 0)
			return got;
		t->n = (size_t)got;
		for (size_t i = 0; i < t->n; i++)
			t->ahead[i] = (char)~t->ahead[i];
	}
	n = MIN_OF(n, t->n);
	memcpy(p, t->ahead, n);
	t->n -= n;
	memmove(t->ahead, t->ahead + n, t->n);
	return (ssize_t)n;
}

static int
toy_write(struct net_stream *s, const struct iovec *v, int n, bool last)
{
	struct toy *t = s->state;

	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < v[i].iov_len; k++) {
			char turned = (char)~((const char *)v[i].iov_base)[k];
			struct iovec one = {&turned, 1};
			if (net_raw_write(s, &one, 1) != 0)
				return NET_ERROR;
		}
	t->lasts += last;
	struct iovec z = iov("Z");
	return last ? net_raw_write(s, &z, 1) : 0;
}

static bool
toy_pending(const struct net_stream *s)
{
	return ((const struct toy *)s->state)->n > 0;
}

static void
toy_free(struct net_stream *s)
{
	freed++;
	free(s->state);
}

static const struct net_transform toy = {
	.handshake = toy_handshake,
	.read = toy_read,
	.write = toy_write,
	.pending = toy_pending,
	.free = toy_free,
};

static struct net_loop *loop;
static struct pair x;
static struct toy *state;
static struct buf heard;

static void
begin(void)
{
	loop = held_new();
	pair_unix(&x, loop, 1024 * 1024);
	buf_init(&heard, 1024 * 1024);
	state = calloc(1, sizeof(*state));
	cr_assert_not_null(state);
	net_stream_set_transform(&x.p.s, &toy, state);
}

static void
end(void)
{
	pair_close(&x);
	buf_clear(&heard);
	held_end();
}

TestSuite(transform, .init = begin, .fini = end);

static void
shake_hands(void)
{
	cr_assert(net_stream_start(&x.p.s));
	peer_say(x.peer, "HI");
	HELD_UNTIL(x.p.opened == 1);
	peer_hear(x.peer, &heard);
	cr_assert(sv_eq(buf_view(&heard), SV("OK")));
	buf_clear(&heard);
}

Test(transform, the_handshake_waits_for_the_peer)
{
	cr_assert(net_stream_start(&x.p.s));
	held_turns(3);
	cr_expect_eq(x.p.opened, 0);
	cr_expect_eq(x.p.readable, 0);
	peer_say(x.peer, "HI");
	HELD_UNTIL(x.p.opened == 1);
	held_turns(2);
	cr_expect_eq(x.p.opened, 1);
}

Test(transform, bytes_are_turned_both_ways)
{
	shake_hands();
	peer_say(x.peer, "\x97\x96"); /* "hi" with every bit turned over */
	HELD_UNTIL(buf_len(&x.p.in) == 2);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("hi")));
	cr_assert(probe_write(&x.p, "hi"));
	peer_hear(x.peer, &heard);
	cr_expect(sv_eq(buf_view(&heard), SV("\x97\x96")));
}

Test(transform, bytes_that_came_with_the_handshake_are_told)
{
	cr_assert(net_stream_start(&x.p.s));
	peer_say(x.peer, "HI\x97\x96");
	HELD_UNTIL(buf_len(&x.p.in) == 2);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("hi")));
}

Test(transform, bytes_read_ahead_are_told_after_a_pause)
{
	char byte;

	x.p.reads = false;
	x.p.pauses = true;
	shake_hands();
	x.p.readable = 0;
	net_stream_resume(&x.p.s);
	HELD_UNTIL(x.p.readable == 1);
	peer_say(x.peer, "\x97\x96");
	net_stream_resume(&x.p.s);
	HELD_UNTIL(x.p.readable == 2);
	cr_assert_eq(net_stream_read(&x.p.s, &byte, 1), 1);
	cr_expect_eq(byte, 'h');
	cr_expect(x.p.s.transform->pending(&x.p.s));
	x.p.pauses = false;
	x.p.reads = true;
	net_stream_resume(&x.p.s); /* the socket is empty: no event of it would tell */
	HELD_UNTIL(buf_len(&x.p.in) == 1);
	cr_expect(sv_eq(buf_view(&x.p.in), SV("i")));
}

Test(transform, a_handshake_that_fails_is_told_and_frees)
{
	cr_assert(net_stream_start(&x.p.s));
	peer_say(x.peer, "GET / HTTP/1.1\r\n");
	HELD_UNTIL(x.p.failures == 1);
	cr_expect_eq(x.p.error, EPROTO);
	cr_expect_eq(x.p.opened, 0);
	cr_expect_eq(freed, 1, "the probe closes");
}

Test(transform, a_peer_that_leaves_during_the_handshake)
{
	cr_assert(net_stream_start(&x.p.s));
	close(x.peer);
	x.peer = -1;
	HELD_UNTIL(x.p.failures == 1);
}

Test(transform, its_end_goes_out_once_and_before_that_of_the_socket)
{
	shake_hands();
	net_stream_finish(&x.p.s);
	net_stream_finish(&x.p.s);
	cr_expect_eq(state->lasts, 1);
	HELD_UNTIL(!peer_hear(x.peer, &heard));
	cr_expect(sv_eq(buf_view(&heard), SV("Z")));
}

Test(transform, its_end_comes_with_the_last_write)
{
	struct iovec v = iov("hi");

	shake_hands();
	cr_assert(net_stream_write_last(&x.p.s, &v, 1));
	net_stream_finish(&x.p.s);
	cr_expect_eq(state->lasts, 1, "once");
	HELD_UNTIL(!peer_hear(x.peer, &heard));
	cr_expect(sv_eq(buf_view(&heard), SV("\x97\x96Z")));
}

Test(transform, before_it_is_open_it_has_no_end_to_send)
{
	cr_assert(net_stream_start(&x.p.s));
	net_stream_finish(&x.p.s);
	cr_expect_eq(state->lasts, 0);
	cr_expect_not(peer_hear(x.peer, &heard));
	cr_expect_eq(buf_len(&heard), 0);
}

Test(transform, its_state_is_freed_once)
{
	shake_hands();
	net_stream_close(&x.p.s, false);
	net_stream_close(&x.p.s, false);
	cr_expect_eq(freed, 1);
}

Test(transform, bytes_that_wait_unread_are_a_doubt)
{
	shake_hands();
	net_stream_pause(&x.p.s);
	cr_expect_not(net_stream_is_stale(&x.p.s));
	peer_say(x.peer, "T");
	cr_expect(net_stream_is_stale(&x.p.s));
}

static void
on_open_close(struct net_stream *s)
{
	CONTAINER_OF(s, struct probe, s)->opened++;
	net_stream_close(s, false);
}

Test(transform, closed_while_it_opens)
{
	struct net_stream_events events = probe_events;

	events.on_open = on_open_close;
	x.p.s.events = &events;
	cr_assert(net_stream_start(&x.p.s));
	peer_say(x.peer, "HI\x97\x96");
	HELD_UNTIL(x.p.opened == 1);
	held_turns(3);
	cr_expect_eq(x.p.readable, 0);
	cr_expect_eq(freed, 1);
}

static unsigned steps;

static int
slow_handshake(struct net_stream *s)
{
	steps++;
	return toy_handshake(s);
}

Test(transform, over_a_connection_it_begins_when_that_is_there)
{
	struct net_transform slow = toy;
	struct net_address to;
	int listening = tcp_listening(&to), peer;
	struct toy *own = calloc(1, sizeof(*own));
	struct probe p;

	slow.handshake = slow_handshake;
	pair_init(&p, loop, -1, 1000);
	cr_assert(net_stream_connect(&p.s, loop, &to, &probe_events, 1000));
	net_stream_set_transform(&p.s, &slow, own);
	cr_expect_eq(steps, 0);
	HELD_UNTIL(steps > 0);
	cr_expect_eq(p.opened, 0);
	peer = accept(listening, NULL, NULL);
	peer_say(peer, "HI");
	HELD_UNTIL(p.opened == 1);
	net_stream_close(&p.s, false);
	cr_expect_eq(freed, 1);
	close(peer);
	close(listening);
}

/* --- a transform that comes later --- */

/* What stands before the handshake is looked at, and read to its last byte; all behind it is the transform's. */
static void
begin_plain(const char *first)
{
	char bytes[16];

	net_stream_set_transform(&x.p.s, NULL, NULL);
	cr_assert(net_stream_start(&x.p.s));
	cr_assert_eq(x.p.opened, 1, "without a transform it is open at once");
	cr_assert_eq(net_stream_peek(&x.p.s, bytes, sizeof(bytes)), NET_AGAIN);
	peer_say(x.peer, first);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(net_stream_peek(&x.p.s, bytes, sizeof(bytes)), (ssize_t)strlen(first));
		cr_assert_eq(memcmp(bytes, first, strlen(first)), 0);
	}
	cr_assert_eq(net_stream_read(&x.p.s, bytes, 4), 4);
	net_stream_set_transform(&x.p.s, &toy, state);
	net_stream_handshake(&x.p.s);
}

Test(transform, comes_over_a_stream_that_is_open)
{
	begin_plain("whoaHI");
	cr_expect_eq(x.p.opened, 2, "its handshake was there already");
	peer_hear(x.peer, &heard);
	cr_expect(sv_eq(buf_view(&heard), SV("OK")));
	cr_expect(x.p.s.open);
}

Test(transform, comes_over_an_open_stream_and_waits_for_the_peer)
{
	begin_plain("whoa");
	cr_expect_eq(x.p.opened, 1);
	cr_expect_not(x.p.s.open);
	peer_say(x.peer, "HI");
	HELD_UNTIL(x.p.opened == 2);
}

Test(transform, comes_over_an_open_stream_and_fails)
{
	begin_plain("whoaNO");
	cr_expect_eq(x.p.failures, 1);
	cr_expect_eq(x.p.error, EPROTO);
}

Test(transform, a_look_at_the_end)
{
	char byte;

	net_stream_set_transform(&x.p.s, NULL, NULL);
	cr_assert(net_stream_start(&x.p.s));
	shutdown(x.peer, SHUT_WR);
	cr_expect_eq(net_stream_peek(&x.p.s, &byte, 1), NET_EOF);
	free(state);
}
