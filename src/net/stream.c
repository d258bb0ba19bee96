#include "net/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "net/internal.h"

/* --- events ------------------------------------------------------------------------------------------------- */

static void
handshake_step(struct net_stream *s)
{
	int r = s->transform->handshake(s);

	if (r == NET_ERROR) {
		s->events->on_failed(s, errno);
	} else if (r == 1) {
		s->open = true;
		s->events->on_open(s);
		/* The peer's first bytes may have come with the end of its handshake: no event would tell. */
		if (s->fd >= 0 && !s->paused)
			s->events->on_readable(s);
	}
}

static void
opened(struct net_stream *s)
{
	s->connecting = false;
	if (s->transform != NULL) {
		handshake_step(s);
		return;
	}
	s->open = true;
	s->events->on_open(s);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct net_stream *s = arg;

	(void)fd, (void)what;
	s->again = s->dry = false;
	if (s->connecting || s->paused)
		return;
	if (s->open)
		s->events->on_readable(s);
	else
		handshake_step(s);
}

static void on_write(evutil_socket_t fd, short what, void *arg);

/* False: no memory to wait with. */
static bool
want_write(struct net_stream *s, bool want)
{
	if (want == s->writing)
		return true;
	if (s->write_ev == NULL)
		s->write_ev = event_new(net_loop_base(s->loop), s->fd, EV_WRITE | EV_PERSIST, on_write, s);
	if (s->write_ev == NULL || (want ? event_add(s->write_ev, NULL) : event_del(s->write_ev)) != 0)
		return false;
	s->writing = want;
	return true;
}

static void
finish_if_empty(struct net_stream *s)
{
	if (s->finish && !s->half_closed && !s->connecting && buf_len(&s->out) == 0) {
		s->half_closed = true;
		(void)shutdown(s->fd, SHUT_WR); /* fails only when the peer has gone, which the next read tells */
	}
}

static void
connected(struct net_stream *s)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error != 0) {
		(void)want_write(s, false);
		s->events->on_failed(s, error);
		return;
	}
	s->connecting = false;
	(void)want_write(s, buf_len(&s->out) > 0); /* what was written meanwhile */
	finish_if_empty(s);
	opened(s);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct net_stream *s = arg;

	(void)what;
	if (s->connecting) {
		connected(s);
		return;
	}
	struct sv waiting = buf_view(&s->out);
	ssize_t n = send(fd, waiting.p, waiting.n, MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		s->dry = false; /* what the peer said before may have come without an event so far */
		s->events->on_failed(s, errno);
		return;
	}
	buf_consume(&s->out, (size_t)n);
	s->sent += (size_t)n;
	if (buf_len(&s->out) > 0)
		return;
	(void)want_write(s, false);
	finish_if_empty(s);
	if (s->open)
		s->events->on_drained(s);
}

static void
set_timer(struct net_stream *s, uint64_t now)
{
	uint64_t ms = s->deadline > now ? s->deadline - now : 1;
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	s->timer_at = s->deadline;
	if (event_add(&s->timer_ev, &tv) != 0)
		s->timer_at = 0; /* no memory for it: the next deadline tries again */
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct net_stream *s = arg;
	uint64_t now = net_loop_now(s->loop);

	(void)fd, (void)what;
	s->timer_at = 0;
	if (s->again) {
		if (s->deadline != 0)
			set_timer(s, now);
		on_read(s->fd, EV_READ, s);
		return;
	}
	if (s->deadline == 0)
		return;
	if (s->deadline > now) {
		set_timer(s, now);
		return;
	}
	s->deadline = 0;
	s->events->on_timeout(s);
}

/* --- life --------------------------------------------------------------------------------------------------- */

void
net_stream_init(struct net_stream *s, struct net_loop *loop, int fd, const struct net_stream_events *events, size_t out_max)
{
	struct event_base *base = net_loop_base(loop);

	*s = (struct net_stream){.loop = loop, .events = events, .fd = fd};
	buf_init(&s->out, out_max);
	(void)event_assign(&s->read_ev, base, fd, EV_READ | EV_PERSIST, on_read, s);
	(void)event_assign(&s->timer_ev, base, -1, 0, on_timer, s);
}

void
net_stream_set_transform(struct net_stream *s, const struct net_transform *t, void *state)
{
	s->transform = t;
	s->state = state;
}

bool
net_stream_start(struct net_stream *s)
{
	if (event_add(&s->read_ev, NULL) != 0)
		return false;
	/* A client speaks first in TLS, and seldom before we get here: wait for it rather than ask in vain. */
	if (s->transform == NULL)
		opened(s);
	return true;
}

void
net_stream_handshake(struct net_stream *s)
{
	s->open = false;
	handshake_step(s);
}

bool
net_stream_connect(struct net_stream *s, struct net_loop *loop, const struct net_address *to,
    const struct net_stream_events *events, size_t out_max)
{
	int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	net_stream_init(s, loop, fd, events, out_max);
	if (fd < 0)
		return false;
	if (to->u.sa.sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, &to->u.sa, to->length) != 0 && errno != EINPROGRESS)
		return false;
	s->connecting = true;
	return event_add(&s->read_ev, NULL) == 0 && want_write(s, true);
}

void
net_stream_close(struct net_stream *s, bool abort)
{
	if (s->fd < 0)
		return;
	event_del(&s->read_ev);
	event_del(&s->timer_ev);
	if (s->write_ev != NULL)
		event_free(s->write_ev);
	s->write_ev = NULL;
	if (s->transform != NULL)
		s->transform->free(s);
	s->transform = NULL;
	if (abort) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};
		(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(s->fd);
	s->fd = -1;
	s->open = s->connecting = false;
	s->deadline = s->timer_at = 0;
	buf_clear(&s->out);
}

