#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/exchange.h"

enum {
	METRICS_MAX = 64 * 1024 * 1024, /* ten thousand bundles may be in a rotation */
	REFUSAL_MAX = 1024,
};

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

/* Whoever talks to the API by hand is told what was wrong. */
static void
refuse(struct exchange *x, unsigned status, const char *why)
{
	struct buf text;

	buf_init(&text, REFUSAL_MAX);
	if (buf_printf(&text, "%s\n", why))
		answer(x, status, SV("text/plain"), buf_view(&text));
	else
		exchange_refuse(x, 503, "out of memory");
	buf_clear(&text);
}

/* What follows the path's question mark; no bytes at all: there is none. */
static struct sv
query_of(const struct exchange *x)
{
	struct sv rest = x->request.path;

	(void)sv_cut(&rest, '?');
	return rest;
}

static void
chains(struct exchange *x, struct admin *a)
{
	answer_json(x, 200, admin_chains_json(a));
}

static void
reload(struct exchange *x, struct admin *a)
{
	struct sv value = query_of(x);
	struct err err = {"a reload takes ?accept=WORD,WORD and nothing else"};
	unsigned accept = 0;

	if (value.p != NULL && (!sv_eq(sv_cut(&value, '='), SV("accept")) || !conf_losses(value, &accept, &err))) {
		refuse(x, 400, err.text);
		return;
	}
	bool ok = a->reload(a, accept);
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

/* --- rotations ----------------------------------------------------------------------------------------------- */

static void
rotations(struct exchange *x, struct admin *a)
{
	answer_json(x, 200, admin_rotations_json(a));
}

static int
hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = memchr(digits, ascii_lower(c), 16);

	return at != NULL ? (int)(at - digits) : -1;
}

/* %XX; false: it is cut off, too long, or no text. */
static bool
unescape(struct sv in, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		int value = (unsigned char)in.p[i];
		if (in.p[i] == '%') {
			int high = in.n - i > 2 ? hex_value(in.p[i + 1]) : -1, low = high >= 0 ? hex_value(in.p[i + 2]) : -1;
			value = low >= 0 ? high << 4 | low : 0;
			i += 2;
		}
		if (value == 0 || n + 1 == size)
			return false;
		out[n++] = (char)value;
	}
	out[n] = '\0';
	return n > 0;
}

/* NAME, or NAME/WORD with a query. */
static void
rotation(struct exchange *x, struct admin *a, struct sv rest)
{
	struct sv query = rest, path = sv_cut(&query, '?'), word = path, name = sv_cut(&word, '/');
	char bundle[1024] = "";
	struct rotation *r = unescape(name, bundle, sizeof(bundle)) ? rotation_registry_find(a->rotations, bundle) : NULL;
	struct err err = {""};

	if (r == NULL) {
		refuse(x, 404, "no bundle has this name; `bascule status` lists them");
	} else if (word.p == NULL && sv_eq(x->request.method, SV("GET"))) {
		answer_json(x, 200, admin_rotation_json(r));
	} else if (word.p == NULL || !sv_eq(x->request.method, SV("POST"))) {
		refuse(x, 405, "the admin API has this path with another method");
	} else if (admin_rotation_command(a, r, word, query, &err)) {
		log_notice("bundle \"%s\": told to %.*s", bundle, SV_FMT(word));
		answer_json(x, 200, admin_rotation_json(r));
	} else {
		answer(x, 409, SV("text/plain"), sv_cstr(err.text));
	}
}

/* --- client CAs ---------------------------------------------------------------------------------------------- */

static void
client_cas(struct exchange *x, struct admin *a)
{
	answer_json(x, 200, admin_client_cas_json(a));
}

/* SITE, or SITE/CA. */
static void
client_ca(struct exchange *x, struct admin *a, struct sv rest)
{
	struct sv query = rest, ca = sv_cut(&query, '?'), site = sv_cut(&ca, '/');
	char site_name[1024] = "", ca_name[1024] = "", *json = NULL;
	struct client_cas *c = unescape(site, site_name, sizeof(site_name)) ? client_ca_registry_find(a->client_cas, site_name) : NULL;

	if (c == NULL) {
		refuse(x, 404, "no site of this name asks for client certificates; `bascule client-ca status` lists those that do");
		return;
	}
	if (!sv_eq(x->request.method, SV("GET"))) {
		refuse(x, 405, "the admin API has this path with another method");
		return;
	}
	bool understood = query.p == NULL && (ca.p == NULL || unescape(ca, ca_name, sizeof(ca_name)));
	unsigned status = understood ? admin_client_ca_json(a, c, ca.p != NULL ? ca_name : NULL, &json) : 400;
	if (status == 200 || status == 503)
		answer_json(x, status, json);
	else
		refuse(x, status,
		    status == 404   ? "the site has no client CA of this name, nor has it had one; `bascule client-ca status` "
				      "lists them"
		    : status == 409 ? "the site has several client CAs of this name: take the first digits of a fingerprint"
				    : "the name of a CA stands there, and nothing else");
}

/* --- the calls ----------------------------------------------------------------------------------------------- */

static const struct {
	const char *path, *method;
	void (*fn)(struct exchange *x, struct admin *a);
	bool query; /* takes one */
} calls[] = {
	{"/v1/status", "GET", status, false},
	{"/v1/chains", "GET", chains, false},
	{"/v1/reload", "POST", reload, true},
	{"/metrics", "GET", metrics, false},
	{"/v1/rotations", "GET", rotations, false},
	{"/v1/client-cas", "GET", client_cas, false},
};

void
admin_service(struct exchange *x, void *arg)
{
	const struct sv rotations_of = SV("/v1/rotations/"), client_cas_of = SV("/v1/client-cas/");
	struct admin *a = arg;
	struct sv rest = x->request.path, path = sv_cut(&rest, '?');

	if (sv_starts(x->request.path, rotations_of)) {
		rotation(x, a, sv_of(x->request.path.p + rotations_of.n, x->request.path.n - rotations_of.n));
		return;
	}
	if (sv_starts(x->request.path, client_cas_of)) {
		client_ca(x, a, sv_of(x->request.path.p + client_cas_of.n, x->request.path.n - client_cas_of.n));
		return;
	}
	for (size_t i = 0; i < COUNTOF(calls); i++) {
		if (!sv_eq(path, sv_cstr(calls[i].path)))
			continue;
		if (rest.p != NULL && !calls[i].query)
			refuse(x, 400, "the admin API takes no query with this path");
		else if (sv_eq(x->request.method, sv_cstr(calls[i].method)))
			calls[i].fn(x, a);
		else
			refuse(x, 405, "the admin API has this path with another method");
		return;
	}
	refuse(x, 404, "the admin API has no such path");
}
