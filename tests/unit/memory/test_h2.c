/* test_h2.c: a connection of HTTP/2 with each allocation failing in turn, libnghttp2's among them: nothing leaks, or is freed twice. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "each_fails.h"
#include "http/h2.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define NO_RFC7540_PRIORITIES "\0\0\x06\x04\0\0\0\0\0\0\x09\0\0\0\x01" /* the setting decides how the library queues a body */
#define REQUEST "\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x01\x01" "a"

enum { ROOM = 4096 };

static struct {
	struct h2 h2;
	struct h2_block *spare;
	struct h2_stream stream;
	struct http_head head;
	bool came; /* the request, and its stream is open */
	char wire[ROOM];
	size_t n;
} c;

static struct h2_stream *
on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless)
{
	(void)b, (void)bodiless;
	h2_stream_init(s, &c.stream, id, ROOM);
	c.came = true;
	return &c.stream;
}

static void
on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	(void)error;
	h2_stream_free(s, st);
	c.came = false;
}

static void
on_refused(struct h2 *s, uint32_t error)
{
	(void)s, (void)error;
}

static void
on_drained(struct h2 *s, struct h2_stream *st)
{
	(void)s, (void)st;
}

static void
put(struct h2 *s, struct sv bytes)
{
	(void)s;
	cr_assert_leq(bytes.n, sizeof(c.wire) - c.n);
	memcpy(c.wire + c.n, bytes.p, bytes.n);
	c.n += bytes.n;
}

static bool
is_full(const struct h2 *s)
{
	(void)s;
	return false;
}

static const struct h2_limits limits = {.head_bytes = ROOM, .fields = 20, .streams = 8, .stream_window = 65535,
    .connection_window = 65535, .calm = 400, .calm_per_second = 50};
static const struct h2_events events = {.on_request = on_request, .on_closed = on_closed, .on_refused = on_refused,
    .on_drained = on_drained, .put = put, .point = put, .is_full = is_full};

static bool
answer(void)
{
	const struct h2_response r = {.has_length = true, .length = 4};

	return h2_respond(&c.h2, &c.stream, &c.head, &r) && h2_send(&c.h2) && h2_body(&c.h2, &c.stream, SV("body")) &&
	    h2_end(&c.h2, &c.stream, NULL) && h2_send(&c.h2) && h2_keep(&c.h2, &c.stream);
}

/* A connection with one request, from its beginning to its end. False: something failed. */
static bool
serve(void)
{
	c.n = 0;
	c.came = false;
	if (!h2_open(&c.h2, &events, &limits, &c.spare))
		return false;
	bool ok = h2_receive(&c.h2, SV(PREFACE NO_RFC7540_PRIORITIES REQUEST), 1) && c.came && answer();
	if (!ok)
		(void)!h2_send(&c.h2); /* as an owner does that has something to say yet */
	if (c.came)
		h2_stream_free(&c.h2, &c.stream);
	h2_close(&c.h2);
	free(c.spare);
	c.spare = NULL;
	return ok;
}

Test(memory, h2)
{
	http_head_init(&c.head, true);
	c.head.status = 200;
	each_fails_every_way("a connection of HTTP/2", serve, 20);
}
