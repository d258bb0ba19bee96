/* forward.c: heads on their way: what is removed, added and rewritten before the other side sees them. */
#include <stdio.h>
#include <string.h>

#include "proxy/client.h"
#include "proxy/origin.h"
#include "proxy/steps.h"

/* A buffer of `need` bytes that lives as long as the exchange and does not move. */
static bool
room_for(struct exchange *x, size_t need, struct buf *out)
{
	struct buf *t = &x->text;
	char *memory = t->data + t->tail;

	if (t->capacity - t->tail >= need)
		buf_added(t, need);
	else
		memory = arena_alloc(&x->extra, need);
	buf_over(out, memory, need);
	return memory != NULL;
}

/* --- who the client is -------------------------------------------------------------------------------------- */

static bool
peer_is_trusted(const struct exchange *x)
{
	return snap_networks_hold(&x->view->snapshot->trusted, &x->client->from);
}

/* Go through one X-Forwarded-For line from the right. False: *found is the client, or what stands left tells nothing. */
static bool
goes_on(const struct exchange *x, struct sv line, struct sv *found)
{
	struct net_ip a;

	for (;;) {
		const char *comma = line.n > 0 ? memrchr(line.p, ',', line.n) : NULL;
		const char *from = comma != NULL ? comma + 1 : line.p;
		struct sv entry = sv_trim(sv_of(from, (size_t)(line.p + line.n - from)));
		if (entry.n == 0 || !net_ip_parse(entry, &a))
			return false;
		*found = entry;
		if (!snap_networks_hold(&x->view->snapshot->trusted, &a))
			return false;
		if (comma == NULL)
			return true;
		line.n = (size_t)(comma - line.p);
	}
}

/*
 * From the right, the first address that is no trusted proxy's is the client's; what stands left of it anybody can write.
 * Several lines are one list (RFC 9110, 5.3): a proxy may add its own behind the client's. Our own, once it has been
 * added, is the peer's and thus a trusted one.
 */
struct sv
exchange_client_address(const struct exchange *x)
{
	const struct http_head *h = &x->request;
	struct sv found = client_address(x->client);

	if (!peer_is_trusted(x) || h->first[HTTP_X_FORWARDED_FOR] == 0)
		return found;
	for (unsigned i = h->n_fields; i-- > 0;) {
		const struct http_field *f = &h->fields[i];
		if (f->id == HTTP_X_FORWARDED_FOR && !f->dropped && !goes_on(x, f->value, &found))
			break;
	}
	return found;
}

/* --- forwarding fields -------------------------------------------------------------------------------------- */

static bool
set_unless_told(struct http_head *h, enum http_field_id id, struct sv value)
{
	return http_head_get(h, id) != NULL || http_head_add_id(h, id, value);
}

enum { FORWARDED_ROOM = sizeof("for=\"[]\";proto=https;host=\"\"") };

/* for=…;proto=…;host="…", an IPv6 address in brackets and quotes (RFC 7239, 6). */
static bool
write_forwarded(const struct exchange *x, struct buf *out)
{
	struct sv address = client_address(x->client), host = x->request.authority;
	bool v6 = memchr(address.p, ':', address.n) != NULL;

	return buf_append(out, v6 ? "for=\"[" : "for=", v6 ? 6 : 4) && buf_append(out, address.p, address.n) &&
	       buf_append(out, "]\"", v6 ? 2 : 0) &&
	       buf_append(out, x->is_tls ? ";proto=https" : ";proto=http", x->is_tls ? 12 : 11) &&
	       buf_append(out, ";host=\"", 7) && buf_append(out, host.p, host.n) && buf_append(out, "\"", 1);
}

/*
 * Who asks, by which scheme and for which host (RFC 7239, and the older fields). What an untrusted client said of it has
 * been removed; a trusted proxy's word stays, and our own entry is put behind it.
 */
static bool
add_forwarding(struct exchange *x)
{
	struct http_head *h = &x->request;
	const struct client *c = x->client;
	struct buf forwarded;

	if (!room_for(x, client_address(c).n + h->authority.n + FORWARDED_ROOM, &forwarded) || !write_forwarded(x, &forwarded))
		return false;
	return http_head_add_id(h, HTTP_X_FORWARDED_FOR, client_address(c)) &&
	       set_unless_told(h, HTTP_X_FORWARDED_PROTO, x->is_tls ? SV("https") : SV("http")) &&
	       set_unless_told(h, HTTP_X_FORWARDED_HOST, h->authority) &&
	       http_head_add_id(h, HTTP_FORWARDED, buf_view(&forwarded));
}

/* --- the client certificate --------------------------------------------------------------------------------- */

/* X(name): told to the origin, and never believed from a client. */
#define CERTIFICATE_FIELDS(X)          \
	X("X-Client-Cert-Verify")      \
	X("X-Client-Cert-Subject")     \
	X("X-Client-Cert-Issuer")      \
	X("X-Client-Cert-Serial")      \
	X("X-Client-Cert-Fingerprint")

