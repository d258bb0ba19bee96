/* test_exchange_failures.c: requests that are refused, origins that fail, clients that leave. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "rig.h"

TestSuite(failures, .init = rig_setup, .fini = rig_teardown);

static int client, origin;

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
#define TWO_SERVERS                                                                  \
	"{ 'sites': [ { 'names': ['a.test'], 'upstream': 'nodes' } ],"               \
	" 'upstreams': { 'nodes': { 'servers': ['$0', '$1'] } } }"

static void
serve(const char *json)
{
	rig_serve(json);
	client = client_connect();
}

static void
expect_status(int fd, const char *status)
{
	const char *head = hear(fd, HEAD_END);

	cr_expect_eq(strncmp(head + 9, status, 3), 0, "not %s: %s", status, head);
}

/* The whole answer has this status, and the connection is closed without a reset. */
static void
expect_last(const char *status)
{
	size_t n;
	bool reset;
	char *all = hear_all(client, &n, &reset);

	cr_expect(n > 12 && strncmp(all + 9, status, 3) == 0, "not %s: %s", status, all);
	cr_expect_not_null(strcasestr(all, "\r\nconnection: close\r\n"), "%s", all);
	cr_expect_not(reset);
	free(all);
	close(client);
}

static void
be_gone(unsigned which)
{
	close(rig.origin[which]);
	rig.origin[which] = -1;
}

/* --- what the client did ------------------------------------------------------------------------------------ */

Test(failures, malformed_requests_are_refused_and_reach_nobody)
{
	static const struct {
		const char *request, *status;
	} rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", "400"},
		{"GET / HTTP/1.1\nHost: a.test\n\n", "400"},
		{"GET / HTTP/3.0\r\nHost: a.test\r\n\r\n", "505"},
		{"\x16\x03\x01\x02\x01 TLS on a plain port\r\n\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
		{"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Host\r\n\r\n", "400"},
	};

	rig_serve(RIG_SITE("", ""));
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		client = client_connect();
		say(client, rows[i].request);
		expect_last(rows[i].status);
	}
	cr_expect(origin_is_idle(0));
	RIG_UNTIL(RIG_COUNT(connections_open) == 0);
	cr_expect_eq(RIG_COUNT(requests_in_flight), 0);
}

Test(failures, a_malformed_chunk_ends_it_for_both)
{
	serve(RIG_SITE("", ""));
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	origin = origin_accept(0);
	(void)hear(origin, "hello\r\n");
	say(client, "zz\r\n");
	expect_last("400");
	cr_expect(hears_end(origin));
	close(origin);
	RIG_UNTIL(rig_closed(CLOSE_MALFORMED) == 1);
}

