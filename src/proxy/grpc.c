#include "proxy/grpc.h"

enum { DIGITS_MAX = 8 };

/* "100m", one to eight digits and a unit, in ms, at least 1. */
static bool
parse_timeout(struct sv text, uint64_t *ms)
{
	uint64_t n;

	if (text.n < 2 || text.n > DIGITS_MAX + 1 || !sv_u64(sv_of(text.p, text.n - 1), &n))
		return false;
	switch (text.p[text.n - 1]) {
	case 'H':
		*ms = n * 3600 * 1000;
		break;
	case 'M':
		*ms = n * 60 * 1000;
		break;
	case 'S':
		*ms = n * 1000;
		break;
	case 'm':
		*ms = n;
		break;
	case 'u':
		*ms = n / 1000;
		break;
	case 'n':
		*ms = n / 1000000;
		break;
	default:
		return false;
	}
	*ms = MAX_OF(*ms, (uint64_t)1);
	return true;
}

/* "application/grpc" and its formats ("+proto"), but not "application/grpc-web", which ends otherwise. */
static bool
is_grpc(const struct http_head *h)
{
	const struct http_field *type = http_head_get(h, HTTP_CONTENT_TYPE);
	const struct sv name = SV("application/grpc");

	if (type == NULL || !sv_starts(type->value, name))
		return false;
	char next = type->value.n > name.n ? type->value.p[name.n] : ';';
	return next == '+' || next == ';' || next == ' ' || next == '\t';
}

bool
grpc_ends_with_status(const struct http_head *h, enum http_framing framing)
{
	return framing == HTTP_STREAMED_BODY && is_grpc(h);
}

void
grpc_note_deadline(struct exchange *x)
{
	bool is_call = x->request.method_id == HTTP_POST && is_grpc(&x->request);
	const struct http_field *timeout = is_call ? http_head_find(&x->request, SV("grpc-timeout")) : NULL;
	uint64_t ms;

	if (timeout == NULL || !parse_timeout(timeout->value, &ms))
		return;
	x->deadline = x->started_ms + MIN_OF(ms, x->action->timeouts->tunnel);
}

uint64_t
grpc_patience(const struct exchange *x, uint64_t ms)
{
	uint64_t now = net_loop_now(x->thread->loop);

	if (x->deadline == 0)
		return ms;
	return x->deadline > now ? x->deadline - now : 1;
}

#define LATE "the call took longer than its grpc-timeout, of which timeouts.tunnel is the most"

void
grpc_expire(struct exchange *x, bool with_status)
{
	const struct exchange_field answer[] = {
		{SV("Content-Type"), SV("application/grpc")},
		{SV("grpc-status"), SV("4")}, /* DEADLINE_EXCEEDED */
		{SV("grpc-message"), SV(LATE)},
	};
	struct http_head *trailers = &x->thread->response;

	exchange_blame(x, 504, LATE);
	if (!x->response_started) {
		exchange_respond(x, 200, answer, COUNTOF(answer), SV(""));
		return;
	}
	if (!with_status) {
		exchange_end(x, SIDE_BROKEN);
		return;
	}
	http_head_init(trailers, true);
	bool ok = http_head_add(trailers, answer[1].name, answer[1].value) && http_head_add(trailers, answer[2].name, answer[2].value);
	exchange_end(x, ok && x->front->end(x, trailers) ? SIDE_DONE : SIDE_BROKEN);
}
