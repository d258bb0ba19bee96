/* The chunked coding, and its trailers. */
#include "fuzz.h"
#include "http/h1.h"

enum { BODY_MAX = 4 << 20 };

struct outcome {
	enum h1_status status;
	enum h1_fault fault;
	size_t used; /* bytes that the body took, when it has ended */
	struct buf data;
	struct h1_body body;
};

static void
begin(struct outcome *o)
{
	struct http_head h;

	*o = (struct outcome){.status = H1_MORE};
	buf_init(&o->data, BODY_MAX);
	http_head_init(&h, false);
	FUZZ_CHECK(http_head_add_id(&h, HTTP_TRANSFER_ENCODING, SV("chunked")));
	h1_body_init(&o->body, &h);
	FUZZ_CHECK(o->body.framing == HTTP_STREAMED_BODY);
}

static void
end(struct outcome *o)
{
	buf_clear(&o->data);
	h1_body_free(&o->body);
}

/* What comes next, until it is used up or the body is over. */
static void
feed(struct outcome *o, struct sv bytes)
{
	char *copy = fuzz_copy(bytes);
	struct sv in = sv_of(copy, bytes.n), data;

	while (o->status == H1_MORE && in.n > 0) {
		struct sv before = in;
		o->status = h1_body_next(&o->body, &in, &data, &o->fault);
		FUZZ_CHECK(in.n <= before.n && in.p == before.p + (before.n - in.n));
		FUZZ_CHECK(o->status != H1_MORE || in.n < before.n, "it stands still");
		FUZZ_CHECK(o->status != H1_MORE || data.n > 0 || in.n == 0, "it wants more, and has not used up what it has");
		FUZZ_CHECK(data.n == 0 || (data.p >= before.p && data.p + data.n <= in.p), "data that was not in the input");
		FUZZ_CHECK(o->status == H1_BAD || buf_append(&o->data, data.p, data.n));
	}
	o->used += bytes.n - in.n;
	FUZZ_CHECK((o->status == H1_BAD) == (o->fault != H1_OK));
	free(copy);
}

/* --- in pieces ---------------------------------------------------------------------------------------------- */

static void
check_same(const struct outcome *a, const struct outcome *b, size_t cut)
{
	FUZZ_CHECK(a->status == b->status && a->fault == b->fault, "cut at %zu: %d %d, whole: %d %d", cut, a->status, a->fault,
	    b->status, b->fault);
	FUZZ_CHECK(sv_eq(buf_view(&a->data), buf_view(&b->data)), "cut at %zu", cut);
	if (a->status == H1_DONE) {
		FUZZ_CHECK(a->used == b->used, "cut at %zu", cut);
		FUZZ_CHECK(sv_eq(buf_view(&a->body.trailers), buf_view(&b->body.trailers)), "cut at %zu", cut);
	}
}

static void
check_pieces(struct sv in, const struct outcome *whole)
{
	struct outcome o;

	FUZZ_EACH_CUT(cut, in.n) {
		begin(&o);
		feed(&o, sv_of(in.p, cut));
		feed(&o, sv_of(in.p + cut, in.n - cut));
		check_same(&o, whole, cut);
		end(&o);
	}
	begin(&o);
	for (size_t i = 0; i < in.n; i++)
		feed(&o, sv_of(in.p + i, 1));
	check_same(&o, whole, in.n);
	end(&o);
}

/* --- by another decoder ------------------------------------------------------------------------------------- */

/* A line at the front of *in, without its end; up to its LF, before which there must be a CR. */
static struct sv
take_line(struct sv *in)
{
	const char *lf = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;

	FUZZ_CHECK(lf != NULL && lf > in->p && lf[-1] == '\r', "a line that does not end in CR LF");
	struct sv line = sv_of(in->p, (size_t)(lf - in->p) - 1);
	*in = sv_of(lf + 1, in->n - line.n - 2);
	FUZZ_CHECK(line.n == 0 || (memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\0', line.n) == NULL));
	return line;
}

/* As one reads it that takes what strtoull() takes. */
static size_t
take_size(struct sv *in)
{
	char digits[64], *end;
	struct sv line = take_line(in);

	(void)sv_copy(sv_of(line.p, MIN_OF(line.n, sizeof(digits) - 1)), digits, sizeof(digits));
	size_t n = strtoull(digits, &end, 16);
	FUZZ_CHECK(end > digits && (*end == '\0' || *end == ';'), "%s", digits);
	FUZZ_CHECK(n <= INT64_MAX);
	return n;
}

/* Who is careless must not see another body, nor another end, in what was accepted. */
static void
check_reading(struct sv in, const struct outcome *o)
{
	struct sv rest = in, data = buf_view(&o->data);

	for (size_t n; (n = take_size(&rest)) > 0;) {
		FUZZ_CHECK(n <= data.n && n <= rest.n && memcmp(rest.p, data.p, n) == 0);
		data = sv_of(data.p + n, data.n - n);
		rest = sv_of(rest.p + n, rest.n - n);
		FUZZ_CHECK(take_line(&rest).n == 0);
	}
	FUZZ_CHECK(data.n == 0);
	while (take_line(&rest).n > 0)
		;
	FUZZ_CHECK(in.n - rest.n == o->used, "it ends at %zu, and was read to %zu", in.n - rest.n, o->used);
}

/* --- written again ------------------------------------------------------------------------------------------ */

static void
write_again(struct buf *out, struct sv data, const struct http_head *trailers)
{
	char head[H1_CHUNK_HEAD_MAX];

	buf_init(out, BODY_MAX);
	if (data.n > 0) {
		size_t n = h1_chunk_head(head, data.n);
		FUZZ_CHECK(buf_append(out, head, n) && buf_append(out, data.p, data.n) && buf_append(out, "\r\n", 2));
	}
	FUZZ_CHECK(h1_write_last_chunk(out, trailers));
}

static void
check_trailers(const struct http_head *a, const struct http_head *b)
{
	FUZZ_CHECK(a->n_fields == b->n_fields);
	for (size_t i = 0; i < a->n_fields; i++) {
		FUZZ_CHECK(a->fields[i].id == HTTP_OTHER, "%s: in a trailer", http_field_name((enum http_field_id)a->fields[i].id));
		FUZZ_CHECK(http_is_token(a->fields[i].name) && http_is_value(a->fields[i].value));
		FUZZ_CHECK(sv_eq(a->fields[i].name, b->fields[i].name) && sv_eq(a->fields[i].value, b->fields[i].value));
	}
}

static void
check_writing(const struct outcome *o)
{
	struct http_head first, second;
	struct outcome again;
	struct buf out;
	bool any = h1_body_trailers(&o->body, &first);

	FUZZ_CHECK(any == (buf_len(&o->body.trailers) > 0) && any == (first.n_fields > 0));
	write_again(&out, buf_view(&o->data), &first);
	begin(&again);
	feed(&again, buf_view(&out));
	FUZZ_CHECK(again.status == H1_DONE && again.used == buf_len(&out) && sv_eq(buf_view(&again.data), buf_view(&o->data)));
	(void)h1_body_trailers(&again.body, &second);
	check_trailers(&first, &second);
	end(&again);
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_of((const char *)data, size);
	struct outcome whole;

	begin(&whole);
	feed(&whole, in);
	check_pieces(in, &whole);
	if (whole.status == H1_DONE) {
		check_reading(in, &whole);
		check_writing(&whole);
	}
	end(&whole);
	return 0;
}
