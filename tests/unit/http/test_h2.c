/* test_h2.c: a connection of HTTP/2 by its bytes: what is told to the owner, and to the client. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "http/h2.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\x04\0\0\0\0\0"
/* GET / of "a": a whole request on stream n */
#define REQUEST(n) "\0\0\x06\x01\x05\0\0\0" n "\x82\x87\x84\x01\x01" "a"

enum { STREAMS = 8, ROOM = 4096, FRAME_HEAD = 9, GOAWAY = 7 };

static struct {
	struct h2 h2;
	struct h2_block *spare;
	struct h2_stream streams[STREAMS];
	unsigned n; /* requests that were told of */
	unsigned n_responses;
	bool leaves_at_first;
	struct buf wire;
} c;

static struct h2_stream *
on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless)
{
	struct h2_stream *st = &c.streams[c.n++];

	(void)b, (void)bodiless;
	h2_stream_init(s, st, id, ROOM);
	if (c.leaves_at_first)
		h2_go_away(s, true);
	return st;
}

/* From a server. */
static void
on_response(struct h2 *s, struct h2_stream *st, struct h2_block *b, bool bodiless)
{
	(void)s, (void)st, (void)b, (void)bodiless;
	c.n_responses++;
}

static void
on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	(void)error;
	h2_stream_free(s, st);
}

static void
on_refused(struct h2 *s, uint32_t error)
{
	(void)s, (void)error;
}

static void
put(struct h2 *s, struct sv bytes)
{
	(void)s;
	cr_assert(buf_append(&c.wire, bytes.p, bytes.n));
}

static bool
is_full(const struct h2 *s)
{
	(void)s;
	return false;
}

static const struct h2_limits limits = {.head_bytes = ROOM, .fields = 20, .streams = STREAMS, .stream_window = 65535,
    .connection_window = 65535, .calm = 400, .calm_per_second = 50};
static const struct h2_events events = {.on_request = on_request, .on_closed = on_closed, .on_refused = on_refused, .put = put,
    .point = put};
static const struct h2_events events_to_server = {.on_response = on_response, .on_closed = on_closed, .put = put, .point = put,
    .is_full = is_full};

static void
setup(void)
{
	buf_init(&c.wire, 1 << 16);
	cr_assert(h2_open(&c.h2, &events, &limits, &c.spare));
}

static void
teardown(void)
{
	for (unsigned i = 0; i < c.n; i++)
		if (c.streams[i].open)
			h2_stream_free(&c.h2, &c.streams[i]);
	h2_close(&c.h2);
	free(c.spare);
	buf_clear(&c.wire);
}

TestSuite(h2, .init = setup, .fini = teardown, .timeout = 20);

static unsigned
number(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (unsigned)u[0] << 24 | (unsigned)u[1] << 16 | (unsigned)u[2] << 8 | u[3];
}

/* The first frame of this type that was sent; SV_NONE: none. */
static struct sv
sent(char type)
{
	struct sv all = buf_view(&c.wire);

	while (all.n >= FRAME_HEAD) {
		size_t n = FRAME_HEAD + (number(all.p) >> 8);
		if (all.p[3] == type)
			return sv_of(all.p, n);
		all = sv_of(all.p + n, all.n - n);
	}
	return SV_NONE;
}

static void
expect_goaway(unsigned last, enum h2_error error)
{
	cr_assert(h2_send(&c.h2));
	struct sv goaway = sent(GOAWAY);
	cr_assert_geq(goaway.n, FRAME_HEAD + 8);
	cr_expect_eq(number(goaway.p + FRAME_HEAD), last);
	cr_expect_eq(number(goaway.p + FRAME_HEAD + 4), (unsigned)error);
}

/* The client is told that they were not looked at: it sends them again elsewhere. */
Test(h2, requests_behind_the_last_are_not_told_of)
{
	c.leaves_at_first = true;
	cr_assert(h2_receive(&c.h2, SV(PREFACE SETTINGS REQUEST("\x01") REQUEST("\x03") REQUEST("\x05")), 1));
	cr_expect_eq(c.n, 1);
	expect_goaway(1, H2_NO_ERROR);
	cr_assert(h2_receive(&c.h2, SV(REQUEST("\x07")), 1));
	cr_expect_eq(c.n, 1);
}

