#include "cli/check_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listener.h"
#include "supervisor/broker.h"
#include "supervisor/privileges.h"
#include "webhook/webhook.h"
#include "worker/webhooks.h"

enum { SOCKET_PATH_MAX = 107 /* of struct sockaddr_un, without the NUL */ };

struct start {
	const struct conf *conf;
	struct conf_problems *problems;
};

bool
check_is_made_by_unit(const char *directory, size_t n)
{
	static const char *const made[] = {"/run/bascule", "/var/log/bascule", "/var/lib/bascule"};

	for (size_t i = 0; i < COUNTOF(made); i++)
		if (sv_eq(sv_cstr(made[i]), sv_of(directory, n)))
			return true;
	return false;
}

/* "PATH: reason": is it only that PATH has no directory yet? */
static bool
lacks_what_unit_makes(const char *text, int error)
{
	size_t path = strcspn(text, ":");
	const char *slash = memrchr(text, '/', path);

	return error == ENOENT && slash != NULL && check_is_made_by_unit(text, (size_t)(slash - text));
}

/* `error` is an errno: what only the lack of rights forbids says nothing about a start by root. */
static void
report(struct start *s, const void *field, const char *key, int error, const char *text)
{
	struct conf_where at = conf_place(&s->conf->at, field);

	if (geteuid() != 0 && (error == EACCES || error == EPERM))
		conf_warning(s->problems, &at, key, "%s; this is what the user of the check gets, root may get more", text);
	else if (lacks_what_unit_makes(text, error))
		conf_warning(s->problems, &at, key, "%s" CHECK_UNIT_MAKES_IT, text);
	else
		conf_error(s->problems, &at, key, "%s", text);
}

bool
check_is_forbidden(const char *path)
{
	if (geteuid() == 0)
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		close(fd);
	return fd < 0 && (errno == EACCES || errno == EPERM);
}

/* --- files --- */

/* Could it be opened like this, or made? Errno tells why not. */
static bool
can_open(const char *path, int flags, struct err *err)
{
	struct stat st;

	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno != ENOENT) {
		int error = errno;
		err_set(err, "%s: %s", path, strerror(error));
		errno = error;
		return false;
	}
	/* A link to what is not there yet is followed, and the file made there. */
	return lstat(path, &st) == 0 || files_can_make(path, err);
}

static void
check_log(struct start *s, const char *const *path, const char *key)
{
	struct err err = {""};

	errno = 0;
	if (*path == NULL || broker_is_own_log(*path) >= 0)
		return;
	if (!broker_can_be_log(*path, &err) || !can_open(*path, O_WRONLY | O_APPEND, &err))
		report(s, path, key, errno, err.text);
}

static void
check_pid_file(struct start *s)
{
	struct err err = {""};

	/* One that is locked is that of the running proxy. */
	if (s->conf->pid_file != NULL && !can_open(s->conf->pid_file, O_RDWR | O_NOFOLLOW, &err))
		report(s, &s->conf->pid_file, "pid_file", errno, err.text);
}

static void
check_secret(struct start *s)
{
	struct conf_where at = conf_place(&s->conf->at, &s->conf->secret_file);
	bool exposed = false;
	struct err err = {""};

	if (s->conf->secret_file == NULL)
		return;
	errno = 0;
	if (!secret_file_check(s->conf->secret_file, &exposed, &err))
		report(s, &s->conf->secret_file, "secret_file", errno, err.text);
	else if (exposed)
		conf_warning(s->problems, &at, "secret_file", SECRET_FILE_EXPOSED, s->conf->secret_file);
}

/* --- who is told of rotations --- */

static void
report_notify(struct start *s, const struct conf_notify *n, const void *field, const char *key, int error, const char *text)
{
	struct conf_where at = conf_place(&n->at, field);

	if (geteuid() != 0 && (error == EACCES || error == EPERM))
		conf_warning(s->problems, &at, key, "%s; this is what the user of the check gets, root may get more", text);
	else
		conf_error(s->problems, &at, key, "%s", text);
}

/* What a post needs is read when there is something to tell; a mistake is better found now. */
static void
check_notify(struct start *s, const struct conf_notify *n)
{
	struct err err = {""};
	struct buf file;

	if (n->url != NULL && !webhook_is_possible(&err))
		report_notify(s, n, &n->url, "notify.url", 0, err.text);
	buf_init(&file, 0);
	errno = 0;
	if (n->ca != NULL && !webhooks_read_ca(files_direct(), n->ca, &file, &err))
		report_notify(s, n, &n->ca, "notify.ca", errno, err.text);
	buf_clear(&file);
	errno = 0;
	if (n->authorization != NULL && !webhooks_read_authorization(files_direct(), n->authorization, &file, &err))
		report_notify(s, n, &n->authorization, "notify.authorization", errno, err.text);
	webhooks_wipe(&file);
	if (n->command.n > 0 && access(n->command.v[0], X_OK) != 0) {
		err_set(&err, "%s: %s", n->command.v[0], strerror(errno));
		report_notify(s, n, &n->command, "notify.command", errno, err.text);
	}
}

/* --- users --- */

static void
check_identity(struct start *s)
{
	const struct conf *c = s->conf;
	struct identity id;
	struct err err = {""};

	if (!identity_find(&id, NULL, c->group, &err))
		report(s, &c->group, "group", 0, err.text);
	if (!identity_find(&id, c->user, NULL, &err)) {
		report(s, &c->user, "user", 0, err.text);
		return;
	}
	if (!identity_is_possible(&id, &err))
		report(s, &c->user, "user", EPERM, err.text);
	else if (identity_warning(&id) != NULL)
		conf_warning(s->problems, &c->at, "user", "%s", identity_warning(&id));
}

/* --- sockets --- */

static void
check_socket(struct start *s, const void *field, const char *key, const char *path)
{
	struct err err = {""};
	struct stat st;

	errno = 0;
	if (strlen(path) > SOCKET_PATH_MAX)
		err_set(&err, "%s: the path of a socket has at most %d bytes", path, SOCKET_PATH_MAX);
	else if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		err_set(&err, "%s: a file is there that is no socket; remove it or name another path", path);
	else if (files_can_make(path, &err))
		return;
	report(s, field, key, errno, err.text);
}

static void
check_listener(struct start *s, const struct conf_listener *l)
{
	struct sv address = sv_cstr(l->address), prefix = SV("unix:");
	struct net_address a;
	struct err err = {""};
	bool any = false;

	errno = 0;
	if (sv_starts(address, prefix))
		check_socket(s, &l->address, "address", address.p + prefix.n);
	else if (!net_address_parse_listen(address, &a, &any, &err) || !net_listen_is_possible(&a, any, &err))
		report(s, &l->address, "address", errno, err.text);
}

void
check_start(const struct conf *conf, struct conf_problems *problems)
{
	struct start s = {conf, problems};

	check_identity(&s);
	check_pid_file(&s);
	check_log(&s, &conf->log.error, "log.error");
	check_log(&s, &conf->log.access, "log.access");
	check_secret(&s);
	for (size_t i = 0; i < conf->n_bundles; i++)
		check_notify(&s, &conf->bundles[i].rotation.notify);
	if (conf->admin_socket != NULL)
		check_socket(&s, &conf->admin_socket, "admin.socket", conf->admin_socket);
	for (size_t i = 0; i < conf->n_listeners; i++)
		check_listener(&s, &conf->listeners[i]);
}
