#include "proxy/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/origin_bound.h"

enum {
	LINGER_MS = 2000,   /* how long a client that we have ended with may be silent before it closes (RFC 9112, 9.6) */
	LINGER_MAX_MS = 30000, /* and how long it may go on sending, an upload that was refused perhaps */
	OVER_LIMIT_SHARE = 16, /* of the connection limit: so many more are told 503; beyond them none is accepted */
	SERVICE_OUT_MAX = 256 * 1024 * 1024, /* a service answers in one piece: the status of ten thousand bundles, say */
};

static void on_readable(struct net_stream *s);

/* --- the end of a connection -------------------------------------------------------------------------------- */

/* Where a handshake came to: which listener, for which name, to which site. */
static void
handshake_text(const struct client *c, char *out, size_t size)
{
	struct net_address local = {.length = sizeof(local.u)};
	struct sv name = tls_stream_server_name(&c->stream);
	const struct snap_site *site = name.n > 0 || c->policy != NULL ? snapshot_site(c->view->snapshot, name) : NULL;
	const char *site_name = site == NULL ? "none" : conf_site_name(site->conf);
	char at[NET_ADDRESS_TEXT] = "unknown";

	if (getsockname(c->stream.fd, &local.u.sa, &local.length) == 0)
		net_address_text(&local, true, at);
	(void)snprintf(out, size, " (listener %s, server name \"%.*s\", site \"%s\")", at, SV_FMT(name), site_name);
}

/* One line a connection; a flood of them is cut short. */
static void
log_end(const struct client *c, const char *detail)
{
	bool error = close_reason_is_error(c->reason);
	char handshake[NET_ADDRESS_TEXT + 2 * HOST_MAX + 64] = "";

	if (c->logged || !log_enabled(error ? LOG_INFO : LOG_DEBUG) ||
	    (error && !log_allows(&c->thread->client_lines, LOG_INFO, net_loop_now(c->thread->loop))))
		return;
	if (c->view != NULL && c->phase != CLIENT_TOLD)
		handshake_text(c, handshake, sizeof(handshake));
	log_line(error ? LOG_INFO : LOG_DEBUG, "client %.*s: %s%s%s%s", SV_FMT(client_address(c)), close_reason_text(c->reason),
	    detail[0] != '\0' ? ": " : "", detail, handshake);
}

static void
free_client(struct client *c)
{
	if (c->codec != NULL)
		c->codec->free(c);
	if (c->policy != NULL)
		tls_policy_unref(c->policy);
	free(c->peer);
	free(c->told);
	free(c);
}

/* What was put off to the end of the turn: freeing, or to go on reading. */
static void
later(struct net_deferred *d)
{
	struct client *c = CONTAINER_OF(d, struct client, later);

	if (c->closed)
		free_client(c);
	else
		on_readable(&c->stream);
}

void
client_later(struct client *c)
{
	net_loop_defer(c->thread->loop, &c->later, later);
}

void
client_close_with(struct client *c, enum close_reason why, const char *detail)
{
	struct px_thread *t = c->thread;

	if (c->closed)
		return;
	c->closed = true;
	c->reason = (uint8_t)why;
	if (c->codec != NULL)
		c->codec->gone(c, close_reason_text(why));
	origin_close_bound(c);
	log_end(c, detail);
	counter_add(&t->closed[why], 1);
	counter_sub(&t->counters.connections_open, 1);
	__atomic_sub_fetch(&t->shared->connections, 1, __ATOMIC_RELAXED);
	if (c->view != NULL)
		px_view_unref(c->view);
	client_rotation_left(c, why == CLOSE_CLIENT || why == CLOSE_CLIENT_BROKE);
	client_certificate_left(c);
	/* Without TLS only a reset tells a client that a response without a length is not whole. */
	net_stream_close(&c->stream, (c->cut_off || net_stream_pending(&c->stream) > 0) && !c->is_tls);
	LIST_REMOVE(c, link);
	client_later(c);
}

void
client_close(struct client *c, enum close_reason why)
{
	client_close_with(c, why, "");
}

