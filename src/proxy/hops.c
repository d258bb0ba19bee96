/* hops.c: how far TRACE and OPTIONS may still go (RFC 9110, 7.6.2), and the answer where they may go no further. */
#include "proxy/steps.h"

enum { TRACED_MAX = 2 * 1024 * 1024 }; /* a head is at most 1 MiB as it came; each field takes a few bytes more here */

static bool
holds_digits(struct sv s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return s.n > 0 && i == s.n;
}

/* The request as it came, but for what its sender would not want to read in some log or script (9.3.8). */
static void
reflect(struct exchange *x)
{
	const struct exchange_field type = {SV("Content-Type"), SV("message/http")};
	const struct h1_write w = {.framing = HTTP_NO_BODY};
	struct buf text;

	http_head_drop(&x->request, HTTP_COOKIE);
	http_head_drop(&x->request, HTTP_AUTHORIZATION);
	http_head_drop_name(&x->request, SV("Proxy-Authorization"));
	buf_init(&text, TRACED_MAX);
	if (h1_write_request(&text, &x->request, &w))
		exchange_respond(x, 200, &type, 1, buf_view(&text));
	else
		exchange_refuse(x, 503, "no memory for the answer to TRACE");
	buf_clear(&text);
}

static void
answer(struct exchange *x)
{
	const struct exchange_field allow = {SV("Allow"), x->site->conf->trace ? SV(EXCHANGE_METHODS ", TRACE") : SV(EXCHANGE_METHODS)};

	if (x->request.method_id == HTTP_TRACE)
		reflect(x);
	else
		exchange_respond(x, 200, &allow, 1, SV(""));
}

/* The one that counts; *again: there is another. */
static struct http_field *
find_max_forwards(struct http_head *h, bool *again)
{
	struct http_field *found = NULL;

	for (unsigned i = 0; i < h->n_fields; i++) {
		if (h->fields[i].dropped || !sv_ieq(h->fields[i].name, SV("Max-Forwards")))
			continue;
		*again = found != NULL;
		found = &h->fields[i];
	}
	return found;
}

bool
hops_go_on(struct exchange *x)
{
	struct http_head *h = &x->request;
	uint64_t left = UINT64_MAX; /* of a larger number, too: what can not be counted can be made smaller */
	bool again = false;

	if (h->method_id != HTTP_TRACE && h->method_id != HTTP_OPTIONS)
		return true;
	struct http_field *f = find_max_forwards(h, &again);
	if (f == NULL)
		return true;
	if (again || (!sv_u64(f->value, &left) && !holds_digits(f->value))) {
		exchange_refuse(x, 400, "Max-Forwards is no number, or there are two");
		return false;
	}
	if (left == 0) {
		answer(x);
		return false;
	}
	const char *fewer = arena_printf(&x->extra, "%llu", (unsigned long long)left - 1);
	if (fewer == NULL) {
		exchange_refuse(x, 503, "no memory for Max-Forwards");
		return false;
	}
	f->value = sv_cstr(fewer);
	return true;
}
