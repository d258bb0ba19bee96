/*
 * exchange.h: one request and its response, the centre of the proxy.
 *
 * An exchange stands between a front (the codec on the client's side) and a
 * back (the codec on the origin's side), and knows neither protocol: both are
 * a struct side_ops. It goes through the steps below; a step that has to wait
 * returns, and the event it waits for runs the exchange again. Bodies flow
 * through it without being kept, except for what comes before the origin is
 * ready (`held`, at most one read), and small ones that it may refuse.
 *
 * Owned by its thread. Ended by exchange_end(), freed (put back for the next
 * request) after the loop turn.
 */
#ifndef BASCULE_PROXY_EXCHANGE_H
#define BASCULE_PROXY_EXCHANGE_H

#include "http/h1.h"
#include "proxy/thread.h"

struct exchange;
struct origin;

/* How one side leaves an exchange. */
enum side_end {
	SIDE_DONE,   /* its message went well: the connection may carry another */
	SIDE_BROKEN, /* it can not be completed: the connection is closed so that the peer notices */
	SIDE_REFUSED, /* only for a front that `refuses`: nothing was done with the request, and the peer is told so */
};

/*
 * What an exchange asks of a side. Data is given away at once or pointed to until flush(), which is called before the
 * callback that brought the data returns. False: the side is broken, the exchange ends.
 */
struct side_ops {
	/* A head, and how the body after it is framed; interim (1xx) heads have none and another head follows. */
	bool (*head)(struct exchange *x, const struct http_head *h, enum http_framing framing, uint64_t length);
	bool (*body)(struct exchange *x, struct sv data);
	bool (*end)(struct exchange *x, const struct http_head *trailers); /* NULL: none */
	bool (*flush)(struct exchange *x);
	size_t (*pending)(const struct exchange *x); /* bytes that the peer has not taken yet */
	void (*pause)(struct exchange *x);           /* stop reading from this side */
	void (*resume)(struct exchange *x);
	void (*detach)(struct exchange *x, enum side_end how); /* the exchange is over for this side */
	bool refuses; /* the protocol can say that nothing was done with a request, so that it may be sent again (RFC 9113, 8.7) */
};

/*
 * X(id, function): the steps, in the order in which a request that meets no obstacle goes through them. The function
 * returns the next step, or WAIT.
 */
#define EXCHANGE_STEPS(X)                                                                               \
	X(STEP_SITE, step_site)       /* which site is meant, and may this connection carry it */       \
	X(STEP_ROUTE, step_route)     /* which route, with what limits and upstream */                  \
	X(STEP_PREPARE, step_prepare) /* the head as the origin will see it */                          \
	X(STEP_CHOOSE, step_choose)   /* a server that has not been tried */                            \
	X(STEP_CONNECT, step_connect) /* an idle connection to it, or a new one: waits */               \
	X(STEP_SEND, step_send)       /* head, and what came of the body meanwhile */                   \
	X(STEP_RELAY, step_relay)     /* both bodies flow: waits until the response has ended */

enum exchange_step {
#define X(id, fn) id,
	EXCHANGE_STEPS(X)
#undef X
	STEP_WAIT, /* returned by a step: an event will go on */
	STEP_OVER, /* returned by a step: the exchange has ended */
};

enum {
	HELD_MAX = NET_SCRATCH_SIZE + 16 * 1024, /* body bytes kept until the origin is ready */
	RESEND_MAX = 16 * 1024,                  /* body bytes kept for an origin that may refuse them, until it answers */
	EXCHANGE_TEXT = 3072,                    /* bytes for the head and what is added to it, without allocation */
	HIGH_WATER = 64 * 1024,                  /* a side with more than this pending stops the other's reading */
	STREAM_OUT_MAX = 1536 * 1024,            /* bound of one stream's queue: high water, a window of HTTP/2, framing, encryption */
};

struct exchange {
	/* who takes part */
	struct px_thread *thread;
	struct px_view *view; /* the newest snapshot when the request came; referenced */
	struct client *client;
	struct client_stream *stream; /* of HTTP/2, the front's; NULL: HTTP/1 */
	const struct side_ops *front;
	struct origin *origin; /* NULL while there is none */
	struct origin_stream *origin_stream; /* of HTTP/2, the back's; NULL: HTTP/1 */
	const struct side_ops *back;

	/* what was found out */
	const struct snap_site *site;
	const struct snap_action *action;
	struct snap_upstream *upstream;
	int route;  /* in site->conf->routes; -1: the site itself */
	int server; /* in upstream; -1: none chosen */
	struct upstream_tried tried;
	unsigned tries;
	uint32_t address_turn; /* turn of the server's addresses that was connected to */
	unsigned n_addresses;  /* of the server, that were tried */
	struct sv host; /* normalized, without port; in `text` */

	/* where it stands */
	uint8_t step; /* enum exchange_step it waits in or is at */
	bool running;          /* exchange_run is on the stack */
	bool ended;            /* exchange_end has been called */
	bool is_tls;           /* the client came by TLS, to us or to the proxy in front: client_is_secure() */
	bool request_ended;    /* the whole request has been read */
	bool request_sent;     /* its end has been given to the origin */
	bool head_sent;        /* the request head has been given to the present origin */
	bool answered;         /* a byte of the present origin's response has come */
	bool body_sent;        /* some of the request's body has been given away */
	bool held_whole;       /* and `held` has all of it yet: a small one, to an origin that may refuse it */
	bool response_started; /* a final response head has been given to the front */
	bool response_ended;
	bool fresh;            /* an idle connection turned out to be closed: open a new one */
	bool http1_only;       /* a server has said by HTTP/2 that it wants HTTP/1.1 for this one */
	bool last;             /* no other request may follow on the client's connection */
	bool upgrade;          /* the client asked for a protocol that may be switched to */
	bool tunnel;           /* 101 has been passed on: bytes go both ways without framing */
	bool client_ended;     /* its direction of the tunnel; the other's end is response_ended */
	bool front_paused, back_paused; /* by us, for back-pressure */