void
client_finish(struct client *c, enum close_reason why)
{
	if (c->closed)
		return;
	c->reason = (uint8_t)why;
	c->linger = c->codec->awaits_more(c);
	/* The end has mostly gone out with the last response. */
	if (!c->stream.finish || c->linger)
		net_stream_finish(&c->stream);
	if (!c->linger && net_stream_pending(&c->stream) == 0) {
		client_close(c, why);
		return;
	}
	/* Closing with bytes unread would reset the connection, and the client might never see the response. */
	c->phase = CLIENT_LINGER;
	c->linger_until = net_loop_now(c->thread->loop) + LINGER_MAX_MS;
	origin_close_bound(c); /* it will ask for nothing more */
	client_arm(c);
	net_stream_resume(&c->stream);
}

void
client_end(struct client *c)
{
	if (c->closed)
		return;
	c->ends = true;
	if (c->phase == CLIENT_OPEN)
		c->codec->drain(c);
}

void
client_linger(struct client *c)
{
	char *to = net_loop_scratch(c->thread->loop);
	ssize_t n = 1;

	for (int reads = 0; n > 0 && reads < NET_READS && !c->stream.paused; reads++)
		n = net_stream_read(&c->stream, to, NET_SCRATCH_SIZE);
	if (n > 0 || n == NET_AGAIN) {
		client_arm(c);
		if (n > 0 && !c->stream.paused)
			net_stream_again(&c->stream);
	} else if (n == NET_EOF && net_stream_pending(&c->stream) > 0) {
		/* It has closed its half, and is still to take the end of its last response: on_drained closes. */
		c->linger = false;
		net_stream_pause(&c->stream);
	} else {
		client_close(c, c->reason);
	}
}

/* --- deadlines ---------------------------------------------------------------------------------------------- */

void
client_arm(struct client *c)
{
	const struct client_codec *codec = c->codec;
	const struct conf_timeouts *t = codec != NULL ? codec->timeouts(c) : &c->thread->view->snapshot->conf->timeouts;
	uint64_t ms = 0, now = net_loop_now(c->thread->loop);

	if (c->closed)
		return;
	switch ((enum client_phase)c->phase) {
	case CLIENT_TOLD:
	case CLIENT_HANDSHAKE:
		ms = t->handshake;
		break;
	case CLIENT_OPEN:
		ms = codec != NULL ? codec->patience(c, t) : 0;
		break;
	case CLIENT_LINGER:
		ms = now < c->linger_until ? MIN_OF((uint64_t)LINGER_MS, c->linger_until - now) : 1;
		break;
	}
	if (net_stream_pending(&c->stream) > 0) {
		c->sent_mark = c->stream.sent;
		ms = t->send;
	}
	net_stream_deadline(&c->stream, ms);
}

static void
on_timeout(struct net_stream *s)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);

	if (net_stream_pending(s) > 0) {
		if (s->sent != c->sent_mark)
			client_arm(c); /* slow, but it takes some */
		else
			client_close(c, CLOSE_SEND_TIMEOUT);
		return;
	}
	switch ((enum client_phase)c->phase) {
	case CLIENT_TOLD:
		client_close_with(c, CLOSE_PROXY_HEADER, "it took longer than timeouts.handshake");
		break;
	case CLIENT_HANDSHAKE:
		client_close(c, CLOSE_HANDSHAKE_TIMEOUT);
		break;
	case CLIENT_OPEN:
		c->codec->expired(c);
		break;
	case CLIENT_LINGER:
		client_close(c, c->reason);
		break;
	}
}

/* --- events ------------------------------------------------------------------------------------------------- */

static void
on_open(struct net_stream *s)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);
	struct tls_session_facts facts;

	if (c->phase == CLIENT_TOLD)
		return; /* the socket is open, and nothing else so far */
	if (c->is_tls) {
		tls_stream_facts(s, &facts);
		counter_add(facts.resumed ? &c->thread->counters.handshakes_resumed : &c->thread->counters.handshakes_full, 1);
		client_certificate_opened(c, facts.resumed);
		px_view_unref(c->view);
		c->view = NULL;
		client_rotation_opened(c, facts.resumed);
	}
	c->phase = CLIENT_OPEN;
	c->codec = c->is_tls && tls_stream_is_h2(s) ? &client_h2_codec : &client_h1_codec;
	if (c->codec->begin(c))
		client_arm(c);
	else
		client_close(c, CLOSE_NO_MEMORY);
}

static void
on_readable(struct net_stream *s)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);

	if (c->phase == CLIENT_TOLD)
		client_told_read(c);
	else if (c->phase == CLIENT_OPEN)
		c->codec->readable(c);
	if (c->phase == CLIENT_LINGER && !c->closed)
		client_linger(c);
}

