/* verdict.c: what is known of a rotation, and whether the previous generation may go. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rotation/private.h"

enum {
	DAY = 24 * 3600,
	TICKETS_S = 7 * DAY, /* no session is resumed for longer after its full handshake (tls/resume.c) */
	ABSENT_S = 14 * DAY, /* who has not been seen for so long is not waited for */
};

static void
reason(struct rotation_report *o, bool blocks, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
reason(struct rotation_report *o, bool blocks, const char *fmt, ...)
{
	va_list ap;

	if (o->n_reasons == REASONS_MAX)
		return;
	struct rotation_reason *r = &o->reasons[o->n_reasons++];
	r->blocks = blocks;
	va_start(ap, fmt);
	(void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	o->may_retire = o->may_retire && !blocks;
}

/* Known from before, seen not long ago, and no word on the current one so far; that it once closed in silence is none. */
static bool
is_untested(const struct client_record *c, struct moment now)
{
	return is_known(c) && c->by[SLOT_CURRENT].accepted == 0 && !c->refuses[SLOT_CURRENT] && now.wall - c->last_seen < ABSENT_S;
}

static void
copy_client(struct report_client *to, const struct client_record *c)
{
	to->record = *c;
	to->record.name = NULL;
	to->record.next = NULL;
	(void)snprintf(to->name, sizeof(to->name), "%s", c->name != NULL ? c->name : "");
}

/*
 * A table of a million clients takes half a second to go through, and no handshake is to wait for that: it is gone through
 * in slices. Who changes meanwhile is found as before or as after it.
 */
void
rotation_slice(struct rotation *r, struct clients_walk *w, void (*each)(void *arg, struct client_record *c), void *arg)
{
	pthread_mutex_lock(&r->lock);
	clients_slice(&r->clients, w, each, arg);
	pthread_mutex_unlock(&r->lock);
	/* A mutex is not given to who waits for it: without a pause this thread would have it again before the other is awake. */
	if (!w->over)
		(void)nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
}

struct tally {
	struct rotation_report *to;
	struct moment now;
	size_t room_orphans, room_untested; /* in the lists; 0: there are none */
};

static void
count(void *arg, struct client_record *c)
{
	struct tally *t = arg;
	struct rotation_report *o = t->to;

	c->last_seen = MIN_OF(c->last_seen, t->now.wall); /* a clock that was ahead; or he would be waited for until that time */
	if (is_orphan(c)) {
		if (o->n_orphans < t->room_orphans)
			copy_client(&o->orphans[o->n_orphans], c);
		o->n_orphans++;
	} else if (is_untested(c, t->now)) {
		if (o->n_untested < t->room_untested)
			copy_client(&o->untested[o->n_untested], c);
		o->n_untested++;
	}
}

static int
by_last_seen(const void *a, const void *b)
{
	const struct report_client *x = a, *y = b;

	return x->record.last_seen < y->record.last_seen ? 1 : x->record.last_seen > y->record.last_seen ? -1 : 0;
}

/* Room in this list for all that one slice may bring, made while nobody waits for it. */
static bool
has_room(struct report_client **list, size_t n, size_t *room)
{
	size_t more = MAX_OF(2 * n, (size_t)2 * CLIENTS_SLICE);
	struct report_client *bigger;

	if (n + 2 * CLIENTS_SLICE <= *room)
		return true;
	if ((bigger = reallocarray(*list, n + more, sizeof(**list))) == NULL)
		return false;
	*list = bigger;
	*room = n + more;
	return true;
}

/* Numbers always, lists where they are asked for. */
static bool
go_through(struct rotation *r, bool lists, struct moment now, struct rotation_report *o)
{
	struct tally t = {.to = o, .now = now};

	for (struct clients_walk w = {.over = false}; !w.over;) {
		if (lists && (!has_room(&o->orphans, o->n_orphans, &t.room_orphans) || !has_room(&o->untested, o->n_untested, &t.room_untested)))
			return false;
		rotation_slice(r, &w, count, &t);
	}
	return !lists || (o->n_orphans <= t.room_orphans && o->n_untested <= t.room_untested);
}

static void
judge_plan(struct rotation_report *o)
{
	switch (o->phase) {
	case ROTATION_SETTLED:
		reason(o, false, "no rotation goes on: one generation is in service, nothing else is served");
		break;
	case ROTATION_STAGED:
	case ROTATION_HELD:
		reason(o, true, "%u.%02u %% of the clients get the current generation by plan, the others the previous one", o->share / 100, o->share % 100);
		break;
	case ROTATION_BACK:
		reason(o, true, "it was rolled back: the previous generation is what clients get");
		break;
	case ROTATION_COMPLETE:
		break;
	}
}

static void
judge(struct moment now, struct rotation_report *o)
{
	o->may_retire = true;
	judge_plan(o);
	if (o->phase == ROTATION_SETTLED)
		return;
	if (o->n_orphans > 0)
		reason(o, true, "%zu client%s refuse%s the current generation", o->n_orphans, o->n_orphans == 1 ? "" : "s", o->n_orphans == 1 ? "s" : "");
	if (o->n_untested > 0)
		reason(o, true, "%zu client%s known from before ha%s neither accepted nor refused the current generation", o->n_untested,
		    o->n_untested == 1 ? "" : "s", o->n_untested == 1 ? "s" : "ve");
	if (now.wall < o->tickets_end && o->resumed > 0)
		reason(o, false, "%llu handshakes since the change resumed a session, and were shown no certificate; that ends in %lld days",
		    (unsigned long long)o->resumed, (long long)(o->tickets_end - now.wall + DAY - 1) / DAY);
	if (o->left_out > 0)
		reason(o, true, "%llu handshakes were of clients that found no room in the table: raise rotation.clients",
		    (unsigned long long)o->left_out);
	if (o->may_retire && o->counts[SLOT_CURRENT].clients == 0)
		reason(o, true, "no client has accepted the current generation so far");
	if (o->may_retire)
		reason(o, false, "all %llu clients that were shown the current generation have accepted it",
		    (unsigned long long)o->counts[SLOT_CURRENT].clients);
}

static int64_t
ends_by(const struct rotation *r, struct moment now)
{
	const struct tls_bundle *previous = r->bundles[SLOT_PREVIOUS];

	if (previous == NULL)
		return 0;
	int64_t kept = r->give_up_ms > now.ms ? now.wall + (int64_t)((r->give_up_ms - now.ms) / 1000) : INT64_MAX;
	return MIN_OF(previous->facts.not_after, kept);
}

static void
describe(const struct rotation *r, struct moment now, struct rotation_report *o)
{
	*o = (struct rotation_report){
		.name = r->name,
		.phase = r->phase,
		.share = r->phase == ROTATION_BACK ? 0 : rotation_share(r),
		.stage = r->stage,
		.n_stages = r->settings.n_stages,
		.stage_left_ms = r->phase == ROTATION_HELD ? r->stage_left_ms : r->stage_ends_ms > now.ms ? r->stage_ends_ms - now.ms : 0,
		.begun = r->phase != ROTATION_SETTLED ? r->begun.wall : 0,
		.ended_by = ends_by(r, now),
		.counts = {r->counts[SLOT_PREVIOUS], r->counts[SLOT_CURRENT]},
		.resumed = r->resumed,
		.tickets_end = r->begun.wall + TICKETS_S,
		.left_out = r->clients.left_out,
	};
	for (unsigned s = 0; s < SLOTS; s++)
		o->bundles[s] = r->bundles[s] != NULL ? tls_bundle_ref(r->bundles[s]) : NULL;
}

bool
rotation_report(struct rotation *r, bool lists, struct moment now, struct rotation_report *o)
{
	pthread_mutex_lock(&r->lock);
	now = rotation_time_locked(r, now);
	describe(r, now, o);
	pthread_mutex_unlock(&r->lock);
	if (!go_through(r, lists, now, o)) {
		rotation_report_free(o);
		return false;
	}
	judge(now, o);
	if (lists) {
		qsort(o->orphans, o->n_orphans, sizeof(*o->orphans), by_last_seen);
		qsort(o->untested, o->n_untested, sizeof(*o->untested), by_last_seen);
	}
	return true;
}

void
rotation_report_free(struct rotation_report *o)
{
	for (unsigned s = 0; s < SLOTS; s++)
		tls_bundle_unref(o->bundles[s]);
	free(o->orphans);
	free(o->untested);
	*o = (struct rotation_report){.name = NULL};
}