static const struct sv certificate_fields[] = {
#define X(name) {name, sizeof(name) - 1},
	CERTIFICATE_FIELDS(X)
#undef X
};

/* In any spelling that an origin may take for the same variable. */
static bool
is_certificate_field(const struct http_field *f)
{
	if (f->id != HTTP_OTHER || f->name.n < sizeof("X-Client-Cert-") || ascii_lower(f->name.p[0]) != 'x')
		return false;
	for (size_t i = 0; i < COUNTOF(certificate_fields); i++)
		if (http_field_same(f->name, certificate_fields[i]))
			return true;
	return false;
}

static bool
add_certificate(struct exchange *x, const struct tls_peer *peer)
{
	struct http_head *h = &x->request;

	if (peer == NULL)
		return http_head_add(h, certificate_fields[0], SV("NONE"));
	/* In the order of CERTIFICATE_FIELDS. */
	const struct sv values[] = {SV("SUCCESS"), sv_cstr(peer->subject), sv_cstr(peer->issuer), sv_cstr(peer->serial),
	    sv_cstr(peer->fingerprint)};
	for (size_t i = 0; i < COUNTOF(values); i++)
		if (!http_head_add(h, certificate_fields[i], values[i]))
			return false;
	return true;
}

/*
 * All that begins with X-Forwarded-: beside our own there are X-Forwarded-Ssl, -Prefix, -Server and more, which origins
 * believe. Also spelled with '_' in place of '-', which many an origin takes for the same.
 */
static bool
is_forwarding(const struct http_field *f)
{
	struct sv prefix = SV("x-forwarded-");

	if (f->id != HTTP_OTHER || ascii_lower(f->name.p[0]) != 'x')
		return (http_field_flags(f->id) & HTTP_FORWARDING) != 0;
	return http_field_same(sv_of(f->name.p, MIN_OF(f->name.n, prefix.n)), prefix) ||
	       http_field_same(f->name, sv_cstr(http_field_name(HTTP_X_REAL_IP)));
}

void
forward_distrust(struct exchange *x)
{
	struct http_head *h = &x->request;
	bool trusted = peer_is_trusted(x);

	for (unsigned i = 0; i < h->n_fields; i++)
		h->fields[i].dropped |= is_certificate_field(&h->fields[i]) || (!trusted && is_forwarding(&h->fields[i]));
}

/* Nobody honest says so behind a body. */
void
forward_distrust_trailers(struct http_head *trailers)
{
	for (unsigned i = 0; i < trailers->n_fields; i++)
		trailers->fields[i].dropped |= is_certificate_field(&trailers->fields[i]) || is_forwarding(&trailers->fields[i]);
}

/* --- edits and rewriting ------------------------------------------------------------------------------------ */

enum { NUMBER_TEXT = 40 };

/* 128 random bits: no other request has them, on whatever node. Made when first asked for. */
static struct sv
request_id(struct exchange *x, char text[NUMBER_TEXT])
{
	while (x->id[0] == 0)
		x->id[0] = px_random(x->thread);
	if (x->id[1] == 0)
		x->id[1] = px_random(x->thread);
	int n = snprintf(text, NUMBER_TEXT, "%016llx%016llx", (unsigned long long)x->id[0], (unsigned long long)x->id[1]);
	return sv_of(text, (size_t)n);
}

static void
variables(struct exchange *x, char port[NUMBER_TEXT], char id[NUMBER_TEXT], struct sv out[FIELD_VARIABLES_N])
{
	client_tls_words(x->client, &out[VAR_TLS_VERSION], &out[VAR_SERVER_NAME]);
	out[VAR_CLIENT_ADDRESS] = exchange_client_address(x);
	out[VAR_CLIENT_PORT] = sv_of(port, (size_t)snprintf(port, NUMBER_TEXT, "%u", x->client->from_port));
	out[VAR_HOST] = x->host;
	out[VAR_SCHEME] = x->is_tls ? SV("https") : SV("http");
	out[VAR_METHOD] = x->request.method;
	out[VAR_PATH] = x->request.target;
	out[VAR_REQUEST_ID] = request_id(x, id);
}

static bool
apply_edits(struct exchange *x, const struct field_edits *edits, struct http_head *h)
{
	char port[NUMBER_TEXT], id[NUMBER_TEXT];
	struct sv values[FIELD_VARIABLES_N];
	struct buf text;

	if (edits == NULL)
		return true;
	variables(x, port, id, values);
	return room_for(x, field_edits_room(edits, values), &text) && field_edits_apply(edits, h, values, &text);
}

/* What the site itself says: it goes before what the route says. */
static const struct snap_action *
site_action(const struct exchange *x)
{
	return &x->site->actions[x->site->conf->n_routes];
}

