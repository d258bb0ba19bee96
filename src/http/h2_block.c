#include "http/h2_block.h"

#include <stdlib.h>

#include "http/h1_internal.h"

enum { FIELD_OVERHEAD = 4 }; /* what a field line of HTTP/1.1 has besides: the limit means the same in both versions */

struct h2_block *
h2_block_new(uint32_t head_bytes)
{
	struct h2_block *b = malloc(sizeof(*b) + head_bytes);

	if (b != NULL)
		b->room = head_bytes;
	return b;
}

void
h2_block_begin(struct h2_block *b, bool is_response, uint32_t max_fields)
{
	http_head_init(&b->head, is_response);
	b->head.major = 2;
	b->trims = false;
	b->fault = H1_OK;
	b->max_fields = MIN_OF(max_fields, (uint32_t)HTTP_FIELDS_MAX);
	b->seen = 0;
	b->status = b->scheme = b->protocol = SV_NONE;
	b->used = 0;
}

/* Into the text, where it stays. SV_NONE: it does not fit. */
static struct sv
keep(struct h2_block *b, struct sv s)
{
	char *to = b->text + b->used;

	if (b->room - b->used < s.n)
		return SV_NONE;
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	b->used += s.n;
	return sv_of(to, s.n);
}

/* --- pseudo-header fields ------------------------------------------------------------------------------------- */

static struct sv *
pseudo(struct h2_block *b, struct sv name)
{
	if (b->head.is_response)
		return sv_eq(name, SV(":status")) ? &b->status : NULL;
	if (sv_eq(name, SV(":method")))
		return &b->head.method;
	if (sv_eq(name, SV(":path")))
		return &b->head.path;
	if (sv_eq(name, SV(":authority")))
		return &b->head.authority;
	if (sv_eq(name, SV(":scheme")))
		return &b->scheme;
	return sv_eq(name, SV(":protocol")) ? &b->protocol : NULL;
}

static enum h1_fault
add_pseudo(struct h2_block *b, struct sv name, struct sv value)
{
	struct sv *to = pseudo(b, name);

	if (to == NULL || to->p != NULL || b->head.n_fields > 0)
		return H1_REQUEST_LINE;
	*to = keep(b, value);
	return to->p != NULL ? H1_OK : sv_eq(name, SV(":path")) ? H1_TARGET_TOO_LONG : H1_HEAD_TOO_LARGE;
}

/* --- fields --------------------------------------------------------------------------------------------------- */

static enum h1_fault
add_field(struct h2_block *b, struct sv name, struct sv value)
{
	if (b->head.n_fields >= b->max_fields)
		return H1_TOO_MANY_FIELDS;
	if (!http_is_token(name))
		return H1_FIELD_NAME;
	if (b->trims)
		value = sv_trim(value);
	if (!http_is_value(value) || sv_trim(value).n != value.n)
		return H1_FIELD_VALUE;
	unsigned flags = http_field_flags(http_field_id(name));
	if ((flags & HTTP_HOP) != 0 && !(sv_eq(name, SV("te")) && sv_eq(value, SV("trailers")))) /* RFC 9113, 8.2.2 */
		return H1_HOP;
	name = keep(b, name);
	value = keep(b, value);
	if (name.p == NULL || value.p == NULL)
		return H1_HEAD_TOO_LARGE;
	return h1_append_field(&b->head, name, value);
}

void
h2_block_field(struct h2_block *b, struct sv name, struct sv value)
{
	b->seen += name.n + value.n + FIELD_OVERHEAD;
	if (b->fault != H1_OK)
		return;
	if (b->seen > b->room)
		b->fault = H1_HEAD_TOO_LARGE;
	else if (name.n > 0 && name.p[0] == ':')
		b->fault = add_pseudo(b, name, value);
	else
		b->fault = add_field(b, name, value);
}

/* --- the whole ------------------------------------------------------------------------------------------------ */

/*
 * A client may send its cookies in as many fields as it likes, for better compression; HTTP/1.1 has one (RFC 9113, 8.2.3).
 * Those behind the first are dropped once it has them all.
 */
static enum h1_fault
join_cookies(struct h2_block *b)
{
	struct http_head *h = &b->head;
	size_t from = b->used;
	unsigned n = 0;

	if (h->first[HTTP_COOKIE] == 0)
		return H1_OK;
	for (unsigned i = 0; i < h->n_fields; i++)
		n += h->fields[i].id == HTTP_COOKIE;
	for (unsigned i = 0; n > 1 && i < h->n_fields; i++) {
		struct http_field *f = &h->fields[i];
		if (f->id != HTTP_COOKIE)
			continue;
		if (b->used > from && f->value.n > 0 && keep(b, SV("; ")).p == NULL)
			return H1_HEAD_TOO_LARGE;
		if (keep(b, f->value).p == NULL)
			return H1_HEAD_TOO_LARGE;
		f->dropped = i + 1 != h->first[HTTP_COOKIE];
	}
	if (n > 1)
		h->fields[h->first[HTTP_COOKIE] - 1].value = sv_of(b->text + from, b->used - from);
	return H1_OK;
}

