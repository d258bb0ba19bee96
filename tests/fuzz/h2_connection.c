/*
 * The server's side of a connection of HTTP/2: all that a client sends. How a request is answered stands in its path, a
 * letter for each thing that is done (see step()): "/h.be" sends the head, and in the next turn some body and its end.
 */
#include <sys/queue.h>

#include "fuzz.h"
#include "h2_frames.h"
#include "http/h2.h"

enum {
	REQUESTS_MAX = 512, /* of an input; those behind them are refused */
	STREAMS = 8,
	PLAN_MAX = 64,      /* letters of a path that count */
	TURNS_MAX = PLAN_MAX + 4,
	SMALL = 100, LARGE = 20000, /* bytes of body for a letter */
	KEPT_MAX = 48 * 1024,       /* of a stream */
	PERIOD = 251,               /* of the bytes that bodies are made of */
	TRACE_MAX = 4 << 20,
	WIRE_MAX = 64 << 20,
};

/* What is known of a request, longer than its stream lives. */
struct record {
	int32_t id;
	size_t given, sent; /* bytes of its response's body: to the codec, and by that */
	bool whole;         /* the request has come to its end */
	bool ended;         /* all of the response has been given */
	bool over;          /* its last frame has been sent */
	bool closed;
};

struct connection;

/* A stream of the owner's: its memory goes as soon as it may, so that a use after that is seen. */
struct request {
	struct h2_stream h2;
	LIST_ENTRY(request) link;
	struct connection *connection;
	struct record *record;
	struct buf body; /* of the request */
	char *borrowed;  /* what h2.now points to; owned */
	bool responded;
	size_t at, n;   /* letters of the plan: done, all */
	char plan[PLAN_MAX];
};

struct connection {
	struct h2 h2;
	struct h2_block *spare;
	bool answers;   /* else it only listens */
	bool receiving, full;
	struct record records[REQUESTS_MAX];
	size_t n_records;
	LIST_HEAD(, request) open;
	size_t n_open;
	int32_t highest;      /* the last request that was told of */
	uint32_t last_stream; /* what a GOAWAY has said */
	bool goes_away;
	struct buf wire, trace;
	size_t told;          /* bytes of the trace, when all had been received */
};

static struct connection *
connection_of(struct h2 *s)
{
	return CONTAINER_OF(s, struct connection, h2);
}

static struct request *
request_of(struct h2_stream *st)
{
	return CONTAINER_OF(st, struct request, h2);
}

/* --- what was told ------------------------------------------------------------------------------------------- */

static void
trace(struct connection *c, const char *what, int32_t id, unsigned n)
{
	FUZZ_CHECK(buf_printf(&c->trace, "\n%s %d %u", what, id, n));
}

static void
trace_bytes(struct connection *c, struct sv bytes)
{
	FUZZ_CHECK(buf_append(&c->trace, " ", 1) && (bytes.n == 0 || buf_append(&c->trace, bytes.p, bytes.n)));
}

static void
trace_head(struct connection *c, const struct http_head *h)
{
	trace_bytes(c, h->method);
	trace_bytes(c, h->target);
	trace_bytes(c, h->authority);
	for (size_t i = 0; i < h->n_fields; i++) {
		trace_bytes(c, h->fields[i].name);
		trace_bytes(c, h->fields[i].value);
	}
}

/* As one, in however many pieces it came; never that of a stream that is reset, where it depends on them what is told yet. */
static void
trace_body(struct request *r)
{
	trace(r->connection, "body", r->record->id, r->record->whole);
	trace_bytes(r->connection, buf_view(&r->body));
}

/* --- the owner ----------------------------------------------------------------------------------------------- */

static void
forget(struct request *r)
{
	h2_stream_free(&r->connection->h2, &r->h2);
	LIST_REMOVE(r, link);
	r->connection->n_open--;
	buf_clear(&r->body);
	free(r->borrowed);
	free(r);
}

static void
reset(struct request *r, enum h2_error error)
{
	h2_reset(&r->connection->h2, &r->h2, error);
	r->at = r->n;
}

