/* test_exchange_flow.c: bodies larger than any buffer, and sides that do not take them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

TestSuite(flow, .init = rig_setup, .fini = rig_teardown);

enum { LARGE = 24 * 1024 * 1024, BOUND = 16 * 1024 * 1024 };

static int client, origin;
static char *bytes;

static void
serve(void)
{
	rig_serve(RIG_SITE("", ""));
	client = client_connect();
	bytes = malloc(LARGE);
	cr_assert_not_null(bytes);
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i * 7 + i / 251);
}

static void
done(void)
{
	free(bytes);
	close(client);
	close(origin);
}

/* As much as goes until nobody takes any more for a while. */
static size_t
push(int fd, const char *p, size_t n)
{
	size_t pushed = 0;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	while (pushed < n && poll(&ready, 1, 300) == 1) {
		ssize_t sent = send(fd, p + pushed, MIN_OF(n - pushed, (size_t)65536), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0)
			pushed += (size_t)sent;
		else
			cr_assert_eq(errno, EAGAIN);
	}
	return pushed;
}

struct rest {
	int fd;
	const char *p;
	size_t n;
};

static void *
push_rest(void *arg)
{
	struct rest *r = arg;

	while (r->n > 0) {
		ssize_t sent = send(r->fd, r->p, r->n, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		r->p += sent;
		r->n -= (size_t)sent;
	}
	return NULL;
}

/* One side pushes, the other does not read at first; then all arrives. */
static void
through(int from, int to)
{
	char *got = malloc(LARGE);
	pthread_t t;

	cr_assert_not_null(got);
	size_t pushed = push(from, bytes, LARGE);
	cr_expect_lt(pushed, BOUND, "the proxy holds no more than its buffers and the kernel's");
	struct rest rest = {from, bytes + pushed, LARGE - pushed};
	cr_assert_eq(pthread_create(&t, NULL, push_rest, &rest), 0);
	hear_bytes(to, got, LARGE);
	pthread_join(t, NULL);
	cr_expect_eq(memcmp(got, bytes, LARGE), 0);
	free(got);
}

Test(flow, a_client_that_does_not_read_stops_the_origin)
{
	char head[100];

	serve();
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
	say(origin, head);
	(void)hear(client, HEAD_END);
	through(origin, client);
	RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
	cr_expect_eq(RIG_COUNT(bytes_to_clients), LARGE);
	done();
}

Test(flow, an_origin_that_does_not_read_stops_the_client)
{
	char head[100];

	serve();
	(void)snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n", LARGE);
	say(client, head);
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	through(client, origin);
	say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	cr_expect_eq(strncmp(hear(client, HEAD_END) + 9, "200", 3), 0);
	RIG_UNTIL(RIG_COUNT(bytes_from_clients) == LARGE);
	done();
}

Test(flow, chunks_of_any_size_arrive_as_one_body)
{
	enum { BODY = 300 * 1000 };
	char line[32], *got = malloc(BODY);
	struct buf wire;
	unsigned seed = 3;
	size_t at = 0;
	pthread_t t;

	serve();
	buf_init(&wire, 64 * 1024 * 1024);
	cr_assert(buf_printf(&wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	for (size_t n; at < BODY; at += n) {
		n = 1 + (unsigned)rand_r(&seed) % (rand_r(&seed) % 3 == 0 ? 3000 : rand_r(&seed) % 2 == 0 ? 300 : 3);
		n = MIN_OF(n, BODY - at);
		cr_assert(buf_printf(&wire, "%zx\r\n", n) && buf_append(&wire, bytes + at, n) && buf_append(&wire, "\r\n", 2));
	}
	cr_assert(buf_printf(&wire, "0\r\n\r\n"));
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	struct rest rest = {origin, buf_view(&wire).p, buf_len(&wire)};
	cr_assert_eq(pthread_create(&t, NULL, push_rest, &rest), 0);
	(void)hear(client, HEAD_END);
	for (at = 0;;) {
		size_t n = strtoul(hear(client, "\r\n"), NULL, 16);
		if (n == 0)
			break;
		cr_assert_leq(at + n, BODY);
		hear_bytes(client, got + at, n);
		at += n;
		hear_bytes(client, line, 2);
	}
	pthread_join(t, NULL);
	cr_expect_eq(at, BODY);
	cr_expect_eq(memcmp(got, bytes, BODY), 0);
	free(got);
	buf_clear(&wire);
	done();
}

Test(flow, the_tail_of_a_last_response_waits_for_a_slow_client)
{
	char head[100];
	size_t n;
	bool reset;
	pthread_t t;

	serve();
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	enum { BODY = 6 * 1024 * 1024 };
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY);
	say(origin, head);
	struct rest rest = {origin, bytes, BODY};
	cr_assert_eq(pthread_create(&t, NULL, push_rest, &rest), 0);
	usleep(2500000); /* longer than a client may linger that has all its bytes */
	char *all = hear_all(client, &n, &reset);
	pthread_join(t, NULL);
	const char *body = strstr(all, "\r\n\r\n");
	cr_assert_not_null(body);
	cr_expect_eq(n - (size_t)(body + 4 - all), BODY);
	cr_expect_not(reset);
	free(all);
	done();
}

Test(flow, a_client_that_takes_nothing_is_given_up)
{
	char head[100];

	rig_serve(RIG_SITE("'timeouts': { 'send': '200ms' },", ""));
	bytes = calloc(1, LARGE);
	client = client_connect();
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
	say(origin, head);
	struct rest rest = {origin, bytes, LARGE};
	push_rest(&rest); /* until the proxy closes it */
	cr_expect_gt(rest.n, 0);
	RIG_UNTIL(rig_closed(CLOSE_SEND_TIMEOUT) == 1);
	done();
}