static void
on_drained(struct net_stream *s)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);

	if (c->phase == CLIENT_LINGER) {
		if (c->linger)
			client_arm(c); /* from now on it is waited for its end only */
		else
			client_close(c, c->reason);
		return;
	}
	client_arm(c);
	if (c->phase == CLIENT_OPEN)
		c->codec->drained(c);
}

static void
on_failed(struct net_stream *s, int error)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);
	struct tls_failure f = {.text = ""};

	if (c->phase != CLIENT_HANDSHAKE) {
		client_close(c, CLOSE_CLIENT_BROKE);
		return;
	}
	tls_stream_failure(s, &f);
	client_rotation_failed(c, &f);
	client_certificate_refused(c);
	counter_add(f.unrecognized_name ? &c->thread->counters.handshakes_unrecognized : &c->thread->counters.handshakes_failed, 1);
	if (error != EPROTO || f.peer_alert != 0) {
		client_close_with(c, CLOSE_HANDSHAKE, f.text);
		return;
	}
	/* It is we who refused: the client, who may be sending already, is to read our alert. */
	c->reason = CLOSE_HANDSHAKE;
	log_end(c, f.text);
	c->logged = true;
	net_stream_abandon(s);
	c->phase = CLIENT_LINGER;
	c->linger = true;
	c->linger_until = net_loop_now(c->thread->loop) + LINGER_MAX_MS;
	client_arm(c);
}

static const struct net_stream_events events = {
	.on_open = on_open,
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_failed = on_failed,
};

/* --- the handshake's site ----------------------------------------------------------------------------------- */

/* Of several bundles those whose certificate has the name; all of them when none has it. */
static void
add_bundles(const struct snap_site *site, struct sv name, struct tls_choice *out)
{
	char host[HOST_MAX + 1] = "";

	if (site->n_bundles > 1 && sv_copy(name, host, sizeof(host)))
		for (unsigned i = 0; i < site->n_bundles; i++)
			if (tls_bundle_covers(site->bundles[i], host))
				out->bundles[out->n_bundles++] = site->bundles[i];
	for (unsigned i = 0; out->n_bundles == 0 && i < site->n_bundles; i++)
		out->bundles[i] = site->bundles[i];
	if (out->n_bundles == 0)
		out->n_bundles = site->n_bundles;
}

bool
client_choose_site(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out)
{
	struct client *c = CONTAINER_OF(s, struct client, stream);
	struct sv name = hello->name;

	/* A client that took its time to say hello gets what is in service now. */
	px_view_unref(c->view);
	c->view = px_view_ref(c->thread->view);
	const struct snapshot *snapshot = c->view->snapshot;
	const struct snap_site *site = snapshot_site(snapshot, name);

	if (site == NULL)
		return false;
	*out = (struct tls_choice){.policy = site->policy, .h2 = snapshot->conf->http2.enabled && !site->conf->connection_auth};
	add_bundles(site, name, out);
	if (site->conf->bundles.n == 0)
		out->n_bundles = (unsigned)tls_store_find_name(snapshot->store, name, out->bundles);
	if (out->n_bundles == 0)
		return false;
	c->policy = tls_policy_ref(site->policy); /* once: a second ClientHello, after HelloRetryRequest, asks for no site */
	client_rotation_choose(c, hello, out);
	return true;
}

bool
client_renew_policy(struct client *c, const struct snapshot *s)
{
	const struct snap_site *site = snapshot_site(s, tls_stream_server_name(&c->stream));

	if (site == NULL || !(site->conf->client.when_refused == CONF_REFUSED_KEEP ||
	                      tls_stream_satisfies(&c->stream, site->policy, c->thread->tls)))
		return false;
	tls_policy_unref(c->policy);
	c->policy = tls_policy_ref(site->policy);
	return true;
}

static bool
is_to_be_closed(struct client *c, const struct snapshot *s)
{
	if (c->closed || c->policy == NULL || !c->stream.open || c->phase == CLIENT_LINGER)
		return false;
	const struct snap_site *site = snapshot_site(s, tls_stream_server_name(&c->stream));
	return site != NULL && site->conf->client.when_refused == CONF_REFUSED_CLOSE && !snap_site_shares(site, c->policy) &&
	       !client_renew_policy(c, s);
}

void
client_policies_changed(struct px_thread *t)
{
	const struct snapshot *s = t->view->snapshot;
	struct client *c, *next;

	for (c = LIST_FIRST(&t->clients); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (is_to_be_closed(c, s))
			client_close(c, CLOSE_CERTIFICATE);
	}
}

