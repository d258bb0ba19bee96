#include "http/h1_internal.h"

/* Cut "http://" or "https://" from the front, in any case (RFC 3986, 3.1). */
static bool
cut_scheme(struct sv *target)
{
	static const struct sv schemes[] = {SV("http://"), SV("https://")};

	for (size_t i = 0; i < COUNTOF(schemes); i++) {
		size_t n = schemes[i].n;
		if (target->n >= n && sv_ieq(sv_of(target->p, n), schemes[i])) {
			*target = sv_of(target->p + n, target->n - n);
			return true;
		}
	}
	return false;
}

/*
 * scheme://authority[/path]. A query behind an empty path ("http://a?q") is legal, but what an origin would be sent
 * stands nowhere in the target, and implementations differ on where the authority ends: refused.
 */
static enum h1_fault
absolute_form(struct http_head *h)
{
	struct sv rest = h->target;

	if (!cut_scheme(&rest))
		return H1_TARGET;
	const char *slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
	size_t n = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
	h->authority = sv_of(rest.p, n);
	h->path = sv_of(rest.p + n, rest.n - n);
	if (slash == NULL) /* RFC 9112, 3.2.4: without a path, OPTIONS is about the server */
		h->path = h->method_id == HTTP_OPTIONS ? SV("*") : SV("/");
	return H1_OK;
}

/* One form for each method, told apart by the first byte (RFC 9112, 3.2). Sets the authority that the target names. */
static enum h1_fault
read_target(struct http_head *h)
{
	h->authority = SV_NONE;
	h->path = SV_NONE;
	if (h->method_id == HTTP_CONNECT) {
		h->authority = h->target;
		return H1_OK;
	}
	if (h->target.p[0] != '/' && !sv_eq(h->target, SV("*")))
		return absolute_form(h);
	if (h->target.p[0] == '*' && h->method_id != HTTP_OPTIONS)
		return H1_TARGET;
	h->path = h->target;
	return H1_OK;
}

enum h1_fault
h1_resolve_target(struct http_head *h)
{
	const struct http_field *host = h1_field(h, HTTP_HOST);
	enum h1_fault fault = read_target(h);
	struct sv name;
	uint16_t port;

	if (fault != H1_OK)
		return fault;
	if (h->authority.p != NULL) {
		if (!http_split_authority(h->authority, &name, &port) || (h->method_id == HTTP_CONNECT && port == 0))
			return H1_TARGET;
		/* The target wins (RFC 9112, 3.2.2), but an origin that reads only Host must not see another site. */
		if (host != NULL && !sv_ieq(host->value, h->authority))
			return H1_HOST;
	} else if (host != NULL) {
		if (!http_split_authority(host->value, &name, &port))
			return H1_HOST;
		h->authority = host->value;
	}
	return host == NULL && h->minor > 0 ? H1_HOST : H1_OK;
}
