#include "proxy/thread.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/origin.h"

enum {
	OUTBOX_TEXT = 512 * 1024, /* a head of the largest size, and one read in the smallest chunks; touched only as needed */
	TELL_EVERY_MS = 1000,
};

/* --- views of snapshots ------------------------------------------------------------------------------------- */

void
px_view_unref(struct px_view *v)
{
	if (v == NULL || --v->refs > 0)
		return;
	snapshot_unref(v->snapshot);
	if (v->tls != NULL)
		tls_server_unref(v->tls);
	free(v);
}

static bool
has_tls(const struct conf *c)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (c->listeners[i].tls)
			return true;
	return false;
}

/* The TLS server of the view before serves on when its part of the config is the same. */
static bool
find_tls(struct px_thread *t, struct px_view *v, const struct secret *secret, struct err *err)
{
	const struct conf *c = v->snapshot->conf;
	struct tls_server *old = t->view != NULL ? t->view->tls : NULL;

	if (!has_tls(c))
		return true;
	v->tls = old != NULL && tls_server_fits(old, &c->tls) ? tls_server_ref(old) :
	                                                        tls_server_new(t->tls, &c->tls, secret, client_choose_site, err);
	return v->tls != NULL;
}

/* --- listeners ---------------------------------------------------------------------------------------------- */

static void
on_accept(struct net_listener *net, int fd, const struct net_address *peer)
{
	client_accept(CONTAINER_OF(net, struct px_listener, net), fd, peer);
}

static void
on_refused(struct net_listener *net, int error)
{
	struct px_listener *l = CONTAINER_OF(net, struct px_listener, net);

	uint64_t now = net_loop_now(l->thread->loop);

	counter_add(&l->thread->counters.connections_refused, 1);
	if (l->thread->refused_told_ms != 0 && now - l->thread->refused_told_ms < TELL_EVERY_MS)
		return; /* it is tried many times a second */
	l->thread->refused_told_ms = now;
	log_warning("listener %s: a connection could not be accepted: %s; raise the limit of open files or lower \"connections\"",
	    l->address, strerror(error));
}

/* `s` is the snapshot that `conf` belongs to; NULL: it stands alone. */
static void
configure(struct px_listener *l, const struct conf_listener *conf, const struct snapshot *s)
{
	l->proxies = s != NULL && conf->proxies.present ? &s->proxies[conf - s->conf->listeners] : NULL;
	l->tls = conf->tls;
	l->redirect = conf->redirect == CONF_REDIRECT_HTTPS;
	l->redirect_port = (uint16_t)conf->redirect_port;
}

/*
 * Started, and on no list yet; held when it is of a snapshot, which may still be abandoned. NULL: no memory; `fd` is closed
 * then.
 */
static struct px_listener *
new_listener(struct px_thread *t, int fd, const char *address, const struct conf_listener *conf, const struct snapshot *s)
{
	struct px_listener *l = calloc(1, sizeof(*l));
	struct net_address bound = {.length = sizeof(bound.u)};

	if (l == NULL || !sv_copy(sv_cstr(address), l->address, sizeof(l->address))) {
		free(l);
		close(fd);
		return NULL;
	}
	l->thread = t;
	if (conf != NULL)
		configure(l, conf, s);
	if (getsockname(fd, &bound.u.sa, &bound.length) == 0)
		l->port = net_address_port(&bound);
	l->net.on_accept = on_accept;
	l->net.on_refused = on_refused;
	l->net.held = s != NULL;
	if (!net_listener_start(&l->net, t->loop, fd)) {
		free(l);
		close(fd);
		return NULL;
	}
	return l;
}

bool
px_thread_listen(struct px_thread *t, int fd, const char *address, const struct conf_listener *conf,
    px_service_fn service, void *arg)
{
	struct px_listener *l = new_listener(t, fd, address, conf, NULL);

	if (l == NULL)
		return false;
	l->service = service;
	l->service_arg = arg;
	LIST_INSERT_HEAD(&t->listeners, l, link);
	return true;
}

/* Not from the listener's own callback. */
static void
close_listener(struct px_listener *l)
{
	LIST_REMOVE(l, link);
	net_listener_stop(&l->net);
	close(l->net.fd);
	free(l);
}

static void
close_listeners(struct px_listeners *all)
{
	struct px_listener *l, *next;

	for (l = LIST_FIRST(all); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		close_listener(l);
	}
}

static bool
prepare_listeners(struct px_thread *t, int *fds, struct err *err)
{
	const struct conf *c = t->next->snapshot->conf;

	for (size_t i = 0; fds != NULL && i < c->n_listeners; i++) {
		const struct conf_listener *conf = &c->listeners[i];
		int fd = fds[i];
		if (fd < 0)
			continue;
		fds[i] = -1;
		struct px_listener *l = new_listener(t, fd, conf->address, conf, t->next->snapshot);
		if (l == NULL)
			return err_set(err, "listener %s: thread %u can not listen: out of memory", conf->address, t->number);
		LIST_INSERT_HEAD(&t->next_listeners, l, link);
	}
	return true;
}

