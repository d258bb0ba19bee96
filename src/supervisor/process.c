#include "supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "line/control.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 10000,
	BACKOFF_RESET_MS = 30000,
};

/* A terminal sends its signals to us both, a service manager may as well: the worker hears from the supervisor alone. */
static void
ignore_signals(void)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t none;

	for (size_t i = 0; i < COUNTOF(signals); i++)
		(void)signal(signals[i], SIG_IGN); /* fails only for a number that is none */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Out of the way first: one may have the number that the other is to get. */
static bool
pass_descriptors(int socket)
{
	int control = fcntl(socket, F_DUPFD, WORKER_LOG_FD + 1), log = fcntl(log_fd(), F_DUPFD, WORKER_LOG_FD + 1);

	if (control < 0 || log < 0)
		return false;
	log_set_fd(log);
	if (dup2(control, WORKER_CONTROL_FD) < 0 || dup2(log, WORKER_LOG_FD) < 0)
		return false;
	log_set_fd(WORKER_LOG_FD);
	return close_range(WORKER_LOG_FD + 1, ~0U, 0) == 0;
}

/*
 * By its path, so that the worker goes by its name and a debugger can follow it; else by the kernel's own reference: this
 * user may not get to the path, or the program was replaced since (then the link ends in " (deleted)" and leads nowhere).
 */
static void
exec_self(char *const *arguments)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n > 0) {
		path[n] = '\0';
		execv(path, arguments);
	}
	execv("/proc/self/exe", arguments);
}

_Noreturn static void
become_worker(const char *config_path, const struct identity *id, int socket)
{
	const char *const arguments[] = {"bascule", "worker", "-c", config_path, NULL};
	struct err err;

	ignore_signals();
	if (!identity_take(id, &err)) {
		log_error("%s", err.text);
		_exit(WORKER_EXIT_CONFIG);
	}
	if (pass_descriptors(socket))
		exec_self((char *const *)(uintptr_t)arguments);
	log_error("can not start the worker: %s; user %u must be able to execute the program", strerror(errno),
	    (unsigned)id->uid);
	_exit(WORKER_EXIT_CONFIG);
}

pid_t
process_start_worker(const char *config_path, const struct identity *id, int *socket, struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		err_set(err, "can not make a socket for the worker: %s", strerror(errno));
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_worker(config_path, id, ends[1]);
	int error = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		err_set(err, "can not fork a worker: %s", strerror(error));
		return -1;
	}
	*socket = ends[0];
	return pid;
}

uint64_t
backoff_next(struct backoff *b, uint64_t lived_ms)
{
	if (lived_ms >= BACKOFF_RESET_MS)
		*b = (struct backoff){0};
	if (!b->started)
		b->delay_ms = 0;
	else if (b->delay_ms == 0)
		b->delay_ms = BACKOFF_FIRST_MS;
	else
		b->delay_ms = MIN_OF(b->delay_ms * 2, (uint64_t)BACKOFF_MAX_MS);
	b->started = true;
	return b->delay_ms;
}
