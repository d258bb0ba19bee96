#include "line/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "line/message.h"

struct control {
	struct files files; /* first: its callbacks get a pointer to it */
	int fd;
	bool lost;          /* the supervisor has gone; said once, by CONTROL_LOST */
	unsigned pending;   /* commands not yet taken, a bit each: 1 << enum control_command */
	struct message m;   /* the call that is being made, then its reply */
	void (*kept)(void *owner); /* NULL: nobody is told */
	void *owner;
};

/* The descriptor will not tell of what has been taken off it. */
static void
tell_kept(const struct control *c)
{
	if (c->kept != NULL)
		c->kept(c->owner);
}

static void
take_command(struct control *c, const struct message *m)
{
	if (m->number <= CONTROL_LOOK)
		c->pending |= 1u << m->number;
}

static bool
lose(struct control *c, struct err *err)
{
	if (!c->lost)
		c->pending |= 1u << CONTROL_LOST;
	c->lost = true;
	tell_kept(c);
	errno = EPIPE;
	return err_set(err, "the supervisor has gone");
}

static bool
begin(struct control *c, enum message_kind kind, const char *text, struct err *err)
{
	c->m = (struct message){.kind = kind};
	if (sv_copy(sv_cstr(text), c->m.text, sizeof(c->m.text)))
		return true;
	errno = ENAMETOOLONG;
	return err_set(err, "%.64s...: the path is too long", text);
}

/* Send c->m with `sent` (-1: none) and wait for the reply, which replaces it. False with errno kept when it says no. */
static bool
call_with(struct control *c, int sent, int *fd, struct err *err)
{
	if (c->lost || !message_send(c->fd, &c->m, sent, 0))
		return lose(c, err);
	for (;;) {
		if (message_receive(c->fd, &c->m, fd, 0) != MESSAGE_GOT)
			return lose(c, err);
		if (c->m.kind == MESSAGE_REPLY)
			break;
		take_command(c, &c->m);
		tell_kept(c);
	}
	if (c->m.ok)
		return true;
	err_set(err, "%.*s", (int)sizeof(err->text) - 1, c->m.text);
	errno = c->m.error;
	return false;
}

static bool
call(struct control *c, int *fd, struct err *err)
{
	return call_with(c, -1, fd, err);
}

static int
call_for_descriptor(struct control *c, struct err *err)
{
	int fd = -1;

	if (!call(c, &fd, err))
		return -1;
	if (fd < 0) {
		/* The kernel drops what does not fit in the table of descriptors. */
		errno = EMFILE;
		err_set(err, "out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)");
	}
	return fd;
}

static bool
was_forbidden(void)
{
	return errno == EACCES || errno == EPERM;
}

static int
ask_open_read(struct files *f, const char *path, struct err *err)
{
	struct control *c = CONTAINER_OF(f, struct control, files);
	int fd = files_direct()->open_read(files_direct(), path, err);

	if (fd >= 0 || !was_forbidden())
		return fd;
	return begin(c, MESSAGE_OPEN_READ, path, err) ? call_for_descriptor(c, err) : -1;
}

/* Always by the broker: a log belongs to the one who started the proxy, wherever it lies. */
static int
ask_open_append(struct files *f, const char *path, struct err *err)
{
	struct control *c = CONTAINER_OF(f, struct control, files);

	return begin(c, MESSAGE_OPEN_APPEND, path, err) ? call_for_descriptor(c, err) : -1;
}

static bool
ask_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	struct control *c = CONTAINER_OF(f, struct control, files);

	if (files_direct()->stamp(files_direct(), path, out, err))
		return true;
	if (!was_forbidden() || !begin(c, MESSAGE_STAMP, path, err) || !call(c, NULL, err))
		return false;
	*out = c->m.stamp;
	return true;
}

