#include "supervisor/supervisor.h"

#include <config.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/outlet.h"
#include "line/control.h"
#include "supervisor/broker.h"
#include "supervisor/error_log.h"
#include "supervisor/pidfile.h"
#include "supervisor/privileges.h"
#include "supervisor/process.h"
#include "supervisor/sdnotify.h"

enum {
	PATIENCE_MS = 2000,   /* for a port that a predecessor is about to let go of */
	STOP_GRACE_MS = 5000, /* a worker that should have gone by now is killed after that */
	STATUS_SIZE = 256,
	EXTEND_MS = 30000, /* so long the service manager waits for a sign of life while we drain, */
	EXTEND_EVERY_MS = 3000, /* and so often it gets one */
	MESSAGE_BATCH = 64, /* of the worker, before signals get their turn; more than its socket holds */
};

enum phase {
	STARTING, /* no config has been in service yet */
	SERVING,
	ENDING, /* the worker drains or stops, then we end */
	ENDED,
};

struct worker {
	pid_t pid; /* 0: none */
	int socket;
	uint64_t started_ms;
};

struct supervisor {
	struct broker broker;
	struct sdnotify notify;
	struct pidfile pidfile;
	struct error_log log;
	struct identity identity;
	struct worker worker;
	struct backoff backoff;
	enum phase phase;
	int signals;       /* signalfd */
	int status;        /* to exit with */
	uint64_t start_at; /* ms; 0: no start is due */
	uint64_t kill_at;  /* ms; 0: no end is due */
	uint64_t extend_at; /* ms; 0: the service manager need not be told that we drain */
	unsigned commands; /* not yet sent, a bit each: 1 << enum control_command */
	bool stop_sent;
	bool refused;      /* the last config that the worker looked at */
	bool reload_asked; /* and the worker has not begun: another SIGHUP is covered by it */
};

static const struct conf *
conf_of(const struct supervisor *s)
{
	return s->broker.in_service.conf;
}

/* --- the worker --- */

static bool
start_worker(struct supervisor *s)
{
	struct err err = {""};
	int socket;

	s->start_at = 0;
	pid_t pid = process_start_worker(s->broker.config_path, &s->identity, &socket, &err);
	if (pid < 0) {
		log_error("%s", err.text);
		s->start_at = clock_mono_ms() + backoff_next(&s->backoff, 0);
		return false;
	}
	s->worker = (struct worker){pid, socket, clock_mono_ms()};
	s->commands = 0;
	s->refused = false;
	s->reload_asked = false;
	return true;
}

/* A worker that loads, or was stopped, takes few at a time. Each is kept, once, until it does: none may be lost. */
static void
send_commands(struct supervisor *s)
{
	while (s->commands != 0 && s->worker.socket >= 0) {
		unsigned what = (unsigned)__builtin_ctz(s->commands);
		struct message m = {.kind = MESSAGE_COMMAND, .number = what};
		if (!message_send(s->worker.socket, &m, -1, MSG_DONTWAIT) && errno == EAGAIN)
			return;
		s->commands &= ~(1u << what); /* sent, or it has gone: its successor needs none of them */
	}
}

static void
command(struct supervisor *s, enum control_command what)
{
	s->commands |= 1u << what;
	send_commands(s);
}

static void
kill_worker(struct supervisor *s)
{
	s->kill_at = 0;
	if (s->worker.pid != 0)
		(void)kill(s->worker.pid, SIGKILL);
}

static void
describe_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, size, "was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else
		(void)snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}

