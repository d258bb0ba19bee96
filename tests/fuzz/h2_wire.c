/* h2_wire.c: one connection of HTTP/2, what it is given and what it says. */
#include "h2_wire.h"

#include "fuzz.h"

enum { TRACE_MAX = 4 << 20 };

static struct wire *
wire_of(struct h2 *s)
{
	return CONTAINER_OF(s, struct wire, h2);
}

static struct wire_stream *
stream_of(struct h2_stream *st)
{
	return CONTAINER_OF(st, struct wire_stream, h2);
}

/* --- the trace ----------------------------------------------------------------------------------------------- */

void
wire_trace(struct wire *w, const char *what, int32_t id, unsigned n)
{
	FUZZ_CHECK(buf_printf(&w->trace, "\n%s %d %u", what, id, n));
}

void
wire_trace_bytes(struct wire *w, struct sv bytes)
{
	FUZZ_CHECK(buf_append(&w->trace, " ", 1) && (bytes.n == 0 || buf_append(&w->trace, bytes.p, bytes.n)));
}

void
wire_trace_fields(struct wire *w, const struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		wire_trace_bytes(w, h->fields[i].name);
		wire_trace_bytes(w, h->fields[i].value);
	}
}

/* As one, in however many pieces it came; never that of a stream that is reset, where it depends on them what is told yet. */
static void
trace_body(struct wire_stream *s)
{
	wire_trace(s->wire, "body", s->h2.id, s->whole);
	wire_trace_bytes(s->wire, buf_view(&s->body));
}

/* --- a stream ------------------------------------------------------------------------------------------------ */

void
wire_begin(struct wire *w, struct wire_stream *s, int32_t id)
{
	*s = (struct wire_stream){.wire = w};
	buf_init(&s->body, TRACE_MAX);
	h2_stream_init(&w->h2, &s->h2, id, w->kept_max);
	LIST_INSERT_HEAD(&w->open, s, link);
	w->n_open++;
}

void
wire_forget(struct wire_stream *s)
{
	h2_stream_free(&s->wire->h2, &s->h2);
	LIST_REMOVE(s, link);
	s->wire->n_open--;
	buf_clear(&s->body);
	free(s->borrowed);
	free(s);
}

void
wire_reset(struct wire_stream *s, enum h2_error error)
{
	h2_reset(&s->wire->h2, &s->h2, error);
	s->given_up = true;
}

void
wire_give(struct wire_stream *s, char *bytes, size_t n)
{
	bool ok = h2_body(&s->wire->h2, &s->h2, sv_of(bytes, n));

	free(s->borrowed);
	s->borrowed = bytes;
	if (!ok)
		wire_reset(s, H2_INTERNAL_ERROR);
}

void
wire_keep(struct wire_stream *s)
{
	if (!h2_keep(&s->wire->h2, &s->h2))
		wire_reset(s, H2_INTERNAL_ERROR);
	free(s->borrowed);
	s->borrowed = NULL;
}

void
wire_take(struct wire_stream *s, struct sv data)
{
	FUZZ_CHECK(s->wire->receiving && s->wire->h2.fault == NULL && !s->whole, "body of %d", s->h2.id);
	FUZZ_CHECK(data.n > 0 && buf_append(&s->body, data.p, data.n));
}

/* --- what the codec calls ------------------------------------------------------------------------------------ */

void
wire_on_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers)
{
	struct wire *w = wire_of(s);

	FUZZ_CHECK(w->receiving && s->fault == NULL && !stream_of(st)->whole, "the end of %d", st->id);
	stream_of(st)->whole = true;
	trace_body(stream_of(st));
	if (trailers != NULL)
		wire_trace_fields(w, trailers);
}

void
wire_on_closed(struct h2 *s, struct h2_stream *st, uint32_t error)
{
	FUZZ_CHECK(!st->open, "%d, again", st->id);
	wire_trace(wire_of(s), "closed", st->id, error);
	wire_forget(stream_of(st));
}

void
wire_on_drained(struct h2 *s, struct h2_stream *st)
{
	FUZZ_CHECK(!wire_of(s)->receiving && buf_len(&st->kept) == 0);
}

void
wire_put(struct h2 *s, struct sv bytes)
{
	FUZZ_CHECK(!wire_of(s)->receiving && (bytes.n == 0 || buf_append(&wire_of(s)->out, bytes.p, bytes.n)));
}

bool
wire_is_full(const struct h2 *s)
{
	return CONTAINER_OF(s, const struct wire, h2)->full;
}

/* --- what is sent -------------------------------------------------------------------------------------------- */

