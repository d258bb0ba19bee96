#include "proxy/steps.h"

#include <stdio.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/grpc.h"
#include "proxy/origin_bound.h"

/* --- which site, which route -------------------------------------------------------------------------------- */

/* https://HOST[:port]PATH for a listener that only redirects. */
static enum exchange_step
redirect(struct exchange *x)
{
	char location[4096];
	char port[8] = "";
	const struct client *c = x->client;

	if (x->host.n == 0) {
		exchange_refuse(x, 400, "a redirecting listener needs a Host");
		return STEP_OVER;
	}
	if (c->redirect_port != 443)
		(void)snprintf(port, sizeof(port), ":%u", c->redirect_port);
	int n = snprintf(location, sizeof(location), "https://%.*s%s%.*s", SV_FMT(x->host), port, SV_FMT(x->request.path));
	if (n < 0 || (size_t)n >= sizeof(location)) {
		exchange_refuse(x, 414, "the target is too long to redirect");
		return STEP_OVER;
	}
	/* 308 keeps method and body for those that are not GET (RFC 9110, 15.4.9). */
	bool simple = x->request.method_id == HTTP_GET || x->request.method_id == HTTP_HEAD;
	struct exchange_field field = {SV("Location"), sv_of(location, (size_t)n)};
	exchange_respond(x, simple ? 301 : 308, &field, 1, SV(""));
	return STEP_OVER;
}

/* The normalized host of the request into x->host; its bytes go into x->text, whose room has been seen to. */
static bool
find_host(struct exchange *x)
{
	struct sv host;
	uint16_t port;

	if (x->request.authority.n == 0)
		return true; /* HTTP/1.0 may do without: the default site serves it */
	if (!http_split_authority(x->request.authority, &host, &port))
		return false;
	char *room = buf_room(&x->text, HOST_MAX + 1);
	if (room == NULL || !host_normalize(host, room, HOST_MAX + 1, &x->host))
		return false;
	buf_added(&x->text, x->host.n);
	return true;
}

/*
 * A connection was made under one site's rule for client certificates; another site's rule may differ, and so may by now
 * its own site's.
 */
static bool
may_carry(struct exchange *x)
{
	struct client *c = x->client;
	const struct snapshot *s = x->view->snapshot;

	if (c->policy == NULL)
		return x->site->policy->mode == CONF_CLIENT_NONE;
	if (snap_site_shares(x->site, c->policy))
		return true;
	const struct snap_site *own = snapshot_site(s, tls_stream_server_name(&c->stream));
	if (own != NULL && snap_site_shares(own, c->policy))
		return false;
	x->last = !client_renew_policy(c, s);
	return !x->last && snap_site_shares(x->site, c->policy);
}

enum exchange_step
step_site(struct exchange *x)
{
	struct client *c = x->client;

	if (c->over_limit) {
		exchange_refuse(x, 503, "more connections than the limit");
		return STEP_OVER;
	}
	if (c->service != NULL) {
		c->service(x, c->service_arg);
		return STEP_OVER;
	}
	if (!find_host(x)) {
		counter_add(&x->thread->counters.requests_malformed, 1);
		exchange_refuse(x, 400, "Host is no host name");
		return STEP_OVER;
	}
	if (c->redirect && !x->is_tls)
		return redirect(x);
	x->site = snapshot_site(x->view->snapshot, x->host);
	if (x->site == NULL) {
		exchange_refuse(x, 421, "no site serves this host");
		return STEP_OVER;
	}
	if (x->site->conf->connection_auth && x->stream != NULL) {
		exchange_refuse(x, 421, "clients of this site authenticate connections, which is for HTTP/1.1 alone");
		return STEP_OVER;
	}
	if (!may_carry(x)) {
		counter_add(&x->thread->counters.requests_misdirected, 1);
		exchange_refuse(x, 421, "this host has another client-certificate rule than the connection");
		return STEP_OVER;
	}
	return STEP_ROUTE;
}