/* Nor is that taken back. */
Test(h2, the_last_stays_the_last)
{
	c.leaves_at_first = true;
	cr_assert(h2_receive(&c.h2, SV(PREFACE SETTINGS REQUEST("\x01") REQUEST("\x03")), 1));
	h2_go_away(&c.h2, true);
	expect_goaway(1, H2_NO_ERROR);
	buf_reset(&c.wire);
	h2_go_away(&c.h2, true);
	expect_goaway(1, H2_NO_ERROR);
}

Test(h2, another_preface)
{
	cr_expect_not(h2_receive(&c.h2, SV("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1));
	cr_expect_not_null(c.h2.fault);
	expect_goaway(0, H2_PROTOCOL_ERROR);
	cr_expect(h2_is_over(&c.h2));
}

Test(h2, a_section_in_too_many_pieces)
{
	cr_assert(h2_receive(&c.h2, SV(PREFACE SETTINGS "\0\0\x01\x01\x01\0\0\0\x01\x82"), 1));
	bool ok = true;
	for (int i = 0; ok && i < 1000; i++)
		ok = h2_receive(&c.h2, SV("\0\0\0\x09\0\0\0\0\x01"), 1);
	cr_expect_not(ok);
	expect_goaway(1, H2_ENHANCE_YOUR_CALM);
	cr_expect(h2_is_over(&c.h2));
	cr_expect_eq(c.n, 0);
}

/* --- towards a server ----------------------------------------------------------------------------------------- */

static void
setup_to_server(void)
{
	buf_init(&c.wire, 1 << 16);
	cr_assert(h2_open_client(&c.h2, &events_to_server, &limits, &c.spare));
}

TestSuite(h2_to_server, .init = setup_to_server, .fini = teardown, .timeout = 20);

static struct h2_stream *
ask_with(bool body)
{
	const struct h2_request r = {.scheme = SV("https"), .bodiless = !body};
	struct h2_stream *st = &c.streams[c.n++];
	struct http_head h;

	http_head_init(&h, false);
	h.method = SV("GET");
	h.path = SV("/");
	cr_assert(http_head_add_id(&h, HTTP_HOST, SV("a")));
	h2_stream_init(&c.h2, st, 0, ROOM);
	cr_assert(h2_request(&c.h2, st, &h, &r));
	cr_assert(h2_send(&c.h2));
	return st;
}

static struct h2_stream *
ask(void)
{
	return ask_with(false);
}

#define RESPONSE(n) "\0\0\x01\x01\x05\0\0\0" n "\x88" /* 200 */

Test(h2_to_server, a_response)
{
	(void)ask();
	cr_assert(h2_receive(&c.h2, SV(SETTINGS RESPONSE("\x01")), 1));
	cr_expect_eq(c.n_responses, 1);
}

/* Whoever asked is gone, and with it the stream's memory. */
Test(h2_to_server, a_response_to_what_is_forgotten)
{
	h2_stream_free(&c.h2, ask());
	cr_assert(h2_receive(&c.h2, SV(SETTINGS RESPONSE("\x01")), 1));
	cr_expect_eq(c.n_responses, 0);
	(void)ask();
	cr_assert(h2_receive(&c.h2, SV(RESPONSE("\x03")), 1));
	cr_expect_eq(c.n_responses, 1);
}

#define PING "\0\0\x08\x06\0\0\0\0\0" "the way?"
#define WINDOW_UPDATE(n) "\0\0\x04\x08\0\0\0\0" n "\0\0\0\x01"

/* Servers of gRPC measure the way by what they receive. */
Test(h2_to_server, a_ping_for_each_data)
{
	struct h2_stream *st = ask_with(true);

	cr_assert(h2_receive(&c.h2, SV(SETTINGS), 1));
	for (unsigned i = 0; i < 1000; i++) {
		cr_assert(h2_body(&c.h2, st, SV("x")) && h2_send(&c.h2));
		cr_assert(h2_receive(&c.h2, SV(PING WINDOW_UPDATE("\0") WINDOW_UPDATE("\x01")), 1), "%u", i);
		buf_clear(&c.wire);
	}
}

Test(h2_to_server, a_flood_of_pings)
{
	unsigned n = 0;

	(void)ask_with(true);
	cr_assert(h2_receive(&c.h2, SV(SETTINGS), 1));
	while (n < 1000 && h2_receive(&c.h2, SV(PING), 1))
		n++;
	cr_expect_lt(n, 500);
}
