/* respond.c: answers of the proxy's own: refusals, redirects, services. */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "proxy/client.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7) into `out`. */
static struct sv
http_date(char out[32])
{
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL)
		return SV_NONE;
	return sv_of(out, strftime(out, 32, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}

void
exchange_respond(struct exchange *x, unsigned status, const struct exchange_field *fields, size_t n, struct sv body)
{
	struct http_head *h = &x->thread->response;
	char date[32];
	bool ok = true;

	if (x->ended)
		return;
	http_head_init(h, true);
	h->status = (uint16_t)status;
	h->minor = 1;
	h->reason = sv_cstr(http_reason(status));
	h->method_id = x->request.method_id;
	ok &= http_head_add_id(h, HTTP_DATE, http_date(date));
	for (size_t i = 0; i < n; i++)
		ok &= http_head_add(h, fields[i].name, fields[i].value);
	x->response_started = true;
	x->status = (uint16_t)status;
	bool bodyless = x->request.method_id == HTTP_HEAD;
	ok = ok && x->front->head(x, h, HTTP_LENGTH_BODY, body.n);
	if (ok && !bodyless && body.n > 0)
		ok = x->front->body(x, body);
	x->body_out += bodyless ? 0 : body.n;
	x->response_ended = true;
	ok = ok && x->front->end(x, NULL);
	exchange_end(x, ok ? SIDE_DONE : SIDE_BROKEN);
}

/* After these nobody can be sure where the next request would begin, or the client would better not go on as it did. */
static bool
ends_connection(unsigned status)
{
	return status == 400 || status == 408 || status == 413 || status == 414 || status == 431 || status == 501 ||
	       status == 505;
}

void
exchange_blame(struct exchange *x, unsigned status, const char *why)
{
	x->failure = why;
	if (!x->response_started)
		counter_add(&x->thread->counters.requests_refused, 1);
	if (log_allows(&x->thread->client_lines, LOG_INFO, net_loop_now(x->thread->loop)))
		log_info("client %.*s: %.*s %.*s%.*s: %u: %s", SV_FMT(client_address(x->client)), SV_FMT(x->request.method),
		    SV_FMT(x->request.authority), SV_FMT(x->request.path), status, why);
}

void
exchange_refuse(struct exchange *x, unsigned status, const char *why)
{
	char text[256];
	struct exchange_field fields[] = {
		{SV("Content-Type"), SV("text/plain; charset=utf-8")},
		status == 405 ? (struct exchange_field){SV("Allow"), SV(EXCHANGE_METHODS)}
			      : (struct exchange_field){SV("Retry-After"), SV("1")},
	};

	if (x->ended)
		return;
	x->last |= ends_connection(status);
	exchange_blame(x, status, why);
	if (x->response_started) {
		/* Half a response can not be taken back: the client must see that it is not whole. */
		exchange_end(x, SIDE_BROKEN);
		return;
	}
	int n = snprintf(text, sizeof(text), "%u %s\n", status, http_reason(status));
	exchange_respond(x, status, fields, status == 503 || status == 405 ? 2 : 1, sv_of(text, (size_t)n));
}
