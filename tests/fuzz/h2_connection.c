/*
 * The server's side of a connection of HTTP/2: all that a client sends. How a request is answered stands in its path, a
 * letter for each thing that is done (see step()): "/h.be" sends the head, and in the next turn some body and its end.
 */
#include "fuzz.h"
#include "h2_wire.h"

enum {
	REQUESTS_MAX = 512, /* of an input; those behind them are refused */
	PLAN_MAX = 64,      /* letters of a path that count */
	TURNS_MAX = PLAN_MAX + 4,
	SMALL = 100, LARGE = 20000, /* bytes of body for a letter */
	KEPT_MAX = 48 * 1024,       /* of a stream */
	PERIOD = 251,               /* of the bytes that bodies are made of */
	OUT_MAX = 64 << 20,
};

/* What is known of a request, longer than its stream lives. */
struct record {
	int32_t id;
	size_t given, sent; /* bytes of its response's body: to the codec, and by that */
	bool ended;         /* all of the response has been given */
	bool over;          /* its last frame has been sent */
	bool closed;
};

struct request {
	struct wire_stream s;
	struct record *record;
	bool responded;
	size_t at, n; /* letters of the plan: done, all */
	char plan[PLAN_MAX];
};

struct connection {
	struct wire wire;
	bool answers; /* else it only listens */
	struct record records[REQUESTS_MAX];
	size_t n_records;
	int32_t highest;      /* the last request that was told of */
	uint32_t last_stream; /* what a GOAWAY has said */
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

/* --- the owner ----------------------------------------------------------------------------------------------- */

/* Bytes by whose value their place is known. */
static char
byte_at(const struct record *r, size_t at)
{
	return (char)(((size_t)r->id + at) % PERIOD);
}

static void
give_body(struct request *r, size_t n)
{
	char *bytes = fuzz_alloc(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = byte_at(r->record, r->record->given + i);
	r->record->given += n;
	wire_give(&r->s, bytes, n);
	if (r->s.wire->receiving && !r->s.given_up)
		wire_keep(&r->s);
}

static void
make_head(struct http_head *h, bool is_response, uint16_t status)
{
	http_head_init(h, is_response);
	h->status = status;
	FUZZ_CHECK(http_head_add(h, SV("x-field"), SV("value")) && http_head_add_id(h, HTTP_CONNECTION, SV("close")));
	FUZZ_CHECK(http_head_add_id(h, HTTP_SET_COOKIE, SV("a=b")) && http_head_add_id(h, HTTP_CONTENT_LENGTH, SV("5")));
}

static void
respond(struct request *r, bool bodiless)
{
	const struct h2_response how = {
	    .status = r->n % 2 == 0 ? 404 : 0, .without = SV("x-field"), .bodiless = bodiless, .keep_length = bodiless};
	struct http_head h;

	make_head(&h, true, 200);
	FUZZ_CHECK(h2_respond(&r->s.wire->h2, &r->s.h2, &h, &how));
	r->responded = true;
	r->record->ended = bodiless;
}

static void
end(struct request *r, bool has_trailers)
{
	struct http_head h;

	make_head(&h, false, 0);
	FUZZ_CHECK(h2_end(&r->s.wire->h2, &r->s.h2, has_trailers ? &h : NULL));
	r->record->ended = true;
}

static void
interim(struct request *r)
{
	struct http_head h;

	make_head(&h, true, 103);
	FUZZ_CHECK(h2_interim(&r->s.wire->h2, &r->s.h2, &h));
}

/* One letter. False: the request is gone. */
static bool
step(struct request *r, char letter)
{
	struct wire *w = r->s.wire;
	bool has_body = r->responded && !r->record->ended;

	if (letter == 'i' && !r->responded)
		interim(r);
	else if ((letter == 'h' || letter == 't') && !r->responded)
		respond(r, letter == 't');
	else if ((letter == 'b' || letter == 'B') && has_body)
		give_body(r, letter == 'b' ? SMALL : LARGE);
	else if ((letter == 'e' || letter == 'E') && has_body)
		end(r, letter == 'E');
	else if (letter == 'r')
		wire_reset(&r->s, H2_CANCEL);
	else if (letter == 'g' || letter == 'G')
		h2_go_away(&w->h2, letter == 'G');
	else if (letter == 'f')
		w->full = true;
	else if (letter == 'k')
		h2_take(&w->h2, &r->s.h2);
	else if (letter == 'x')
		wire_forget(&r->s);
	return letter != 'x';
}

static bool
has_more(const struct request *r)
{
	return r->at < r->n && !r->s.given_up;
}

/* Up to the point that ends the turn. False: the request is gone. */
static bool
go_on(struct request *r)
{
	while (has_more(r)) {
		char letter = r->plan[r->at++];
		if (letter == '.')
			return true;
		if (!step(r, letter))
			return false;
	}
	return true;
}

/* --- what the codec calls ------------------------------------------------------------------------------------ */

static struct request *
new_request(struct connection *c, int32_t id, struct sv path, bool bodiless)
{
	struct request *r = fuzz_alloc(sizeof(*r));
	struct record *record = &c->records[c->n_records++];

	FUZZ_CHECK(c->wire.n_open < WIRE_STREAMS, "more streams than are granted");
	*record = (struct record){.id = id};
	*r = (struct request){.record = record, .n = c->answers ? MIN_OF(path.n, (size_t)PLAN_MAX) : 0};
	memcpy(r->plan, path.p, r->n);
	wire_begin(&c->wire, &r->s, id);
	r->s.whole = bodiless;
	return r;
}

static void
trace_head(struct wire *w, const struct http_head *h)
{
	wire_trace_bytes(w, h->method);
	wire_trace_bytes(w, h->target);
	wire_trace_bytes(w, h->authority);
	wire_trace_fields(w, h);
}

static struct h2_stream *
on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless)
{
	struct connection *c = connection_of(s);

	FUZZ_CHECK(c->wire.receiving && s->fault == NULL, "a request, after the fault");
	FUZZ_CHECK(id % 2 == 1 && id > c->highest && (uint32_t)id <= c->last_stream, "request %d", id);
	wire_trace(&c->wire, bodiless ? "request" : "request with a body", id, b->fault);
	if (b->fault == H1_OK)
		trace_head(&c->wire, &b->head);
	if (b->fault != H1_OK || sv_starts(b->head.path, SV("/n")) || c->n_records == REQUESTS_MAX)
		return NULL;
	struct request *r = new_request(c, id, b->head.path, bodiless);
	c->highest = id;
	return go_on(r) ? &r->s.h2 : NULL;
}

static void
on_body(struct h2 *s, struct h2_stream *st, struct sv data)
{
	struct request *r = request_of(st);

	wire_take(&r->s, data);
	if (connection_of(s)->answers && memchr(r->plan, 'p', r->n) == NULL)
		h2_take(s, st);
}

static void
on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	struct record *record = request_of(st)->record;