	/* for logs and limits */
	uint64_t started_us;   /* wall clock */
	uint64_t started_ms;   /* monotonic */
	uint64_t deadline;     /* the same, of a gRPC call: grpc.h; 0: none */
	uint64_t number;       /* in its thread, from 1 */
	uint64_t id[2];        /* of ${request_id}; 0: not made yet */
	uint32_t head_bytes;
	uint64_t body_in, body_out; /* bytes */
	uint16_t status;       /* of the final response; 0: none */
	const char *origin_version; /* of HTTP, of the final response; static; NULL: none came */
	const char *failure;   /* why the proxy answered for the origin; NULL: it did not */

	struct net_deferred free_later;
	struct exchange *next_free;

	const struct http_head *trailers; /* the request's, NULL: none; lives in the front until the exchange ends */
	enum http_framing request_framing;
	uint64_t request_length;
	struct buf held;
	struct buf text; /* the request's bytes and added field values; `inline_text` or, for large heads, allocated */
	struct arena extra; /* for what does not fit into `text` */
	struct http_head request;
	char inline_text[EXCHANGE_TEXT];
};

/* --- by the front ------------------------------------------------------------------------------------------- */

/*
 * Parse into the thread's spare exchange; when a head is complete claim it. `head_bytes` is what was parsed: it is copied
 * into the exchange and the head's views moved along. False: out of memory.
 */
struct exchange *exchange_spare(struct px_thread *t);
MUST_CHECK bool exchange_claim(struct exchange *x, struct client *c, const struct side_ops *front, struct sv head_bytes);

/*
 * How long nothing may come of the rest of the request, where the config says `ms`; 0: for ever. Once it is being answered, the
 * origin's deadlines hold; a call is given until its own, by whoever sees to that, and no longer.
 */
static inline uint64_t
exchange_patience(const struct exchange *x, uint64_t ms)
{
	uint64_t now = net_loop_now(x->thread->loop);

	if (x->response_started)
		return 0;
	return x->deadline > now ? x->deadline - now + ms : ms;
}

/* Begin. The exchange may have ended when it returns. */
void exchange_start(struct exchange *x);

void exchange_request_body(struct exchange *x, struct sv data);
void exchange_request_end(struct exchange *x, const struct http_head *trailers);

/* Flush both sides and let back-pressure take effect: at the end of each read on either side. */
void exchange_flush(struct exchange *x);

void exchange_client_drained(struct exchange *x);

/* The client has gone, or its connection is broken: the origin is told at once. */
void exchange_client_gone(struct exchange *x, const char *why);

/* --- by the back -------------------------------------------------------------------------------------------- */

void exchange_origin_ready(struct exchange *x);

/* Before a final head came: the connection could not be made, broke, or its answer was malformed. `status`: 502 or 504. */
void exchange_origin_failed(struct exchange *x, unsigned status, const char *why);

/* The server has let the time go by that it was given: for the request, its response, or what follows of that. 504. */
void exchange_origin_late(struct exchange *x);

/* Is there a body to be sent, or may there be? */
static inline bool
exchange_has_body(const struct exchange *x)
{
	return x->request_framing != HTTP_NO_BODY && (x->request_framing != HTTP_LENGTH_BODY || x->request_length > 0);
}

/* Does timeouts.send hold? An early answer ends that. */
static inline bool
exchange_is_sending(const struct exchange *x)
{
	return !x->request_sent && !x->response_started;
}

/* The server has done nothing with the request, and says so (RFC 9113, 8.7): it may be sent again, whatever it is. */
void exchange_origin_refused(struct exchange *x, const char *why);

/* The connection that x waits for, and has nothing sent on, is not for it. */
void exchange_origin_elsewhere(struct exchange *x);
void exchange_response_head(struct exchange *x, struct http_head *h, enum http_framing framing, uint64_t length);
void exchange_response_body(struct exchange *x, struct sv data);
void exchange_response_end(struct exchange *x, const struct http_head *trailers);
void exchange_origin_drained(struct exchange *x);

/* --- by steps, hooks and services --------------------------------------------------------------------------- */

/*
 * Answer from here with a short text (NULL: the reason phrase), log why, end. When a response has begun the client is cut
 * off instead.
 */
void exchange_refuse(struct exchange *x, unsigned status, const char *why);

/* Why it is not the origin that answers, or has answered in full: for the log and the counters; the access log has it, too. */
void exchange_blame(struct exchange *x, unsigned status, const char *why);

/* For Allow: those that go through anywhere. Others do, too, but these everybody knows. */
#define EXCHANGE_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

/* Answer from here: extra fields (name, value pairs, n of them) and a body. For services. */
struct exchange_field {
	struct sv name, value;
};
void exchange_respond(struct exchange *x, unsigned status, const struct exchange_field *fields, size_t n, struct sv body);

/*
 * Over: log, count, let go of both sides. `how` is for the front; the origin goes back to its pool only after a whole
 * response.
 */
void exchange_end(struct exchange *x, enum side_end how);

/* The address a request came from, as trusted proxies tell or else the peer's; without the port. */
struct sv exchange_client_address(const struct exchange *x);

#endif
