#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange.h"

enum { METRICS_MAX = 1024 * 1024 };

static void
answer(struct exchange *x, unsigned status, struct sv type, struct sv body)
{
	struct exchange_field field = {SV("Content-Type"), type};

	exchange_respond(x, status, &field, 1, body);
}

/* Takes over `json`. */
static void
answer_json(struct exchange *x, unsigned status, char *json)
{
	if (json == NULL)
		exchange_refuse(x, 503, "out of memory");
	else
		answer(x, status, SV("application/json"), sv_cstr(json));
	free(json);
}

static void
status(struct exchange *x, struct admin *a)
{
	answer_json(x, 200, admin_status_json(a));
}

static void
reload(struct exchange *x, struct admin *a)
{
	bool ok = a->reload(a);

	answer_json(x, ok ? 200 : 409, admin_load_json(a));
}

static void
metrics(struct exchange *x, struct admin *a)
{
	struct buf text;

	buf_init(&text, METRICS_MAX);
	if (admin_metrics(a, &text))
		answer(x, 200, SV("text/plain; version=0.0.4"), buf_view(&text));
	else
		exchange_refuse(x, 503, "out of memory");
	buf_clear(&text);
}

static const struct {
	const char *path, *method;
	void (*fn)(struct exchange *x, struct admin *a);
} calls[] = {
	{"/v1/status", "GET", status},
	{"/v1/reload", "POST", reload},
	{"/metrics", "GET", metrics},
};

void
admin_service(struct exchange *x, void *arg)
{
	struct admin *a = arg;

	for (size_t i = 0; i < COUNTOF(calls); i++) {
		if (!sv_eq(x->request.path, sv_cstr(calls[i].path)))
			continue;
		if (sv_eq(x->request.method, sv_cstr(calls[i].method)))
			calls[i].fn(x, a);
		else
			exchange_refuse(x, 405, "the admin API has this path with another method");
		return;
	}
	exchange_refuse(x, 404, "the admin API has no such path");
}