	FUZZ_CHECK(!record->closed, "%d, again", st->id);
	record->closed = true;
	wire_on_closed(s, st, error);
}

static void
on_refused(struct h2 *s, uint32_t error)
{
	(void)s;
	FUZZ_CHECK(error != H2_NO_ERROR);
}

/* --- what is sent -------------------------------------------------------------------------------------------- */

static struct record *
record_of(struct connection *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_records; i++)
		if ((uint32_t)c->records[i].id == id)
			return &c->records[i];
	return NULL;
}

/* Its body is the one that was given, in this order, and it ends where that does. */
static void
check_response(struct record *r, const struct h2_frame *f)
{
	FUZZ_CHECK(r != NULL && !r->over, "type %u for %u", f->type, f->id);
	for (size_t i = 0; f->type == H2_DATA && i < f->n; i++)
		FUZZ_CHECK((char)f->payload[i] == byte_at(r, r->sent + i), "byte %zu of the response to %u", r->sent + i, f->id);
	r->sent += f->type == H2_DATA ? f->n : 0;
	FUZZ_CHECK(r->sent <= r->given);
	r->over = (f->flags & H2_END_STREAM) != 0;
	FUZZ_CHECK(!r->over || (r->ended && r->sent == r->given), "%u ends at %zu of %zu", f->id, r->sent, r->given);
}