Test(failures, who_is_not_served)
{
	serve("{ 'sites': [ { 'names': ['a.test'], 'routes': [ { 'path': '^/api/', 'upstream': 'nodes' } ] } ],"
	      " 'upstreams': { 'nodes': { 'servers': ['$0'] } } }");
	say(client, GET("/"));
	expect_status(client, "404");
	(void)hear(client, "404 Not Found\n");
	say(client, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
	expect_status(client, "421");
	close(client);
}

Test(failures, too_large)
{
	char head[40000];

	rig_serve(RIG_SITE("'limits': { 'body_bytes': 10, 'head_bytes': '2k', 'fields': 5 },", ""));
	client = client_connect();
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n");
	expect_last("413");
	cr_expect(origin_is_idle(0));

	client = client_connect();
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
	expect_last("413");

	client = client_connect();
	memset(head, 'a', sizeof(head));
	memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
	say_bytes(client, head, 3000);
	expect_last("431");

	client = client_connect();
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n");
	expect_last("431");
}

Test(failures, too_slow)
{
	rig_serve(RIG_SITE("'timeouts': { 'head': '100ms', 'body': '100ms', 'idle': '150ms' },", ""));
	client = client_connect();
	say(client, "GET / HT");
	expect_last("408");
	RIG_UNTIL(rig_closed(CLOSE_HEAD_TIMEOUT) == 1);

	client = client_connect();
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
	origin = origin_accept(0);
	expect_last("408");
	RIG_UNTIL(rig_closed(CLOSE_BODY_TIMEOUT) == 1);
	close(origin);

	client = client_connect();
	cr_expect(hears_end(client));
	RIG_UNTIL(rig_closed(CLOSE_IDLE) == 1);
	close(client);
}

Test(failures, an_answer_may_take_longer_than_the_body)
{
	rig_serve(RIG_SITE("'timeouts': { 'body': '100ms', 'head': '100ms', 'idle': '100ms' },", ""));
	client = client_connect();
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
	origin = origin_accept(0);
	(void)hear(origin, "he");
	say(client, "llo");
	(void)hear(origin, "llo");
	usleep(400000); /* four times what was allowed for the body */
	say(origin, OK);
	expect_status(client, "200");
	close(client);
	close(origin);
}

Test(failures, a_client_that_leaves_is_told_to_the_origin)
{
	serve(RIG_SITE("", ""));
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
	origin = origin_accept(0);
	(void)hear(origin, "he");
	close(client);
	cr_expect(hears_end(origin));
	close(origin);
	RIG_UNTIL(RIG_COUNT(connections_open) == 0);
	cr_expect_eq(RIG_COUNT(requests_in_flight), 0);
	cr_expect_eq(RIG_COUNT(origin_connections_idle), 0);
}

Test(failures, a_client_that_breaks_while_it_is_answered)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	serve(RIG_SITE("", ""));
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
	(void)hear(client, "some");
	cr_assert_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(client);
	cr_expect(hears_end(origin));
	close(origin);
	RIG_UNTIL(rig_closed(CLOSE_CLIENT_BROKE) == 1);
}

struct unix_listener {
	struct net_address address;
	int fd;
};

static void
listen_unix(void *arg)
{
	static const struct conf_listener plain;
	struct unix_listener *l = arg;

	cr_assert(px_thread_listen(rig.thread, l->fd, "unix", &plain, NULL, NULL));
}

/* A socket of any name connects to a listener; what it calls itself stands in no field and no log. */
Test(failures, a_peer_of_a_unix_socket_can_not_forge_a_field_by_its_name)
{
	struct unix_listener l = {.address.length = sizeof(l.address.u.un)};
	struct sockaddr_un own = {.sun_family = AF_UNIX};
	struct err err = {""};

	rig_serve(RIG_SITE("", ""));
	l.address.u.un.sun_family = AF_UNIX;
	(void)snprintf(l.address.u.un.sun_path, sizeof(l.address.u.un.sun_path), "%s/socket", rig.dir);
	l.fd = net_listen(&l.address, false, 8, 0600, &err);
	cr_assert_geq(l.fd, 0, "%s", err.text);
	rig_call(listen_unix, &l);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(own.sun_path, sizeof(own.sun_path), "%s/peer\r\nX-Forged: yes", rig.dir);
	cr_assert_eq(bind(client, (struct sockaddr *)&own, sizeof(own)), 0);
	cr_assert_eq(connect(client, &l.address.u.sa, l.address.length), 0);
	say(client, GET("/"));
	origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_null(strstr(head, "X-Forged"), "%s", head);
	cr_expect_null(strstr(head, rig.dir), "%s", head);
	say(origin, OK);
	expect_status(client, "200");
	close(client);
	close(origin);
}

/* --- what the origin did ------------------------------------------------------------------------------------ */

Test(failures, nobody_there)
{
	be_gone(0);
	serve(RIG_SITE("", ""));
	say(client, GET("/"));
	expect_status(client, "502");
	(void)hear(client, "502 Bad Gateway\n");
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello" GET("/again"));
	expect_status(client, "502");
	(void)hear(client, "502 Bad Gateway\n");
	expect_status(client, "502");
	cr_expect_geq(RIG_COUNT(origin_failures), 2);
	close(client);
}

