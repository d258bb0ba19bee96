#include "proxy/origin_pool.h"

#include <stdlib.h>

#include "proxy/origin_bound.h"

struct origin_pool *
origin_pool_find(struct px_thread *t, struct server_state *server, struct tls_client *tls)
{
	struct origin_pool_key key = {.server = server, .tls = tls};
	struct origin_pool *p;

	HASH_FIND(hh, t->pools, &key, sizeof(key), p);
	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->key = key;
	p->section_max = UINT32_MAX;
	HASH_ADD(hh, t->pools, key, sizeof(p->key), p);
	if (p->hh.tbl == NULL) {
		free(p); /* the table could not grow */
		return NULL;
	}
	p->server = server_state_ref(server);
	p->tls = tls != NULL ? tls_client_ref(tls) : NULL;
	LIST_INIT(&p->idle);
	LIST_INIT(&p->shared);
	return p;
}

/* --- idle connections ----------------------------------------------------------------------------------------- */

/*
 * The one that was used last. Each is looked at first, for a system call: what an origin sent behind a response would be
 * taken for the answer to this request, and a request that must not be sent twice must not meet a closed connection.
 */
struct origin *
origin_pool_take(struct origin_pool *p)
{
	while (!LIST_EMPTY(&p->idle)) {
		struct origin *o = LIST_FIRST(&p->idle);
		if (net_stream_is_stale(&o->stream)) {
			origin_close(o);
			continue;
		}
		origin_pool_leave(o);
		return o;
	}
	return NULL;
}

void
origin_pool_leave(struct origin *o)
{
	if (!o->is_idle)
		return;
	if (o->h2 == NULL)
		LIST_REMOVE(o, link); /* HTTP/2 is on `shared`, idle or not */
	o->is_idle = false;
	o->pool->n_idle--;
	counter_sub(&o->thread->counters.origin_connections_idle, 1);
}

void
origin_pool_keep(struct origin *o, uint64_t idle_ms)
{
	struct origin_pool *p = o->pool;

	if (o->h2 == NULL)
		LIST_INSERT_HEAD(&p->idle, o, link);
	o->is_idle = true;
	p->n_idle++;
	counter_add(&o->thread->counters.origin_connections_idle, 1);
	net_stream_resume(&o->stream);
	net_stream_deadline(&o->stream, idle_ms);
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static void
free_pool(struct px_thread *t, struct origin_pool *p)
{
	HASH_DEL(t->pools, p);
	tls_client_session_free(&p->session);
	server_state_unref(p->server);
	if (p->tls != NULL)
		tls_client_unref(p->tls);
	free(p);
}

static void
close_idle(struct origin_pool *p)
{
	while (!LIST_EMPTY(&p->idle))
		origin_close(LIST_FIRST(&p->idle));
	while (!LIST_EMPTY(&p->shared))
		origin_h2_retire(LIST_FIRST(&p->shared)); /* those that are not idle end with what they carry */
}

static bool
is_named(const struct snapshot *s, const struct origin_pool *p)
{
	for (size_t i = 0; i < s->conf->n_upstreams; i++) {
		const struct snap_upstream *u = &s->upstreams[i];
		for (unsigned k = 0; u->tls == p->tls && k < upstream_count(u->balance); k++)
			if (upstream_at(u->balance, k)->state == p->server)
				return true;
	}
	return false;
}

void
origin_pools_sweep(struct px_thread *t)
{
	struct origin_pool *p, *next;

	for (p = t->pools; p != NULL; p = p->hh.next)
		p->named = is_named(t->view->snapshot, p);
	origin_bound_sweep(t);
	HASH_ITER(hh, t->pools, p, next) {
		if (p->named)
			continue;
		close_idle(p);
		if (p->n_all == 0)
			free_pool(t, p);
	}
}

void
origin_pools_free(struct px_thread *t)
{
	struct origin_pool *p, *next;

	HASH_ITER(hh, t->pools, p, next) {
		close_idle(p);
		if (p->n_all == 0)
			free_pool(t, p);
	}
}