/* The callback that has lent it ends. */
static void
keep(struct request *r)
{
	if (!h2_keep(&r->connection->h2, &r->h2))
		reset(r, H2_INTERNAL_ERROR);
	free(r->borrowed);
	r->borrowed = NULL;
}

/* Bytes by whose value their place is known. */
static char
byte_at(const struct record *r, size_t at)
{
	return (char)(((size_t)r->id + at) % PERIOD);
}

static void
give_body(struct request *r, size_t n)
{
	char *before = r->borrowed;

	r->borrowed = fuzz_alloc(n);
	for (size_t i = 0; i < n; i++)
		r->borrowed[i] = byte_at(r->record, r->record->given + i);
	bool ok = h2_body(&r->connection->h2, &r->h2, sv_of(r->borrowed, n));
	r->record->given += n;
	free(before);
	if (!ok)
		reset(r, H2_INTERNAL_ERROR);
	else if (r->connection->receiving)
		keep(r);
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
	FUZZ_CHECK(h2_respond(&r->connection->h2, &r->h2, &h, &how));
	r->responded = true;
	r->record->ended = bodiless;
}

static void
end(struct request *r, bool has_trailers)
{
	struct http_head h;

	make_head(&h, false, 0);
	FUZZ_CHECK(h2_end(&r->connection->h2, &r->h2, has_trailers ? &h : NULL));
	r->record->ended = true;
}

static void
interim(struct request *r)
{
	struct http_head h;

	make_head(&h, true, 103);
	FUZZ_CHECK(h2_interim(&r->connection->h2, &r->h2, &h));
}

/* One letter. False: the request is gone. */
static bool
step(struct request *r, char letter)
{
	struct connection *c = r->connection;
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
		reset(r, H2_CANCEL);
	else if (letter == 'g' || letter == 'G')
		h2_go_away(&c->h2, letter == 'G');
	else if (letter == 'f')
		c->full = true;
	else if (letter == 'k')
		h2_take(&c->h2, &r->h2);
	else if (letter == 'x')
		forget(r);
	return letter != 'x';
}

/* Up to the point that ends the turn. False: the request is gone. */
static bool
go_on(struct request *r)
{
	while (r->at < r->n) {
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

	FUZZ_CHECK(c->n_open < STREAMS, "more streams than are granted");
	*record = (struct record){.id = id, .whole = bodiless};
	*r = (struct request){.connection = c, .record = record, .n = c->answers ? MIN_OF(path.n, (size_t)PLAN_MAX) : 0};
	memcpy(r->plan, path.p, r->n);
	buf_init(&r->body, TRACE_MAX);
	h2_stream_init(&c->h2, &r->h2, id, KEPT_MAX);
	LIST_INSERT_HEAD(&c->open, r, link);
	c->n_open++;
	return r;
}

static struct h2_stream *
on_request(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless)
{
	struct connection *c = connection_of(s);

	FUZZ_CHECK(c->receiving && s->fault == NULL, "a request, after the fault");
	FUZZ_CHECK(id % 2 == 1 && id > c->highest && (uint32_t)id <= c->last_stream, "request %d", id);
	trace(c, bodiless ? "request" : "request with a body", id, b->fault);
	if (b->fault == H1_OK)
		trace_head(c, &b->head);
	if (b->fault != H1_OK || sv_starts(b->head.path, SV("/n")) || c->n_records == REQUESTS_MAX)
		return NULL;
	struct request *r = new_request(c, id, b->head.path, bodiless);
	c->highest = id;
	return go_on(r) ? &r->h2 : NULL;
}

static void
on_body(struct h2 *s, struct h2_stream *st, struct sv data)
{
	struct connection *c = connection_of(s);
	struct request *r = request_of(st);

	FUZZ_CHECK(c->receiving && s->fault == NULL && !r->record->whole, "body of %d", st->id);
	FUZZ_CHECK(data.n > 0 && buf_append(&r->body, data.p, data.n));
	if (c->answers && memchr(r->plan, 'p', r->n) == NULL)
		h2_take(s, st);
}

static void
on_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers)
{
	struct connection *c = connection_of(s);
	struct request *r = request_of(st);

	FUZZ_CHECK(c->receiving && s->fault == NULL && !r->record->whole, "the end of %d", st->id);
	r->record->whole = true;
	trace_body(r);
	if (trailers != NULL)
		trace_head(c, trailers);
}