/*
 * Who is told that a request was not looked at may send it again elsewhere. It may be told so and then, when what came with
 * that was at fault, of a later one: libnghttp2 has not sent the first yet when it answers the fault.
 */
static void
check_goaway(struct connection *c, const struct h2_frame *f)
{
	FUZZ_CHECK(f->n >= 8);
	uint32_t last = h2_number(f->payload, 4), error = h2_number(f->payload + 4, 4);
	FUZZ_CHECK(last >= (uint32_t)c->highest, "%u, but %d was told of", last, c->highest);
	FUZZ_CHECK(last <= c->last_stream || error != H2_NO_ERROR, "%u, and before that %u", last, c->last_stream);
	c->last_stream = MIN_OF(last, c->last_stream);
}

static void
check_frame(struct wire *w, const struct h2_frame *f)
{
	struct connection *c = connection_of(&w->h2);
	struct record *r = record_of(c, f->id);

	if (f->type == H2_DATA || f->type == H2_HEADERS)
		check_response(r, f);
	else if (f->type == H2_RST_STREAM && r != NULL)
		r->over = true;
	else if (f->type == H2_GOAWAY)
		check_goaway(c, f);
}

/* --- a connection -------------------------------------------------------------------------------------------- */

static struct connection *
begin(bool answers)
{
	static const struct h2_events events = {.on_request = on_request, .on_body = on_body, .on_end = wire_on_end,
	    .on_closed = on_closed, .on_refused = on_refused, .on_drained = wire_on_drained, .put = wire_put, .point = wire_put,
	    .is_full = wire_is_full};
	const struct h2_limits limits = {.head_bytes = 2048, .fields = 16, .streams = WIRE_STREAMS,
	    .stream_window = answers ? 512 : UINT16_MAX, .connection_window = answers ? 1024 : UINT16_MAX,
	    .calm = 400, .calm_per_second = 50};
	struct connection *c = fuzz_alloc(sizeof(*c));

	*c = (struct connection){.answers = answers, .last_stream = INT32_MAX};
	wire_init(&c->wire, OUT_MAX, KEPT_MAX);
	c->wire.on_frame = check_frame;
	FUZZ_CHECK(h2_open(&c->wire.h2, &events, &limits, &c->wire.spare));
	return c;
}

/* --- with answers -------------------------------------------------------------------------------------------- */

static bool
answer(struct connection *c)
{
	struct wire_stream *next;
	bool more = false;

	for (struct wire_stream *s = LIST_FIRST(&c->wire.open); s != NULL; s = next) {
		struct request *r = request_of(&s->h2);
		next = LIST_NEXT(s, link);
		more |= has_more(r);
		(void)go_on(r);
	}
	wire_send(&c->wire);
	c->wire.full = false;
	return more;
}

static void
converse(struct sv in, size_t piece)
{
	struct connection *c = begin(true);
	uint64_t now = 1;
	bool ok = true;

	while (ok && in.n > 0) {
		ok = wire_receive(&c->wire, &in, piece, now += 5);
		(void)answer(c);
	}
	for (int turns = 0; ok && answer(c); turns++)
		FUZZ_CHECK(turns < TURNS_MAX);
	wire_check_end(&c->wire, ok);
	wire_finish(&c->wire);
}

/* --- without ------------------------------------------------------------------------------------------------- */

/* All that was told, of these pieces. */
static struct wire *
listen_to(struct sv in, size_t first, size_t then)
{
	struct connection *c = begin(false);

	(void)wire_listen(&c->wire, in, first, then);
	return &c->wire;
}

static void
check_same(const struct wire *whole, struct sv in, size_t first, size_t then)
{
	struct wire *w = listen_to(in, first, then);

	wire_check_same(w, whole, first, then);
	wire_finish(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_of((const char *)data, size);
	size_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	struct wire *whole = listen_to(in, size, size);
	check_same(whole, in, sum % (size + 1), size);
	check_same(whole, in, 1, 1);
	wire_finish(whole);
	converse(in, sum % 3 == 0 ? size : 1 + sum / 3 % 64);
	return 0;
}
