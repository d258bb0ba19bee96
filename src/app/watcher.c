#include "app/watcher.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { SETTLE_MS = 100 }; /* key and certificate are written one after the other */

static const uint32_t interesting =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

static void
forget(struct watcher *w)
{
	if (w->inotify < 0)
		return;
	net_watch_stop(&w->events);
	close(w->inotify);
	w->inotify = -1;
}

static void
on_event(struct net_watch *n, int fd)
{
	struct watcher *w = CONTAINER_OF(n, struct watcher, events);
	char buffer[8192];

	/* What happened does not matter, only that something did: the stamps of the files tell the rest. */
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	net_timer_set(&w->settle, SETTLE_MS);
}

/* Said once, not at each look: the directories of certbot, for one, are root's alone. */
static void
tell_unwatched(const char *directory, const char *why, uint64_t poll)
{
	char every[CLOCK_DURATION_SIZE];

	if (poll != 0)
		log_notice("%s can not be watched by the worker's user (%s): changes there are noticed every %s, or at SIGHUP",
		    directory, why, clock_duration(poll, every));
	else
		log_warning("%s can not be watched by the worker's user (%s), and \"reload\" has \"poll\": 0: changes there are noticed "
		            "at SIGHUP only", directory, why);
}

static void
watch(struct watcher *w)
{
	const struct conf_reload *c = &w->loader->snapshot->conf->reload;
	const char *const *directories;
	size_t n = tls_store_directories(w->loader->snapshot->store, &directories);

	forget(w);
	net_timer_cancel(&w->poll);
	if (!c->watch)
		return;
	if (c->poll != 0)
		net_timer_set(&w->poll, c->poll);
	w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->inotify < 0 || !net_watch_start(&w->events, w->loader->background->loop, w->inotify, on_event)) {
		log_warning("directories can not be watched (%s): changed certificates are noticed by polling", strerror(errno));
		forget(w);
		return;
	}
	size_t failed = 0;
	for (size_t i = 0; i < n; i++) {
		if (inotify_add_watch(w->inotify, directories[i], interesting) >= 0)
			continue;
		if (failed++ == 0 && w->unwatched == 0)
			tell_unwatched(directories[i], strerror(errno), c->poll);
	}
	w->unwatched = failed;
}

/*
 * Watch first, then look: what changes after the look makes an event. When the look found something new, links may lead
 * elsewhere now.
 */
static void
look(struct watcher *w)
{
	do
		watch(w);
	while (loader_refresh(w->loader));
}

static void
on_settled(struct net_timer *t)
{
	look(CONTAINER_OF(t, struct watcher, settle));
}

static void
on_poll(struct net_timer *t)
{
	look(CONTAINER_OF(t, struct watcher, poll));
}

void
watcher_update(struct watcher *w)
{
	watch(w);
	if (w->inotify >= 0)
		net_timer_set(&w->settle, SETTLE_MS); /* what changed while it was loaded made no event */
}

void
watcher_start(struct watcher *w, struct loader *l)
{
	w->loader = l;
	w->inotify = -1;
	net_timer_init(&w->settle, l->background->loop, on_settled);
	net_timer_init(&w->poll, l->background->loop, on_poll);
	watcher_update(w);
}

void
watcher_stop(struct watcher *w)
{
	forget(w);
	net_timer_cancel(&w->settle);
	net_timer_cancel(&w->poll);
}