Test(failures, another_server_is_tried)
{
	be_gone(0);
	serve(TWO_SERVERS);
	for (unsigned i = 0; i < 4; i++) {
		say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
		if (i == 0)
			origin = origin_accept(1);
		(void)hear(origin, "hello");
		say(origin, OK);
		expect_status(client, "200");
		(void)hear(client, "OK");
		RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
	}
	cr_expect_geq(RIG_COUNT(origin_retries), 1);
	close(client);
	close(origin);
}

/* A connection that was answered on once is broken by the server just as the next request comes. */
static void
break_idle(const char *json, const char *request)
{
	serve(json);
	say(client, GET("/1"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, OK);
	expect_status(client, "200");
	(void)hear(client, "OK");
	RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
	say(client, request);
	(void)hear(origin, HEAD_END);
	close(origin);
}

Test(failures, a_stale_connection_is_no_try)
{
	break_idle(RIG_SITE("", ", 'tries': 1"), GET("/2"));
	origin = origin_accept(0);
	cr_expect_eq(strncmp(hear(origin, HEAD_END), "GET /2 ", 7), 0);
	say(origin, OK);
	expect_status(client, "200");
	cr_expect_eq(RIG_COUNT(origin_failures), 0, "no fault of the server");
	close(client);
	close(origin);
}

Test(failures, a_connection_is_stale_only_once)
{
	break_idle(RIG_SITE("", ", 'tries': 1"), GET("/2"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	close(origin);
	expect_status(client, "502");
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(failures, what_may_have_had_an_effect_is_not_sent_twice)
{
	break_idle(RIG_SITE("", ""), "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	expect_status(client, "502");
	cr_expect(origin_is_idle(0));
	close(client);
}

Test(failures, answers_that_are_none)
{
	static const char *const answers[] = {"", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: Content-Type\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"};

	rig_serve(RIG_SITE("", ", 'tries': 1, 'eject': { 'failures': 0 }"));
	client = client_connect();
	for (size_t i = 0; i < COUNTOF(answers); i++) {
		say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
		origin = origin_accept(0);
		(void)hear(origin, HEAD_END);
		say(origin, answers[i]);
		shutdown(origin, SHUT_WR);
		expect_status(client, "502");
		(void)hear(client, "Gateway\n");
		cr_expect(hears_end(origin));
		close(origin);
	}
	close(client);
}

Test(failures, no_answer_in_time)
{
	rig_serve(RIG_SITE("'timeouts': { 'response': '100ms' },", ""));
	client = client_connect();
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	expect_status(client, "504");
	cr_expect(hears_end(origin));
	cr_expect(origin_is_idle(0), "it is not asked again");
	close(client);
	close(origin);
}

Test(failures, half_a_response_is_seen_as_such)
{
	static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"};

	rig_serve(RIG_SITE("", ""));
	for (size_t i = 0; i < COUNTOF(answers); i++) {
		client = client_connect();
		say(client, GET("/"));
		origin = origin_accept(0);
		(void)hear(origin, HEAD_END);
		say(origin, answers[i]);
		close(origin);
		size_t n;
		bool reset;
		char *all = hear_all(client, &n, &reset);
		cr_expect_null(strstr(all, "\r\n0\r\n"), "it must not look whole: %s", all);
		cr_expect(reset);
		free(all);
		close(client);
	}
	RIG_UNTIL(rig_closed(CLOSE_ORIGIN_BROKE) == COUNTOF(answers));
}

Test(failures, an_early_answer_is_passed_on)
{
	size_t n;

	serve(RIG_SITE("", ""));
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nthe beginning");
	origin = origin_accept(0);
	(void)hear(origin, "the beginning");
	say(origin, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	char *all = hear_all(client, &n, NULL);
	cr_expect_eq(strncmp(all + 9, "403", 3), 0, "%s", all);
	cr_expect_not_null(strstr(all, "\r\n\r\nno"));
	free(all);
	cr_expect(hears_end(origin));
	close(client);
	close(origin);
}
