/*
 * Our side of a connection of HTTP/2 to an origin: what its server sends, behind a line that says what is asked of it, a
 * letter for each thing that is done (see step()): "gs.be" sends two requests, and later some body and the end of the second.
 */
#include "fuzz.h"
#include "h2_wire.h"

enum {
	REQUESTS_MAX = 64,
	BODY = 1000, /* bytes for a letter */
	KEPT_MAX = 8 * 1024,
	HEAD_MAX = 2048, FIELDS_MAX = 16,
	OUT_MAX = 4 << 20,
};

struct request {
	struct wire_stream s;
	bool ended;            /* all of the request has been given */
	bool answered, failed; /* the final response has come; a malformed one */
};

struct connection {
	struct wire wire;
	size_t n_requests;
	bool takes;
	struct sv plan; /* what is left of it */
};

static struct connection *
connection_of(struct h2 *s)
{
	return CONTAINER_OF(s, struct connection, wire.h2);
}

static struct request *
request_of(struct h2_stream *st)
{
	return CONTAINER_OF(st, struct request, s.h2);
}

static struct request *
latest(struct connection *c)
{
	return request_of(&LIST_FIRST(&c->wire.open)->h2);
}

/* --- the owner ----------------------------------------------------------------------------------------------- */

/* False: the server has said that it takes no head of that size, and nothing has been asked. */
static bool
ask(struct connection *c, struct sv method, const struct h2_request *how)
{
	struct request *r = fuzz_alloc(sizeof(*r));
	struct http_head h;

	*r = (struct request){.ended = how->bodiless};
	wire_begin(&c->wire, &r->s, 0);
	http_head_init(&h, false);
	h.method = method;
	h.path = SV("/");
	FUZZ_CHECK(http_head_add_id(&h, HTTP_HOST, SV("a")) && http_head_add_id(&h, HTTP_COOKIE, SV("a=b")));
	if (!h2_request(&c->wire.h2, &r->s.h2, &h, how)) {
		FUZZ_CHECK(r->s.h2.too_large && r->s.h2.id == 0);
		wire_forget(&r->s);
		return false;
	}
	c->n_requests++;
	FUZZ_CHECK(r->s.h2.id == (int32_t)(2 * c->n_requests - 1));
	return true;
}

static void
give_body(struct request *r)
{
	wire_give(&r->s, memset(fuzz_alloc(BODY), 'x', BODY), BODY);
}

static void
end(struct request *r, bool has_trailers)
{
	struct http_head h;

	http_head_init(&h, false);
	FUZZ_CHECK(http_head_add(&h, SV("x-sum"), SV("17")));
	r->ended = h2_end(&r->s.wire->h2, &r->s.h2, has_trailers ? &h : NULL);
	FUZZ_CHECK(r->ended || (has_trailers && r->s.h2.too_large));
}

/* A letter that begins a request. */
static void
begin_request(struct connection *c, char letter)
{
	struct h2_request how = {.scheme = SV("https"), .bodiless = letter == 'g' || letter == 'h'};

	if (!h2_has_room(&c->wire.h2) || c->n_requests == REQUESTS_MAX)
		return;
	how.has_length = letter == 'p';
	how.length = BODY;
	if (ask(c, how.bodiless ? letter == 'g' ? SV("GET") : SV("HEAD") : SV("POST"), &how) && letter == 'p') {
		give_body(latest(c));
		end(latest(c), false);
	}
}

/* One that is about the latest request. */
static void
go_on(struct request *r, char letter)
{
	if (letter == 'b' && !r->ended)
		give_body(r);
	else if ((letter == 'e' || letter == 'E') && !r->ended)
		end(r, letter == 'E');
	else if (letter == 'r')
		wire_reset(&r->s, H2_CANCEL);
	else if (letter == 'k')
		h2_take(&r->s.wire->h2, &r->s.h2);
	else if (letter == 'x')
		wire_forget(&r->s);
}

/* The letters of a turn. */
static void
step(struct connection *c)
{
	struct sv turn = c->plan.p != NULL ? sv_cut(&c->plan, '.') : SV_NONE;

	for (size_t i = 0; i < turn.n; i++) {
		char letter = turn.p[i];
		if (letter == 'g' || letter == 'h' || letter == 'p' || letter == 's')
			begin_request(c, letter);
		else if (letter == 'n')
			c->takes = false;
		else if (!LIST_EMPTY(&c->wire.open))
			go_on(latest(c), letter);
	}
}

/* --- what the codec calls ------------------------------------------------------------------------------------ */

static const struct http_field *
next_copied(const struct http_head *h, size_t *i)
{
	while (*i < h->n_fields) {
		const struct http_field *f = &h->fields[(*i)++];
		if ((http_field_flags(f->id) & HTTP_FRAMING) == 0)
			return f;
	}
	return NULL;
}