enum { REWRITTEN_MAX = 64 * 1024 };

/* False: it has been refused. */
static bool
rewrite_path(struct exchange *x)
{
	char path[REWRITTEN_MAX];
	struct sv result;
	struct buf kept;
	bool failed = false;

	if (x->route < 0 || x->site->conf->routes[x->route].rewrite == NULL)
		return true;
	if (!route_rewrite(x->site->routes, x->route, x->thread->routes, &x->request, path, sizeof(path), &result, &failed)) {
		if (failed)
			exchange_refuse(x, 500, "the rewritten path is not valid");
		return !failed;
	}
	if (!room_for(x, result.n, &kept) || !buf_append(&kept, result.p, result.n)) {
		exchange_refuse(x, 503, "no memory for the rewritten path");
		return false;
	}
	x->request.path = buf_view(&kept);
	return true;
}

/* WebSocket and the like. "h2c" is not switched to: HTTP/2 in clear text begins with its preface (RFC 9113, 3.3). */
static bool
wants_upgrade(const struct exchange *x)
{
	const struct http_head *h = &x->request;
	const struct http_field *f = http_head_get(h, HTTP_UPGRADE);

	return f != NULL && (h->major == 2 || h->minor == 1) && h->method_id == HTTP_GET && x->request_framing == HTTP_NO_BODY &&
	       http_head_has_token(h, HTTP_CONNECTION, SV("upgrade")) && !http_head_has_token(h, HTTP_UPGRADE, SV("h2c"));
}

enum exchange_step
step_prepare(struct exchange *x)
{
	struct http_head *h = &x->request;
	const struct http_field *upgrade = http_head_get(h, HTTP_UPGRADE);
	bool tells_peer = x->site->policy->mode != CONF_CLIENT_NONE;
	bool takes_trailers = http_head_has_token(h, HTTP_TE, SV("trailers"));
	const struct tls_peer *peer = NULL;

	x->upgrade = wants_upgrade(x);
	if (!http_head_strip(h)) {
		counter_add(&x->thread->counters.requests_malformed, 1);
		exchange_refuse(x, 400, "Connection nominates a field that it may not");
		return STEP_OVER;
	}
	if (!rewrite_path(x))
		return STEP_OVER;
	if (tells_peer && !client_peer(x->client, &peer)) {
		exchange_refuse(x, 503, "out of memory for the client certificate's names");
		return STEP_OVER;
	}
	bool ok = add_forwarding(x);
	if (x->upgrade)
		ok = ok && http_head_add_id(h, HTTP_UPGRADE, upgrade->value);
	else if (takes_trailers) /* and so do we: they go on to whoever said so */
		ok = ok && http_head_add_id(h, HTTP_TE, SV("trailers"));
	if (tells_peer)
		ok = ok && add_certificate(x, peer);
	if (x->route >= 0)
		ok = ok && apply_edits(x, site_action(x)->request_edits, h);
	if (!ok || !apply_edits(x, x->action->request_edits, h)) {
		if (h->n_fields == HTTP_FIELDS_MAX)
			exchange_refuse(x, 431, "no room for the fields that are added");
		else
			exchange_refuse(x, 503, "no memory for the fields that are added");
		return STEP_OVER;
	}
	return STEP_CHOOSE;
}

bool
forward_host(struct exchange *x)
{
	const struct upstream_server *server = upstream_at(x->upstream->balance, (unsigned)x->server);
	struct http_head *h = &x->request;

	if (upstream_conf(x->upstream->balance)->host == CONF_HOST_SERVER)
		http_head_drop(h, HTTP_HOST);
	if (http_head_get(h, HTTP_HOST) != NULL)
		return true;
	/* Asked for by the config, or an HTTP/1.0 client sent none: HTTP/1.1 to the origin needs one. */
	return http_head_add_id(h, HTTP_HOST, sv_cstr(server->conf->address));
}

/* --- responses ---------------------------------------------------------------------------------------------- */

bool
forward_response_head(struct exchange *x, struct http_head *h)
{
	const struct http_field *upgrade = http_head_get(h, HTTP_UPGRADE);
	struct sv cookie;

	if (!http_head_strip(h))
		return false;
	if (h->status == 101 && upgrade != NULL && !http_head_add_id(h, HTTP_UPGRADE, upgrade->value))
		return false;
	if (h->status < 200 && h->status != 101)
		return true;
	if (x->route >= 0 && !apply_edits(x, site_action(x)->response_edits, h))
		return false;
	if (!apply_edits(x, x->action->response_edits, h))
		return false;
	/* Last, so that no edit takes it away. */
	return !upstream_sticky_cookie(x->upstream->balance, &x->request, x->server, x->is_tls, &cookie) ||
	       http_head_add_id(h, HTTP_SET_COOKIE, cookie);
}
