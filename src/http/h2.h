/*
 * h2.h: a connection of HTTP/2 (RFC 9113), towards a client or towards a server.
 *
 * libnghttp2 frames, compresses, keeps the windows and the order of streams;
 * this turns what it says into heads and bodies and back. No I/O: bytes come by
 * h2_receive() and leave by h2_send(). The owner embeds struct h2 and, for each
 * request, a struct h2_stream. One thread.
 *
 * Bodies are not copied on their way out as long as the peer's windows take
 * them: they are pointed to until the owner's callback ends, which is why
 * h2_send() comes before that, and h2_keep() after it.
 */
#ifndef BASCULE_HTTP_H2_H
#define BASCULE_HTTP_H2_H

#include "base/buf.h"
#include "http/h2_block.h"

struct nghttp2_session;
struct h2;

/* RFC 9113, 7. */
enum h2_error {
	H2_NO_ERROR,
	H2_PROTOCOL_ERROR,
	H2_INTERNAL_ERROR,
	H2_FLOW_CONTROL_ERROR,
	H2_SETTINGS_TIMEOUT,
	H2_STREAM_CLOSED,
	H2_FRAME_SIZE_ERROR,
	H2_REFUSED_STREAM,
	H2_CANCEL,
	H2_COMPRESSION_ERROR,
	H2_CONNECT_ERROR,
	H2_ENHANCE_YOUR_CALM,
	H2_INADEQUATE_SECURITY,
	H2_HTTP_1_1_REQUIRED,
};

/* "CANCEL". */
const char *h2_error_text(uint32_t error);

/* What a peer is granted; `streams` is also what a server is given at most. */
struct h2_limits {
	uint32_t head_bytes, fields; /* of one section */
	uint32_t streams;            /* at a time */
	uint32_t stream_window, connection_window; /* bytes of bodies on their way to us; a stream's grows to it */
	uint32_t calm, calm_per_second; /* frames of a client that do nothing: so many at once, so many more a second */
};

/* Which response goes first (RFC 9218, 4). */
struct h2_priority {
	uint8_t urgency;  /* 0: the most */
	bool incremental; /* of use before it is whole: those of one urgency take turns, others follow each other */
};

/* One request and its response. */
struct h2_stream {
	int32_t id;
	bool open;            /* on_closed() has not been called */
	bool waits;           /* libnghttp2 has been told that there is nothing to send now */
	bool answered;        /* towards a server: the final response's head has come, trailers may follow */
	bool ended;           /* nothing comes behind `kept` and `now` but trailers */
	bool cut;             /* h2_reset(): nothing more of it is sent */
	bool reset;           /* by the peer */
	struct h2_priority priority; /* as the client, or the origin, has said last */
	struct h2_fields *trailers; /* owned; NULL: none */
	bool too_large;       /* its last section was above what the peer has said to take, and not sent */
	struct sv now;        /* body to send: borrowed until h2_keep() */
	struct buf kept;      /* body that goes before it */
	uint64_t sent_bytes;  /* of body: tells whether a slow peer makes progress */
	uint64_t received;    /* bytes of body that the peer's window has not been given back for */
	uint64_t taken;       /* bytes that it has, since the window was looked at */
	uint32_t window;      /* that the peer has for the body */
	bool slow;            /* not all of them were taken as they came */
	bool ends;            /* nothing more comes */
};

struct h2_events {
	/*
	 * A request, whose head and its bytes are gone when this returns; `bodiless`: it has ended with it. The fault in the
	 * block, if any, tells why it is none. The owner's stream, or NULL: it is refused, and may be sent again (REFUSED_STREAM).
	 */
	struct h2_stream *(*on_request)(struct h2 *s, int32_t id, struct h2_block *b, bool bodiless);

	/*
	 * From a server: an interim response, or the final one; as above. With a fault in the block the stream has been reset, and
	 * on_closed() follows.
	 */
	void (*on_response)(struct h2 *s, struct h2_stream *st, struct h2_block *b, bool bodiless);
	void (*on_body)(struct h2 *s, struct h2_stream *st, struct sv data);
	void (*on_end)(struct h2 *s, struct h2_stream *st, const struct http_head *trailers); /* NULL: none */

	/* It is over, by both sides' end or because one of them has reset it: st is not used any more. */
	void (*on_closed)(struct h2 *s, struct h2_stream *st, uint32_t error);

	/* A stream is reset for what the client did: REFUSED_STREAM, or a rule was broken. From within h2_send(). */
	void (*on_refused)(struct h2 *s, uint32_t error);

	/* Nothing that was kept of it is left: from within h2_send(). */
	void (*on_drained)(struct h2 *s, struct h2_stream *st);

	/* Where bytes go: copied, or only pointed to until the owner's callback returns. */
	void (*put)(struct h2 *s, struct sv bytes);
	void (*point)(struct h2 *s, struct sv bytes);
	bool (*is_full)(const struct h2 *s); /* no body is to be sent now: those before still wait */
};

enum h2_fault {
	H2_BROKE_RULE,
	H2_FLOODED, /* too much of what is allowed */
	H2_NO_MEMORY,
};