static void
on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	struct record *record = request_of(st)->record;

	FUZZ_CHECK(!record->closed && !st->open, "%d, again", st->id);
	record->closed = true;
	trace(connection_of(s), "closed", st->id, error);
	forget(request_of(st));
}

static void
on_refused(struct h2 *s, uint32_t error)
{
	(void)s;
	FUZZ_CHECK(error != H2_NO_ERROR);
}

static void
on_drained(struct h2 *s, struct h2_stream *st)
{
	FUZZ_CHECK(!connection_of(s)->receiving && buf_len(&st->kept) == 0);
}

static void
put(struct h2 *s, struct sv bytes)
{
	FUZZ_CHECK(!connection_of(s)->receiving && (bytes.n == 0 || buf_append(&connection_of(s)->wire, bytes.p, bytes.n)));
}

static bool
is_full(const struct h2 *s)
{
	return CONTAINER_OF(s, const struct connection, h2)->full;
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
	c->goes_away = true;
}

static void
check_frame(struct connection *c, const struct h2_frame *f)
{
	struct record *r = record_of(c, f->id);

	if (f->type == H2_DATA || f->type == H2_HEADERS)
		check_response(r, f);
	else if (f->type == H2_RST_STREAM && r != NULL)
		r->over = true;
	else if (f->type == H2_GOAWAY)
		check_goaway(c, f);
	else
		FUZZ_CHECK(f->type != H2_PUSH_PROMISE && f->type != H2_CONTINUATION);
}

static void
check_wire(struct connection *c)
{
	struct sv out = buf_view(&c->wire);
	struct h2_frame f;

	while (h2_next_frame(&out, &f))
		check_frame(c, &f);
	FUZZ_CHECK(out.n == 0, "a frame that is cut off");
	buf_reset(&c->wire);
}

static void
check_kept(const struct connection *c)
{
	size_t kept = 0;

	for (const struct request *r = LIST_FIRST(&c->open); r != NULL; r = LIST_NEXT(r, link)) {
		FUZZ_CHECK(buf_len(&r->h2.kept) <= KEPT_MAX && r->h2.now.n == 0);
		kept += buf_len(&r->h2.kept);
	}
	FUZZ_CHECK(c->h2.kept == kept && c->h2.n_streams == c->n_open, "%zu bytes kept of %zu, %zu streams of %u", c->h2.kept, kept,
	    c->n_open, c->h2.n_streams);
}

static void
send_all(struct connection *c)
{
	FUZZ_CHECK(h2_send(&c->h2));
	check_wire(c);
	for (struct request *r = LIST_FIRST(&c->open); r != NULL; r = LIST_NEXT(r, link))
		keep(r);
	check_kept(c);
}

/* --- a connection -------------------------------------------------------------------------------------------- */

static struct connection *
begin(bool answers)
{
	static const struct h2_events events = {.on_request = on_request, .on_body = on_body, .on_end = on_end,
	    .on_closed = on_closed, .on_refused = on_refused, .on_drained = on_drained, .put = put, .point = put, .is_full = is_full};
	const struct h2_limits limits = {.head_bytes = 2048, .fields = 16, .streams = STREAMS,
	    .stream_window = answers ? 512 : UINT16_MAX, .connection_window = answers ? 1024 : UINT16_MAX,
	    .calm = 400, .calm_per_second = 50};
	struct connection *c = fuzz_alloc(sizeof(*c));

	*c = (struct connection){.answers = answers, .last_stream = INT32_MAX};
	buf_init(&c->wire, WIRE_MAX);
	buf_init(&c->trace, TRACE_MAX);
	FUZZ_CHECK(h2_open(&c->h2, &events, &limits, &c->spare));
	return c;
}

static void
finish(struct connection *c)
{
	struct request *next;

	for (struct request *r = LIST_FIRST(&c->open); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		forget(r);
	}
	h2_close(&c->h2);
	free(c->spare);
	buf_clear(&c->wire);
	buf_clear(&c->trace);
	free(c);
}

