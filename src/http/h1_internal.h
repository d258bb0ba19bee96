/*
 * h1_internal.h: what the files of the HTTP/1.1 codec share, and that of HTTP/2 with them.
 */
#ifndef BASCULE_HTTP_H1_INTERNAL_H
#define BASCULE_HTTP_H1_INTERNAL_H

#include "http/h1.h"

/* The longest body, and chunk: what any peer can count in a signed number. */
#define H1_BODY_MAX ((uint64_t)INT64_MAX)

/*
 * Append the field lines in `lines` to `h`, at most until it has `max_fields`. The lines are whole, each ended by
 * CRLF, and hold no other LF: the callers find the end of a head or trailer section by its line ends.
 */
enum h1_fault h1_parse_fields(struct http_head *h, struct sv lines, uint32_t max_fields);

/* Append one whose syntax has been checked, not copied. The head has room. */
enum h1_fault h1_append_field(struct http_head *h, struct sv name, struct sv value);

/* Is this a field that may come behind a body? */
bool h1_may_be_trailer(const struct http_field *f);

/* What authority and path a request is for, from its target and its Host (RFC 9112, 3.2 and 3.3). */
enum h1_fault h1_resolve_target(struct http_head *h);

/* Do Content-Length and Transfer-Encoding say one thing, in one way (RFC 9112, 6.1 to 6.3)? */
enum h1_fault h1_check_framing(const struct http_head *h);

/* h1_body_next() for a chunked body. */
enum h1_status h1_chunked_next(struct h1_body *b, struct sv *in, struct sv *data, enum h1_fault *fault);

/* Are the trailer lines in b->trailers well-formed, and fields that may come there? */
enum h1_fault h1_check_trailers(const struct h1_body *b);

/* Cut at most n bytes from the front of *in. */
static inline struct sv
h1_take(struct sv *in, uint64_t n)
{
	struct sv taken = sv_of(in->p, (size_t)MIN_OF((uint64_t)in->n, n));

	*in = sv_of(in->p + taken.n, in->n - taken.n);
	return taken;
}

/* The first field with this id, dropped or not; NULL: none. */
static inline const struct http_field *
h1_field(const struct http_head *h, enum http_field_id id)
{
	return h->first[id] != 0 ? &h->fields[h->first[id] - 1] : NULL;
}

#endif
