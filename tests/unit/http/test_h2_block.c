/* test_h2_block.c: field sections of HTTP/2: what becomes of good ones, and which are refused. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "http/h2_block.h"

enum { ROOM = 4096, FIELDS = 20 };

static struct h2_block *block;

static void
setup(void)
{
	block = h2_block_new(ROOM);
	cr_assert_not_null(block);
	h2_block_begin(block, false, FIELDS);
}

static void
teardown(void)
{
	free(block);
}

TestSuite(h2_block, .init = setup, .fini = teardown, .timeout = 20);

/* "name=value" each; a name may begin with a colon. */
static void
give(const char *const *fields)
{
	for (; *fields != NULL; fields++) {
		const char *at = strchr(*fields + 1, '=');
		h2_block_field(block, sv_of(*fields, (size_t)(at - *fields)), sv_cstr(at + 1));
	}
}

#define GIVE(...) give((const char *const[]){__VA_ARGS__, NULL})
#define GET ":method=GET", ":scheme=https", ":path=/a?b", ":authority=site.test"

static void
expect(struct sv is, const char *wanted)
{
	cr_expect(sv_eq(is, sv_cstr(wanted)), "%.*s, not %s", SV_FMT(is), wanted);
}

static struct sv
field(enum http_field_id id)
{
	const struct http_field *f = http_head_get(&block->head, id);

	return f != NULL ? f->value : SV_NONE;
}

Test(h2_block, a_request)
{
	GIVE(GET, "user-agent=x", "te=trailers");
	cr_assert(h2_block_end_request(block));
	const struct http_head *h = &block->head;
	cr_expect_eq(h->major, 2);
	cr_expect_eq(h->method_id, HTTP_GET);
	expect(h->target, "/a?b");
	expect(h->path, "/a?b");
	expect(h->authority, "site.test");
	expect(field(HTTP_HOST), "site.test");
	expect(field(HTTP_USER_AGENT), "x");
}

Test(h2_block, host_in_place_of_authority)
{
	GIVE(":method=GET", ":scheme=https", ":path=/", "host=site.test:8443");
	cr_assert(h2_block_end_request(block));
	expect(block->head.authority, "site.test:8443");
}

Test(h2_block, cookies_become_one)
{
	GIVE(GET, "cookie=a=1", "x=y", "cookie=b=2", "cookie=c=3");
	cr_assert(h2_block_end_request(block));
	expect(field(HTTP_COOKIE), "a=1; b=2; c=3");
	unsigned n = 0;
	for (unsigned i = 0; i < block->head.n_fields; i++)
		n += block->head.fields[i].id == HTTP_COOKIE && !block->head.fields[i].dropped;
	cr_expect_eq(n, 1);
}

/* No separator at the end, which would be white space there. */
Test(h2_block, cookies_that_say_nothing)
{
	GIVE(GET, "cookie=", "cookie=a=1", "cookie=", "cookie=c=3", "cookie=");
	cr_assert(h2_block_end_request(block));
	expect(field(HTTP_COOKIE), "a=1; c=3");
}

Test(h2_block, all_views_lie_in_the_text)
{
	GIVE(GET, "cookie=a", "cookie=b", "x=y");
	cr_assert(h2_block_end_request(block));
	struct sv all = h2_block_text(block);
	const struct http_head *h = &block->head;
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];
		cr_expect(f->value.p >= all.p && f->value.p + f->value.n <= all.p + all.n, "%.*s", SV_FMT(f->name));
	}
}

Test(h2_block, extended_connect)
{
	GIVE(":method=CONNECT", ":protocol=websocket", ":scheme=https", ":path=/chat", ":authority=site.test");
	cr_assert(h2_block_end_request(block));
	expect(block->protocol, "websocket");
	expect(block->head.path, "/chat");
}

