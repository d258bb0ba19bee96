#include "http/h1_internal.h"

/* RFC 9112, 6.3, rules 1 and 2: such a response has no body, whatever its fields say. */
static bool
is_bodiless(const struct http_head *h)
{
	if (!h->is_response)
		return false;
	return h->status < 200 || h->status == 204 || h->status == 304 || h->method_id == HTTP_HEAD ||
	    (h->method_id == HTTP_CONNECT && h->status < 300);
}

/*
 * 1xx and 204 must not have either field (RFC 9110, 8.6; RFC 9112, 6.1). An origin that announces a body all the
 * same may send it, and it would be read as the next response: refused. "Content-Length: 0" is common and harmless.
 */
static enum h1_fault
check_never_a_body(const struct http_head *h, const struct http_field *coding, uint64_t length)
{
	if (!h->is_response || (h->status >= 200 && h->status != 204))
		return H1_OK;
	return coding != NULL ? H1_CODING : length > 0 ? H1_LENGTH : H1_OK;
}

enum h1_fault
h1_check_framing(const struct http_head *h)
{
	const struct http_field *length = h1_field(h, HTTP_CONTENT_LENGTH);
	const struct http_field *coding = h1_field(h, HTTP_TRANSFER_ENCODING);
	uint64_t n = 0;

	if (length != NULL && coding != NULL)
		return H1_LENGTH_AND_CODING;
	if (length != NULL && (!sv_u64(length->value, &n) || n > H1_BODY_MAX))
		return H1_LENGTH;
	if (coding != NULL && h->minor == 0)
		return H1_CODING_10;
	if (coding != NULL && !sv_ieq(coding->value, SV("chunked")))
		return H1_CODING;
	return check_never_a_body(h, coding, n);
}

void
h1_body_init(struct h1_body *b, const struct http_head *h)
{
	const struct http_field *length = h1_field(h, HTTP_CONTENT_LENGTH);

	*b = (struct h1_body){.framing = HTTP_NO_BODY};
	buf_init(&b->trailers, H1_TRAILER_ROOM);
	if (is_bodiless(h))
		return;
	if (h1_field(h, HTTP_TRANSFER_ENCODING) != NULL)
		b->framing = HTTP_STREAMED_BODY;
	else if (length != NULL && sv_u64(length->value, &b->left))
		b->framing = HTTP_LENGTH_BODY;
	else if (h->is_response)
		b->framing = HTTP_CLOSE_BODY;
}

bool
h1_withholds_body(const struct http_head *h)
{
	const struct http_field *length = h1_field(h, HTTP_CONTENT_LENGTH);
	uint64_t n = 0;

	return is_bodiless(h) &&
	    (h1_field(h, HTTP_TRANSFER_ENCODING) != NULL || (length != NULL && sv_u64(length->value, &n) && n > 0));
}

void
h1_body_free(struct h1_body *b)
{
	buf_clear(&b->trailers);
}

bool
h1_body_ends_at_close(const struct h1_body *b)
{
	return b->framing == HTTP_CLOSE_BODY;
}

/* Of a length-delimited or close-delimited body. */
static enum h1_status
plain_next(struct h1_body *b, struct sv *in, struct sv *data)
{
	*data = h1_take(in, b->framing == HTTP_LENGTH_BODY ? b->left : UINT64_MAX);
	if (b->framing == HTTP_CLOSE_BODY)
		return H1_MORE;
	b->left -= data->n;
	return b->left == 0 ? H1_DONE : H1_MORE;
}

enum h1_status
h1_body_next(struct h1_body *b, struct sv *in, struct sv *data, enum h1_fault *fault)
{
	*data = SV_NONE;
	*fault = H1_OK;
	if (b->framing == HTTP_NO_BODY)
		return H1_DONE;
	return b->framing == HTTP_STREAMED_BODY ? h1_chunked_next(b, in, data, fault) : plain_next(b, in, data);
}
