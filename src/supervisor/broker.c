#include "supervisor/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "line/sealed.h"

enum {
	REFUSALS_LOGGED = 100, /* of one worker: it must not fill the disk either */
	LISTED_AT_ONCE = 256,  /* entries: 80 KiB */
};

static void
charter_init(struct charter *c)
{
	*c = (struct charter){.conf = NULL};
	kept_init(&c->kept);
}

static void
charter_free(struct charter *c)
{
	conf_free(c->conf);
	allow_free(c->allow);
	kept_free(&c->kept);
	c->conf = NULL;
	c->allow = NULL;
}

static bool
charter_load(struct charter *c, const char *path, struct conf_problems *problems)
{
	charter_init(c);
	c->allow = allow_new();
	if (c->allow != NULL && (c->conf = conf_load(allow_what_is_read(c->allow), path, problems)) != NULL &&
	    allow_what_is_named(c->allow, c->conf))
		return true;
	if (c->allow == NULL || c->conf != NULL)
		conf_error(problems, NULL, NULL, "out of memory");
	charter_free(c);
	return false;
}

static void
end_listing(struct broker *b)
{
	file_listing_end(b->listing);
	b->listing = NULL;
}

/*
 * Clients are told apart by what is made of the secret. So where the states of rotations outlive us, the secret must; a
 * directory that does not take it takes no states either, which is no reason not to serve.
 */
static void
find_secret(struct broker *b)
{
	const struct conf *conf = b->in_service.conf;
	char path[PATH_MAX];
	struct err err = {"the path is too long"};

	b->secret_size = SECRET_FILE_MADE;
	if (conf->secret_file != NULL || conf->state_dir == NULL)
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/secret", conf->state_dir) >= sizeof(path) ||
	    !secret_file_read(path, b->secret, &b->secret_size, &err))
		log_error("state_dir: %s; the secret of this run ends with it, and the clients that rotations know by it are "
		          "then not known", err.text);
}

bool
broker_init(struct broker *b, const char *config_path, struct conf_problems *problems)
{
	struct err err;

	*b = (struct broker){.config_path = config_path, .sockets = SOCKETS_EMPTY, .watches = WATCHES_NONE};
	charter_init(&b->in_service);
	charter_init(&b->candidate);
	kept_init(&b->coming);
	if (!secret_random(b->secret, sizeof(b->secret), &err)) {
		conf_error(problems, NULL, NULL, "%s", err.text);
		return false;
	}
	if (!charter_load(&b->in_service, config_path, problems))
		return false;
	if (!shelf_init(&b->shelf, b->in_service.conf->state_dir))
		conf_error(problems, NULL, NULL, "out of memory");
	else
		find_secret(b);
	return problems->errors == 0;
}

void
broker_free(struct broker *b)
{
	charter_free(&b->in_service);
	charter_free(&b->candidate);
	kept_free(&b->coming);
	end_listing(b);
	sockets_close(&b->sockets);
	watches_end(&b->watches);
	shelf_free(&b->shelf);
	explicit_bzero(b->secret, sizeof(b->secret));
}

void
broker_forget_worker(struct broker *b)
{
	b->refused = 0;
	broker_abandon(b);
	kept_free(&b->coming);
	watches_end(&b->watches);
}

void
broker_commit(struct broker *b)
{
	end_listing(b); /* it may be of a directory that is named no longer */
	if (b->candidate.conf == NULL)
		return;
	charter_free(&b->in_service);
	b->in_service = b->candidate;
	charter_init(&b->candidate);
	sockets_keep(&b->sockets, b->in_service.allow);
}

void
broker_abandon(struct broker *b)
{
	end_listing(b);
	if (b->candidate.conf == NULL)
		return;
	charter_free(&b->candidate);
	sockets_keep(&b->sockets, b->in_service.allow);
}

void
broker_close_sockets(struct broker *b)
{
	sockets_drain(&b->sockets);
	b->closed = true;
}

/* Under a service manager they are sockets, which can not be opened by name. */
int
broker_is_own_log(const char *path)
{
	return strcmp(path, "/dev/stdout") == 0 ? STDOUT_FILENO : strcmp(path, "/dev/stderr") == 0 ? STDERR_FILENO : -1;
}

bool
broker_can_be_log(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
		return err_set(err, "%s: a log can not be a FIFO, whose opening waits for a reader; name a file", path);
	return true;
}

int
broker_open_log(const char *path, struct err *err)
{
	int ours = broker_is_own_log(path);

	if (ours < 0)
		return broker_can_be_log(path, err) ? files_direct()->open_append(files_direct(), path, err) : -1;
	int fd = fcntl(ours, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		err_set(err, "%s: %s", path, strerror(errno));
	return fd;
}

/*
 * --- one function a request: each fills in the reply; *fd is sent along and then closed. Before, it is what came with a
 * MESSAGE_KEEP or MESSAGE_STATE_PUT, else -1 ---
 */

/* Another of its requests is refused: for the log, as long as it has not filled it. */
static bool
note_refused(struct broker *b)
{
	if (b->refused == REFUSALS_LOGGED)
		log_error("more of the worker's requests are refused: not logged any longer");
	return b->refused++ < REFUSALS_LOGGED;
}

static bool
refuse(struct broker *b, const char *what, const char *name, struct err *err)
{
	if (note_refused(b))
		log_error("the worker asked for %s, which the config does not name: refused", name);
	errno = EACCES;
	return err_set(err, "%s: the supervisor does not open %s that the config does not name", name, what);
}

static bool
serve_open_read(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)reply;
	if (!allow_read(b->in_service.allow, m->text) && !allow_read(b->candidate.allow, m->text))
		return refuse(b, "a file", m->text, err);
	*fd = files_direct()->open_read(files_direct(), m->text, err);
	return *fd >= 0;
}

