/* client_cas_verdict.c: how it stands with each client certificate, and whether the pin of a CA may be dropped. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "rotation/client_cas_private.h"

enum {
	DAY = 24 * 3600,
	SETTLED_MS = 7 * DAY * 1000, /* who went back to the old certificate once must stay away from it for so long */
};

static const struct {
	const char *word;
	bool blocks;
	const char *means;
} rows[] = {
#define X(name, word, blocks, means) [name] = {word, blocks, means},
	HOLDER_STATUS_ROWS(X)
#undef X
};

const char *
holder_status_word(enum holder_status s)
{
	return rows[s].word;
}

bool
holder_status_blocks(enum holder_status s)
{
	return rows[s].blocks;
}

const char *
drop_verdict_word(enum drop_verdict v)
{
	return v == DROP_YES ? "yes" : v == DROP_NO ? "no" : "unknown";
}

/* --- one certificate ----------------------------------------------------------------------------------------- */

/* What other certificates of its device say about it. */
struct relatives {
	const struct holder *later; /* of another CA that is pinned, seen last; NULL: none since */
	bool renewed;               /* one of the same CA was seen since */
	bool in_turns;              /* it was seen again after one of another CA had come */
	bool shared;                /* one of the same CA was in use at the same time: they are of two devices */
};

static void
look_at(struct relatives *r, const struct holder *h, const struct holder *o)
{
	bool since = o->last > h->last;

	if (o->ca == h->ca) {
		r->renewed |= since;
		r->shared |= o->first < h->last && h->first < o->last;
	} else if (o->ca->pinned) {
		r->in_turns |= o->first < h->last;
		if (since && (r->later == NULL || o->last > r->later->last))
			r->later = o;
	}
}

static struct relatives
relatives_of(const struct holder *h)
{
	const struct device *d = h->device;
	/* No subject names nobody: certificates whose only name is an alternative one all look the same. */
	struct relatives r = {.shared = d->n > DEVICE_CERTIFICATES_MAX || d->subject[0] == '\0'};

	if (r.shared)
		return r;
	for (const struct holder *o = d->holders; o != NULL; o = o->next)
		if (o != h)
			look_at(&r, h, o);
	return r;
}

enum holder_status
holder_status(const struct client_cas *s, const struct holder *h, struct moment now, const struct holder **next)
{
	uint64_t age = holder_age(s, h, now);
	struct relatives r = relatives_of(h);
	enum holder_status status = HOLDER_CURRENT;

	*next = NULL;
	if (h->not_after < now.wall)
		return HOLDER_EXPIRED;
	if (h->revoked)
		return HOLDER_REVOKED;
	if (r.shared) {
		status = HOLDER_SHARED;
	} else if (r.later != NULL) {
		bool left = h->open == 0 && (!r.in_turns || age >= MIN_OF((uint64_t)SETTLED_MS, s->settings.window_ms));
		*next = r.later;
		status = left ? HOLDER_MOVED : HOLDER_BOTH;
	} else if (r.renewed && h->open == 0) {
		return HOLDER_RENEWED;
	}
	return rows[status].blocks && age >= s->settings.window_ms ? HOLDER_ABSENT : status;
}

/* --- the reasons --------------------------------------------------------------------------------------------- */