static void
on_worker_end(struct supervisor *s, int status)
{
	uint64_t now = clock_mono_ms(), lived = now - s->worker.started_ms;
	char how[128], in[CLOCK_DURATION_SIZE];

	describe_end(status, how, sizeof(how));
	if (s->worker.socket >= 0)
		close(s->worker.socket);
	broker_forget_worker(&s->broker);
	int pid = (int)s->worker.pid;
	s->worker = (struct worker){0, -1, 0};
	s->kill_at = 0;
	switch (s->phase) {
	case STARTING:
		/* The worker, or the kernel, has said why. Trying again would bring the same. */
		log_error("worker %d %s before it was ready: not started", pid, how);
		s->status = EXIT_FAILURE;
		s->phase = ENDED;
		break;
	case SERVING:
		s->start_at = now + backoff_next(&s->backoff, lived);
		log_error("worker %d %s; connections wait, the next worker starts in %s", pid, how,
		    clock_duration(s->start_at - now, in));
		sdnotify_status(&s->notify, "The worker died and is being replaced");
		break;
	case ENDING:
	case ENDED:
		log_notice("worker %d %s", pid, how);
		if (status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			s->status = EXIT_FAILURE; /* not as it was told, and not killed for being slow */
		s->phase = ENDED;
		break;
	}
}

static void
on_child(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->worker.pid)
			on_worker_end(s, status);
}

static void
say_ready(struct supervisor *s)
{
	char text[STATUS_SIZE];

	if (s->refused) {
		sdnotify_ready(&s->notify, "The config on the disk is refused; serving by the one before it");
		return;
	}
	(void)snprintf(text, sizeof(text), "Serving %zu sites on %zu listeners, worker %d", conf_of(s)->n_sites,
	    conf_of(s)->n_listeners, (int)s->worker.pid);
	sdnotify_ready(&s->notify, text);
}

static void
on_ready(struct supervisor *s)
{
	error_log_follow(&s->log, &conf_of(s)->log);
	if (s->phase == STARTING) {
		s->phase = SERVING;
		log_echo(false);
		s->broker.patience_ms = 0;
		log_notice("ready: %s, worker %d", s->broker.config_path, (int)s->worker.pid);
	} else {
		log_notice("worker %d is ready", (int)s->worker.pid);
	}
	if (s->phase == SERVING)
		say_ready(s);
}

static void
on_reloaded(struct supervisor *s, const struct message *m)
{
	s->refused = m->number != 1;
	if (!s->refused) {
		error_log_follow(&s->log, &conf_of(s)->log);
		log_notice("reloaded: %s", m->text[0] != '\0' ? m->text : s->broker.config_path);
		if (s->phase == SERVING)
			say_ready(s);
		return;
	}
	log_error("reload refused: the config before goes on; the worker has said why");
	for (struct sv rest = sv_cstr(m->text); rest.n > 0;) {
		struct sv line = sv_cut(&rest, '\n');
		log_error("%.*s", SV_FMT(line));
	}
	if (s->phase == SERVING)
		say_ready(s);
}

static void
on_message(struct supervisor *s, struct message *m, int fd)
{
	if (m->kind == MESSAGE_REFRESH) {
		s->reload_asked = false;
		if (s->phase == SERVING)
			sdnotify_reloading(&s->notify);
	}
	if (!broker_serve(&s->broker, s->worker.socket, m, fd)) {
		log_error("worker %d does not take its answer: %s; killing it", (int)s->worker.pid, strerror(errno));
		kill_worker(s);
	} else if (m->kind == MESSAGE_READY) {
		on_ready(s);
	} else if (m->kind == MESSAGE_RELOADED) {
		on_reloaded(s, m);
	}
}

/* False: nothing more to hear for now. */
static bool
on_worker_socket(struct supervisor *s)
{
	struct message m;
	int fd;

	switch (message_receive(s->worker.socket, &m, &fd, MSG_DONTWAIT)) {
	case MESSAGE_GOT:
		on_message(s, &m, fd);
		return true;
	case MESSAGE_END:
		/* It is about to end; if it lingers or has sent nonsense, it is broken. */
		close(s->worker.socket);
		s->worker.socket = -1;
		if (s->kill_at == 0)
			s->kill_at = clock_mono_ms() + STOP_GRACE_MS;
		return false;
	case MESSAGE_NONE:
		break;
	}
	return false;
}

