/*
 * Our side of a connection of HTTP/2 to an origin: what its server sends, behind a line that says what is asked of it, a
 * letter for each thing that is done (see step()): "gs.be" sends two requests, and later some body and the end of the second.
 */
#include <sys/queue.h>

#include "fuzz.h"
#include "h2_frames.h"
#include "http/h2.h"

enum {
	STREAMS = 8,
	REQUESTS_MAX = 64,
	BODY = 1000, /* bytes for a letter */
	KEPT_MAX = 8 * 1024,
	HEAD_MAX = 2048, FIELDS_MAX = 16,
	TRACE_MAX = 4 << 20,
	WIRE_MAX = 4 << 20,
};

struct connection;

/* One of the owner's: its memory goes as soon as it may, so that a use after that is seen. */
struct request {
	struct h2_stream h2;
	LIST_ENTRY(request) link;
	struct connection *connection;
	struct buf body;              /* of the response */
	char *borrowed;               /* what h2.now points to; owned */
	bool ended;                   /* all of the request has been given */
	bool answered, whole, failed; /* the final response has come; all of it; a malformed one */
};

struct connection {
	struct h2 h2;
	struct h2_block *spare;
	LIST_HEAD(, request) open; /* the latest first */
	size_t n_open, n_requests;
	bool receiving, takes;
	struct sv plan;            /* what is left of it */
	struct buf wire, trace;
	size_t told;               /* bytes of the trace, when all had been received */
	bool goes_away;
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
trace_fields(struct connection *c, const struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		trace_bytes(c, h->fields[i].name);
		trace_bytes(c, h->fields[i].value);
	}
}

/* As one, in however many pieces it came; never that of a stream that is reset, where it depends on them what is told yet. */
static void
trace_body(struct request *r)
{
	trace(r->connection, "body", r->h2.id, r->whole);
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
ask(struct connection *c, struct sv method, const struct h2_request *how)
{
	struct request *r = fuzz_alloc(sizeof(*r));
	struct http_head h;

	*r = (struct request){.connection = c, .ended = how->bodiless};
	buf_init(&r->body, TRACE_MAX);
	h2_stream_init(&c->h2, &r->h2, 0, KEPT_MAX);
	LIST_INSERT_HEAD(&c->open, r, link);
	c->n_open++;
	c->n_requests++;
	http_head_init(&h, false);
	h.method = method;
	h.path = SV("/");
	FUZZ_CHECK(http_head_add_id(&h, HTTP_HOST, SV("a")) && http_head_add_id(&h, HTTP_COOKIE, SV("a=b")));
	FUZZ_CHECK(h2_request(&c->h2, &r->h2, &h, how) && r->h2.id == (int32_t)(2 * c->n_requests - 1));
}

/* The callback that has lent it ends. */
static void
keep(struct request *r)
{
	if (!h2_keep(&r->connection->h2, &r->h2))
		h2_reset(&r->connection->h2, &r->h2, H2_INTERNAL_ERROR);
	free(r->borrowed);
	r->borrowed = NULL;
}

static void
give_body(struct request *r)
{
	char *before = r->borrowed;

	r->borrowed = memset(fuzz_alloc(BODY), 'x', BODY);
	if (!h2_body(&r->connection->h2, &r->h2, sv_of(r->borrowed, BODY)))
		h2_reset(&r->connection->h2, &r->h2, H2_INTERNAL_ERROR);
	free(before);
}

static void
end(struct request *r, bool has_trailers)
{
	struct http_head h;

	http_head_init(&h, false);
	FUZZ_CHECK(http_head_add(&h, SV("x-sum"), SV("17")));
	FUZZ_CHECK(h2_end(&r->connection->h2, &r->h2, has_trailers ? &h : NULL));
	r->ended = true;
}

/* A letter that begins a request. */
static void
begin_request(struct connection *c, char letter)
{
	struct h2_request how = {.scheme = SV("https"), .bodiless = letter == 'g' || letter == 'h'};

	if (!h2_has_room(&c->h2) || c->n_requests == REQUESTS_MAX)
		return;
	how.has_length = letter == 'p';
	how.length = BODY;
	ask(c, how.bodiless ? letter == 'g' ? SV("GET") : SV("HEAD") : SV("POST"), &how);
	if (letter == 'p') {
		give_body(LIST_FIRST(&c->open));
		end(LIST_FIRST(&c->open), false);
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
		h2_reset(&r->connection->h2, &r->h2, H2_CANCEL);
	else if (letter == 'k')
		h2_take(&r->connection->h2, &r->h2);
	else if (letter == 'x')
		forget(r);
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
		else if (!LIST_EMPTY(&c->open))
			go_on(LIST_FIRST(&c->open), letter);
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

	FUZZ_CHECK(c->receiving && s->fault == NULL && !r->answered && !r->failed, "a response to %d", st->id);
	trace(c, bodiless ? "response" : "response with a body", st->id, b->head.status);
	r->failed = b->fault != H1_OK;
	if (r->failed)
		return;
	check_head(&b->head);
	trace_fields(c, &b->head);
	r->answered = b->head.status >= 200;
	r->whole = bodiless;
	FUZZ_CHECK(r->answered || !bodiless, "an interim response that ends %d", st->id);
}

static void
on_body(struct h2 *s, struct h2_stream *st, struct sv data)
{
	struct connection *c = connection_of(s);
	struct request *r = request_of(st);

	FUZZ_CHECK(c->receiving && s->fault == NULL && r->answered && !r->whole && !r->failed, "body of %d", st->id);
	FUZZ_CHECK(data.n > 0 && buf_append(&r->body, data.p, data.n));
	if (c->takes)
		h2_take(s, st);
}

static void
on_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers)
{
	struct connection *c = connection_of(s);
	struct request *r = request_of(st);

	FUZZ_CHECK(c->receiving && s->fault == NULL && r->answered && !r->whole && !r->failed, "the end of %d", st->id);
	r->whole = true;
	trace_body(r);
	if (trailers != NULL)
		trace_fields(c, trailers);
}

static void
on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	FUZZ_CHECK(!st->open, "%d, again", st->id);
	trace(connection_of(s), "closed", st->id, error);
	forget(request_of(st));
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
	(void)s;
	return false;
}