static bool
read_whole(int fd, void *to, size_t size)
{
	char *p = to;

	for (size_t at = 0; at < size;) {
		ssize_t n = pread(fd, p + at, size - at, (off_t)at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool
entries_of(int fd, uint64_t number, struct file_entry **out, struct err *err)
{
	size_t size;

	if (__builtin_mul_overflow(number, sizeof(**out), &size) || (*out = malloc(MAX_OF(size, (size_t)1))) == NULL)
		return err_no_memory(err);
	if (read_whole(fd, *out, size))
		return true;
	free(*out);
	*out = NULL;
	return err_set(err, "the supervisor's answer is cut off");
}

static bool
call_for_entries(struct control *c, struct file_entry **out, size_t *n, struct err *err)
{
	int fd = call_for_descriptor(c, err);

	if (fd < 0)
		return false;
	bool ok = entries_of(fd, c->m.number, out, err);
	if (ok)
		*n = (size_t)c->m.number;
	close(fd);
	return ok;
}

/* Some entries, and whether there are more. */
static bool
take_some(struct control *c, struct file_taker *to, bool *more, struct err *err)
{
	struct file_entry *v = NULL;
	size_t n = 0;

	if (!call_for_entries(c, &v, &n, err))
		return false;
	*more = c->m.count != 0;
	bool ok = files_give(v, n, to) || err_no_memory(err);
	free(v);
	return ok;
}

/* It has gone wrong, as err and errno tell: the rest is not wanted. */
static void
break_off(struct control *c)
{
	int e = errno;

	if (begin(c, MESSAGE_LIST_ON, "", NULL)) {
		c->m.number = 1;
		(void)!call(c, NULL, NULL);
	}
	errno = e;
}

/*
 * Always by the broker: in a directory that the worker may read there may be links to places where it may not look,
 * and an entry without a stamp would never be seen to change.
 */
static bool
ask_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	struct control *c = CONTAINER_OF(f, struct control, files);
	bool more = true;
	bool ok = begin(c, MESSAGE_LIST, path, err) && take_some(c, to, &more, err);

	while (ok && more)
		ok = begin(c, MESSAGE_LIST_ON, "", err) && take_some(c, to, &more, err);
	if (!ok && more && !c->lost)
		break_off(c);
	return ok;
}

struct control *
control_attach(int fd, struct err *err)
{
	int type = 0;
	socklen_t size = sizeof(type);
	struct control *c;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
		err_set(err, "descriptor %d is not a supervisor's socket; `bascule run` starts the worker", fd);
		return NULL;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		err_no_memory(err);
		return NULL;
	}
	c->fd = fd;
	c->files = (struct files){ask_open_read, ask_open_append, ask_stamp, ask_list, NULL};
	return c;
}

void
control_detach(struct control *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	explicit_bzero(&c->m, sizeof(c->m));
	free(c);
}

struct files *
control_files(struct control *c)
{
	return &c->files;
}

int
control_listen(struct control *c, const char *address, unsigned index, unsigned count, struct err *err)
{
	if (!begin(c, MESSAGE_LISTEN, address, err))
		return -1;
	c->m.number = index;
	c->m.count = count;
	return call_for_descriptor(c, err);
}

bool
control_watch(struct control *c, const char *path, bool is_file, struct err *err)
{
	if (!begin(c, MESSAGE_WATCH, path, err))
		return false;
	c->m.number = is_file;
	return call(c, NULL, err);
}

void
control_unwatch(struct control *c)
{
	struct err err; /* it has gone, and its watches with it */

	if (begin(c, MESSAGE_UNWATCH, "", &err))
		(void)call(c, NULL, &err);
}

bool
control_refresh(struct control *c, struct err *err)
{
	return begin(c, MESSAGE_REFRESH, "", err) && call(c, NULL, err);
}

/* News that waits for no reply. */
static void
tell(struct control *c)
{
	if (c->lost || !message_send(c->fd, &c->m, -1, 0))
		lose(c, NULL);
}

void
control_ready(struct control *c)
{
	if (begin(c, MESSAGE_READY, "", NULL))
		tell(c);
}

void
control_reloaded(struct control *c, bool ok, const char *text)
{
	c->m = (struct message){.kind = MESSAGE_RELOADED, .number = ok};
	struct sv all = sv_cstr(text);
	(void)sv_copy(sv_of(all.p, MIN_OF(all.n, sizeof(c->m.text) - 1)), c->m.text, sizeof(c->m.text));
	tell(c);
}

bool
control_secret(struct control *c, unsigned char *out, size_t *n, struct err *err)
{
	bool ok = begin(c, MESSAGE_SECRET, "", err) && call(c, NULL, err);

	if (ok && (c->m.number == 0 || c->m.number > CONTROL_SECRET_MAX))
		ok = err_set(err, "the supervisor's answer holds no secret");
	if (ok) {
		*n = (size_t)c->m.number;
		memcpy(out, &c->m.secret, *n);
	}
	explicit_bzero(&c->m, sizeof(c->m));
	return ok;
}

bool
control_keep(struct control *c, size_t part, int fd, struct err *err)
{
	bool ok = begin(c, MESSAGE_KEEP, "", err);

	c->m.number = part;
	return ok && call_with(c, fd, NULL, err);
}

bool
control_keep_whole(struct control *c, size_t n, struct err *err)
{
	bool ok = begin(c, MESSAGE_KEEP_WHOLE, "", err);

	c->m.number = n;
	return ok && call(c, NULL, err);
}

bool
control_kept(struct control *c, size_t part, int *fd, size_t *n, struct err *err)
{
	bool ok = begin(c, MESSAGE_KEPT, "", err);

	*fd = -1;
	c->m.number = part;
	if (!ok || !call(c, fd, err))
		return false;
	*n = (size_t)c->m.number;
	return part >= *n || *fd >= 0 ||
	    err_set(err, "out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)");
}

bool
control_state_put(struct control *c, const char *name, int fd, struct err *err)
{
	return begin(c, MESSAGE_STATE_PUT, name, err) && call_with(c, fd, NULL, err);
}

int
control_state_get(struct control *c, const char *name, struct err *err)
{
	return begin(c, MESSAGE_STATE_GET, name, err) ? call_for_descriptor(c, err) : -1;
}

bool
control_state_list(struct control *c, struct file_entry **out, size_t *n, char *directory, size_t size,
    struct err *err)
{
	*out = NULL;
	*n = 0;
	if (!begin(c, MESSAGE_STATE_LIST, "", err) || !call_for_entries(c, out, n, err))
		return false;
	return sv_copy(sv_cstr(c->m.text), directory, size);
}

bool
control_state_refuse(struct control *c, const char *name, char *to, size_t size, struct err *err)
{
	return begin(c, MESSAGE_STATE_REFUSE, name, err) && call(c, NULL, err) && sv_copy(sv_cstr(c->m.text), to, size);
}

void
control_on_kept(struct control *c, void (*kept)(void *owner), void *owner)
{
	c->kept = kept;
	c->owner = owner;
}

int
control_fd(const struct control *c)
{
	return c->fd;
}

static void
hear(struct control *c)
{
	for (;;) {
		switch (message_receive(c->fd, &c->m, NULL, MSG_DONTWAIT)) {
		case MESSAGE_GOT:
			if (c->m.kind == MESSAGE_COMMAND)
				take_command(c, &c->m);
			break;
		case MESSAGE_END:
			lose(c, NULL);
			return;
		case MESSAGE_NONE:
			return;
		}
	}
}

bool
control_next(struct control *c, enum control_command *out)
{
	if (!c->lost)
		hear(c);
	if (c->pending == 0)
		return false;
	int bit = __builtin_ctz(c->pending); /* the gravest is the lowest */
	c->pending &= ~(1u << bit);
	*out = (enum control_command)bit;
	return true;
}