static void
check_frames(struct wire *w)
{
	struct sv out = buf_view(&w->out);
	struct h2_frame f;

	if (w->preface.n > 0 && sv_starts(out, w->preface))
		out = sv_of(out.p + w->preface.n, out.n - w->preface.n);
	while (h2_next_frame(&out, &f)) {
		FUZZ_CHECK(f.type != H2_PUSH_PROMISE && f.type != H2_CONTINUATION);
		w->goes_away |= f.type == H2_GOAWAY;
		if (w->on_frame != NULL)
			w->on_frame(w, &f);
	}
	FUZZ_CHECK(out.n == 0, "a frame that is cut off");
	buf_reset(&w->out);
}

void
wire_send(struct wire *w)
{
	size_t kept = 0;

	FUZZ_CHECK(h2_send(&w->h2));
	check_frames(w);
	for (struct wire_stream *s = LIST_FIRST(&w->open); s != NULL; s = LIST_NEXT(s, link)) {
		wire_keep(s);
		FUZZ_CHECK(buf_len(&s->h2.kept) <= w->kept_max && s->h2.now.n == 0);
		kept += buf_len(&s->h2.kept);
	}
	FUZZ_CHECK(w->h2.kept == kept && w->h2.n_streams == w->n_open && w->n_open <= WIRE_STREAMS,
	    "%zu bytes kept of %zu, %zu streams of %u", w->h2.kept, kept, w->n_open, w->h2.n_streams);
}

/* --- a connection -------------------------------------------------------------------------------------------- */

void
wire_init(struct wire *w, size_t out_max, size_t kept_max)
{
	*w = (struct wire){.kept_max = kept_max};
	LIST_INIT(&w->open);
	buf_init(&w->out, out_max);
	buf_init(&w->trace, TRACE_MAX);
}

void
wire_finish(struct wire *w)
{
	struct wire_stream *next;

	for (struct wire_stream *s = LIST_FIRST(&w->open); s != NULL; s = next) {
		next = LIST_NEXT(s, link);
		wire_forget(s);
	}
	h2_close(&w->h2);
	free(w->spare);
	buf_clear(&w->out);
	buf_clear(&w->trace);
	free(w);
}

bool
wire_receive(struct wire *w, struct sv *in, size_t n, uint64_t now)
{
	struct sv piece = sv_of(in->p, MIN_OF(n, in->n));
	char *copy = fuzz_copy(piece);

	w->receiving = true;
	bool ok = h2_receive(&w->h2, sv_of(copy, piece.n), now);
	w->receiving = false;
	FUZZ_CHECK(ok == (w->h2.fault == NULL));
	free(copy);
	*in = sv_of(in->p + piece.n, in->n - piece.n);
	return ok;
}

void
wire_check_end(struct wire *w, bool ok)
{
	w->full = false;
	wire_send(w);
	wire_send(w); /* and what the first has led to */
	FUZZ_CHECK(!h2_wants_to_send(&w->h2), "it would turn around itself");
	FUZZ_CHECK(ok || (w->goes_away && h2_is_over(&w->h2)), "%s, and no GOAWAY", w->h2.fault);
}

bool
wire_listen(struct wire *w, struct sv in, size_t first, size_t then)
{
	bool ok = true;

	for (size_t n = first; in.n > 0; n = then)
		if (n > 0)
			ok &= wire_receive(w, &in, n, 1);
	w->told = buf_len(&w->trace);
	wire_check_end(w, ok);
	for (struct wire_stream *s = LIST_FIRST(&w->open); s != NULL && !w->goes_away; s = LIST_NEXT(s, link))
		trace_body(s);
	return ok;
}

/*
 * libnghttp2 may stop earlier when it is given pieces: those of a CONTINUATION's head count as if each were one, of which it
 * bears eight; and between two of them it notices that a peer that has said GOAWAY has nothing under way.
 */
static bool
may_stop(const struct wire *w)
{
	return w->h2.fault != NULL ? strstr(w->h2.fault, "CONTINUATION") != NULL : h2_is_over(&w->h2);
}

void
wire_check_same(const struct wire *w, const struct wire *whole, size_t first, size_t then)
{
	struct sv is = buf_view(&w->trace), wanted = buf_view(&whole->trace);

	if (may_stop(w))
		FUZZ_CHECK(sv_starts(wanted, sv_of(is.p, w->told)), "%zu, then %zu:%.*s\nwhole:%.*s", first, then, SV_FMT(is),
		    SV_FMT(wanted));
	else
		FUZZ_CHECK(sv_eq(is, wanted) && sv_eq(sv_cstr(w->h2.fault), sv_cstr(whole->h2.fault)), "%zu, then %zu:%.*s\n%s\nwhole:%.*s\n%s",
		    first, then, SV_FMT(is), w->h2.fault, SV_FMT(wanted), whole->h2.fault);
}