/* The worker will ask to have it watched again. */
static void
on_watched(struct supervisor *s)
{
	watches_end(&s->broker.watches);
	command(s, CONTROL_LOOK);
}

/* --- signals --- */

static void
end_without_worker(struct supervisor *s)
{
	if (s->worker.pid == 0)
		s->phase = ENDED;
}

static void
stop(struct supervisor *s, int signo)
{
	if (s->stop_sent) {
		log_notice("SIG%s again: killing the worker", sigabbrev_np(signo));
		kill_worker(s);
		return;
	}
	log_notice("SIG%s: stopping", sigabbrev_np(signo));
	sdnotify_stopping(&s->notify, "Stopping");
	s->phase = ENDING;
	s->stop_sent = true;
	s->kill_at = clock_mono_ms() + STOP_GRACE_MS;
	command(s, CONTROL_STOP);
	end_without_worker(s);
}

static void
drain(struct supervisor *s)
{
	char limit[CLOCK_DURATION_SIZE];

	if (s->phase == ENDING)
		return;
	log_notice("SIGQUIT: draining: no new connections, up to %s for what is in flight",
	    clock_duration(conf_of(s)->drain, limit));
	sdnotify_stopping(&s->notify, "Draining");
	s->phase = ENDING;
	s->extend_at = clock_mono_ms();
	s->kill_at = clock_mono_ms() + conf_of(s)->drain + STOP_GRACE_MS;
	command(s, CONTROL_DRAIN);
	broker_close_sockets(&s->broker);
	pidfile_remove(&s->pidfile); /* a successor may start meanwhile, and is the one to be signalled from now on */
	end_without_worker(s);
}

static void
reload(struct supervisor *s)
{
	if (s->phase == ENDING || s->reload_asked)
		return;
	log_notice("SIGHUP: reloading");
	if (s->worker.pid == 0) {
		s->start_at = clock_mono_ms(); /* somebody may have put right what kills it */
		return;
	}
	s->reload_asked = true;
	command(s, CONTROL_RELOAD);
}

static void
reopen_logs(struct supervisor *s)
{
	struct err err = {""};

	if (error_log_open(&s->log, &conf_of(s)->log, &err))
		log_notice("SIGUSR1: logs reopened");
	else
		log_error("SIGUSR1: can not reopen the error log, going on with the one that is open: %s", err.text);
	command(s, CONTROL_REOPEN_LOGS);
}

static void
on_signals(struct supervisor *s)
{
	struct signalfd_siginfo i;

	while (read(s->signals, &i, sizeof(i)) == sizeof(i)) {
		switch ((int)i.ssi_signo) {
		case SIGHUP:
			reload(s);
			break;
		case SIGUSR1:
			reopen_logs(s);
			break;
		case SIGQUIT:
			drain(s);
			break;
		case SIGTERM:
		case SIGINT:
			stop(s, (int)i.ssi_signo);
			break;
		case SIGCHLD:
			on_child(s);
			break;
		default:
			break;
		}
	}
}

