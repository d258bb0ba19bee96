/*
 * A request of HTTP/2 that goes on as HTTP/1.1; a response when it begins with ":status". The input's lines are its fields as "NAME=VALUE", where \n, \r, \0 and
 * \\ stand for those bytes; behind an empty line those of its trailers.
 */
#include "fuzz.h"
#include "http/h2_block.h"

enum { FIELDS_MAX = 64, LINES_MAX = 80, OUT_MAX = 1 << 20 };

/* The second is so small that inputs reach it. Trailers as large as that must fit into what h1_body keeps. */
static const struct {
	uint32_t head_bytes, fields;
} limits[] = {{H1_TRAILER_ROOM - 2, FIELDS_MAX}, {200, 6}};

/* --- the input ----------------------------------------------------------------------------------------------- */

struct pair {
	struct sv name, value;
};

/* One section, as it is given to the block. */
struct section {
	size_t n;
	struct pair pairs[LINES_MAX];
};

static char
unescaped(char c)
{
	return (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == '0' ? '\0' : c);
}

/* In place. */
static struct sv
unescape(char *p, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		p[to++] = p[i] == '\\' && i + 1 < n ? unescaped(p[++i]) : p[i];
	return sv_of(p, to);
}

/* Lines off the front of `in`, up to an empty one and with it; a name may begin with "=". */
static void
take_section(struct sv *in, struct section *s)
{
	s->n = 0;
	while (in->n > 0) {
		struct sv line = sv_cut(in, '\n');
		const char *at = line.n > 1 ? memchr(line.p + 1, '=', line.n - 1) : NULL;
		if (line.n == 0)
			return;
		if (at == NULL || s->n == LINES_MAX)
			continue;
		size_t n = (size_t)(at - line.p);
		s->pairs[s->n++] = (struct pair){
		    unescape((char *)(uintptr_t)line.p, n), unescape((char *)(uintptr_t)at + 1, line.n - n - 1)};
	}
}

/* Each is copied for the time of the call alone. */
static void
give(struct h2_block *b, const struct section *s, bool is_response, uint32_t max_fields)
{
	h2_block_begin(b, is_response, max_fields);
	for (size_t i = 0; i < s->n; i++) {
		char *name = fuzz_copy(s->pairs[i].name), *value = fuzz_copy(s->pairs[i].value);
		h2_block_field(b, sv_of(name, s->pairs[i].name.n), sv_of(value, s->pairs[i].value.n));
		free(name);
		free(value);
	}
}

/* --- what is expected ---------------------------------------------------------------------------------------- */

/* The first value of this name; SV_NONE: there is none. */
static struct sv
value_of(const struct section *s, struct sv name)
{
	for (size_t i = 0; i < s->n; i++)
		if (sv_ieq(s->pairs[i].name, name))
			return s->pairs[i].value;
	return SV_NONE;
}

/* Of a request: a response's are its own each. */
static bool
is_cookie(const struct pair *p)
{
	return sv_ieq(p->name, SV("cookie"));
}

/* CGI and its heirs would take it for one that frames the message. */
static bool
is_disguised(struct sv name)
{
	return http_field_same(name, SV("content-length")) || http_field_same(name, SV("transfer-encoding"));
}

static void
expect_field(const struct http_head *h, size_t *at, struct sv name, struct sv value)
{
	FUZZ_CHECK(*at < h->n_fields, "%.*s is missing", SV_FMT(name));
	const struct http_field *f = &h->fields[(*at)++];
	FUZZ_CHECK(sv_ieq(f->name, name) && sv_eq(f->value, value), "%.*s: %.*s, not %.*s: %.*s", SV_FMT(f->name), SV_FMT(f->value),
	    SV_FMT(name), SV_FMT(value));
}

/* All that say something in the place of the first, as one. */
static void
expect_cookies(const struct http_head *h, size_t *at, const struct section *s)
{
	struct buf joined;

	buf_init(&joined, OUT_MAX);
	for (size_t i = 0; i < s->n; i++)
		if (is_cookie(&s->pairs[i]) && s->pairs[i].value.n > 0)
			FUZZ_CHECK(buf_printf(&joined, "%s%.*s", buf_len(&joined) > 0 ? "; " : "", SV_FMT(s->pairs[i].value)));
	expect_field(h, at, SV("cookie"), buf_view(&joined));
	buf_clear(&joined);
}