bool
client_peer(struct client *c, const struct tls_peer **out)
{
	bool shown = false;

	if (c->is_tls && !c->peer_looked) {
		c->peer = tls_stream_peer(&c->stream, c->thread->tls, &shown);
		c->peer_looked = c->peer != NULL || !shown;
	}
	*out = c->peer;
	return c->peer_looked || !c->is_tls;
}

/* --- accepting ---------------------------------------------------------------------------------------------- */

/*
 * Count it in, or refuse it: none is accepted beyond the limit and the few that are told so. The administrator gets in
 * in any case.
 */
static bool
admit(const struct px_listener *l, bool *over_limit)
{
	struct px_thread *t = l->thread;
	uint64_t max = __atomic_load_n(&t->shared->max_connections, __ATOMIC_RELAXED);
	uint64_t open = __atomic_add_fetch(&t->shared->connections, 1, __ATOMIC_RELAXED);

	*over_limit = max != 0 && open > max && l->service == NULL;
	if (!*over_limit || open <= max + max / OVER_LIMIT_SHARE + 1)
		return true;
	__atomic_sub_fetch(&t->shared->connections, 1, __ATOMIC_RELAXED);
	return false;
}

void
client_set_address(struct client *c, const struct net_ip *ip, uint16_t port)
{
	c->from = *ip;
	c->from_port = port;
	if (ip->size != 0)
		net_ip_text(ip, c->address_text);
	else /* RFC 7239, 6.2; what a Unix socket calls itself is not to be believed */
		(void)snprintf(c->address_text, sizeof(c->address_text), "unknown");
	c->address_n = (uint8_t)strlen(c->address_text);
}

static struct client *
new_client(struct px_listener *l, int fd, const struct net_address *peer)
{
	struct client *c = calloc(1, sizeof(*c));
	struct net_ip ip = net_ip_of(peer);

	if (c == NULL)
		return NULL;
	c->thread = l->thread;
	c->is_tls = l->tls;
	c->redirect = l->redirect;
	c->redirect_port = l->redirect_port;
	c->port = l->port;
	c->service = l->service;
	c->service_arg = l->service_arg;
	c->phase = l->proxies != NULL && snap_networks_hold(l->proxies, &ip) ? CLIENT_TOLD : CLIENT_HANDSHAKE;
	client_set_address(c, &ip, net_address_port(peer));
	net_stream_init(&c->stream, l->thread->loop, fd, &events, l->service != NULL ? SERVICE_OUT_MAX : STREAM_OUT_MAX);
	return c;
}

/* Over the plain stream, where the listener has it. False: no memory. */
static bool
put_tls(struct client *c)
{
	return !c->is_tls || (c->view->tls != NULL && tls_server_accept(c->view->tls, &c->stream));
}

void
client_begin(struct client *c)
{
	c->phase = CLIENT_HANDSHAKE;
	if (!put_tls(c)) {
		client_close(c, CLOSE_NO_MEMORY);
	} else if (c->is_tls) {
		net_stream_handshake(&c->stream);
	} else {
		on_open(&c->stream);
		if (!c->closed)
			on_readable(&c->stream); /* what stands behind the header has mostly come with it */
	}
}

void
client_accept(struct px_listener *l, int fd, const struct net_address *peer)
{
	struct px_thread *t = l->thread;
	bool over_limit;

	if (!admit(l, &over_limit)) {
		counter_add(&t->counters.connections_refused, 1);
		close(fd);
		return;
	}
	struct client *c = new_client(l, fd, peer);
	if (c == NULL) {
		__atomic_sub_fetch(&t->shared->connections, 1, __ATOMIC_RELAXED);
		counter_add(&t->counters.connections_refused, 1);
		close(fd);
		return;
	}
	c->over_limit = over_limit;
	if (over_limit)
		counter_add(&t->counters.connections_refused, 1); /* it will be told so */
	counter_add(&t->counters.connections_accepted, 1);
	counter_add(&t->counters.connections_open, 1);
	LIST_INSERT_HEAD(&t->clients, c, link);
	if (c->is_tls)
		c->view = px_view_ref(t->view);
	if (c->is_tls || c->phase == CLIENT_TOLD)
		client_arm(c);
	if ((c->phase != CLIENT_TOLD && !put_tls(c)) || !net_stream_start(&c->stream))
		client_close(c, CLOSE_NO_MEMORY);
}