/* --- a connection -------------------------------------------------------------------------------------------- */

static void
check_wire(struct connection *c)
{
	struct sv out = buf_view(&c->wire);
	struct h2_frame f;

	if (sv_starts(out, H2_MAGIC))
		out = sv_of(out.p + H2_MAGIC.n, out.n - H2_MAGIC.n);
	while (h2_next_frame(&out, &f)) {
		FUZZ_CHECK(f.type != H2_PUSH_PROMISE && f.type != H2_CONTINUATION);
		c->goes_away |= f.type == H2_GOAWAY;
	}
	FUZZ_CHECK(out.n == 0, "a frame that is cut off");
	buf_reset(&c->wire);
}

static void
send_all(struct connection *c)
{
	size_t kept = 0;

	FUZZ_CHECK(h2_send(&c->h2));
	check_wire(c);
	for (struct request *r = LIST_FIRST(&c->open); r != NULL; r = LIST_NEXT(r, link)) {
		keep(r);
		FUZZ_CHECK(buf_len(&r->h2.kept) <= KEPT_MAX);
		kept += buf_len(&r->h2.kept);
	}
	FUZZ_CHECK(c->h2.kept == kept && c->h2.n_streams == c->n_open && c->n_open <= STREAMS, "%zu bytes, %zu streams", kept, c->n_open);
}

static struct connection *
begin(struct sv plan, bool alone)
{
	static const struct h2_events events = {.on_response = on_response, .on_body = on_body, .on_end = on_end,
	    .on_closed = on_closed, .on_drained = on_drained, .put = put, .point = put, .is_full = is_full};
	const struct h2_limits limits = {.head_bytes = HEAD_MAX, .fields = FIELDS_MAX, .streams = STREAMS,
	    .stream_window = alone ? UINT16_MAX : 512, .connection_window = UINT16_MAX};
	struct connection *c = fuzz_alloc(sizeof(*c));

	*c = (struct connection){.takes = !alone, .plan = plan};
	LIST_INIT(&c->open);
	buf_init(&c->wire, WIRE_MAX);
	buf_init(&c->trace, TRACE_MAX);
	FUZZ_CHECK(h2_open_client(&c->h2, &events, &limits, &c->spare));
	step(c);
	send_all(c);
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

/* What the server hears is said, and the connection has nothing left to do. */
static void
check_end(struct connection *c, bool ok)
{
	send_all(c);
	send_all(c); /* and what the first has led to */
	FUZZ_CHECK(!h2_wants_to_send(&c->h2), "it would turn around itself");
	FUZZ_CHECK(ok || (c->goes_away && h2_is_over(&c->h2) && !h2_has_room(&c->h2)), "%s, and no GOAWAY", c->h2.fault);
	for (const struct request *r = LIST_FIRST(&c->open); r != NULL && !c->goes_away; r = LIST_NEXT(r, link))
		FUZZ_CHECK(!r->failed, "%d is malformed, and not closed", r->h2.id);
}

static void
converse(struct sv plan, struct sv in, size_t piece)
{
	struct connection *c = begin(plan, false);
	uint64_t now = 1;
	bool ok = true;

	while (ok && in.n > 0) {
		size_t n = MIN_OF(in.n, piece);
		ok = receive(c, sv_of(in.p, n), now += 5);
		in = sv_of(in.p + n, in.n - n);
		if (ok)
			step(c);
		send_all(c);
	}
	check_end(c, ok);
	finish(c);
}

/* All that was told, of these pieces; what comes behind the fault included. */
static struct connection *
listen_to(struct sv plan, struct sv in, size_t first, size_t then)
{
	struct connection *c = begin(plan, true);
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

/* libnghttp2 may stop earlier when it is given pieces: see h2_connection.c. */
static bool
may_stop(const struct connection *c)
{
	return c->h2.fault != NULL ? strstr(c->h2.fault, "CONTINUATION") != NULL : h2_is_over(&c->h2);
}

static void
check_same(const struct connection *whole, struct sv plan, struct sv in, size_t first, size_t then)
{
	struct connection *c = listen_to(plan, in, first, then);
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
	struct sv in = sv_of((const char *)data, size), plan = sv_cut(&in, '\n');
	size_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	struct connection *whole = listen_to(plan, in, in.n, in.n);
	check_same(whole, plan, in, sum % (in.n + 1), in.n);
	check_same(whole, plan, in, 1, 1);
	finish(whole);
	converse(plan, in, sum % 3 == 0 ? in.n : 1 + sum / 3 % 64);
	return 0;
}