void
net_stream_keep_short(struct net_stream *s, unsigned unsent)
{
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)); /* a Unix socket has none */
}

/* --- reading and writing ------------------------------------------------------------------------------------ */

ssize_t
net_stream_peek(struct net_stream *s, void *p, size_t n)
{
	ssize_t got = s->dry ? NET_AGAIN : recv(s->fd, p, n, MSG_PEEK);

	return got >= 0 || s->dry ? got : errno == EAGAIN || errno == EINTR ? NET_AGAIN : NET_ERROR;
}

ssize_t
net_raw_read(struct net_stream *s, void *p, size_t n)
{
	if (s->dry)
		return NET_AGAIN;
	ssize_t got = recv(s->fd, p, n, 0);
	if (got < 0) {
		if (errno == EAGAIN || errno == EINTR) {
			s->dry = true;
			return NET_AGAIN;
		}
		return NET_ERROR;
	}
	/* A short read emptied the socket; what comes later makes an event. The end of the stream does so, too. */
	s->dry = (size_t)got < n;
	if (got == 0) {
		s->eof = true;
		s->dry = false;
	}
	return got;
}

/* Keep what stands in v from byte `from` on. */
static int
keep(struct net_stream *s, const struct iovec *v, int n, size_t from)
{
	for (int i = 0; i < n; i++) {
		size_t len = v[i].iov_len;
		if (from >= len) {
			from -= len;
			continue;
		}
		if (!buf_append(&s->out, (const char *)v[i].iov_base + from, len - from)) {
			errno = ENOBUFS;
			return NET_ERROR;
		}
		from = 0;
	}
	if (s->connecting || buf_len(&s->out) == 0 || want_write(s, true))
		return 0;
	errno = ENOMEM;
	return NET_ERROR;
}

int
net_raw_write(struct net_stream *s, const struct iovec *v, int n)
{
	size_t total = 0;
	ssize_t sent;

	for (int i = 0; i < n; i++)
		total += v[i].iov_len;
	if (total == 0)
		return 0;
	if (buf_len(&s->out) > 0 || s->connecting)
		return keep(s, v, n, 0);
	if (n == 1) {
		sent = send(s->fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL);
	} else {
		struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
		sent = sendmsg(s->fd, &m, MSG_NOSIGNAL);
	}
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return NET_ERROR;
		sent = 0;
	}
	s->sent += (size_t)sent;
	return (size_t)sent == total ? 0 : keep(s, v, n, (size_t)sent);
}

ssize_t
net_stream_read(struct net_stream *s, void *p, size_t n)
{
	return s->transform != NULL ? s->transform->read(s, p, n) : net_raw_read(s, p, n);
}

bool
net_stream_write(struct net_stream *s, const struct iovec *v, int n)
{
	return (s->transform != NULL ? s->transform->write(s, v, n, false) : net_raw_write(s, v, n)) == 0;
}

bool
net_stream_write_last(struct net_stream *s, const struct iovec *v, int n)
{
	if ((s->transform != NULL ? s->transform->write(s, v, n, true) : net_raw_write(s, v, n)) != 0)
		return false;
	s->finish = true;
	return true;
}

void
net_stream_finish(struct net_stream *s)
{
	if (s->transform != NULL && s->open && !s->finish)
		(void)s->transform->write(s, NULL, 0, true);
	s->finish = true;
	finish_if_empty(s);
}

void
net_stream_abandon(struct net_stream *s)
{
	if (s->transform != NULL)
		s->transform->free(s);
	s->transform = NULL;
	s->open = true;
	net_stream_finish(s);
}

void
net_stream_pause(struct net_stream *s)
{
	if (s->paused || s->fd < 0)
		return;
	s->paused = true;
	event_del(&s->read_ev);
}

void
net_stream_resume(struct net_stream *s)
{
	if (!s->paused || s->fd < 0)
		return;
	s->paused = false;
	if (event_add(&s->read_ev, NULL) != 0)
		return; /* no memory to wait: the deadline ends it */
	/* Bytes may wait in the transform, or may have been left in the socket: look, from the loop. */
	event_active(&s->read_ev, EV_READ, 0);
}

/* By a timer: an event that is made active at once would run in this turn still, before others and before deadlines. */
void
net_stream_again(struct net_stream *s)
{
	static const struct timeval at_once = {0};

	if (s->fd < 0 || event_add(&s->timer_ev, &at_once) != 0)
		return;
	if (s->paused && event_add(&s->read_ev, NULL) != 0)
		return; /* no memory to wait: the deadline ends it */
	s->paused = false;
	s->again = true;
	s->timer_at = net_loop_now(s->loop);
}

void
net_stream_deadline(struct net_stream *s, uint64_t ms)
{
	uint64_t now = net_loop_now(s->loop);

	if (s->fd < 0)
		return; /* it may be freed at any time: no timer must remain */
	s->deadline = ms == 0 ? 0 : now + ms;
	if (s->deadline != 0 && (s->timer_at == 0 || s->timer_at > s->deadline))
		set_timer(s, now);
}

bool
net_stream_is_stale(struct net_stream *s)
{
	char byte;

	if (s->fd < 0 || s->eof || (s->transform != NULL && s->transform->pending(s)))
		return true;
	ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	/* Bytes that nobody asked for: an answer to nothing, or with TLS the end perhaps. A new connection costs less. */
	return true;
}
