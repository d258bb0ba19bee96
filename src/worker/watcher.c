#include "worker/watcher.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "certs/watch.h"

enum {
	SETTLE_MS = 100,      /* key and certificate are written one after the other */
	SETTLE_MAX_MS = 1000, /* a directory may never settle */
	DATES_MS = 1000,      /* how late a pin's date may be noticed */
};

static void
forget(struct watcher *w)
{
	/* What changes from now on nobody tells. */
	tls_changes_forget(&w->loader->changes);
	if (w->tracker.fd < 0)
		return;
	net_watch_stop(&w->events);
	tracker_end(&w->tracker);
}

/* A little after the last event, but not for ever. */
static void
look_soon(struct watcher *w)
{
	uint64_t now = net_loop_now(w->loader->background->loop);

	if (!net_timer_pending(&w->settle))
		w->settle_until = now + SETTLE_MAX_MS;
	net_timer_set(&w->settle, w->settle_until > now ? MIN_OF((uint64_t)SETTLE_MS, w->settle_until - now) : 1);
}

static void
on_event(struct net_watch *n, int fd)
{
	struct watcher *w = CONTAINER_OF(n, struct watcher, events);

	(void)fd;
	tracker_read(&w->tracker, &w->loader->changes);
	look_soon(w);
}

/* Said of the first, and once, not at each look. `why` names it. */
static void
note_unwatched(struct watcher *w, size_t *failed, const char *why)
{
	uint64_t poll = w->loader->snapshot->conf->reload.poll;
	char every[CLOCK_DURATION_SIZE];

	if ((*failed)++ > 0 || w->unwatched > 0)
		return;
	if (poll != 0)
		log_notice("can not be watched: %s: changes there are noticed every %s, or at SIGHUP", why, clock_duration(poll, every));
	else
		log_warning("can not be watched: %s: changes there are noticed at SIGHUP only, since \"reload\" has \"poll\": 0", why);
}

/* How many of the directories that the worker may look into can not be watched. */
static size_t
watch_own(struct watcher *w)
{
	const struct watch_place *places;
	size_t n = tls_store_places(w->loader->snapshot->store, &places), failed = 0;
	struct err err;

	for (size_t i = 0; i < n; i++)
		if (!tracker_add(&w->tracker, &places[i], &err))
			note_unwatched(w, &failed, err.text);
	return failed;
}

/* The same of those that the supervisor has to watch: the directories of certbot, for one, are root's alone. */
static size_t
ask_to_watch(struct watcher *w)
{
	const struct watch_hidden *hidden;
	size_t n = tls_store_hidden(w->loader->snapshot->store, &hidden), failed = 0;
	struct err err;

	if (w->asked)
		control_unwatch(w->loader->control);
	w->asked = n > 0;
	for (size_t i = 0; i < n; i++)
		if (!control_watch(w->loader->control, hidden[i].path, hidden[i].is_file, &err))
			note_unwatched(w, &failed, err.text);
	return failed;
}

static void
watch(struct watcher *w)
{
	const struct conf_reload *c = &w->loader->snapshot->conf->reload;

	forget(w);
	net_timer_cancel(&w->poll);
	if (!c->watch)
		return;
	if (c->poll != 0)
		net_timer_set(&w->poll, c->poll);
	if (!tracker_begin(&w->tracker) || !net_watch_start(&w->events, w->loader->background->loop, w->tracker.fd, on_event)) {
		log_warning("directories can not be watched (%s): changed certificates are noticed by polling", strerror(errno));
		tracker_end(&w->tracker);
		return;
	}
	w->unwatched = watch_own(w) + ask_to_watch(w);
}

/* After a load: is all of it watched, and has been since before it? Else the next one looks at everything. */
static void
trust(struct watcher *w)
{
	if (w->tracker.fd < 0 || w->asked || w->unwatched > 0 || !w->tracker.complete)
		tls_changes_forget(&w->loader->changes);
}