enum exchange_step
step_route(struct exchange *x)
{
	bool is_trace = x->request.method_id == HTTP_TRACE;
	const struct conf_limits *limits;

	forward_distrust(x);
	x->route = route_set_match(x->site->routes, x->thread->routes, &x->request, x->host);
	if (x->route == ROUTE_FAILED) {
		exchange_refuse(x, 500, "a route's pattern could not be decided");
		return STEP_OVER;
	}
	x->action = &x->site->actions[x->route >= 0 ? (size_t)x->route : x->site->conf->n_routes];
	x->upstream = x->action->upstream;
	limits = x->action->limits;
	if (x->upstream == NULL)
		exchange_refuse(x, 404, "no route serves this path");
	else if (x->request.method_id == HTTP_CONNECT || (is_trace && !x->site->conf->trace))
		exchange_refuse(x, 405, is_trace ? "TRACE is not served: the site has no \"trace\"" : "CONNECT is not served");
	else if (is_trace && !x->request_ended)
		exchange_refuse(x, 400, "TRACE has no body");
	else if (x->request.n_fields > limits->fields || x->head_bytes > limits->head_bytes)
		exchange_refuse(x, 431, "the head is above limits.fields or limits.head_bytes");
	else if (limits->body_bytes != 0 && x->request_framing == HTTP_LENGTH_BODY && x->request_length > limits->body_bytes)
		exchange_refuse(x, 413, "Content-Length is above limits.body_bytes");
	if (x->ended || !hops_go_on(x))
		return STEP_OVER;
	if (upstream_conf(x->upstream->balance)->http2) /* else nobody sees to it, and a client could hang on by it */
		grpc_note_deadline(x);
	return STEP_PREPARE;
}

/* --- which server ------------------------------------------------------------------------------------------- */

/* Where the client has authenticated, if it has; else the balancer knows. -1: nowhere. */
static int
choose_server(struct exchange *x)
{
	int next = origin_bound_server(x);

	if (next >= 0)
		return next;
	return upstream_choose(x->upstream->balance, &x->request, &x->tried, net_loop_now(x->thread->loop), px_random(x->thread));
}

enum exchange_step
step_choose(struct exchange *x)
{
	const struct conf_upstream *conf = upstream_conf(x->upstream->balance);
	int next = x->tries < conf->tries ? choose_server(x) : -1;

	if (next < 0) {
		/* What the last server did says more than that there is no other. */
		exchange_refuse(x, x->failure == NULL ? 503 : x->status != 0 ? x->status : 502,
		    x->failure == NULL ? "no server of the upstream can be used" : x->failure);
		return STEP_OVER;
	}
	x->server = next; /* the one before stays named in the log when there is no other */
	if (x->tries++ > 0)
		counter_add(&x->thread->counters.origin_retries, 1);
	upstream_mark_tried(&x->tried, x->server);
	x->n_addresses = 0;
	return STEP_CONNECT;
}

enum exchange_step
step_connect(struct exchange *x)
{
	const char *why = NULL;

	server_begin(upstream_at(x->upstream->balance, (unsigned)x->server)->state);
	switch (origin_get(x, &why)) {
	case ORIGIN_READY:
		return STEP_SEND;
	case ORIGIN_WAITS:
		return STEP_WAIT;
	case ORIGIN_FAILED:
		exchange_origin_failed(x, 502, why);
		return x->ended ? STEP_OVER : (enum exchange_step)x->step;
	case ORIGIN_OURS:
		break;
	}
	server_end(upstream_at(x->upstream->balance, (unsigned)x->server)->state);
	exchange_refuse(x, 503, why);
	return STEP_OVER;
}

/* --- sending and relaying ----------------------------------------------------------------------------------- */

enum exchange_step
step_send(struct exchange *x)
{
	if (!forward_host(x)) {
		exchange_refuse(x, 431, "no room for a Host field");
		return STEP_OVER;
	}
	x->head_sent = true;
	x->held_whole = x->back->refuses && buf_len(&x->held) <= RESEND_MAX;
	bool ok = x->back->head(x, &x->request, x->request_framing, x->request_length);

	if (ok && buf_len(&x->held) > 0) {
		x->body_sent = true;
		ok = x->back->body(x, buf_view(&x->held));
	}
	if (ok && x->request_ended) {
		ok = x->back->end(x, x->trailers);
		x->request_sent = true;
	}
	if (!ok) {
		exchange_origin_failed(x, 502, "the request could not be sent");
		return x->ended ? STEP_OVER : (enum exchange_step)x->step;
	}
	return STEP_RELAY; /* flushed by the callback that brought us here */
}

enum exchange_step
step_relay(struct exchange *x)
{
	if (x->front_paused && x->back->pending(x) == 0) {
		x->front_paused = false;
		x->front->resume(x);
	}
	return STEP_WAIT; /* exchange_response_end ends it */
}
