#include "app/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

enum {
	RUNNING_MAX = 8, /* at a time: an event that comes in numbers is not to fill the machine */
	PATIENCE_MS = 30000,
	ARGUMENTS_MAX = 64,
};

/* A command that runs. Freed when it has ended. */
struct running {
	struct net_watch ended; /* of its pidfd */
	struct net_timer patience;
	int pidfd;
	pid_t pid;
	bool killed;
	char *name; /* of the command */
};

static unsigned n_running;

static void
tell(const struct running *r, const siginfo_t *how)
{
	if (r->killed)
		log_error("%s: it had not ended after %d seconds and was killed", r->name, PATIENCE_MS / 1000);
	else if (how->si_code != CLD_EXITED)
		log_error("%s: was killed by signal %d", r->name, how->si_status);
	else if (how->si_status != 0)
		log_error("%s: ended with status %d", r->name, how->si_status);
}

static void
on_ended(struct net_watch *w, int fd)
{
	struct running *r = CONTAINER_OF(w, struct running, ended);
	siginfo_t how = {0};

	if (waitid(P_PIDFD, (id_t)fd, &how, WEXITED | WNOHANG) != 0 || how.si_pid == 0)
		return;
	tell(r, &how);
	net_watch_stop(w);
	net_timer_cancel(&r->patience);
	close(r->pidfd);
	free(r->name);
	free(r);
	n_running--;
}

static void
on_impatient(struct net_timer *t)
{
	struct running *r = CONTAINER_OF(t, struct running, patience);

	r->killed = true;
	(void)pidfd_send_signal(r->pidfd, SIGKILL, NULL, 0);
}

/* --- starting it ---------------------------------------------------------------------------------------------- */

/* What it reads as its standard input; -1: it can not be made. */
static int
input(struct sv json)
{
	int fd = memfd_create("bascule-event", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, json.p, json.n) != (ssize_t)json.n || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The worker ignores signals that a command may want to live by. */
static bool
set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int in)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	return posix_spawn_file_actions_adddup2(files, in, STDIN_FILENO) == 0 &&
	       posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
	       posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
	       posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1) == 0 &&
	       posix_spawnattr_setsigdefault(attributes, &all) == 0 && posix_spawnattr_setsigmask(attributes, &none) == 0 &&
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID) == 0;
}

/* An errno, or 0 with the process in *pid. */
static int
spawn(char *const *arguments, char *const *environment, int in, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;

	if (posix_spawn_file_actions_init(&files) != 0)
		return ENOMEM;
	int error = ENOMEM;
	if (posix_spawnattr_init(&attributes) == 0) {
		if (set_up(&files, &attributes, in))
			error = posix_spawn(pid, arguments[0], &files, &attributes, arguments, environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return error;
}

static int
start(const struct conf_strings *command, const char *event, const char *bundle, struct sv json, pid_t *pid)
{
	char *arguments[ARGUMENTS_MAX + 1] = {NULL};
	char named_event[64], named_bundle[1024], path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *const environment[] = {path, named_event, named_bundle, NULL};
	int in = input(json);

	if (in < 0)
		return errno;
	for (size_t i = 0; i < command->n && i < ARGUMENTS_MAX; i++)
		arguments[i] = (char *)(uintptr_t)command->v[i];
	(void)snprintf(named_event, sizeof(named_event), "BASCULE_EVENT=%s", event);
	(void)snprintf(named_bundle, sizeof(named_bundle), "BASCULE_BUNDLE=%s", bundle);
	int error = spawn(arguments, environment, in, pid);
	close(in);
	return error;
}

/* Nobody watches it: it goes on by itself, and its end is not told. */
static void
let_go(struct running *r)
{
	if (r != NULL && r->pidfd >= 0)
		close(r->pidfd);
	free(r != NULL ? r->name : NULL);
	free(r);
}

static void
watch(struct net_loop *loop, pid_t pid, const char *name)
{
	struct running *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return;
	r->pid = pid;
	r->name = strdup(name);
	r->pidfd = pidfd_open(pid, 0);
	if (r->name == NULL || r->pidfd < 0 || !net_watch_start(&r->ended, loop, r->pidfd, on_ended)) {
		let_go(r);
		return;
	}
	net_timer_init(&r->patience, loop, on_impatient);
	net_timer_set(&r->patience, PATIENCE_MS);
	n_running++;
}

void
notify_run(struct net_loop *loop, const struct conf_strings *command, const char *event, const char *bundle, struct sv json)
{
	pid_t pid = 0;

	if (command->n == 0)
		return;
	if (n_running >= RUNNING_MAX) {
		log_error("%s: not run for \"%s\": %d of them have not ended yet", command->v[0], event, RUNNING_MAX);
		return;
	}
	int error = start(command, event, bundle, json, &pid);
	if (error == 0)
		watch(loop, pid, command->v[0]);
	else
		log_error("%s: can not be run for \"%s\": %s; the worker's user must be able to execute it", command->v[0], event, strerror(error));
}