static bool
serve_open_append(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)reply;
	if (!allow_append(b->in_service.allow, m->text) && !allow_append(b->candidate.allow, m->text))
		return refuse(b, "a log", m->text, err);
	*fd = broker_open_log(m->text, err);
	return *fd >= 0;
}

static bool
serve_stamp(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)fd;
	if (!allow_read(b->in_service.allow, m->text) && !allow_read(b->candidate.allow, m->text))
		return refuse(b, "a file", m->text, err);
	return files_direct()->stamp(files_direct(), m->text, &reply->stamp, err);
}

/* The entries in a file of memory: ten thousand of them do not go through a socket. */
static int
in_memory(const void *p, size_t size, struct err *err)
{
	const char *from = p;
	int fd = memfd_create("bascule-list", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < size;) {
		ssize_t n = write(fd, from + at, size - at); /* cppcheck-suppress invalidFunctionArg ; -1 ends the loop */
		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		close(fd); /* cppcheck-suppress invalidFunctionArg ; -1 ends the loop */
		fd = -1;
	}
	if (fd < 0)
		err_no_memory(err);
	return fd;
}

/* Some at a time: of ten thousand at once there would be 3 MB in each of us. With a number, no more of them is wanted. */
static bool
serve_list_on(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	struct file_entry entries[LISTED_AT_ONCE];

	if (m->kind == MESSAGE_LIST_ON && m->number != 0) {
		end_listing(b);
		return true;
	}
	ssize_t n = b->listing != NULL ? file_listing_next(b->listing, entries, LISTED_AT_ONCE, err) : -1;
	if (b->listing == NULL)
		err_set(err, "no directory is being listed");
	if (n >= 0)
		*fd = in_memory(entries, (size_t)n * sizeof(*entries), err);
	reply->number = n >= 0 ? (uint64_t)n : 0;
	reply->count = n == LISTED_AT_ONCE;
	if (*fd < 0 || n < LISTED_AT_ONCE) {
		int e = errno;
		end_listing(b);
		errno = e;
	}
	return *fd >= 0;
}

static bool
serve_list(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	if (!allow_list(b->in_service.allow, m->text) && !allow_list(b->candidate.allow, m->text))
		return refuse(b, "a directory", m->text, err);
	end_listing(b);
	b->listing = file_listing_begin(m->text, err);
	return b->listing != NULL && serve_list_on(b, m, reply, fd, err);
}

static bool
serve_watch(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	bool is_file = m->number != 0;
	bool (*allowed)(const struct allow *, const char *) = is_file ? allow_read : allow_list;

	(void)reply;
	(void)fd;
	if (!allowed(b->in_service.allow, m->text) && !allowed(b->candidate.allow, m->text))
		return refuse(b, "a path", m->text, err);
	return watches_add(&b->watches, m->text, is_file, err);
}

static bool
serve_unwatch(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)m, (void)reply, (void)fd, (void)err;
	watches_end(&b->watches);
	return true;
}

static bool
serve_listen(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	struct allow_socket how;

	(void)reply;
	if (!allow_listen(b->candidate.allow, m->text, &how) && !allow_listen(b->in_service.allow, m->text, &how))
		return refuse(b, "an address", m->text, err);
	if (b->closed)
		return err_set(err, "%s: the proxy is draining and listens no more", m->text);
	if (m->number > UINT32_MAX || m->count > UINT32_MAX)
		return err_set(err, "%s: there is no such socket", m->text);
	int kept = sockets_get(&b->sockets, m->text, (unsigned)m->number, (unsigned)m->count, &how, b->patience_ms, err);
	*fd = kept >= 0 ? fcntl(kept, F_DUPFD_CLOEXEC, 3) : -1;
	if (kept >= 0 && *fd < 0)
		err_set(err, "%s: out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)", m->text);
	return *fd >= 0;
}

static bool
serve_refresh(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	struct conf_problems problems;
	struct charter fresh;

	(void)m;
	(void)reply;
	(void)fd;
	conf_problems_init(&problems);
	bool ok = charter_load(&fresh, b->config_path, &problems);
	if (ok) {
		broker_abandon(b);
		b->candidate = fresh;
	} else {
		struct sv text = buf_view(&problems.text);
		while (text.n > 0 && text.p[text.n - 1] == '\n')
			text.n--;
		err_set(err, "%.*s", (int)MIN_OF(text.n, sizeof(err->text) - 1), text.p);
		errno = 0;
	}
	conf_problems_free(&problems);
	return ok;
}