/*
 * Whom it is for (RFC 9113, 8.3.1). The origin is told by Host, as in HTTP/1.1; one that says something else than
 * :authority is not for anybody.
 */
static enum h1_fault
resolve_authority(struct h2_block *b)
{
	struct http_head *h = &b->head;
	const struct http_field *host = h1_field(h, HTTP_HOST);
	struct sv name;
	uint16_t port;

	if (h->authority.p == NULL && host == NULL)
		return H1_HOST;
	if (h->authority.p == NULL)
		h->authority = host->value;
	if (!http_split_authority(h->authority, &name, &port) || (host != NULL && !sv_ieq(host->value, h->authority)))
		return H1_HOST;
	if (h->method_id == HTTP_CONNECT && b->protocol.p == NULL && port == 0) /* RFC 9113, 8.5 */
		return H1_TARGET;
	return host != NULL || http_head_add_id(h, HTTP_HOST, h->authority) ? H1_OK : H1_TOO_MANY_FIELDS;
}

/* What stands between the spaces of HTTP/1.1's request line. */
static enum h1_fault
resolve_target(struct h2_block *b)
{
	struct http_head *h = &b->head;
	bool plain_connect = h->method_id == HTTP_CONNECT && b->protocol.p == NULL;

	if (b->protocol.p != NULL && (h->method_id != HTTP_CONNECT || !http_is_token(b->protocol)))
		return H1_REQUEST_LINE;
	if (plain_connect) {
		h->target = h->authority;
		return h->path.p == NULL && b->scheme.p == NULL && h->authority.p != NULL ? H1_OK : H1_REQUEST_LINE;
	}
	if (!sv_eq(b->scheme, SV("https")) && !sv_eq(b->scheme, SV("http")))
		return H1_REQUEST_LINE;
	if (h->path.p == NULL || !http_is_target(h->path))
		return H1_TARGET;
	if (h->path.p[0] != '/' && !(h->method_id == HTTP_OPTIONS && sv_eq(h->path, SV("*"))))
		return H1_TARGET;
	h->target = h->path;
	return H1_OK;
}

bool
h2_block_end_request(struct h2_block *b)
{
	struct http_head *h = &b->head;

	if (b->fault == H1_OK && (h->method.p == NULL || !http_is_token(h->method)))
		b->fault = H1_REQUEST_LINE;
	if (b->fault != H1_OK)
		return false;
	h->method_id = (uint8_t)http_method_id(h->method);
	b->fault = resolve_target(b);
	if (b->fault == H1_OK)
		b->fault = resolve_authority(b);
	if (b->fault == H1_OK)
		b->fault = join_cookies(b);
	if (b->fault == H1_OK)
		b->fault = h1_check_framing(h);
	return b->fault == H1_OK;
}

/* Three digits, from 100 on; 101 is for HTTP/1.1 alone (RFC 9113, 8.6). */
static enum h1_fault
resolve_status(struct h2_block *b)
{
	uint64_t status;

	if (b->status.n != 3 || !sv_u64(b->status, &status) || status < 100 || status == 101)
		return H1_STATUS_LINE;
	b->head.status = (uint16_t)status;
	return H1_OK;
}

bool
h2_block_end_response(struct h2_block *b)
{
	if (b->fault == H1_OK)
		b->fault = resolve_status(b);
	if (b->fault == H1_OK)
		b->fault = h1_check_framing(&b->head);
	return b->fault == H1_OK;
}

static bool
has_pseudo(const struct h2_block *b)
{
	const struct http_head *h = &b->head;

	return h->method.p != NULL || h->path.p != NULL || h->authority.p != NULL || b->scheme.p != NULL || b->protocol.p != NULL;
}

bool
h2_block_end_trailers(struct h2_block *b)
{
	if (b->fault == H1_OK && has_pseudo(b)) /* RFC 9113, 8.1 */
		b->fault = H1_TRAILER;
	for (unsigned i = 0; b->fault == H1_OK && i < b->head.n_fields; i++)
		if (!h1_may_be_trailer(&b->head.fields[i]))
			b->fault = H1_TRAILER;
	return b->fault == H1_OK;
}
