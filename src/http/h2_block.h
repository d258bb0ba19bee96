/*
 * h2_block.h: a field section of HTTP/2 (RFC 9113, 8.2 and 8.3) on its way into a head.
 *
 * Fields are given to it one by one, as they are decoded. What HTTP/1.1 could
 * not say, or two readers could understand differently, is a fault here too:
 * the request may go on as HTTP/1.1. Whoever frames and decodes has checked
 * names, values, the order of pseudo-header fields and content-length
 * against DATA already (libnghttp2); nothing here relies on it for safety.
 */
#ifndef BASCULE_HTTP_H2_BLOCK_H
#define BASCULE_HTTP_H2_BLOCK_H

#include "http/h1.h"

/* About 5 KB and its text: one is at work at a time in a thread, mostly, and is used again. */
struct h2_block {
	struct http_head head;  /* views into `text` */
	enum h1_fault fault;    /* the first; H1_OK: none so far */
	uint32_t max_fields;
	bool trims;             /* white space around values is taken off; else it is a fault (RFC 9113, 8.2.1) */
	uint64_t seen;          /* bytes of fields so far, kept or not */
	struct sv status;           /* of a response */
	struct sv scheme, protocol; /* of a request: protocol is that of extended CONNECT (RFC 8441) */
	size_t used, room;
	char text[];
};

/* NULL: no memory. free() it. */
struct h2_block *h2_block_new(uint32_t head_bytes);

/* Begin a section. */
void h2_block_begin(struct h2_block *b, bool is_response, uint32_t max_fields);

/* One field, copied. A fault stays in b->fault, and what comes behind it is only counted. */
void h2_block_field(struct h2_block *b, struct sv name, struct sv value);

/* The section is whole: is it a request, a response, or trailers? False: b->fault. */
MUST_CHECK bool h2_block_end_request(struct h2_block *b);
MUST_CHECK bool h2_block_end_response(struct h2_block *b);
MUST_CHECK bool h2_block_end_trailers(struct h2_block *b);

/* All that the head's views look at. */
static inline struct sv
h2_block_text(const struct h2_block *b)
{
	return sv_of(b->text, b->used);
}

#endif
