/*
 * origin_h1.h: HTTP/1.1 on an origin's connection (RFC 9112): one exchange at a time.
 */
#ifndef BASCULE_PROXY_ORIGIN_H1_H
#define BASCULE_PROXY_ORIGIN_H1_H

#include "http/h1.h"

struct exchange;
struct origin;

struct origin_h1 {
	struct buf in;           /* the start of a response head */
	struct h1_scan scan;
	struct h1_body body;
	bool keep;               /* the response lets the connection stay open */
	bool in_body;            /* the final head has been passed on */
	bool request_chunked;    /* the present request is being sent in chunks */
	bool deaf;               /* takes no more of the request; an answer may have come before */
	uint64_t sent_mark;      /* stream.sent when the send deadline was set: tells progress */
};

extern const struct origin_codec origin_h1_codec;

/* A new connection is to speak it. */
void origin_h1_init(struct origin *o);

#endif
