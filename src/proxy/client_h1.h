/*
 * client_h1.h: HTTP/1.1 on a client's connection.
 *
 * Requests come one after the other, and so do their exchanges. What reads
 * them is client_h1.c, what writes the responses client_h1_front.c.
 */
#ifndef BASCULE_PROXY_CLIENT_H1_H
#define BASCULE_PROXY_CLIENT_H1_H

#include "proxy/exchange.h"

/* What the connection waits for: decides which deadline holds. */
enum h1_phase {
	PHASE_IDLE,   /* no byte of a next request yet */
	PHASE_HEAD,   /* part of a head has come */
	PHASE_BODY,   /* an exchange runs, its request is not complete */
	PHASE_WAIT,   /* an exchange runs, its request is complete */
	PHASE_TUNNEL, /* bytes without framing; the exchange runs */
	PHASE_PREFACE, /* what came is the preface of HTTP/2: its codec takes over */
};

struct client_h1 {
	struct exchange *exchange;   /* NULL between requests */
	struct buf in;               /* the start of a head, or pipelined bytes */
	struct h1_body body;
	struct h1_scan scan;
	struct http_head *trailers;  /* of the present request; NULL: none */
	uint32_t turn_end;           /* of requests: at so many others get their turn */
	uint8_t phase;               /* enum h1_phase */
	bool keep;                   /* another request may follow */
	bool half_closed;            /* has ended its side while it waits for a response */
	bool reading;                /* readable() is on the stack */
	bool chunked;                /* the present response is being sent in chunks */
};

extern const struct client_codec client_h1_codec;
extern const struct side_ops client_h1_front;

#endif
