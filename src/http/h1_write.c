#include "http/h1.h"

enum { DECIMAL_MAX = 20, FRAMING_MAX = 48 }; /* digits of a uint64_t; "content-length: " with them and CRLF */

/* The copying below is into room that was measured before. */
static char *
put(char *to, struct sv s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static char *
put_field(char *to, struct sv name, struct sv value)
{
	return put(put(put(put(to, name), SV(": ")), value), SV("\r\n"));
}

static size_t
field_size(struct sv name, struct sv value)
{
	return name.n + value.n + 4;
}

static char *
put_decimal(char *to, uint64_t n)
{
	char digits[DECIMAL_MAX];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return put(to, sv_of(digits + i, sizeof(digits) - i));
}

static bool
is_written(const struct http_field *f, const struct h1_write *w)
{
	if (f->dropped)
		return false;
	if (f->id == HTTP_CONTENT_LENGTH)
		return w->keep_length && w->framing == HTTP_NO_BODY;
	return (http_field_flags(f->id) & HTTP_FRAMING) == 0;
}

static size_t
fields_size(const struct http_head *h, const struct h1_write *w)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_fields; i++)
		if (is_written(&h->fields[i], w))
			n += field_size(h->fields[i].name, h->fields[i].value);
	return n;
}

static char *
put_fields(char *to, const struct http_head *h, const struct h1_write *w)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (is_written(&h->fields[i], w))
			to = put_field(to, h->fields[i].name, h->fields[i].value);
	return to;
}

static char *
put_framing(char *to, const struct h1_write *w)
{
	if (w->framing == HTTP_STREAMED_BODY)
		return put_field(to, SV("transfer-encoding"), SV("chunked"));
	if (w->framing == HTTP_LENGTH_BODY)
		return put(put_decimal(put(to, SV("content-length: ")), w->length), SV("\r\n"));
	return to;
}

/* The start line in its pieces, then all that follows it. */
static bool
write_head(struct buf *out, const struct sv *line, size_t n_pieces, const struct http_head *h, const struct h1_write *w)
{
	const struct sv connection = SV("connection");
	char framing[FRAMING_MAX];
	struct sv framing_line = sv_of(framing, (size_t)(put_framing(framing, w) - framing));
	size_t size = fields_size(h, w) + framing_line.n + 2;

	for (size_t i = 0; i < n_pieces; i++)
		size += line[i].n;
	if (w->connection.n > 0)
		size += field_size(connection, w->connection);
	char *start = buf_room(out, size), *to = start;
	if (start == NULL)
		return false;
	for (size_t i = 0; i < n_pieces; i++)
		to = put(to, line[i]);
	to = put(put_fields(to, h, w), framing_line);
	if (w->connection.n > 0)
		to = put_field(to, connection, w->connection);
	to = put(to, SV("\r\n"));
	buf_added(out, (size_t)(to - start));
	return true;
}

bool
h1_write_request(struct buf *out, const struct http_head *h, const struct h1_write *w)
{
	const struct sv target = h->path.n > 0 ? h->path : h->target;
	const struct sv line[] = {h->method, SV(" "), target, SV(" HTTP/1.1\r\n")};

	if (!http_is_token(h->method) || !http_is_target(target) || !http_is_value(w->connection))
		return false;
	return write_head(out, line, COUNTOF(line), h, w);
}

bool
h1_write_response(struct buf *out, const struct http_head *h, const struct h1_write *w)
{
	char code[DECIMAL_MAX];
	const struct sv status = sv_of(code, (size_t)(put_decimal(code, h->status) - code));
	const struct sv reason = h->reason.n > 0 ? h->reason : sv_cstr(http_reason(h->status));
	const struct sv line[] = {SV("HTTP/1.1 "), status, SV(" "), reason, SV("\r\n")};

	if (status.n != 3 || !http_is_value(reason) || !http_is_value(w->connection))
		return false;
	return write_head(out, line, COUNTOF(line), h, w);
}

size_t
h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], size_t n)
{
	size_t digits = 1, at = 0;

	for (size_t rest = n >> 4; rest > 0; rest >>= 4)
		digits++;
	while (digits-- > 0)
		out[at++] = "0123456789abcdef"[n >> digits * 4 & 15];
	out[at++] = '\r';
	out[at++] = '\n';
	return at;
}

bool
h1_write_last_chunk(struct buf *out, const struct http_head *h)
{
	const struct h1_write plain = {.framing = HTTP_STREAMED_BODY};
	size_t size = 3 + (h != NULL ? fields_size(h, &plain) : 0) + 2;
	char *start = buf_room(out, size), *to = start;

	if (start == NULL)
		return false;
	to = put(to, SV("0\r\n"));
	if (h != NULL)
		to = put_fields(to, h, &plain);
	to = put(to, SV("\r\n"));
	buf_added(out, (size_t)(to - start));
	return true;
}

bool
h1_keeps_alive(const struct http_head *h)
{
	if (http_head_has_token(h, HTTP_CONNECTION, SV("close")))
		return false;
	return h->minor > 0 || http_head_has_token(h, HTTP_CONNECTION, SV("keep-alive"));
}