struct h2 {
	struct nghttp2_session *session;
	const struct h2_events *events;
	struct h2_block **spare;   /* of the thread: where the next section is put together */
	struct h2_block *block;    /* the section that is being received; NULL: none */
	struct h2_limits limits;
	int calm;                  /* so many frames more that do nothing are put up with */
	uint64_t calm_ms;          /* when that was last added to */
	const char *fault;         /* why the connection is at an end: what the peer did, or we can not; NULL: it is not */
	enum h2_fault kind;        /* of that */
	bool is_client;            /* the peer is a server */
	bool goes_away;            /* the peer has been told that no more requests are taken */
	int32_t last;              /* none behind this one is */
	unsigned n_streams;        /* that the owner knows */
	uint32_t section_max;      /* the largest section that a server takes: as it has said or, before that, the owner expects */
	size_t kept;               /* bytes of bodies kept, of all of them */
	uint64_t sent_bytes;       /* of body, of all of them */
	uint64_t due;              /* bytes that the connection's window is to be given back for */
	void *freed, *kept_freed;  /* libnghttp2's, see free_bytes() */
	bool broken;               /* memory ran out within h2_send(): nothing can be done with the session but to close it */
	uint32_t grown;            /* bytes by which windows are larger than they were at first, of all of them */
};

/* False: no memory. `spare` lasts longer. Our SETTINGS are sent first, to a server behind the preface. */
MUST_CHECK bool h2_open(struct h2 *s, const struct h2_events *events, const struct h2_limits *limits, struct h2_block **spare);
MUST_CHECK bool h2_open_client(struct h2 *s, const struct h2_events *events, const struct h2_limits *limits,
    struct h2_block **spare);
void h2_close(struct h2 *s); /* calls nothing; the streams are the owner's to free */

/*
 * False: the connection is at an end, and h2_send() has its GOAWAY, unless it is what failed. `now` is monotonic, ms. Not from
 * within a callback.
 */
MUST_CHECK bool h2_receive(struct h2 *s, struct sv bytes, uint64_t now);

/* Send all that may be sent. False: no memory, now and ever after. Not from within h2_receive(). */
MUST_CHECK bool h2_send(struct h2 *s);

/* Is there something that h2_send() could send? */
bool h2_wants_to_send(const struct h2 *s);

/* Is nothing more to be expected, either way? Then the owner closes. */
bool h2_is_over(const struct h2 *s);

/* Is the peer in the midst of a field section? */
static inline bool
h2_awaits_section(const struct h2 *s)
{
	return s->block != NULL;
}

/*
 * Tell the peer that no more requests are taken, those that it has sent already among them only if `final`. What is being
 * answered goes on.
 */
void h2_go_away(struct h2 *s, bool final);

/* --- a stream ------------------------------------------------------------------------------------------------- */

/* `max` bounds what is kept of its body. */
void h2_stream_init(struct h2 *s, struct h2_stream *st, int32_t id, size_t max);
void h2_stream_free(struct h2 *s, struct h2_stream *st); /* forgotten, also by libnghttp2; the memory is the owner's */

/* Does the server take more requests, now or when others have ended? How many at a time, and one now? By what it has said so far. */
bool h2_takes_requests(const struct h2 *s);
uint32_t h2_granted(const struct h2 *s);
bool h2_has_room(const struct h2 *s);

/*
 * Begin a stream that has been initialized, to a server: its id is set. The head is that of HTTP/1.1, with Host. False: no
 * memory, a head that can not be said, or one that the server has said is `too_large`; the stream is as before.
 */
struct h2_request {
	struct sv scheme;
	bool bodiless;    /* it ends with the head */
	bool has_length;  /* of this length */
	uint64_t length;
};
MUST_CHECK bool h2_request(struct h2 *s, struct h2_stream *st, const struct http_head *h, const struct h2_request *r);

/*
 * The origin's word in a field `priority` of its response: what it says holds in place of the client's, until that says
 * something new (RFC 9218, 8).
 */
void h2_prioritize(struct h2 *s, struct h2_stream *st, struct sv field);

/* A field's members that mean something go over p; what is malformed is passed over. */
void h2_priority_read(struct h2_priority *p, struct sv field);

/* An interim response (RFC 9110, 15.2), to be followed by another. False: no memory. */
MUST_CHECK bool h2_interim(struct h2 *s, struct h2_stream *st, const struct http_head *h);

/* The final response's head. `bodiless`: it has no body, and ends with it. False: no memory. */
struct h2_response {
	uint16_t status;  /* in place of the head's; 0: that */
	struct sv without; /* a field that is left out; SV_NONE: none */
	bool bodiless;
	bool keep_length; /* the head's own Content-Length stands (HEAD, 304) */
	bool has_length;  /* else this one */
	uint64_t length;
};
MUST_CHECK bool h2_respond(struct h2 *s, struct h2_stream *st, const struct http_head *h, const struct h2_response *r);

/* Body, borrowed until h2_keep(). False: no memory. */
MUST_CHECK bool h2_body(struct h2 *s, struct h2_stream *st, struct sv data);

/* The end of it; trailers are copied. False: no memory, or the server has said that they are `too_large`; it is as before. */
MUST_CHECK bool h2_end(struct h2 *s, struct h2_stream *st, const struct http_head *trailers);

/* What has not gone out has to be kept: the owner's callback ends. False: no memory, or above the bound. */
MUST_CHECK bool h2_keep(struct h2 *s, struct h2_stream *st);

/* Bytes that wait. */
static inline size_t
h2_pending(const struct h2_stream *st)
{
	return buf_len(&st->kept) + st->now.n;
}

/* How much of a body the peer takes now, by its window for the stream, and by that for all of them. */
int32_t h2_stream_window(const struct h2 *s, const struct h2_stream *st);
int32_t h2_window(const struct h2 *s);

/*
 * The peer may send as many more as it has sent since the last call. What a server sends holds up its own stream alone,
 * however long this is put off.
 */
void h2_take(struct h2 *s, struct h2_stream *st);

/* End it now, and let go of what it was to send. on_closed() follows, from h2_send(). */
void h2_reset(struct h2 *s, struct h2_stream *st, enum h2_error error);

#endif
