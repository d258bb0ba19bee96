#include "describe.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { DESCRIPTION_MAX = 1 << 20 };

const char *
fault_name(enum h1_fault f)
{
	static const char *const names[] = {
#define X(name, status, text) [name] = #name,
	    H1_FAULTS(X)
#undef X
	};

	return names[f];
}

void
message_clear(struct message *m)
{
	buf_clear(&m->bytes);
	*m = (struct message){.limits = {.head_bytes = 16384, .fields = 64}};
	buf_init(&m->bytes, DESCRIPTION_MAX);
}

static void
say(struct buf *out, const char *key, struct sv text)
{
	cr_assert(buf_printf(out, "%s%s", key, text.n > 0 ? " " : ""));
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c == '\r' || c == '\n')
			cr_assert(buf_append(out, c == '\r' ? "\\r" : "\\n", 2));
		else if (c < 0x20 || c > 0x7e)
			cr_assert(buf_printf(out, "\\x%02x", c));
		else
			cr_assert(buf_append(out, &c, 1));
	}
	cr_assert(buf_append(out, "\n", 1));
}

static void
say_fields(struct buf *out, const char *key, const struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		cr_assert(buf_printf(out, "%s ", key));
		cr_assert(buf_append(out, h->fields[i].name.p, h->fields[i].name.n));
		say(out, ":", h->fields[i].value);
	}
}

static void
say_head(struct buf *out, const struct http_head *h)
{
	cr_assert(buf_printf(out, "accepted\nminor %u\nfields %u\n", h->minor, h->n_fields));
	if (h->is_response) {
		cr_assert(buf_printf(out, "status %u\n", h->status));
		say(out, "reason", h->reason);
	} else {
		say(out, "method", h->method);
		say(out, "target", h->target);
		say(out, "authority", h->authority);
		say(out, "path", h->path);
	}
	say_fields(out, "field", h);
	cr_assert(buf_printf(out, "keep-alive %s\n", h1_keeps_alive(h) ? "yes" : "no"));
}

static char *
exact_copy(struct sv s)
{
	char *p = malloc(s.n > 0 ? s.n : 1);

	cr_assert_not_null(p);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static void
say_body(struct buf *out, const struct h1_body *b)
{
	if (b->framing == HTTP_LENGTH_BODY)
		cr_assert(buf_printf(out, "body length %llu\n", (unsigned long long)b->left));
	else
		say(out, "body",
		    b->framing == HTTP_NO_BODY          ? SV("none") :
			b->framing == HTTP_STREAMED_BODY ? SV("chunked") :
							SV("close"));
}

/* All of one piece, as long as the codec wants more. What it does not take is left in *piece. */
static enum h1_status
feed_piece(struct h1_body *b, struct sv *piece, struct buf *data, enum h1_fault *fault)
{
	enum h1_status status;
	struct sv taken;

	do {
		size_t before = piece->n;
		status = h1_body_next(b, piece, &taken, fault);
		cr_assert(status != H1_MORE || piece->n < before || before == 0, "the decoder stands still");
		if (status != H1_BAD)
			cr_assert(buf_append(data, taken.p, taken.n));
	} while (status == H1_MORE && piece->n > 0);
	return status;
}

static void
feed_body(struct buf *out, struct h1_body *b, struct sv in, size_t step)
{
	enum h1_fault fault = H1_OK;
	struct sv piece = SV_NONE;
	struct buf data;
	struct http_head trailers;

	buf_init(&data, DESCRIPTION_MAX);
	enum h1_status status = feed_piece(b, &piece, &data, &fault); /* a body of nothing ends without a byte */
	while (status == H1_MORE && in.n > 0) {
		size_t n = MIN_OF(step, in.n);
		char *copy = exact_copy(sv_of(in.p, n));
		piece = sv_of(copy, n);
		status = feed_piece(b, &piece, &data, &fault);
		in = sv_of(in.p + n - piece.n, in.n - n + piece.n);
		free(copy);
	}
	if (status == H1_BAD) {
		say(out, "end refused", sv_cstr(fault_name(fault)));
	} else {
		say(out, "data", buf_view(&data));
		say(out, "end",
		    status == H1_DONE                ? SV("done") :
			h1_body_ends_at_close(b) ? SV("at close") :
						   SV("more"));
		if (status == H1_DONE && h1_body_trailers(b, &trailers))
			say_fields(out, "trailer", &trailers);
		say(out, "rest", in);
	}
	buf_clear(&data);
}

void
describe(const struct message *m, size_t step, struct buf *out)
{
	struct sv all = buf_view(&m->bytes);
	struct h1_scan scan = {0};
	enum h1_fault fault = H1_OK;
	enum h1_status status = H1_MORE;
	struct http_head h;
	struct h1_body body;
	size_t used = 0;

	for (size_t n = 0; status == H1_MORE && n < all.n;) {
		n += MIN_OF(step, all.n - n);
		char *copy = exact_copy(sv_of(all.p, n));
		struct sv in = sv_of(copy, n);
		status = m->is_response ? h1_parse_response(&h, in, m->answered, &scan, &m->limits, &used, &fault) :
					  h1_parse_request(&h, in, &scan, &m->limits, &used, &fault);
		if (status == H1_DONE)
			say_head(out, &h);
		/* The values that say how the body goes are looked at before the block is given back. */
		if (status == H1_DONE)
			h1_body_init(&body, &h);
		free(copy);
	}
	if (status == H1_BAD)
		say(out, "refused", sv_cstr(fault_name(fault)));
	else if (status == H1_MORE)
		say(out, "incomplete", SV_NONE);
	if (status != H1_DONE)
		return;
	say_body(out, &body);
	feed_body(out, &body, sv_of(all.p + used, all.n - used), step);
	h1_body_free(&body);
}

bool
text_has_line(const struct buf *text, struct sv line)
{
	struct sv rest = buf_view(text);

	while (rest.p != NULL)
		if (sv_eq(sv_cut(&rest, '\n'), line))
			return true;
	return false;
}