/* It can be said in HTTP/1.1, as one response with these fields and no others. */
static void
check_head(const struct http_head *given)
{
	static const struct h1_limits wide = {2 * HEAD_MAX, HTTP_FIELDS_MAX};
	bool bodiless = given->status < 200 || given->status == 204 || given->status == 304;
	const struct h1_write w = {.framing = bodiless ? HTTP_NO_BODY : HTTP_STREAMED_BODY};
	struct h1_scan scan = {0};
	enum h1_fault fault;
	struct http_head h;
	struct buf out;
	size_t used;

	buf_init(&out, 4 * HEAD_MAX);
	FUZZ_CHECK(h1_write_response(&out, given, &w));
	FUZZ_CHECK(h1_parse_response(&h, buf_view(&out), HTTP_GET, &scan, &wide, &used, &fault) == H1_DONE, "%s\n%.*s",
	    h1_fault_text(fault), SV_FMT(buf_view(&out)));
	FUZZ_CHECK(used == buf_len(&out) && h.status == given->status && h.status != 101);
	for (size_t i = 0, k = 0;;) {
		const struct http_field *x = next_copied(given, &i), *y = next_copied(&h, &k);
		FUZZ_CHECK((x == NULL) == (y == NULL));
		if (x == NULL || y == NULL)
			break;
		FUZZ_CHECK(sv_eq(x->name, y->name) && sv_eq(x->value, y->value), "%.*s", SV_FMT(x->name));
	}
	buf_clear(&out);
}

static void
on_response(struct h2 *s, struct h2_stream *st, struct h2_block *b, bool bodiless)
{
	struct connection *c = connection_of(s);
	struct request *r = request_of(st);

	FUZZ_CHECK(c->wire.receiving && s->fault == NULL && !r->answered && !r->failed, "a response to %d", st->id);
	wire_trace(&c->wire, bodiless ? "response" : "response with a body", st->id, b->head.status);
	r->failed = b->fault != H1_OK;
	if (r->failed)
		return;
	check_head(&b->head);
	wire_trace_fields(&c->wire, &b->head);
	r->answered = b->head.status >= 200;
	r->s.whole = bodiless;
	FUZZ_CHECK(r->answered || !bodiless, "an interim response that ends %d", st->id);
}

static void
on_body(struct h2 *s, struct h2_stream *st, struct sv data)
{
	struct request *r = request_of(st);

	FUZZ_CHECK(r->answered && !r->failed, "body of %d", st->id);
	wire_take(&r->s, data);
	if (connection_of(s)->takes)
		h2_take(s, st);
}

static void
on_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers)
{
	FUZZ_CHECK(request_of(st)->answered && !request_of(st)->failed, "the end of %d", st->id);
	wire_on_end(s, st, trailers);
}

/* --- a connection -------------------------------------------------------------------------------------------- */

static struct connection *
begin(struct sv plan, bool alone)
{
	static const struct h2_events events = {.on_response = on_response, .on_body = on_body, .on_end = on_end,
	    .on_closed = wire_on_closed, .on_drained = wire_on_drained, .put = wire_put, .point = wire_put, .is_full = wire_is_full};
	const struct h2_limits limits = {.head_bytes = HEAD_MAX, .fields = FIELDS_MAX, .streams = WIRE_STREAMS,
	    .stream_window = alone ? UINT16_MAX : 512, .connection_window = UINT16_MAX};
	struct connection *c = fuzz_alloc(sizeof(*c));

	*c = (struct connection){.takes = !alone, .plan = plan};
	wire_init(&c->wire, OUT_MAX, KEPT_MAX);
	c->wire.preface = H2_MAGIC;
	FUZZ_CHECK(h2_open_client(&c->wire.h2, &events, &limits, &c->wire.spare));
	step(c);
	wire_send(&c->wire);
	return c;
}

/* What is malformed has been closed, and a connection at fault is asked for nothing more. */
static void
check_refusals(const struct wire *w, bool ok)
{
	FUZZ_CHECK(ok || !h2_has_room(&w->h2));
	for (struct wire_stream *s = LIST_FIRST(&w->open); s != NULL && !w->goes_away; s = LIST_NEXT(s, link))
		FUZZ_CHECK(!request_of(&s->h2)->failed, "%d is malformed, and not closed", s->h2.id);
}

static void
converse(struct sv plan, struct sv in, size_t piece)
{
	struct connection *c = begin(plan, false);
	uint64_t now = 1;
	bool ok = true;

	while (ok && in.n > 0) {
		ok = wire_receive(&c->wire, &in, piece, now += 5);
		if (ok)
			step(c);
		wire_send(&c->wire);
	}
	wire_check_end(&c->wire, ok);
	check_refusals(&c->wire, ok);
	wire_finish(&c->wire);
}

/* All that was told, of these pieces. */
static struct wire *
listen_to(struct sv plan, struct sv in, size_t first, size_t then)
{
	struct connection *c = begin(plan, true);

	check_refusals(&c->wire, wire_listen(&c->wire, in, first, then));
	return &c->wire;
}

static void
check_same(const struct wire *whole, struct sv plan, struct sv in, size_t first, size_t then)
{
	struct wire *w = listen_to(plan, in, first, then);

	wire_check_same(w, whole, first, then);
	wire_finish(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_of((const char *)data, size), plan = sv_cut(&in, '\n');
	size_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	struct wire *whole = listen_to(plan, in, in.n, in.n);
	check_same(whole, plan, in, sum % (in.n + 1), in.n);
	check_same(whole, plan, in, 1, 1);
	wire_finish(whole);
	converse(plan, in, sum % 3 == 0 ? in.n : 1 + sum / 3 % 64);
	return 0;
}