static int
watch_signals(void)
{
	static const int watched[] = {SIGHUP, SIGUSR1, SIGQUIT, SIGTERM, SIGINT, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNTOF(watched); i++)
		sigaddset(&set, watched[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGCHLD, SIG_DFL); /* a parent that ignored it would have us never reap */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes fails a write, and no more */
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* --- the loop --- */

/* Until the first of the times that are set, for poll. */
static int
milliseconds_left(const struct supervisor *s)
{
	const uint64_t times[] = {s->start_at, s->kill_at, s->extend_at};
	uint64_t next = UINT64_MAX, now = clock_mono_ms();

	for (size_t i = 0; i < COUNTOF(times); i++)
		if (times[i] != 0)
			next = MIN_OF(next, times[i]);
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)MIN_OF(next - now, (uint64_t)INT32_MAX) : 0;
}

static void
on_time(struct supervisor *s)
{
	uint64_t now = clock_mono_ms();

	if (s->start_at != 0 && now >= s->start_at && s->phase != ENDING)
		(void)start_worker(s);
	if (s->extend_at != 0 && now >= s->extend_at) {
		sdnotify_extend(&s->notify, EXTEND_MS);
		s->extend_at = now + EXTEND_EVERY_MS;
	}
	if (s->kill_at != 0 && now >= s->kill_at) {
		log_warning("worker %d has not ended in time: killing it", (int)s->worker.pid);
		kill_worker(s);
	}
}

static void
loop(struct supervisor *s)
{
	while (s->phase != ENDED) {
		short of_worker = s->commands != 0 ? POLLIN | POLLOUT : POLLIN;
		struct pollfd fds[] = {
		    {s->signals, POLLIN, 0}, {s->worker.socket, of_worker, 0}, {s->broker.watches.fd, POLLIN, 0}};
		int n = poll(fds, COUNTOF(fds), milliseconds_left(s));

		if (n < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			s->status = EXIT_FAILURE;
			kill_worker(s);
			return;
		}
		if (n > 0 && fds[2].revents != 0)
			on_watched(s);
		/* What the worker said before it died comes first: it may have been that it is ready. */
		for (int i = 0; n > 0 && fds[1].revents != 0 && i < MESSAGE_BATCH; i++)
			if (!on_worker_socket(s))
				break;
		if (n > 0 && (fds[1].revents & POLLOUT) != 0)
			send_commands(s);
		if (n > 0 && fds[0].revents != 0)
			on_signals(s);
		on_time(s);
	}
}

static bool
prepare(struct supervisor *s)
{
	const struct conf *conf = conf_of(s);
	struct err err = {""};

	outlet_detach(STDOUT_FILENO); /* from here on nothing but the logs goes there */
	outlet_detach(STDERR_FILENO);
	/* First: who reads the pid file may signal at once, and SIGHUP ends who does not watch for it. */
	if ((s->signals = watch_signals()) < 0) {
		log_error("can not watch for signals: %s", strerror(errno));
		return false;
	}
	/* The log before the rest: what else is refused belongs there as well. */
	if (!error_log_open(&s->log, &conf->log, &err) || !identity_find(&s->identity, conf->user, conf->group, &err) ||
	    !identity_is_possible(&s->identity, &err) || !pidfile_take(&s->pidfile, conf->pid_file, &err)) {
		log_error("%s", err.text);
		return false;
	}
	if (identity_warning(&s->identity) != NULL)
		log_warning("%s", identity_warning(&s->identity));
	privileges_raise_limits();
	return true;
}

static bool
read_config(struct supervisor *s, const char *path)
{
	struct conf_problems problems;

	conf_problems_init(&problems);
	bool ok = broker_init(&s->broker, path, &problems);
	if (!ok) /* warnings alone are the worker's to log */
		(void)fprintf(stderr, "%.*sbascule: %s is refused: %u error%s; `bascule check -c %s` tells when all is well\n",
		    SV_FMT(buf_view(&problems.text)), path, problems.errors, problems.errors == 1 ? "" : "s", path);
	conf_problems_free(&problems);
	return ok;
}

int
supervisor_run(const char *config_path)
{
	struct supervisor s = {.worker.socket = -1, .pidfile = PIDFILE_NONE, .signals = -1, .phase = STARTING};

	log_init("bascule", LOG_NOTICE);
	log_echo(true); /* until a worker serves */
	umask(027);
	sdnotify_init(&s.notify);
	s.status = read_config(&s, config_path) && prepare(&s) ? EXIT_SUCCESS : EXIT_FAILURE;
	if (s.status == EXIT_SUCCESS) {
		log_notice("bascule %s starts with %s", PACKAGE_VERSION, config_path);
		s.broker.patience_ms = PATIENCE_MS;
		if (start_worker(&s))
			loop(&s);
		else
			s.status = EXIT_FAILURE;
		log_notice("ended");
	}
	pidfile_remove(&s.pidfile);
	broker_free(&s.broker);
	error_log_close(&s.log);
	return s.status;
}
