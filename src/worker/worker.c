/* worker.c: the background thread of the worker: it starts the others, obeys the supervisor and answers the admin. */
#include "worker/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/watcher.h"

enum { DRAIN_LOOK_MS = 50 };

struct worker {
	struct loader loader;
	struct watcher watcher;
	struct net_watch commands;
	struct net_timer kept_commands;
	struct net_timer drain_timer;
	uint64_t drain_until; /* ms; 0: not draining */
};

/* --- draining ----------------------------------------------------------------------------------------------- */

static void
on_drain_timer(struct net_timer *t)
{
	struct worker *w = CONTAINER_OF(t, struct worker, drain_timer);
	/* Those of the loop threads: whoever asks for the status is not waited for. */
	uint64_t open = admin_sum(&w->loader.admin, offsetof(struct counters, connections_open));
	struct px_thread *background = w->loader.background;

	if (open > 0 && net_loop_now(background->loop) < w->drain_until) {
		net_timer_set(t, DRAIN_LOOK_MS);
		return;
	}
	if (open > 0)
		log_warning("the drain's time is over: %llu connections are cut", (unsigned long long)open);
	net_loop_stop(background->loop);
}

static void
begin_drain(struct worker *w)
{
	uint64_t ms = w->loader.snapshot->conf->drain;
	char limit[CLOCK_DURATION_SIZE];

	if (w->drain_until != 0)
		return;
	log_notice("draining: what is in flight has %s to end", clock_duration(ms, limit));
	w->drain_until = net_loop_now(w->loader.background->loop) + ms;
	w->loader.admin.drain_until_us = clock_wall_us() + ms * 1000;
	threads_drain(&w->loader.threads);
	net_timer_set(&w->drain_timer, 1);
}

/* --- commands ----------------------------------------------------------------------------------------------- */

static void
obey(struct worker *w, enum control_command command)
{
	switch (command) {
	case CONTROL_STOP:
		net_loop_stop(w->loader.background->loop);
		break;
	case CONTROL_LOST:
		log_error("the supervisor has gone");
		net_watch_stop(&w->commands);
		begin_drain(w);
		break;
	case CONTROL_DRAIN:
		begin_drain(w);
		break;
	case CONTROL_REOPEN_LOGS:
		loader_open_logs(&w->loader);
		break;
	case CONTROL_RELOAD:
		(void)watcher_reload(&w->watcher, 0);
		break;
	case CONTROL_LOOK:
		watcher_look(&w->watcher);
		break;
	}
}

static void
obey_all(struct worker *w)
{
	enum control_command command;

	while (control_next(w->loader.control, &command))
		obey(w, command);
}

static void
on_command(struct net_watch *n, int fd)
{
	(void)fd;
	obey_all(CONTAINER_OF(n, struct worker, commands));
}

/* Whatever asked the supervisor (a look, a reload, a rotation that saves its state) ends first. */
static void
on_kept(void *worker)
{
	struct worker *w = worker;

	net_timer_set(&w->kept_commands, 0);
}

static void
on_kept_commands(struct net_timer *t)
{
	obey_all(CONTAINER_OF(t, struct worker, kept_commands));
}

static bool
reload_by_admin(struct admin *a, unsigned accept)
{
	struct loader *l = CONTAINER_OF(a, struct loader, admin);
	struct worker *w = CONTAINER_OF(l, struct worker, loader);

	if (w->drain_until != 0) {
		loader_refuse(l, "the proxy is draining and takes no new config");
		return false;
	}
	return watcher_reload(&w->watcher, accept);
}

/* With what is on the disk now, whatever became of it before. */
static bool
start_by_admin(struct admin *a, struct rotation *r, unsigned accept, enum rotation_will will, struct err *err)
{
	struct loader *l = CONTAINER_OF(a, struct loader, admin);
	struct worker *w = CONTAINER_OF(l, struct worker, loader);
	bool changed = false;

	if (w->drain_until != 0)
		return err_set(err, "the proxy is draining and starts nothing");
	if (!watcher_start_one(&w->watcher, rotation_name(r), accept, &changed, err))
		return false;
	if (changed)
		return true; /* it has begun with what is new */
	enum rotation_phase before = rotation_phase(r);
	bool ok = rotation_start(r, will, moment_now(), err);
	if (ok)
		rotations_obeyed(&l->rotations, r, before);
	return ok;
}

/* --- life --------------------------------------------------------------------------------------------------- */

static bool
listen_for_admin(struct loader *l)
{
	const char *path = l->snapshot->conf->admin_socket;
	struct err err = {""};

	if (path == NULL)
		return true;
	char address[NET_ADDRESS_TEXT];
	(void)snprintf(address, sizeof(address), "unix:%s", path);
	int fd = control_listen(l->control, address, 0, 1, &err);
	if (fd < 0) {
		log_error("admin socket: %s%s", err.text, l->follows ? "; there is no admin API until this worker is replaced" : "");
		return l->follows;
	}
	return px_thread_listen(l->background, fd, address, NULL, admin_service, &l->admin);
}

static int
serve(struct worker *w)
{
	struct loader *l = &w->loader;
	struct net_loop *loop = l->background->loop;

	net_timer_init(&w->kept_commands, loop, on_kept_commands);
	control_on_kept(l->control, on_kept, w);
	if (!loader_begin(l) || !listen_for_admin(l))
		return WORKER_EXIT_CONFIG;
	l->admin.reload = reload_by_admin;
	l->admin.start = start_by_admin;
	net_timer_init(&w->drain_timer, loop, on_drain_timer);
	if (!net_watch_start(&w->commands, loop, control_fd(l->control), on_command)) {
		log_error("out of memory");
		return 1;
	}
	watcher_start(&w->watcher, l);
	log_notice("in service: config generation %llu, %u threads", (unsigned long long)l->generation, l->threads.n);
	log_echo(false);
	control_ready(l->control);
	net_loop_run(loop);
	control_on_kept(l->control, NULL, NULL);
	net_timer_cancel(&w->kept_commands);
	net_watch_stop(&w->commands);
	net_timer_cancel(&w->drain_timer);
	watcher_stop(&w->watcher);
	return 0;
}

int
worker_main(int fd, const char *config_path)
{
	static struct worker w; /* large, and the only one */
	struct err err = {""};

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes fails a log line, or what is kept for the next worker, and no more */
	if (fcntl(WORKER_LOG_FD, F_SETFD, FD_CLOEXEC) == 0)
		log_set_fd(WORKER_LOG_FD);
	log_echo(true); /* until it serves */
	w.loader.config_path = config_path;
	w.loader.control = control_attach(fd, &err);
	if (w.loader.control != NULL)
		w.loader.background = px_thread_new(0, 0, &w.loader.threads.shared, &err);
	if (w.loader.background == NULL) {
		log_error("%s", err.text);
		return 1;
	}
	w.loader.files = control_files(w.loader.control);
	int status = serve(&w);
	loader_end(&w.loader);
	px_thread_free(w.loader.background);
	server_registry_free(w.loader.registry);
	control_detach(w.loader.control);
	return status;
}