static bool
receive(struct connection *c, struct sv bytes, uint64_t now)
{
	char *copy = fuzz_copy(bytes);

	c->receiving = true;
	bool ok = h2_receive(&c->h2, sv_of(copy, bytes.n), now);
	c->receiving = false;
	FUZZ_CHECK(ok == (c->h2.fault == NULL));
	free(copy);
	return ok;
}

/* What the client hears is said, and the connection has nothing left to do. */
static void
check_end(struct connection *c, bool ok)
{
	c->full = false;
	send_all(c);
	send_all(c); /* and what the first has led to */
	FUZZ_CHECK(!h2_wants_to_send(&c->h2), "it would turn around itself");
	FUZZ_CHECK(ok || (c->goes_away && h2_is_over(&c->h2)), "%s, and no GOAWAY", c->h2.fault);
}

/* --- with answers -------------------------------------------------------------------------------------------- */

static bool
answer(struct connection *c)
{
	struct request *next;
	bool more = false;

	for (struct request *r = LIST_FIRST(&c->open); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		more |= r->at < r->n;
		(void)go_on(r);
	}
	send_all(c);
	c->full = false;
	return more;
}

static void
converse(struct sv in, size_t piece)
{
	struct connection *c = begin(true);
	uint64_t now = 1;
	bool ok = true;

	while (ok && in.n > 0) {
		size_t n = MIN_OF(in.n, piece);
		ok = receive(c, sv_of(in.p, n), now += 5);
		in = sv_of(in.p + n, in.n - n);
		(void)answer(c);
	}
	for (int turns = 0; ok && answer(c); turns++)
		FUZZ_CHECK(turns < TURNS_MAX);
	check_end(c, ok);
	finish(c);
}

/* --- without ------------------------------------------------------------------------------------------------- */

/* All that was told, of these pieces; what comes behind the fault included. */
static struct connection *
listen_to(struct sv in, size_t first, size_t then)
{
	struct connection *c = begin(false);
	bool ok = true;

	for (size_t n = first; in.n > 0; n = then) {
		n = MIN_OF(n, in.n);
		if (n > 0)
			ok &= receive(c, sv_of(in.p, n), 1);
		in = sv_of(in.p + n, in.n - n);
	}
	c->told = buf_len(&c->trace);
	check_end(c, ok);
	for (struct request *r = LIST_FIRST(&c->open); r != NULL && !c->goes_away; r = LIST_NEXT(r, link))
		trace_body(r);
	return c;
}

/*
 * libnghttp2 may stop earlier when it is given pieces: those of a CONTINUATION's head count as if each were one, of which it
 * bears eight; and between two of them it notices that a client that has said GOAWAY has nothing under way.
 */
static bool
may_stop(const struct connection *c)
{
	return c->h2.fault != NULL ? strstr(c->h2.fault, "CONTINUATION") != NULL : h2_is_over(&c->h2);
}

static void
check_same(const struct connection *whole, struct sv in, size_t first, size_t then)
{
	struct connection *c = listen_to(in, first, then);
	struct sv is = buf_view(&c->trace), wanted = buf_view(&whole->trace);

	if (may_stop(c))
		FUZZ_CHECK(sv_starts(wanted, sv_of(is.p, c->told)), "%zu, then %zu:%.*s\nwhole:%.*s", first, then, SV_FMT(is),
		    SV_FMT(wanted));
	else
		FUZZ_CHECK(sv_eq(is, wanted) && sv_eq(sv_cstr(c->h2.fault), sv_cstr(whole->h2.fault)), "%zu, then %zu:%.*s\n%s\nwhole:%.*s\n%s",
		    first, then, SV_FMT(is), c->h2.fault, SV_FMT(wanted), whole->h2.fault);
	finish(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_of((const char *)data, size);
	size_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	struct connection *whole = listen_to(in, size, size);
	check_same(whole, in, sum % (size + 1), size);
	check_same(whole, in, 1, 1);
	finish(whole);
	converse(in, sum % 3 == 0 ? size : 1 + sum / 3 % 64);
	return 0;
}