/* What came, in its order, but for what the codec writes itself; nothing else. */
static void
check_fields(const struct http_head *h, const struct section *s, enum http_framing framing)
{
	bool cookies = false, joins = !h->is_response;
	size_t at = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct pair *p = &s->pairs[i];
		if (joins && is_cookie(p) && cookies)
			continue;
		if (joins && is_cookie(p))
			expect_cookies(h, &at, s);
		else if (p->name.p[0] != ':' && !sv_ieq(p->name, SV("content-length")))
			expect_field(h, &at, p->name, p->value);
		FUZZ_CHECK(!is_disguised(p->name) || sv_ieq(p->name, SV("content-length")), "%.*s", SV_FMT(p->name));
		cookies |= is_cookie(p);
	}
	if (!h->is_response && value_of(s, SV("host")).p == NULL)
		expect_field(h, &at, SV("host"), value_of(s, SV(":authority")));
	if (framing == HTTP_STREAMED_BODY)
		expect_field(h, &at, SV("transfer-encoding"), SV("chunked"));
	else if (framing == HTTP_LENGTH_BODY)
		at++; /* see check_body() */
	FUZZ_CHECK(at == h->n_fields, "a field more: %.*s", SV_FMT(h->fields[at].name));
}

/* --- the request --------------------------------------------------------------------------------------------- */

static void
check_view(const struct h2_block *b, struct sv v)
{
	struct sv text = h2_block_text(b);

	FUZZ_CHECK(v.n == 0 || (v.p >= text.p && v.p + v.n <= text.p + text.n), "%.*s: not in the text", SV_FMT(v));
}

static void
check_views(const struct h2_block *b)
{
	const struct http_head *h = &b->head;
	const struct sv views[] = {h->method, h->target, h->authority, h->path, b->scheme, b->protocol};

	for (size_t i = 0; i < COUNTOF(views); i++)
		check_view(b, views[i]);
	for (size_t i = 0; i < h->n_fields; i++)
		check_view(b, h->fields[i].value);
}

static void
check_body(const struct http_head *h, enum http_framing framing, uint64_t length)
{
	struct h1_body body;

	h1_body_init(&body, h);
	FUZZ_CHECK(body.framing == framing, "%d, not %d", body.framing, framing);
	FUZZ_CHECK(framing != HTTP_LENGTH_BODY || body.left == length);
	h1_body_free(&body);
}

/* One way to go on with its body, if the head allows of it. */
static void
check_written(const struct h2_block *b, const struct section *s, enum http_framing framing)
{
	const struct h1_limits wide = {OUT_MAX, HTTP_FIELDS_MAX};
	struct h1_write w = {.framing = framing};
	struct http_head request = b->head, h;
	struct h1_scan scan = {0};
	enum h1_fault fault;
	struct buf out;
	size_t used;

	if (framing == HTTP_LENGTH_BODY && !sv_u64(value_of(s, SV("content-length")), &w.length))
		return;
	if (b->protocol.p != NULL) { /* extended CONNECT has no form of its own there; RFC 8441, 5 */
		request.method = SV("GET");
		request.method_id = HTTP_GET;
	}
	buf_init(&out, OUT_MAX);
	FUZZ_CHECK(h1_write_request(&out, &request, &w));
	char *bytes = fuzz_copy(buf_view(&out));
	enum h1_status status = h1_parse_request(&h, sv_of(bytes, buf_len(&out)), &scan, &wide, &used, &fault);
	FUZZ_CHECK(status == H1_DONE && used == buf_len(&out), "%s\n%.*s", h1_fault_text(fault), SV_FMT(buf_view(&out)));
	FUZZ_CHECK(sv_eq(h.method, request.method) && h.method_id == request.method_id && h.minor == 1);
	FUZZ_CHECK(sv_eq(h.target, request.target) && sv_eq(h.path, request.path));
	FUZZ_CHECK(sv_ieq(h.authority, b->head.authority));
	check_fields(&h, s, framing);
	check_body(&h, framing, w.length);
	free(bytes);
	buf_clear(&out);
}

/* As the client has said it, pseudo-header fields stand before all others and once at most. */
static void
check_pseudo(const struct h2_block *b, const struct section *s)
{
	const struct http_head *h = &b->head;
	struct sv authority = value_of(s, SV(":authority"));
	bool plain_connect = sv_eq(h->method, SV("CONNECT")) && b->protocol.p == NULL;
	bool others = false;
	size_t pseudo = 0;

	for (size_t i = 0; i < s->n; i++) {
		bool is_pseudo = s->pairs[i].name.p[0] == ':';
		FUZZ_CHECK(!is_pseudo || !others, "%.*s behind a field", SV_FMT(s->pairs[i].name));
		others |= !is_pseudo;
		pseudo += is_pseudo;
	}
	FUZZ_CHECK(pseudo == 1U + (authority.p != NULL) + 2U * !plain_connect + (b->protocol.p != NULL), "%zu", pseudo);
	FUZZ_CHECK(sv_eq(h->method, value_of(s, SV(":method"))) && sv_eq(b->protocol, value_of(s, SV(":protocol"))));
	FUZZ_CHECK(sv_eq(h->path, value_of(s, SV(":path"))) && sv_eq(b->scheme, value_of(s, SV(":scheme"))));
	FUZZ_CHECK(sv_eq(h->authority, authority.p != NULL ? authority : value_of(s, SV("host"))));
}