static const struct conf_listener *
conf_of(const struct conf *c, const char *address)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (strcmp(c->listeners[i].address, address) == 0)
			return &c->listeners[i];
	return NULL;
}

/* Those of before are as the config has them now, or are closed; the new ones begin. */
static void
change_listeners(struct px_thread *t)
{
	struct px_listener *l, *next;

	for (l = LIST_FIRST(&t->listeners); l != NULL; l = next) {
		const struct conf_listener *found = conf_of(t->view->snapshot->conf, l->address);
		next = LIST_NEXT(l, link);
		if (l->service != NULL)
			continue;
		if (found != NULL)
			configure(l, found, t->view->snapshot);
		else
			close_listener(l);
	}
	while ((l = LIST_FIRST(&t->next_listeners)) != NULL) {
		LIST_REMOVE(l, link);
		LIST_INSERT_HEAD(&t->listeners, l, link);
		l->net.held = false;
	}
}

/* --- a new snapshot ----------------------------------------------------------------------------------------- */

bool
px_thread_prepare(struct px_thread *t, struct snapshot *s, const struct secret *secret, int *fds, struct err *err)
{
	struct px_view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return err_no_memory(err);
	v->refs = 1;
	v->snapshot = snapshot_ref(s);
	t->next = v;
	return find_tls(t, v, secret, err) && prepare_listeners(t, fds, err);
}

void
px_thread_commit(struct px_thread *t)
{
	px_view_unref(t->view);
	t->view = t->next;
	t->next = NULL;
	origin_pools_sweep(t);
	client_policies_changed(t);
	change_listeners(t);
}

void
px_thread_abandon(struct px_thread *t)
{
	close_listeners(&t->next_listeners);
	px_view_unref(t->next);
	t->next = NULL;
}

/* --- the access log ----------------------------------------------------------------------------------------- */

enum { LOG_EVERY_MS = 1000 };

static void
on_log_timer(struct net_timer *timer)
{
	access_log_flush(&CONTAINER_OF(timer, struct px_thread, log_timer)->log);
}

void
px_thread_log(struct px_thread *t, int fd, enum conf_access_format format)
{
	access_log_set(&t->log, fd, format);
}

void
px_thread_log_request(struct px_thread *t, const struct exchange *x)
{
	if (t->log.to.fd < 0)
		return;
	access_log_write(&t->log, x);
	if (!net_timer_pending(&t->log_timer))
		net_timer_set(&t->log_timer, LOG_EVERY_MS);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void
free_exchanges(struct px_thread *t)
{
	free(t->spare);
	free(t->block);
	while (t->free_exchanges != NULL) {
		struct exchange *next = t->free_exchanges->next_free;
		free(t->free_exchanges);
		t->free_exchanges = next;
	}
}

void
px_thread_free(struct px_thread *t)
{
	struct client *c, *next;

	if (t == NULL)
		return;
	px_thread_abandon(t);
	close_listeners(&t->listeners);
	for (c = LIST_FIRST(&t->clients); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		client_close(c, CLOSE_DRAIN);
	}
	if (t->loop != NULL) {
		net_loop_settle(t->loop);
		net_timer_cancel(&t->log_timer);
	}
	origin_pools_free(t); /* those in use were closed with their exchanges */
	net_loop_free(t->loop);
	origin_pools_free(t);
	px_view_unref(t->view);
	access_log_set(&t->log, -1, CONF_ACCESS_JSON);
	free_exchanges(t);
	outbox_free(&t->to_client);
	outbox_free(&t->to_origin);
	route_scratch_free(t->routes);
	tls_thread_free(t->tls);
	free(t);
}

struct px_thread *
px_thread_new(unsigned number, unsigned slot, struct px_shared *shared, struct err *err)
{
	struct px_thread *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_no_memory(err);
		return NULL;
	}
	t->number = number;
	t->shared = shared;
	LIST_INIT(&t->listeners);
	LIST_INIT(&t->next_listeners);
	LIST_INIT(&t->clients);
	access_log_init(&t->log, &t->counters.access_lines_lost);
	bool ok = outbox_init(&t->to_client, OUTBOX_TEXT) && outbox_init(&t->to_origin, OUTBOX_TEXT) &&
	          (t->routes = route_scratch_new()) != NULL && random_bytes(&t->random, sizeof(t->random));
	if (!ok)
		err_no_memory(err);
	t->random |= 1; /* xorshift must not start at zero */
	ok = ok && (t->tls = tls_thread_new(slot, err)) != NULL && (t->loop = net_loop_new(err)) != NULL;
	if (!ok) {
		px_thread_free(t);
		return NULL;
	}
	net_loop_set_user(t->loop, t);
	net_timer_init(&t->log_timer, t->loop, on_log_timer);
	return t;
}

void
px_thread_drain(struct px_thread *t)
{
	struct client *c, *next;

	t->draining = true;
	close_listeners(&t->listeners);
	for (c = LIST_FIRST(&t->clients); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->phase == CLIENT_OPEN && !c->closed)
			c->codec->drain(c);
	}
}

/* xorshift64* (Vigna): to spread load, never for secrets. */
uint64_t
px_random(struct px_thread *t)
{
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return t->random * UINT64_C(0x2545F4914F6CDD1D);
}
