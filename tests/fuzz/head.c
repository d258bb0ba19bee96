/* The heads of requests and responses: what begins with "HTTP/" is a response, in answer to each kind of request. */
#include "fuzz.h"
#include "http/h1.h"

static const struct h1_limits limits[] = {{16384, 64}, {1 << 20, HTTP_FIELDS_MAX}, {16384, 64}, {64, 2}};

/* A parser with its arguments. */
struct parser {
	bool is_response;
	enum http_method answered;
	const struct h1_limits *limits;
};

struct outcome {
	enum h1_status status;
	enum h1_fault fault;
	size_t used;
	struct http_head head;
	char *bytes; /* what the head looks into; owned */
};

static void
feed(const struct parser *p, struct sv in, struct h1_scan *scan, struct outcome *out)
{
	free(out->bytes);
	in = sv_of(out->bytes = fuzz_copy(in), in.n);
	if (p->is_response)
		out->status = h1_parse_response(&out->head, in, p->answered, scan, p->limits, &out->used, &out->fault);
	else
		out->status = h1_parse_request(&out->head, in, scan, p->limits, &out->used, &out->fault);
}

/* --- in pieces ---------------------------------------------------------------------------------------------- */

/* The same bytes at the same place, each in its own copy; or the same constant. */
static bool
same_view(struct sv a, const struct outcome *of_a, struct sv b, const struct outcome *of_b)
{
	return sv_eq(a, b) && (a.p == b.p || a.p - of_a->bytes == b.p - of_b->bytes);
}

static bool
same_head(const struct outcome *a, const struct outcome *b)
{
	const struct http_head *x = &a->head, *y = &b->head;
	bool same = x->n_fields == y->n_fields && x->minor == y->minor && x->status == y->status &&
	    x->method_id == y->method_id && memcmp(x->first, y->first, sizeof(x->first)) == 0 &&
	    same_view(x->method, a, y->method, b) && same_view(x->target, a, y->target, b) &&
	    same_view(x->authority, a, y->authority, b) && same_view(x->path, a, y->path, b) &&
	    same_view(x->reason, a, y->reason, b);

	for (size_t i = 0; same && i < x->n_fields; i++)
		same = x->fields[i].id == y->fields[i].id && same_view(x->fields[i].name, a, y->fields[i].name, b) &&
		    same_view(x->fields[i].value, a, y->fields[i].value, b);
	return same;
}

static void
check_pieces(const struct parser *p, struct sv in, const struct outcome *whole)
{
	FUZZ_EACH_CUT(cut, in.n) {
		struct outcome o = {.bytes = NULL};
		struct h1_scan scan = {0};
		feed(p, sv_of(in.p, cut), &scan, &o);
		bool early = o.status != H1_MORE;
		if (!early)
			feed(p, in, &scan, &o);
		FUZZ_CHECK(o.status == whole->status && o.fault == whole->fault, "cut at %zu: %d %d, whole: %d %d", cut,
		    o.status, o.fault, whole->status, whole->fault);
		FUZZ_CHECK(o.status != H1_DONE || o.used == whole->used, "cut at %zu", cut);
		FUZZ_CHECK(o.status == H1_MORE || same_head(&o, whole), "cut at %zu", cut);
		FUZZ_CHECK(!early || o.status == H1_BAD || o.used <= cut, "cut at %zu", cut);
		free(o.bytes);
	}
}

/* --- what is accepted --------------------------------------------------------------------------------------- */

static bool
has_any(struct sv s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s.n > 0 && memchr(s.p, bytes[i], s.n) != NULL)
			return true;
	return false;
}

/* Every line ends in CR LF, neither stands elsewhere, and each line but the first is one field. */
static void
check_lines(const struct outcome *o)
{
	size_t lines = 0;

	for (size_t i = 0; i < o->used; i++) {
		bool cr = o->bytes[i] == '\r', lf = o->bytes[i] == '\n';
		FUZZ_CHECK(!cr || (i + 1 < o->used && o->bytes[i + 1] == '\n'), "a CR alone at %zu", i);
		FUZZ_CHECK(!lf || (i > 0 && o->bytes[i - 1] == '\r'), "an LF alone at %zu", i);
		FUZZ_CHECK(o->bytes[i] != '\0', "a zero byte at %zu", i);
		lines += lf;
	}
	lines -= 2 + (o->bytes[0] == '\r'); /* the first, the empty one, and one before a request */
	FUZZ_CHECK(lines == o->head.n_fields, "%zu lines, %u fields", lines, o->head.n_fields);
}

static void
check_accepted(const struct parser *p, const struct outcome *o)
{
	const struct http_head *h = &o->head;

	check_lines(o);
	FUZZ_CHECK(o->used <= p->limits->head_bytes && h->n_fields <= p->limits->fields);
	for (size_t i = 0; i < h->n_fields; i++) {
		FUZZ_CHECK(!has_any(h->fields[i].value, "\r\n", 3), "field %zu", i); /* and the zero byte behind */
		FUZZ_CHECK(h->fields[i].name.n > 0 && !has_any(h->fields[i].name, "\r\n\t :", 6), "field %zu", i);
	}
	FUZZ_CHECK(!has_any(h->reason, "\r\n", 3));
	FUZZ_CHECK(p->is_response || (h->method.n > 0 && !has_any(h->method, "\r\n\t ", 5)));
	FUZZ_CHECK(p->is_response || (h->target.n > 0 && !has_any(h->target, "\r\n\t #", 6)));
	FUZZ_CHECK(!has_any(h->authority, "\r\n\t /@?#", 9));
}