/*
 * At everything: what the watch can not tell of (a file system that others write to, memory mapped files) is found here. When
 * something new was found, links may lead elsewhere now.
 */
static void
look(struct watcher *w)
{
	tls_changes_forget(&w->loader->changes);
	while (loader_refresh(w->loader))
		watch(w);
	trust(w);
}

/* Watch first, then look: what changes after the look makes an event. */
static void
on_settled(struct net_timer *t)
{
	struct watcher *w = CONTAINER_OF(t, struct watcher, settle);

	watch(w);
	look(w);
}

/* What is watched still is; what could not be may have come to be. */
static void
on_poll(struct net_timer *t)
{
	struct watcher *w = CONTAINER_OF(t, struct watcher, poll);

	if (w->tracker.fd < 0 || w->unwatched > 0)
		watch(w);
	else
		net_timer_set(t, w->loader->snapshot->conf->reload.poll);
	look(w);
}

/* Does one of the two times come before `date`, the other not? Clocks are put back as well. */
static bool
lies_between(int64_t date, int64_t last, int64_t now)
{
	return (date <= last) != (date <= now);
}

/* Is there a pin that came into force, or left it, between the two? */
static bool
a_date_has_passed(const struct conf *c, int64_t last, int64_t now)
{
	for (size_t i = 0; i < c->n_sites; i++) {
		const struct conf_client_certificate *cl = &c->sites[i].client;
		for (size_t k = 0; k < cl->n_pins; k++) {
			if (lies_between(conf_pin_from(&cl->pins[k]), last, now) || lies_between(conf_pin_until(&cl->pins[k]), last, now))
				return true;
		}
	}
	return false;
}

/* Whether files are watched or not: a date is in the config. */
static void
on_dates(struct net_timer *t)
{
	struct watcher *w = CONTAINER_OF(t, struct watcher, dates);
	int64_t now = (int64_t)(clock_wall_us() / 1000000);

	if (a_date_has_passed(w->loader->snapshot->conf, w->dates_seen, now))
		look(w);
	w->dates_seen = now;
	net_timer_set(t, DATES_MS);
}

void
watcher_look(struct watcher *w)
{
	if (w->loader->snapshot->conf->reload.watch)
		look_soon(w);
}

/* What a load has brought into service while nobody watched. */
static void
watch_anew(struct watcher *w)
{
	watch(w);
	if (w->tracker.fd >= 0)
		look_soon(w); /* what changed while it was loaded made no event */
}

bool
watcher_reload(struct watcher *w, unsigned accept)
{
	struct loader *l = w->loader;

	if (w->tracker.fd >= 0)
		tracker_read(&w->tracker, &l->changes);
	if (l->changes.known)
		log_debug("of the directories' bundles, those of %zu names may have changed", l->changes.n);
	bool told = l->changes.known, ok = loader_reload(l, accept);
	if (ok && told && l->changes.known && l->snapshot->conf->reload.watch)
		look_soon(w); /* the same places as before */
	else
		watch_anew(w);
	return ok;
}

bool
watcher_start_one(struct watcher *w, const char *bundle, unsigned accept, bool *changed, struct err *err)
{
	bool ok = loader_start(w->loader, bundle, accept, changed, err);

	if (ok && *changed)
		watch_anew(w);
	return ok;
}

void
watcher_start(struct watcher *w, struct loader *l)
{
	w->loader = l;
	w->tracker = TRACKER_NONE;
	net_timer_init(&w->settle, l->background->loop, on_settled);
	net_timer_init(&w->poll, l->background->loop, on_poll);
	net_timer_init(&w->dates, l->background->loop, on_dates);
	w->dates_seen = (int64_t)(clock_wall_us() / 1000000);
	net_timer_set(&w->dates, DATES_MS);
	watch_anew(w);
}

void
watcher_stop(struct watcher *w)
{
	forget(w);
	net_timer_cancel(&w->settle);
	net_timer_cancel(&w->dates);
	net_timer_cancel(&w->poll);
}
