#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/internal.h"

enum {
	ACCEPT_BATCH = 16,      /* connections accepted before others get their turn */
	EXHAUSTED_PAUSE_MS = 50, /* out of descriptors: asking again at once would only burn the processor */
};

static int
open_socket(const struct net_address *a, bool any, bool share, struct err *err)
{
	int one = 1, v6only = any ? 0 : 1;
	int family = a->u.sa.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err_set(err, "can not open a socket: %s", strerror(errno));
		return -1;
	}
	if (family != AF_UNIX) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		/* Inherited by what is accepted here: saves a system call a connection. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (share)
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	}
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	return fd;
}

static void
explain_bind_unix(const char *path, int error, struct err *err)
{
	struct stat st;

	if (error == EADDRINUSE && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		err_set(err, "%s: a file is there that is no socket; remove it or name another path", path);
	else if (error == EADDRINUSE)
		err_set(err, "%s: another process listens there; stop that one or name another path", path);
	else if (error == ENOENT)
		err_set(err, "%s: its directory does not exist; make it", path);
	else
		err_set(err, "%s: can not listen: %s", path, strerror(error));
}

static void
explain_bind(const struct net_address *a, int error, struct err *err)
{
	char text[NET_ADDRESS_TEXT];

	net_address_text(a, true, text);
	if (a->u.sa.sa_family == AF_UNIX)
		explain_bind_unix(a->u.un.sun_path, error, err);
	else if (error == EADDRINUSE)
		err_set(err, "%s: the address is taken by another process; stop that one or choose another port", text);
	else if (error == EACCES)
		err_set(err, "%s: not permitted; a port below 1024 needs root or CAP_NET_BIND_SERVICE", text);
	else if (error == EADDRNOTAVAIL)
		err_set(err, "%s: no interface of this machine has the address", text);
	else
		err_set(err, "%s: can not listen: %s", text, strerror(error));
}

/* To a socket file the sticky bit means nothing else. */
enum { GIVES_WAY = S_ISVTX };

void
net_listen_give_way(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)chmod(path, (st.st_mode & 07777) | GIVES_WAY); /* else it stays taken until we end */
}

/* A socket file that nobody listens on is left over from a process that was killed; one may be given up by its owner. */
static void
remove_stale_socket(const struct net_address *a)
{
	struct stat st;

	/* Connecting to any other kind of file is refused as well: it must not cost one that was named by mistake. */
	if (lstat(a->u.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	if ((st.st_mode & GIVES_WAY) != 0) {
		(void)unlink(a->u.un.sun_path);
		return;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, &a->u.sa, a->length) != 0 && errno == ECONNREFUSED)
		(void)unlink(a->u.un.sun_path);
	close(fd);
}

int
net_listen(const struct net_address *a, bool any, int backlog, unsigned mode, struct err *err)
{
	bool is_unix = a->u.sa.sa_family == AF_UNIX;

	if (is_unix)
		remove_stale_socket(a);
	int fd = open_socket(a, any, true, err);
	if (fd < 0)
		return -1;
	/* The mode is there from the socket's first moment on: nobody slips in before a chmod. */
	mode_t old = is_unix ? umask(0777 & ~(mode_t)mode) : 0;
	int r = bind(fd, &a->u.sa, a->length);
	int error = errno;
	if (is_unix)
		umask(old);
	if (r == 0 && (r = listen(fd, backlog)) != 0)
		error = errno;
	if (r != 0) {
		explain_bind(a, error, err);
		close(fd);
		return -1;
	}
	return fd;
}

bool
net_listen_is_free(const struct net_address *a, bool any, struct err *err)
{
	if (a->u.sa.sa_family == AF_UNIX)
		return true; /* bind tells */
	int fd = open_socket(a, any, false, err);
	if (fd < 0)
		return false;
	bool taken = bind(fd, &a->u.sa, a->length) != 0;
	if (taken)
		explain_bind(a, errno, err);
	close(fd);
	return !taken;
}

bool
net_listen_is_possible(const struct net_address *a, bool any, struct err *err)
{
	struct net_address some = *a;

	if (a->u.sa.sa_family == AF_INET)
		some.u.in.sin_port = 0;
	else if (a->u.sa.sa_family == AF_INET6)
		some.u.in6.sin6_port = 0;
	else
		return true; /* the directory of a Unix socket tells */
	int fd = open_socket(&some, any, false, err);
	if (fd < 0)
		return false;
	bool ok = bind(fd, &some.u.sa, some.length) == 0;
	if (!ok)
		explain_bind(a, errno, err);
	close(fd);
	return ok;
}

static bool
is_exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void
on_acceptable(evutil_socket_t listening, short what, void *arg)
{
	struct net_listener *l = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH && !l->held; i++) {
		struct net_address peer = {.length = sizeof(peer.u)};
		int fd = accept4(listening, &peer.u.sa, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			l->on_accept(l, fd, &peer);
			continue;
		}
		if (is_exhausted(errno)) {
			l->on_refused(l, errno);
			event_del(&l->ev);
			net_timer_set(&l->pause, EXHAUSTED_PAUSE_MS);
		}
		return; /* EAGAIN, or a connection that went away while it waited */
	}
}

static void
on_pause_over(struct net_timer *t)
{
	struct net_listener *l = CONTAINER_OF(t, struct net_listener, pause);

	if (event_add(&l->ev, NULL) != 0)
		net_timer_set(&l->pause, EXHAUSTED_PAUSE_MS);
}

bool
net_listener_start(struct net_listener *l, struct net_loop *loop, int fd)
{
	l->loop = loop;
	l->fd = fd;
	net_timer_init(&l->pause, loop, on_pause_over);
	return event_assign(&l->ev, net_loop_base(loop), fd, EV_READ | EV_PERSIST, on_acceptable, l) == 0 &&
	       event_add(&l->ev, NULL) == 0;
}

void
net_listener_stop(struct net_listener *l)
{
	net_timer_cancel(&l->pause);
	event_del(&l->ev);
}
