#include <criterion/criterion.h>

#include "http/h1.h"

enum { ROOM = 4096 };

static bool
parse(struct http_head *h, struct sv bytes)
{
	const struct h1_limits limits = {.head_bytes = ROOM, .fields = 64};
	struct h1_scan scan = {0};
	enum h1_fault fault;
	size_t used;

	return h1_parse_request(h, bytes, &scan, &limits, &used, &fault) == H1_DONE;
}

static void
expect_request(const struct http_head *h, struct h1_write w, const char *wanted)
{
	struct buf out;

	buf_init(&out, ROOM);
	cr_assert(h1_write_request(&out, h, &w));
	cr_expect(sv_eq(buf_view(&out), sv_cstr(wanted)), "%.*s\nnot\n%s", SV_FMT(buf_view(&out)), wanted);
	buf_clear(&out);
}

static void
expect_response(const struct http_head *h, struct h1_write w, const char *wanted)
{
	struct buf out;

	buf_init(&out, ROOM);
	cr_assert(h1_write_response(&out, h, &w));
	cr_expect(sv_eq(buf_view(&out), sv_cstr(wanted)), "%.*s\nnot\n%s", SV_FMT(buf_view(&out)), wanted);
	buf_clear(&out);
}

Test(write, an_absolute_target_goes_on_in_origin_form)
{
	struct http_head h;

	cr_assert(parse(&h, SV("GET http://a/b?c HTTP/1.0\r\nhOST:   a  \r\nX: \r\n\r\n")));
	expect_request(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "GET /b?c HTTP/1.1\r\nhOST: a\r\nX: \r\n\r\n");
	cr_assert(parse(&h, SV("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n")));
	expect_request(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
	cr_assert(parse(&h, SV("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")));
	expect_request(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
}

Test(write, framing_is_as_told_not_as_received)
{
	struct http_head h;

	cr_assert(parse(&h, SV("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: x\r\nX: y\r\n\r\n")));
	expect_request(&h, (struct h1_write){.framing = HTTP_STREAMED_BODY, .connection = SV("close")},
	    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
	expect_request(&h, (struct h1_write){.framing = HTTP_LENGTH_BODY, .length = UINT64_MAX},
	    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\ncontent-length: 18446744073709551615\r\n\r\n");
	expect_request(&h, (struct h1_write){.framing = HTTP_LENGTH_BODY},
	    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\ncontent-length: 0\r\n\r\n");
	http_head_drop_name(&h, SV("x"));
	expect_request(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
}

Test(write, responses)
{
	struct http_head h;

	http_head_init(&h, true);
	h.status = 404;
	cr_assert(http_head_add(&h, SV("Content-Length"), SV("7")));
	cr_assert(http_head_add(&h, SV("X"), SV("y")));
	expect_response(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n");
	expect_response(&h, (struct h1_write){.framing = HTTP_NO_BODY, .keep_length = true},
	    "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nX: y\r\n\r\n");
	expect_response(&h, (struct h1_write){.framing = HTTP_LENGTH_BODY, .length = 9, .keep_length = true},
	    "HTTP/1.1 404 Not Found\r\nX: y\r\ncontent-length: 9\r\n\r\n");
	h.reason = SV("Gone fishing");
	expect_response(&h, (struct h1_write){.framing = HTTP_CLOSE_BODY, .connection = SV("close")},
	    "HTTP/1.1 404 Gone fishing\r\nX: y\r\nconnection: close\r\n\r\n");
	h.status = 799;
	h.reason = SV_NONE;
	expect_response(&h, (struct h1_write){.framing = HTTP_NO_BODY}, "HTTP/1.1 799 \r\nX: y\r\n\r\n");
}

Test(write, what_would_forge_a_line_is_not_written)
{
	const struct h1_write w = {.framing = HTTP_NO_BODY};
	struct http_head h;
	struct buf out;

	buf_init(&out, ROOM);
	http_head_init(&h, false);
	h.method = SV("GET");
	h.path = SV("/a HTTP/1.1\r\nX: y");
	cr_expect_not(h1_write_request(&out, &h, &w));
	h.path = SV_NONE;
	cr_expect_not(h1_write_request(&out, &h, &w));
	h.path = SV("/");
	h.method = SV("GET /");
	cr_expect_not(h1_write_request(&out, &h, &w));
	h.method = SV("GET");
	cr_expect_not(h1_write_request(&out, &h, &(struct h1_write){.connection = SV("close\r\n")}));
	http_head_init(&h, true);
	cr_expect_not(h1_write_response(&out, &h, &w), "no status");
	h.status = 200;
	h.reason = SV("OK\r\n");
	cr_expect_not(h1_write_response(&out, &h, &w));
	cr_expect_eq(buf_len(&out), 0);
}

Test(write, nothing_is_appended_that_does_not_fit)
{
	static const char wanted[] = "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nconnection: close\r\n\r\n";
	const struct h1_write w = {.framing = HTTP_LENGTH_BODY, .length = 10, .connection = SV("close")};
	struct http_head h;
	struct buf out;

	http_head_init(&h, false);
	h.method = SV("GET");
	h.path = SV("/");
	cr_assert(http_head_add_id(&h, HTTP_HOST, SV("a")));
	buf_init(&out, sizeof(wanted) - 2);
	cr_expect_not(h1_write_request(&out, &h, &w));
	cr_expect_eq(buf_len(&out), 0);
	buf_init(&out, sizeof(wanted) - 1);
	cr_expect(h1_write_request(&out, &h, &w));
	cr_expect(sv_eq(buf_view(&out), SV(wanted)));
	buf_clear(&out);
}

Test(write, chunks)
{
	static const struct {
		size_t n;
		const char *wanted;
	} cases[] = {
	    {1, "1\r\n"},
	    {15, "f\r\n"},
	    {16, "10\r\n"},
	    {0x1a2b, "1a2b\r\n"},
	    {SIZE_MAX, "ffffffffffffffff\r\n"},
	};
	char out[H1_CHUNK_HEAD_MAX];

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		size_t n = h1_chunk_head(out, cases[i].n);
		cr_expect(sv_eq(sv_of(out, n), sv_cstr(cases[i].wanted)), "%s", cases[i].wanted);
	}
}

Test(write, the_last_chunk)
{
	struct http_head h;
	struct buf out;

	buf_init(&out, ROOM);
	cr_assert(h1_write_last_chunk(&out, NULL));
	cr_expect(sv_eq(buf_view(&out), SV("0\r\n\r\n")));
	buf_clear(&out);
	http_head_init(&h, false);
	cr_assert(http_head_add(&h, SV("X-Sum"), SV("a")));
	cr_assert(http_head_add(&h, SV("X-Two"), SV("b")));
	http_head_drop_name(&h, SV("x-two"));
	cr_assert(h1_write_last_chunk(&out, &h));
	cr_expect(sv_eq(buf_view(&out), SV("0\r\nX-Sum: a\r\n\r\n")));
	buf_clear(&out);
}

Test(write, faults_have_a_status_and_a_text)
{
	cr_expect_eq(h1_fault_status(H1_BARE_LF), 400);
	cr_expect_eq(h1_fault_status(H1_TRAILER_TOO_LARGE), 431);
	cr_expect_eq(h1_fault_status(H1_VERSION), 505);
	for (int f = H1_OK + 1; f <= H1_TRAILER_TOO_LARGE; f++)
		cr_expect_gt(strlen(h1_fault_text((enum h1_fault)f)), 0);
}
