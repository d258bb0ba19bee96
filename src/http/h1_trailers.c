#include "http/h1_internal.h"

bool
h1_body_trailers(const struct h1_body *b, struct http_head *h)
{
	http_head_init(h, false);
	return buf_len(&b->trailers) > 0 && h1_parse_fields(h, buf_view(&b->trailers), HTTP_FIELDS_MAX) == H1_OK;
}

/*
 * Fields that a sender must not put into trailers, for a receiver that merges them would change how it frames,
 * routes, authenticates or caches the message (RFC 9110, 6.5.1): all that this proxy looks at, and these,
 * with "_" for "-" too.
 */
bool
h1_may_be_trailer(const struct http_field *f)
{
	static const struct sv never[] = {
	    SV("age"),
	    SV("cache-control"),
	    SV("content-encoding"),
	    SV("content-range"),
	    SV("expires"),
	    SV("if-match"),
	    SV("if-modified-since"),
	    SV("if-none-match"),
	    SV("if-range"),
	    SV("if-unmodified-since"),
	    SV("max-forwards"),
	    SV("pragma"),
	    SV("proxy-authenticate"),
	    SV("proxy-authorization"),
	    SV("range"),
	    SV("retry-after"),
	    SV("vary"),
	    SV("www-authenticate"),
	};

	for (int id = HTTP_OTHER + 1; id < HTTP_FIELD_IDS; id++)
		if (http_field_same(f->name, sv_cstr(http_field_name((enum http_field_id)id))))
			return false;
	for (size_t i = 0; i < COUNTOF(never); i++)
		if (http_field_same(f->name, never[i]))
			return false;
	return true;
}

enum h1_fault
h1_check_trailers(const struct h1_body *b)
{
	struct http_head h;

	if (buf_len(&b->trailers) == 0)
		return H1_OK;
	if (!h1_body_trailers(b, &h))
		return H1_TRAILER;
	for (size_t i = 0; i < h.n_fields; i++)
		if (!h1_may_be_trailer(&h.fields[i]))
			return H1_TRAILER;
	return H1_OK;
}