static bool
serve_secret(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	const struct conf *conf = b->candidate.conf != NULL ? b->candidate.conf : b->in_service.conf;
	size_t n = b->secret_size;

	(void)m;
	(void)fd;
	_Static_assert(sizeof(reply->secret) >= (size_t)SECRET_FILE_MAX, "a secret of a file fits");
	_Static_assert(sizeof(reply->secret) >= sizeof(b->secret), "our own fits");
	if (conf->secret_file == NULL)
		memcpy(reply->secret, b->secret, n);
	else if (!secret_file_read(conf->secret_file, reply->secret, &n, err))
		return false;
	reply->number = n;
	return true;
}

static bool
refuse_to_keep(struct broker *b, const struct err *why)
{
	if (note_refused(b))
		log_error("the worker hands over what can not be kept: %s", why->text);
	return false;
}

static bool
serve_keep(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	int came = *fd;

	(void)reply;
	*fd = -1;
	return kept_put(&b->coming, m->number, came, err) || refuse_to_keep(b, err);
}

/* It goes with the config that is being loaded, and comes into service with it. */
static bool
serve_keep_whole(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	struct charter *c = b->candidate.conf != NULL ? &b->candidate : &b->in_service;

	(void)reply;
	(void)fd;
	return kept_whole(&c->kept, &b->in_service.kept, &b->coming, m->number, err) || refuse_to_keep(b, err);
}

static bool
serve_kept(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	const struct kept *k = &b->in_service.kept;

	reply->number = k->n;
	if (m->number >= k->n)
		return true;
	*fd = fcntl(k->parts[m->number], F_DUPFD_CLOEXEC, 3);
	return *fd >= 0 || err_set(err, "out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)");
}

/* --- states of rotations --- */

static bool
serve_state_put(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	int came = *fd;

	(void)reply;
	*fd = -1;
	return shelf_put(&b->shelf, m->text, came, err);
}

static bool
serve_state_get(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)reply;
	*fd = shelf_get(&b->shelf, m->text, err);
	return *fd >= 0;
}

static bool
serve_state_list(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	struct file_entry *entries;
	size_t n;

	(void)m;
	if (!shelf_list(&b->shelf, &entries, &n, err))
		return false;
	*fd = in_memory(entries, n * sizeof(*entries), err);
	reply->number = n;
	(void)sv_copy(sv_cstr(b->shelf.path), reply->text, sizeof(reply->text));
	free(entries);
	return *fd >= 0;
}

static bool
serve_state_refuse(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err)
{
	(void)fd;
	return shelf_refuse(&b->shelf, m->text, reply->text, sizeof(reply->text), err);
}

typedef bool (*serve_fn)(struct broker *b, struct message *m, struct message *reply, int *fd, struct err *err);

static const serve_fn serve[MESSAGE_KINDS_N] = {
	[MESSAGE_OPEN_READ] = serve_open_read,
	[MESSAGE_OPEN_APPEND] = serve_open_append,
	[MESSAGE_STAMP] = serve_stamp,
	[MESSAGE_LIST] = serve_list,
	[MESSAGE_LIST_ON] = serve_list_on,
	[MESSAGE_LISTEN] = serve_listen,
	[MESSAGE_REFRESH] = serve_refresh,
	[MESSAGE_WATCH] = serve_watch,
	[MESSAGE_UNWATCH] = serve_unwatch,
	[MESSAGE_SECRET] = serve_secret,
	[MESSAGE_KEEP] = serve_keep,
	[MESSAGE_KEEP_WHOLE] = serve_keep_whole,
	[MESSAGE_KEPT] = serve_kept,
	[MESSAGE_STATE_PUT] = serve_state_put,
	[MESSAGE_STATE_GET] = serve_state_get,
	[MESSAGE_STATE_LIST] = serve_state_list,
	[MESSAGE_STATE_REFUSE] = serve_state_refuse,
};

bool
broker_serve(struct broker *b, int socket, struct message *m, int fd)
{
	struct message reply = {.kind = MESSAGE_REPLY};
	struct err err = {""};

	if (fd >= 0 && m->kind != MESSAGE_KEEP && m->kind != MESSAGE_STATE_PUT) {
		close(fd); /* nothing else takes one */
		fd = -1;
	}
	if (serve[m->kind] == NULL) {
		if (m->kind == MESSAGE_READY || (m->kind == MESSAGE_RELOADED && m->number == 1))
			broker_commit(b);
		else if (m->kind == MESSAGE_RELOADED)
			broker_abandon(b);
		return true;
	}
	errno = 0;
	reply.ok = serve[m->kind](b, m, &reply, &fd, &err);
	reply.error = reply.ok ? 0 : errno;
	if (!reply.ok)
		(void)sv_copy(sv_cstr(err.text), reply.text, sizeof(reply.text));
	bool sent = message_send(socket, &reply, fd, MSG_DONTWAIT);
	if (fd >= 0)
		close(fd);
	explicit_bzero(reply.secret, sizeof(reply.secret));
	return sent;
}
