#include "probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void
free_self(struct net_deferred *d)
{
	struct probe *p = CONTAINER_OF(d, struct probe, later);

	*p->gone = true;
	buf_clear(&p->in);
	free(p);
}

static void
heard(struct probe *p, enum probe_event e)
{
	if (p->close_in != e)
		return;
	net_stream_close(&p->s, false);
	if (p->gone != NULL)
		net_loop_defer(p->s.loop, &p->later, free_self);
}

static void
on_open(struct net_stream *s)
{
	struct probe *p = CONTAINER_OF(s, struct probe, s);

	p->opened++;
	heard(p, PROBE_OPEN);
}

static void
read_all(struct probe *p)
{
	char bytes[1000];

	while ((p->result = net_stream_read(&p->s, bytes, sizeof(bytes))) > 0)
		(void)!buf_append(&p->in, bytes, (size_t)p->result);
	if (p->result != NET_AGAIN)
		net_stream_pause(&p->s); /* the end would be reported again and again */
}

static void
on_readable(struct net_stream *s)
{
	struct probe *p = CONTAINER_OF(s, struct probe, s);

	p->readable++;
	if (p->pauses)
		net_stream_pause(s);
	if (p->reads)
		read_all(p);
	heard(p, PROBE_READABLE);
}

static void
on_drained(struct net_stream *s)
{
	struct probe *p = CONTAINER_OF(s, struct probe, s);

	p->drained++;
	heard(p, PROBE_DRAINED);
}

static void
on_timeout(struct net_stream *s)
{
	struct probe *p = CONTAINER_OF(s, struct probe, s);

	p->timeouts++;
	p->timed_out_at = net_loop_now(s->loop);
	heard(p, PROBE_TIMEOUT);
}

static void
on_failed(struct net_stream *s, int error)
{
	struct probe *p = CONTAINER_OF(s, struct probe, s);

	p->failures++;
	p->error = error;
	if (p->close_in == PROBE_FAILED)
		heard(p, PROBE_FAILED);
	else
		net_stream_close(s, false); /* as every owner does */
}

const struct net_stream_events probe_events = {
	.on_open = on_open,
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_failed = on_failed,
};

void
pair_init(struct probe *p, struct net_loop *loop, int fd, size_t out_max)
{
	*p = (struct probe){.reads = true};
	buf_init(&p->in, SIZE_MAX / 4);
	net_stream_init(&p->s, loop, fd, &probe_events, out_max);
}

void
pair_unix(struct pair *x, struct net_loop *loop, size_t out_max)
{
	int fds[2], small = 4096;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	pair_init(&x->p, loop, fds[0], out_max);
	x->peer = fds[1];
}

int
tcp_listening(struct net_address *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct net_address){.length = sizeof(a->u.in)};
	a->u.in.sin_family = AF_INET;
	a->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, &a->u.sa, a->length), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, &a->u.sa, &a->length), 0);
	return fd;
}

void
tcp_sockets(int fds[2])
{
	struct net_address a;
	int listening = tcp_listening(&a);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(fds[0], &a.u.sa, a.length), 0);
	fds[1] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert_geq(fds[1], 0);
	close(listening);
}

void
pair_tcp(struct pair *x, struct net_loop *loop, size_t out_max)
{
	int fds[2];

	tcp_sockets(fds);
	pair_init(&x->p, loop, fds[1], out_max);
	x->peer = fds[0];
}

void
pair_close(struct pair *x)
{
	net_stream_close(&x->p.s, false);
	buf_clear(&x->p.in);
	if (x->peer >= 0)
		close(x->peer);
	x->peer = -1;
}

void
peer_say(int peer, const char *text)
{
	cr_assert_eq(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

bool
peer_hear(int peer, struct buf *out)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		cr_assert(buf_append(out, bytes, (size_t)n));
	cr_assert(n == 0 || errno == EAGAIN, "%s", strerror(errno));
	return n != 0;
}

bool
probe_write(struct probe *p, const char *text)
{
	struct iovec v = iov(text);

	return net_stream_write(&p->s, &v, 1);
}
