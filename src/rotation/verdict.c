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
	return is_known(c) && c->by[SLOT_CURRENT].accepted == 0 && !c->refuses[SLOT_CURRENT] &&
	       now.wall - client_seen(c, now.wall) < ABSENT_S;
}

static void
copy_client(struct report_client *to, const struct client_record *c, struct moment now)
{
	to->record = *c;
	to->record.last_seen = client_seen(c, now.wall);
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
			copy_client(&o->orphans[o->n_orphans], c, t->now);
		o->n_orphans++;
	} else if (is_untested(c, t->now)) {
		if (o->n_untested < t->room_untested)
			copy_client(&o->untested[o->n_untested], c, t->now);
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
		if (lists && (!has_room(&o->orphans, o->n_orphans, &t.room_orphans) ||
			      !has_room(&o->untested, o->n_untested, &t.room_untested)))
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
		reason(o, true, "%u.%02u %% of the clients get the current generation by plan, the others the previous one",
		    o->share / 100, o->share % 100);
		break;
	case ROTATION_BACK:
		reason(o, true, "it was rolled back: the previous generation is what clients get");
		break;
	case ROTATION_COMPLETE:
		break;
	}
}

/* Who needs the previous generation, or may. */
static void
judge_clients(struct moment now, struct rotation_report *o)
{
	if (o->n_orphans > 0)
		reason(o, true, "%zu client%s refuse%s the current generation", o->n_orphans,
		    o->n_orphans == 1 ? "" : "s", o->n_orphans == 1 ? "s" : "");
	if (o->n_untested > 0)
		reason(o, true, "%zu client%s known from before ha%s neither accepted nor refused the current generation", o->n_untested,
		    o->n_untested == 1 ? "" : "s", o->n_untested == 1 ? "s" : "ve");
	if (now.wall < o->tickets_end && o->resumed > 0)
		reason(o, false, "%llu handshakes since the change resumed a session, and were shown no certificate; that ends in %lld days",
		    (unsigned long long)o->resumed, (long long)(o->tickets_end - now.wall + DAY - 1) / DAY);
	if (o->left_out > 0)
		reason(o, true, "%llu handshakes were of clients that found no room in the table: raise rotation.clients",
		    (unsigned long long)o->left_out);
}

static void
judge(struct moment now, struct rotation_report *o)
{
	judge_plan(o);
	if (o->phase == ROTATION_SETTLED)
		return;
	judge_clients(now, o);
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
	/* What is past is given up by the next tick. */
	uint64_t left = r->give_up_ms > now.ms ? r->give_up_ms - now.ms : 0;
	int64_t kept = r->give_up_ms > 0 ? now.wall + (int64_t)(left / 1000) : INT64_MAX;
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
		.may_retire = true,
	};
	for (unsigned s = 0; s < SLOTS; s++)
		o->bundles[s] = r->bundles[s] != NULL ? tls_bundle_ref(r->bundles[s]) : NULL;
}

/* All but the verdict; *now becomes the rotation's time. False when memory is out, and then there is nothing to free. */
static bool
fill(struct rotation *r, bool lists, struct moment *now, struct rotation_report *o)
{
	pthread_mutex_lock(&r->lock);
	*now = rotation_time_locked(r, *now);
	describe(r, *now, o);
	pthread_mutex_unlock(&r->lock);
	if (!go_through(r, lists, *now, o)) {
		rotation_report_free(o);
		return false;
	}
	if (lists) {
		qsort(o->orphans, o->n_orphans, sizeof(*o->orphans), by_last_seen);
		qsort(o->untested, o->n_untested, sizeof(*o->untested), by_last_seen);
	}
	return true;
}

bool
rotation_report(struct rotation *r, bool lists, struct moment now, struct rotation_report *o)
{
	if (!fill(r, lists, &now, o))
		return false;
	judge(now, o);
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

/* --- what is refused for its sake ---------------------------------------------------------------------------- */

enum { NAMED_MAX = 8, CALLED = NET_IP_TEXT + REPORT_NAME + 4 };

/* Append what fits into the first `size` bytes. */
static void put(struct err *err, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
put(struct err *err, size_t size, const char *fmt, ...)
{
	size_t n = strlen(err->text);
	va_list ap;

	if (n >= size)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(err->text + n, size - n, fmt, ap);
	va_end(ap);
}

/* "192.0.2.7 (CN=till 7)". It said of itself what it liked: a terminal is not to obey it. */
static void
call(char out[CALLED], const struct report_client *c)
{
	char address[NET_IP_TEXT];

	net_ip_text(&c->record.who.ip, address);
	(void)snprintf(out, CALLED, c->name[0] != '\0' ? "%s (%s)" : "%s", address, c->name);
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

/* "\n  who: 192.0.2.7 (CN=till 7), 192.0.2.9 and 3 more", as many as fit into the first `size` bytes. */
static void
put_clients(struct err *err, size_t size, const char *who, const struct report_client *v, size_t n)
{
	const size_t around = strlen(who) + sizeof("\n  : , and 18446744073709551615 more");
	char one[CALLED];
	size_t i = 0;

	for (; i < n && i < NAMED_MAX; i++) {
		call(one, &v[i]);
		if (strlen(err->text) + strlen(one) + around > size)
			break;
		put(err, size, "%s%s%s%s", i == 0 ? "\n  " : ", ", i == 0 ? who : "", i == 0 ? ": " : "", one);
	}
	if (i > 0 && i < n)
		put(err, size, " and %zu more", n - i);
}

/* Why, in the verdict's words; of the clients as many as there is room for, and for one that is certain; what to do. */
static bool
refuse(const struct rotation_report *o, const char *what, struct err *err)
{
	const size_t end = sizeof(err->text), advice = 100, uncertain = 100;

	(void)err_set(err, "bundle \"%s\": %s:", o->name, what);
	for (unsigned i = 0; i < o->n_reasons; i++)
		if (o->reasons[i].blocks)
			put(err, end - advice, "\n  %s", o->reasons[i].text);
	put_clients(err, end - advice - uncertain, "locked out for certain", o->orphans, o->n_orphans);
	put_clients(err, end - advice, "perhaps", o->untested, o->n_untested);
	put(err, end, "\n`bascule rotation status` with its name lists all; --force does it all the same");
	return false;
}

bool
rotation_may_give_up(struct rotation *r, bool by_verdict, const char *what, struct moment now, struct err *err)
{
	struct rotation_report o;

	if (!fill(r, true, &now, &o))
		return err_no_memory(err);
	if (by_verdict)
		judge(now, &o);
	else
		judge_clients(now, &o);
	bool ok = o.may_retire || refuse(&o, what, err);
	rotation_report_free(&o);
	return ok;
}