static void
try_request(struct h2_block *b, const struct section *s, uint32_t max_fields)
{
	static const enum http_framing framings[] = {HTTP_NO_BODY, HTTP_LENGTH_BODY, HTTP_STREAMED_BODY};

	give(b, s, false, max_fields);
	if (!h2_block_end_request(b)) {
		FUZZ_CHECK(b->fault != H1_OK);
		return;
	}
	FUZZ_CHECK(b->used <= b->room && b->head.n_fields <= max_fields + 1);
	check_views(b);
	check_pseudo(b, s);
	for (size_t i = 0; i < COUNTOF(framings); i++)
		check_written(b, s, framings[i]);
}

/* --- a response ---------------------------------------------------------------------------------------------- */

static void
check_response(const struct h2_block *b, const struct section *s, enum http_framing framing)
{
	const struct h1_limits wide = {OUT_MAX, HTTP_FIELDS_MAX};
	struct h1_write w = {.framing = framing};
	struct h1_scan scan = {0};
	struct http_head h;
	enum h1_fault fault;
	struct buf out;
	size_t used;

	if (framing == HTTP_LENGTH_BODY && !sv_u64(value_of(s, SV("content-length")), &w.length))
		return;
	buf_init(&out, OUT_MAX);
	FUZZ_CHECK(h1_write_response(&out, &b->head, &w));
	char *bytes = fuzz_copy(buf_view(&out));
	enum h1_status status = h1_parse_response(&h, sv_of(bytes, buf_len(&out)), HTTP_GET, &scan, &wide, &used, &fault);
	FUZZ_CHECK(status == H1_DONE && used == buf_len(&out), "%s\n%.*s", h1_fault_text(fault), SV_FMT(buf_view(&out)));
	FUZZ_CHECK(h.status == b->head.status && h.status != 101);
	check_fields(&h, s, framing);
	free(bytes);
	buf_clear(&out);
}

static void
try_response(struct h2_block *b, const struct section *s, uint32_t max_fields)
{
	uint64_t status;

	give(b, s, true, max_fields);
	if (!h2_block_end_response(b)) {
		FUZZ_CHECK(b->fault != H1_OK);
		return;
	}
	FUZZ_CHECK(sv_u64(value_of(s, SV(":status")), &status) && status == b->head.status);
	FUZZ_CHECK(b->used <= b->room && b->head.n_fields <= max_fields);
	check_views(b);
	for (size_t i = 1; i < s->n; i++)
		FUZZ_CHECK(s->pairs[i].name.p[0] != ':', "%.*s", SV_FMT(s->pairs[i].name));
	check_response(b, s, HTTP_NO_BODY);
	if (status >= 200 && status != 204 && status != 304) {
		check_response(b, s, HTTP_LENGTH_BODY);
		check_response(b, s, HTTP_STREAMED_BODY);
	}
}

/* --- trailers ------------------------------------------------------------------------------------------------ */

static void
check_trailers(const struct http_head *given, const struct section *s)
{
	struct h1_body body = {.framing = HTTP_STREAMED_BODY};
	struct http_head h, chunked;
	enum h1_fault fault;
	struct buf out;
	struct sv data;
	size_t at = 0;

	http_head_init(&chunked, false);
	FUZZ_CHECK(http_head_add_id(&chunked, HTTP_TRANSFER_ENCODING, SV("chunked")));
	h1_body_init(&body, &chunked);
	buf_init(&out, OUT_MAX);
	FUZZ_CHECK(h1_write_last_chunk(&out, given));
	struct sv in = buf_view(&out);
	FUZZ_CHECK(h1_body_next(&body, &in, &data, &fault) == H1_DONE && in.n == 0, "%s", h1_fault_text(fault));
	FUZZ_CHECK(h1_body_trailers(&body, &h) == (s->n > 0));
	for (size_t i = 0; i < s->n; i++)
		expect_field(&h, &at, s->pairs[i].name, s->pairs[i].value);
	FUZZ_CHECK(at == h.n_fields, "a field more: %.*s", SV_FMT(h.fields[at].name));
	h1_body_free(&body);
	buf_clear(&out);
}

static void
try_trailers(struct h2_block *b, const struct section *s, uint32_t max_fields)
{
	give(b, s, false, max_fields);
	if (h2_block_end_trailers(b))
		check_trailers(&b->head, s);
	else
		FUZZ_CHECK(b->fault != H1_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy(sv_of((const char *)data, size));
	struct sv in = sv_of(copy, size);
	struct section head, trailers;
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	size_t chosen = sum % 8 == 0;
	struct h2_block *b = h2_block_new(limits[chosen].head_bytes);
	FUZZ_CHECK(b != NULL);
	take_section(&in, &head);
	take_section(&in, &trailers);
	if (head.n > 0 && sv_eq(head.pairs[0].name, SV(":status")))
		try_response(b, &head, limits[chosen].fields);
	else
		try_request(b, &head, limits[chosen].fields);
	try_trailers(b, &trailers, limits[chosen].fields);
	free(b);
	free(copy);
	return 0;
}