/* --- written again ------------------------------------------------------------------------------------------ */

/* The next field that a writer copies. */
static const struct http_field *
next_copied(const struct http_head *h, size_t *i, bool keeps_length)
{
	while (*i < h->n_fields) {
		const struct http_field *f = &h->fields[(*i)++];
		bool framing = (http_field_flags(f->id) & HTTP_FRAMING) != 0;
		if (!framing || (keeps_length && f->id == HTTP_CONTENT_LENGTH))
			return f;
	}
	return NULL;
}

static void
check_fields(const struct http_head *a, const struct http_head *b, bool keeps_length)
{
	for (size_t i = 0, k = 0;;) {
		const struct http_field *x = next_copied(a, &i, keeps_length), *y = next_copied(b, &k, keeps_length);
		if (x == NULL && y == NULL)
			return;
		FUZZ_CHECK(x != NULL && y != NULL);
		FUZZ_CHECK(x->id == y->id && sv_eq(x->name, y->name) && sv_eq(x->value, y->value), "%.*s", SV_FMT(x->name));
	}
}

static void
check_same_message(const struct http_head *a, const struct http_head *b)
{
	if (a->is_response) {
		FUZZ_CHECK(a->status == b->status);
		FUZZ_CHECK(sv_eq(a->reason, b->reason) || (a->reason.n == 0 && sv_eq(b->reason, sv_cstr(http_reason(a->status)))));
		return;
	}
	FUZZ_CHECK(sv_eq(a->method, b->method) && a->method_id == b->method_id);
	FUZZ_CHECK(sv_eq(a->path, b->path) || (a->path.n == 0 && sv_eq(a->target, b->target)));
	FUZZ_CHECK(a->authority.n == 0 || sv_ieq(a->authority, b->authority));
}

/* To a parser as strict as this one it is the message that came, and nothing behind it. */
static void
check_rewriting(const struct parser *p, const struct outcome *o)
{
	const struct parser strict = {p->is_response, p->answered, &(struct h1_limits){2 << 20, HTTP_FIELDS_MAX}};
	struct http_head h = o->head;
	struct outcome again = {.bytes = NULL};
	struct h1_scan scan = {0};
	struct h1_body before, after;
	struct buf out;

	if (!p->is_response && http_head_get(&h, HTTP_HOST) == NULL &&
	    !http_head_add_id(&h, HTTP_HOST, h.authority.n > 0 ? h.authority : SV("a")))
		return;
	h1_body_init(&before, &h);
	struct h1_write w = {.framing = (enum http_framing)before.framing, .length = before.left, .keep_length = true};
	buf_init(&out, 4 << 20);
	FUZZ_CHECK(p->is_response ? h1_write_response(&out, &h, &w) : h1_write_request(&out, &h, &w));
	feed(&strict, buf_view(&out), &scan, &again);
	FUZZ_CHECK(again.status == H1_DONE && again.used == buf_len(&out), "%s\n%.*s", h1_fault_text(again.fault),
	    SV_FMT(buf_view(&out)));
	check_fields(&h, &again.head, w.framing == HTTP_NO_BODY);
	check_same_message(&h, &again.head);
	h1_body_init(&after, &again.head);
	FUZZ_CHECK(before.framing == after.framing && before.left == after.left);
	buf_clear(&out);
	free(again.bytes);
}

/* What is forwarded has neither what is for this hop alone, nor what Connection says is. */
static void
check_strip(const struct outcome *o)
{
	struct http_head h = o->head;
	struct outcome stripped = {.head = h, .bytes = NULL};

	if (!http_head_strip(&stripped.head))
		return;
	for (size_t i = 0; i < h.n_fields; i++)
		if (!stripped.head.fields[i].dropped) {
			FUZZ_CHECK((http_field_flags(h.fields[i].id) & HTTP_HOP) == 0);
			FUZZ_CHECK(!http_head_has_token(&h, HTTP_CONNECTION, h.fields[i].name), "%.*s", SV_FMT(h.fields[i].name));
		}
}

static void
try(const struct parser *p, struct sv in)
{
	struct outcome whole = {.bytes = NULL};
	struct h1_scan scan = {0};

	feed(p, in, &scan, &whole);
	check_pieces(p, in, &whole);
	if (whole.status == H1_DONE) {
		check_accepted(p, &whole);
		check_rewriting(p, &whole);
		check_strip(&whole);
	}
	free(whole.bytes);
}

/* Limits and the request that was answered go by the bytes, so that each input has one way to be read, and all come up. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method answered[] = {HTTP_GET, HTTP_HEAD, HTTP_CONNECT};
	struct sv in = sv_of((const char *)data, size);
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	try(&(struct parser){sv_starts(in, SV("HTTP/")), answered[sum / 16 % COUNTOF(answered)], &limits[sum % 16 % COUNTOF(limits)]},
	    in);
	return 0;
}
