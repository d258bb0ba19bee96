#include "balance/server.h"

#include <pthread.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the entry; it does not end the process */
#include <uthash.h>

#define LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ADD(p, n) __atomic_fetch_add((p), (n), __ATOMIC_RELAXED)

/* --- the registry ------------------------------------------------------------------------------------------- */

struct entry {
	UT_hash_handle hh;          /* the key is state->names: upstream, NUL, address */
	struct server_state *state; /* referenced */
};

struct server_registry {
	pthread_mutex_t lock; /* over all that follows */
	struct entry *entries;
};

struct server_registry *
server_registry_new(void)
{
	struct server_registry *r = calloc(1, sizeof(*r));

	if (r != NULL && pthread_mutex_init(&r->lock, NULL) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

/* Under the lock. */
static void
forget(struct server_registry *r, struct entry *e)
{
	HASH_DEL(r->entries, e);
	server_state_unref(e->state);
	free(e);
}

void
server_registry_free(struct server_registry *r)
{
	struct entry *e, *next;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->entries, e, next)
		forget(r, e);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct server_state *
state_new(struct sv upstream, struct sv address)
{
	const size_t line = _Alignof(struct server_state);
	size_t size = sizeof(struct server_state) + upstream.n + address.n + 2;
	struct server_state *s = aligned_alloc(line, (size + line - 1) / line * line);

	if (s == NULL)
		return NULL;
	memset(s, 0, size);
	memcpy(s->names, upstream.p, upstream.n);
	memcpy(s->names + upstream.n + 1, address.p, address.n);
	s->upstream = s->names;
	s->address = s->names + upstream.n + 1;
	s->refs = 1;
	return s;
}

/* The entry that has the names of `s`, or a new one that takes over the caller's reference; NULL: out of memory. */
static struct entry *
find_or_add(struct server_registry *r, struct server_state *s, size_t key_length)
{
	struct entry *e;

	HASH_FIND(hh, r->entries, s->names, key_length, e);
	if (e != NULL) {
		server_state_unref(s);
		return e;
	}
	if ((e = calloc(1, sizeof(*e))) != NULL) {
		e->state = s;
		HASH_ADD_KEYPTR(hh, r->entries, s->names, key_length, e);
		if (e->hh.tbl != NULL)
			return e;
		free(e); /* the table could not grow */
	}
	server_state_unref(s);
	return NULL;
}

struct server_state *
server_registry_get(struct server_registry *r, const char *upstream, const char *address)
{
	struct sv u = sv_cstr(upstream), a = sv_cstr(address);
	struct server_state *s = state_new(u, a);

	if (s == NULL)
		return NULL;
	pthread_mutex_lock(&r->lock);
	struct entry *e = find_or_add(r, s, u.n + 1 + a.n);
	s = e != NULL ? e->state : NULL;
	if (s != NULL)
		ADD(&s->refs, 1);
	pthread_mutex_unlock(&r->lock);
	return s;
}

void
server_registry_sweep(struct server_registry *r)
{
	struct entry *e, *next;

	pthread_mutex_lock(&r->lock);
	HASH_ITER(hh, r->entries, e, next)
		if (LOAD(&e->state->refs) == 1) /* only _get() could raise it, and that needs the lock */
			forget(r, e);
	pthread_mutex_unlock(&r->lock);
}

void
server_state_unref(struct server_state *s)
{
	/* Release what this thread wrote; who frees acquires what all others wrote. */
	if (s != NULL && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(s);
}

/* --- what happens to a server ------------------------------------------------------------------------------- */

void
server_begin(struct server_state *s)
{
	ADD(&s->in_flight, 1);
	ADD(&s->requests, 1);
}

void
server_end(struct server_state *s)
{
	__atomic_fetch_sub(&s->in_flight, 1, __ATOMIC_RELAXED);
}

uint32_t
server_address_turn(const struct server_state *s)
{
	return LOAD(&s->address_turn);
}

void
server_leave_address(struct server_state *s, uint32_t turn)
{
	/* Once, however many requests have met the failure. */
	(void)__atomic_compare_exchange_n(&s->address_turn, &turn, turn + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

uint64_t
server_succeeded(struct server_state *s, const char *version)
{
	/* Read first: what nearly always is so already need not be written, and its cache line stays shared. */
	if (LOAD(&s->version) != version)
		STORE(&s->version, version);
	if (LOAD(&s->failures) != 0)
		STORE(&s->failures, 0);
	if (LOAD(&s->ejected_until_ms) == 0 || __atomic_exchange_n(&s->ejected_until_ms, 0, __ATOMIC_RELAXED) == 0)
		return 0;
	return LOAD(&s->out_since_ms);
}

enum server_news
server_failed(struct server_state *s, uint64_t now_ms, uint64_t limit, uint64_t time_ms)
{
	ADD(&s->errors, 1);
	uint32_t failures = ADD(&s->failures, 1) + 1;

	if (limit == 0 || failures < limit)
		return SERVER_FAILED;
	/* Every failure from here on, as of a trial, puts the next trial off. */
	bool first = __atomic_exchange_n(&s->ejected_until_ms, now_ms + time_ms, __ATOMIC_RELAXED) == 0;
	uint64_t told = LOAD(&s->told_ms);
	if (first) {
		STORE(&s->out_since_ms, now_ms);
		STORE(&s->told_ms, now_ms);
		return SERVER_LEFT_OUT;
	}
	bool news = now_ms >= told + time_ms &&
	    __atomic_compare_exchange_n(&s->told_ms, &told, now_ms, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return news ? SERVER_STILL_FAILS : SERVER_OUT;
}

bool
server_usable(const struct server_state *s, uint64_t now_ms)
{
	return LOAD(&s->ejected_until_ms) <= now_ms;
}

bool
server_take(struct server_state *s, uint64_t now_ms, uint64_t time_ms)
{
	uint64_t until = LOAD(&s->ejected_until_ms);

	if (until == 0)
		return true;
	return until <= now_ms && __atomic_compare_exchange_n(&s->ejected_until_ms, &until, now_ms + time_ms, false,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
