#include "worker/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct hook {
	struct net_watch ended; /* of its pidfd */
	struct net_timer patience;
	int pidfd;
	int out; /* memory that its standard output goes to; -1: /dev/null */
	bool killed;
	void (*tell)(void *arg, const struct hook_end *how);
	void *arg;
};

/* --- its end -------------------------------------------------------------------------------------------------- */

static void
close_all(struct hook *h)
{
	if (h->pidfd >= 0)
		close(h->pidfd);
	if (h->out >= 0)
		close(h->out);
	free(h);
}

void
hook_let_go(struct hook *h)
{
	net_watch_stop(&h->ended);
	net_timer_cancel(&h->patience);
	close_all(h);
}

static void
on_ended(struct net_watch *w, int fd)
{
	struct hook *h = CONTAINER_OF(w, struct hook, ended);
	struct hook_end how = {.killed = h->killed};
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
		return;
	if (info.si_code == CLD_EXITED)
		how.status = info.si_status;
	else
		how.signal = info.si_status;
	ssize_t n = h->out >= 0 ? pread(h->out, how.output, sizeof(how.output) - 1, 0) : 0;
	how.output[n > 0 ? n : 0] = '\0';
	h->tell(h->arg, &how);
	hook_let_go(h);
}

static void
on_impatient(struct net_timer *t)
{
	struct hook *h = CONTAINER_OF(t, struct hook, patience);

	h->killed = true;
	(void)pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
}

/* --- starting it ---------------------------------------------------------------------------------------------- */

int
hook_input(const void *p, size_t n)
{
	int fd = memfd_create("bascule-hook", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, p, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The worker ignores signals that a command may want to live by. */
static bool
set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int in, int out)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	return posix_spawn_file_actions_adddup2(files, in, STDIN_FILENO) == 0 &&
	       (out >= 0 ? posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO)
	                 : posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)) == 0 &&
	       posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
	       posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1) == 0 &&
	       posix_spawnattr_setsigdefault(attributes, &all) == 0 && posix_spawnattr_setsigmask(attributes, &none) == 0 &&
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID) == 0;
}

/* An errno, or 0 with the process in *pid. */
static int
spawn(const struct hook_order *o, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;

	if (posix_spawn_file_actions_init(&files) != 0)
		return ENOMEM;
	int error = ENOMEM;
	if (posix_spawnattr_init(&attributes) == 0) {
		if (set_up(&files, &attributes, o->in, out))
			error = posix_spawn(pid, o->path, &files, &attributes, o->arguments, o->environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return error;
}

/* An errno, or 0. */
static int
start(struct hook *h, struct net_loop *loop, const struct hook_order *o)
{
	pid_t pid = 0;

	if (o->listens && (h->out = hook_input("", 0)) < 0)
		return errno;
	int error = spawn(o, h->out, &pid);
	if (error != 0)
		return error;
	h->pidfd = pidfd_open(pid, 0);
	if (h->pidfd >= 0 && net_watch_start(&h->ended, loop, h->pidfd, on_ended))
		return 0;
	error = h->pidfd < 0 ? errno : ENOMEM;
	(void)kill(pid, SIGKILL); /* one of which nobody would know how it ends */
	(void)waitpid(pid, NULL, 0);
	return error;
}

struct hook *
hook_start(struct net_loop *loop, const struct hook_order *o, struct err *err)
{
	struct hook *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		err_no_memory(err);
		return NULL;
	}
	*h = (struct hook){.pidfd = -1, .out = -1, .tell = o->ended, .arg = o->arg};
	int error = start(h, loop, o);
	if (error != 0) {
		err_set(err, "%s", strerror(error));
		close_all(h);
		return NULL;
	}
	net_timer_init(&h->patience, loop, on_impatient);
	net_timer_set(&h->patience, HOOK_PATIENCE_MS);
	return h;
}
