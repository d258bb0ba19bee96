#include "base/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of this process's threads, only one looks and then writes. */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

static enum outlet_kind
kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return OUTLET_FILE;
	return S_ISSOCK(st.st_mode) ? OUTLET_SOCKET : S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ? OUTLET_PIPE : OUTLET_FILE;
}

void
outlet_set(struct outlet *o, int fd)
{
	o->fd = fd;
	o->kind = kind_of(fd);
	o->cut = false;
}

/* So much at once: a pipe with room takes PIPE_BUF bytes whole. Ends with a line unless that one is longer. */
static size_t
piece(const struct outlet *o, struct sv s)
{
	if (o->kind == OUTLET_FILE || s.n <= PIPE_BUF)
		return s.n;
	const char *newline = memrchr(s.p, '\n', PIPE_BUF);
	return newline != NULL ? (size_t)(newline - s.p) + 1 : PIPE_BUF;
}

static ssize_t
write_if_room(int fd, const char *p, size_t n)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	ssize_t written = -1;

	pthread_mutex_lock(&looking);
	int ready = poll(&room, 1, 0);
	if (ready > 0)
		written = write(fd, p, n); /* no room, but nobody to make any either: EPIPE at once */
	else if (ready == 0)
		errno = EAGAIN;
	pthread_mutex_unlock(&looking);
	return written;
}

static ssize_t
put_piece(const struct outlet *o, const char *p, size_t n)
{
	switch (o->kind) {
	case OUTLET_SOCKET:
		return send(o->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case OUTLET_PIPE:
		return write_if_room(o->fd, p, n);
	default:
		return write(o->fd, p, n);
	}
}

/* The rest that could not be written. */
static struct sv
put_all(struct outlet *o, struct sv s)
{
	while (s.n > 0) {
		ssize_t n = put_piece(o, s.p, piece(o, s));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			o->error = n == 0 ? EAGAIN : errno;
			break;
		}
		o->cut = s.p[n - 1] != '\n';
		s = sv_of(s.p + n, s.n - (size_t)n);
	}
	return s;
}

void
outlet_put(struct outlet *o, struct sv lines)
{
	struct sv rest = lines;

	if (!o->cut || put_all(o, SV("\n")).n == 0)
		rest = put_all(o, lines);
	for (; rest.n > 0; (void)sv_cut(&rest, '\n'))
		o->lost++;
}

const char *
outlet_why(const struct outlet *o)
{
	return o->error == EAGAIN || o->error == EPIPE ? "nobody read the log" : strerror(o->error);
}

void
outlet_detach(int fd)
{
	char path[40];

	if (kind_of(fd) != OUTLET_PIPE)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return;
	(void)dup2(own, fd); /* the new one is inherited, as the old was */
	close(own);
}