static void reason(struct client_ca_report *o, enum drop_verdict says, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
reason(struct client_ca_report *o, enum drop_verdict says, const char *fmt, ...)
{
	va_list ap;

	if (o->n_reasons == DROP_REASONS_MAX)
		return;
	struct drop_reason *r = &o->reasons[o->n_reasons++];
	r->says = says;
	va_start(ap, fmt);
	(void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	o->verdict = MAX_OF(o->verdict, says);
}

struct words {
	char text[40];
};

/* To the unit in which people think of it. */
static struct words
duration(uint64_t ms)
{
	static const uint64_t units[] = {DAY * UINT64_C(1000), 3600 * 1000, 60 * 1000, 1000};
	struct words out;
	char text[CLOCK_DURATION_SIZE];
	size_t i = 0;

	while (i + 1 < COUNTOF(units) && ms < 2 * units[i])
		i++;
	(void)snprintf(out.text, sizeof(out.text), "%s", clock_duration(ms - ms % units[i], text));
	return out;
}

static void
date(int64_t at, char out[16])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
		out[0] = '\0';
}

/* Those in the way, or the others. */
static void
judge_use(struct client_ca_report *o, bool blocks)
{
	for (unsigned i = 0; i < HOLDER_STATUSES; i++)
		if (rows[i].blocks == blocks && o->by_status[i] > 0)
			reason(o, blocks ? DROP_NO : DROP_YES, "%s (%zu): %s", rows[i].word, o->by_status[i], rows[i].means);
}

static void
judge_left_out(const struct client_cas *s, struct client_ca_report *o, const struct client_ca *ca, struct moment now)
{
	if (ca->left_out == 0 || own_time(s, now) - MIN_OF(own_time(s, now), ca->left_out_at) >= s->settings.window_ms)
		return;
	if (ca->n_holders < s->settings.remember && !client_cas_can_keep(s, CLIENT_SUBJECT_MAX))
		reason(o, DROP_UNKNOWN, "%llu handshakes with certificates that found no room: more than %zu MiB of a site can not be kept",
		    (unsigned long long)ca->left_out, s->packed_max >> 20);
	else
		reason(o, DROP_UNKNOWN, "%llu handshakes with certificates that found no room: raise \"remember\" (now %zu)",
		    (unsigned long long)ca->left_out, s->settings.remember);
}

static void
judge_watch(const struct client_cas *s, struct client_ca_report *o, const struct client_ca *ca, struct moment now)
{
	if (s->settings.remember == 0)
		reason(o, DROP_UNKNOWN, "nothing is remembered: \"remember\" is 0");
	if (o->watched_s * 1000 < s->settings.window_ms)
		reason(o, DROP_UNKNOWN, "it has been watched for %s of %s only: who comes less often may not have come yet",
		    duration(o->watched_s * 1000).text, duration(s->settings.window_ms).text);
	judge_left_out(s, o, ca, now);
}

static bool
has_another(const struct client_cas *s, const struct client_ca *ca)
{
	for (const struct client_ca *o = s->cas; o != NULL; o = o->next)
		if (o != ca && o->pinned)
			return true;
	return false;
}

static void
judge_pinned(const struct client_cas *s, const struct client_ca *ca, struct moment now, struct client_ca_report *o)
{
	char day[16];

	if (!has_another(s, ca))
		reason(o, DROP_NO, "it is the only CA that is pinned: without it no client gets in");
	judge_use(o, true);
	if (o->last_expiry != 0) {
		date(o->last_expiry, day);
		reason(o, DROP_YES, "the last of these expires by itself on %s", day);
	}
	judge_watch(s, o, ca, now);
	if (o->until != INT64_MAX) {
		date(o->until - 1, day);
		reason(o, DROP_YES, "its pin ends by itself after %s", day);
	}
	judge_use(o, false);
	if (o->verdict == DROP_YES)
		reason(o, DROP_YES, "nobody who came within %s needs it", duration(s->settings.window_ms).text);
}

/* It is gone; is anybody missing it? */
static void
judge_dropped(struct client_ca_report *o)
{
	char since[16];

	date(o->dropped_at, since);
	reason(o, DROP_YES, "it is not pinned any more, since %s", since);
	if (o->refused > 0)
		reason(o, DROP_NO, "refused since (%zu): of devices that have not come with another", o->refused);
	if (o->strangers > 0)
		reason(o, DROP_NO, "refused since, not seen before: %llu handshakes with certificates that say they are from it",
		    (unsigned long long)o->strangers);
	judge_use(o, false);
}

/* --- the report ---------------------------------------------------------------------------------------------- */

struct tally {
	const struct client_cas *s;
	struct client_cas_report *to;
	struct moment now;
	size_t room; /* for rows; 0: there are none */
	bool failed;
};

static bool
fill_row(struct tally *t, const struct holder *h, const struct holder *next, struct holder_row *to)
{
	to->ca = h->ca->place;
	to->subject = arena_copy(&t->to->arena, sv_cstr(h->device->subject));
	to->moved_to = next != NULL ? t->to->cas[next->ca->place].name : NULL;
	(void)snprintf(to->serial, sizeof(to->serial), "%s", h->serial);
	memcpy(to->fingerprint, h->fingerprint, sizeof(to->fingerprint));
	to->not_after = h->not_after;
	to->first_seen = h->first_seen;
	to->last_seen = h->last_seen;
	to->refused_at = h->refused_at;
	to->seen_at = h->seen_at;
	to->last = h->last;
	to->full = h->full;
	to->resumed = h->resumed;
	to->open = h->open;
	to->refused = h->refused;
	to->ip = h->ip;
	return to->subject != NULL;
}

static void
count(void *arg, const struct holder *h)
{
	struct tally *t = arg;
	struct client_ca_report *o = &t->to->cas[h->ca->place];
	const struct holder *next;
	enum holder_status status = holder_status(t->s, h, t->now, &next);

	o->certificates++;
	o->by_status[status]++;
	o->connected += h->open > 0;
	o->refused += h->refused > 0 && (rows[status].blocks || status == HOLDER_ABSENT);
	if (rows[status].blocks)
		o->last_expiry = MAX_OF(o->last_expiry, h->not_after);
	if (t->room == 0)
		return;
	struct holder_row *row = &t->to->rows[t->to->n_rows++];
	row->status = status;
	t->failed |= !fill_row(t, h, next, row);
}

/* For all that one slice may bring, made while nobody waits for it. */
static bool
make_room(struct tally *t)
{
	struct client_cas_report *o = t->to;
	size_t room = 2 * o->n_rows + HOLDERS_SLICE;

	if (o->n_rows + HOLDERS_SLICE <= t->room)
		return true;
	struct holder_row *bigger = reallocarray(o->rows, room, sizeof(*bigger));
	if (bigger == NULL)
		return false;
	o->rows = bigger;
	t->room = room;
	return true;
}

/* Of one CA after the other; of each, who was seen last first. */
static int
by_ca_and_last_seen(const void *a, const void *b)
{
	const struct holder_row *x = a, *y = b;

	if (x->ca != y->ca)
		return x->ca < y->ca ? -1 : 1;
	if (x->seen_at != y->seen_at)
		return x->seen_at > y->seen_at ? -1 : 1;
	return x->last > y->last ? -1 : x->last < y->last ? 1 : 0;
}

static void
hand_out_rows(struct client_cas_report *o)
{
	struct holder_row *next = o->rows;

	qsort(o->rows, o->n_rows, sizeof(*o->rows), by_ca_and_last_seen);
	for (size_t i = 0; i < o->n_cas; i++) {
		o->cas[i].rows = next;
		next += o->cas[i].certificates;
	}
}

static bool
go_through(struct client_cas *s, bool lists, struct moment now, struct client_cas_report *o)
{
	struct tally t = {.s = s, .to = o, .now = now};

	do {
		if (lists && !make_room(&t))
			return false;
	} while (client_cas_slice(s, count, &t) && !t.failed);
	if (lists)
		hand_out_rows(o);
	return !t.failed;
}

static bool
describe(const struct client_cas *s, const struct client_ca *ca, struct moment now, struct arena *a, struct client_ca_report *o)
{
	*o = (struct client_ca_report){
		.name = arena_copy(a, sv_cstr(ca->name)),
		.not_after = ca->not_after,
		.until = ca->until,
		.pinned = ca->pinned,
		.pinned_at = ca->pinned_at,
		.dropped_at = ca->dropped_at,
		.watched_s = ca->pinned ? (own_time(s, now) - MIN_OF(own_time(s, now), ca->since)) / 1000 : 0,
	};
	memcpy(o->fingerprint, ca->fingerprint, sizeof(o->fingerprint));
	return o->name != NULL;
}

/* All but what the certificates tell; *now becomes the site's time. */
static bool
report_begin(struct client_cas *s, struct moment *now, struct client_cas_report *out)
{
	pthread_mutex_lock(&s->lock);
	*now = client_cas_time_locked(s, *now);
	out->window_s = s->settings.window_ms / 1000;
	out->remember = s->settings.remember;
	out->cas = arena_alloc(&out->arena, (client_cas_count(s) + 1) * sizeof(*out->cas));
	bool ok = out->cas != NULL;
	for (const struct client_ca *ca = s->cas; ok && ca != NULL; ca = ca->next)
		ok = describe(s, ca, *now, &out->arena, &out->cas[out->n_cas++]);
	holders_walk(&s->holders);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* Who found no room while the others were counted is in the verdict. */
static void
judge(struct client_cas *s, struct moment now, struct client_cas_report *out)
{
	pthread_mutex_lock(&s->lock);
	for (const struct client_ca *ca = s->cas; ca != NULL; ca = ca->next) {
		struct client_ca_report *o = &out->cas[ca->place];
		o->left_out = ca->left_out;
		o->strangers = ca->strangers;
		if (ca->pinned)
			judge_pinned(s, ca, now, o);
		else
			judge_dropped(o);
	}
	pthread_mutex_unlock(&s->lock);
}

bool
client_cas_report(struct client_cas *s, bool lists, struct moment now, struct client_cas_report *out)
{
	*out = (struct client_cas_report){.site = s->site, .arena = ARENA_EMPTY};
	if (!report_begin(s, &now, out) || !go_through(s, lists, now, out))
		return false;
	judge(s, now, out);
	return true;
}

void
client_cas_report_free(struct client_cas_report *r)
{
	arena_free(&r->arena);
	free(r->rows);
	*r = (struct client_cas_report){.site = NULL};
}

size_t
client_ca_waiting(const struct client_ca_report *r)
{
	size_t n = 0;

	for (unsigned i = 0; i < HOLDER_STATUSES; i++)
		n += rows[i].blocks ? r->by_status[i] : 0;
	return n;
}

bool
client_cas_note_verdict(struct client_cas *s, const struct client_ca_report *r)
{
	bool may = r->pinned && r->verdict == DROP_YES, news = false;

	pthread_mutex_lock(&s->lock);
	for (struct client_ca *ca = s->cas; ca != NULL; ca = ca->next) {
		if (memcmp(ca->fingerprint, r->fingerprint, sizeof(ca->fingerprint)) != 0 || !ca->pinned)
			continue;
		news = may && !ca->told && r->by_status[HOLDER_MOVED] > 0;
		s->news += ca->told != (may && (ca->told || news));
		ca->told = may && (ca->told || news);
	}
	pthread_mutex_unlock(&s->lock);
	return news;
}
