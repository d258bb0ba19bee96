/*
 * h2_wire.h: a connection of HTTP/2 whose peer is the input, and its streams, for the targets of either side.
 *
 * A target puts these at the front of what it knows of a connection and of a request, each of which is a block of its own
 * from fuzz_alloc(). What the codec tells goes into the trace, where it must be the same in whatever pieces the bytes come.
 */
#ifndef BASCULE_TESTS_FUZZ_H2_WIRE_H
#define BASCULE_TESTS_FUZZ_H2_WIRE_H

#include <sys/queue.h>

#include "h2_frames.h"
#include "http/h2.h"

enum { WIRE_STREAMS = 8 }; /* at a time */

/* The memory goes as soon as it may, so that a use after that is seen. */
struct wire_stream {
	struct h2_stream h2;
	LIST_ENTRY(wire_stream) link;
	struct wire *wire;
	struct buf body;  /* of what the peer sends */
	char *borrowed;   /* what h2.now points to; owned */
	bool whole;       /* all that the peer sends of it has come */
	bool given_up;    /* by us */
};

struct wire {
	struct h2 h2;
	struct h2_block *spare;
	LIST_HEAD(, wire_stream) open; /* the latest first */
	size_t n_open, kept_max;       /* that one: bytes of a stream */
	struct buf out, trace;
	size_t told;                   /* bytes of the trace, when all had been received */
	bool receiving;
	bool full;                     /* is_full() says so */
	bool goes_away;                /* a GOAWAY has been sent */
	struct sv preface;             /* that we begin with; SV_NONE: we are the server */
	void (*on_frame)(struct wire *w, const struct h2_frame *f); /* it has been sent; NULL: as it likes */
};

/* --- a connection; whoever has begun it opens `h2`, with `spare` --- */

void wire_init(struct wire *w, size_t out_max, size_t kept_max);
void wire_finish(struct wire *w); /* its block is freed, and those of its streams */

/* The first n bytes of *in, which is moved behind them. False: the connection is at an end. */
bool wire_receive(struct wire *w, struct sv *in, size_t n, uint64_t now);

/* A turn ends: frames are whole, and nothing is kept above the bound. */
void wire_send(struct wire *w);

/* What the peer hears is said, and the connection has nothing left to do; not `ok`: not without a GOAWAY. */
void wire_check_end(struct wire *w, bool ok);

/* All of the input, cut there, what comes behind a fault included, and the end. False: there was a fault. */
bool wire_listen(struct wire *w, struct sv in, size_t first, size_t then);

/* What was told to w, which was given pieces, is what was told to `whole`, which was not. */
void wire_check_same(const struct wire *w, const struct wire *whole, size_t first, size_t then);

/* --- a stream --- */

void wire_begin(struct wire *w, struct wire_stream *s, int32_t id);
void wire_forget(struct wire_stream *s); /* its block is freed */
void wire_reset(struct wire_stream *s, enum h2_error error);

/* Body of ours, in memory that is handed over. */
void wire_give(struct wire_stream *s, char *bytes, size_t n);
void wire_keep(struct wire_stream *s); /* the callback that has lent it ends */

/* Body of the peer's. */
void wire_take(struct wire_stream *s, struct sv data);

/* --- the trace --- */

void wire_trace(struct wire *w, const char *what, int32_t id, unsigned n);
void wire_trace_bytes(struct wire *w, struct sv bytes);
void wire_trace_fields(struct wire *w, const struct http_head *h);

/* --- for struct h2_events --- */

void wire_on_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers);
void wire_on_closed(struct h2 *s, struct h2_stream *st, uint32_t error);
void wire_on_drained(struct h2 *s, struct h2_stream *st);
void wire_put(struct h2 *s, struct sv bytes);
bool wire_is_full(const struct h2 *s);

#endif