static const struct {
	enum h1_fault fault;
	const char *fields[8];
} bad[] = {
	{H1_REQUEST_LINE, {":scheme=https", ":path=/", ":authority=a"}},
	{H1_REQUEST_LINE, {":method=G T", ":scheme=https", ":path=/", ":authority=a"}},
	{H1_REQUEST_LINE, {":method=GET", ":path=/", ":authority=a"}},
	{H1_REQUEST_LINE, {":method=GET", ":scheme=ftp", ":path=/", ":authority=a"}},
	{H1_REQUEST_LINE, {GET, ":path=/b"}},
	{H1_REQUEST_LINE, {GET, ":status=200"}},
	{H1_REQUEST_LINE, {"x=y", GET}},
	{H1_REQUEST_LINE, {GET, ":protocol=websocket"}},
	{H1_REQUEST_LINE, {":method=CONNECT", ":path=/", ":authority=a:1"}},
	{H1_TARGET, {":method=CONNECT", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":path=", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":path=a", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":path=/a b", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":path=/a#b", ":authority=a"}},
	{H1_TARGET, {":method=GET", ":scheme=https", ":path=*", ":authority=a"}},
	{H1_HOST, {":method=GET", ":scheme=https", ":path=/"}},
	{H1_HOST, {":method=GET", ":scheme=https", ":path=/", ":authority=u@a"}},
	{H1_HOST, {GET, "host=other.test"}},
	{H1_HOST, {GET, "host=site.test", "host=site.test"}},
	{H1_HOP, {GET, "connection=close"}},
	{H1_HOP, {GET, "transfer-encoding=chunked"}},
	{H1_HOP, {GET, "upgrade=websocket"}},
	{H1_HOP, {GET, "te=gzip"}},
	{H1_FIELD_NAME, {GET, "x y=z"}},
	{H1_FIELD_NAME, {GET, "content_length=5"}},
	{H1_FIELD_VALUE, {GET, "x=a\r\ny: z"}},
	{H1_FIELD_VALUE, {GET, "x= a"}},
	{H1_LENGTH, {GET, "content-length=1", "content-length=1"}},
	{H1_LENGTH, {GET, "content-length=-1"}},
	{H1_DUPLICATE, {GET, "authorization=a", "authorization=b"}},
};

Test(h2_block, what_is_refused)
{
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		h2_block_begin(block, false, FIELDS);
		give(bad[i].fields);
		cr_expect_not(h2_block_end_request(block), "%zu", i);
		cr_expect_eq(block->fault, bad[i].fault, "%zu: %s, not %s", i, h1_fault_text(block->fault), h1_fault_text(bad[i].fault));
	}
}

Test(h2_block, limits)
{
	char long_value[ROOM + 1] = "";

	memset(long_value, 'x', ROOM);
	GIVE(GET);
	h2_block_field(block, SV("x"), sv_cstr(long_value));
	cr_expect_not(h2_block_end_request(block));
	cr_expect_eq(block->fault, H1_HEAD_TOO_LARGE);
	cr_expect_gt(block->seen, (uint64_t)ROOM);

	h2_block_begin(block, false, FIELDS);
	GIVE(GET);
	for (int i = 0; i <= FIELDS; i++)
		h2_block_field(block, SV("x"), SV("y"));
	cr_expect_not(h2_block_end_request(block));
	cr_expect_eq(block->fault, H1_TOO_MANY_FIELDS);
}

/* There is room for the fields, and not for all cookies a second time. */
Test(h2_block, cookies_that_do_not_fit)
{
	char half[ROOM / 3] = "";

	memset(half, 'c', sizeof(half) - 1);
	GIVE(GET);
	h2_block_field(block, SV("cookie"), sv_cstr(half));
	h2_block_field(block, SV("cookie"), sv_cstr(half));
	cr_expect_not(h2_block_end_request(block));
	cr_expect_eq(block->fault, H1_HEAD_TOO_LARGE);
}

Test(h2_block, trailers)
{
	GIVE("x-sum=17");
	cr_expect(h2_block_end_trailers(block));
	h2_block_begin(block, false, FIELDS);
	GIVE("x-sum=17", "authorization=x");
	cr_expect_not(h2_block_end_trailers(block));
	cr_expect_eq(block->fault, H1_TRAILER);
}

Test(h2_block, trailers_with_pseudo_header_fields)
{
	static const char *const fields[] = {":method=GET", ":path=/", ":authority=a", ":scheme=https", ":protocol=websocket"};

	for (size_t i = 0; i < COUNTOF(fields); i++) {
		h2_block_begin(block, false, FIELDS);
		GIVE(fields[i], "x-sum=17");
		cr_expect_not(h2_block_end_trailers(block), "%s", fields[i]);
		cr_expect_eq(block->fault, H1_TRAILER);
	}
}
