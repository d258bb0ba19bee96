/* test_exchange.c: requests and responses that go well, in all the forms they may have. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

TestSuite(exchange, .init = rig_setup, .fini = rig_teardown);

static int client, origin;

static void
serve(void)
{
	rig_serve(RIG_SITE("", ""));
	client = client_connect();
}

static void
close_both(void)
{
	close(client);
	close(origin);
}

/* Is this line in the head? */
static bool
has_line(const char *head, const char *line)
{
	char with_ends[512];

	(void)snprintf(with_ends, sizeof(with_ends), "\r\n%s\r\n", line);
	return strcasestr(head, with_ends) != NULL;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

static void
expect_rest(int fd, const char *rest)
{
	char bytes[1024] = "";

	hear_bytes(fd, bytes, strlen(rest));
	cr_expect_str_eq(bytes, rest);
}

Test(exchange, a_request_and_its_response)
{
	serve();
	say(client, "GET /path?q=1 HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
		"User-Agent: test\r\n\r\n");
	origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_eq(strncmp(head, "GET /path?q=1 HTTP/1.1\r\n", 24), 0, "%s", head);
	cr_expect(has_line(head, "Host: a.test"), "%s", head);
	cr_expect(has_line(head, "User-Agent: test"));
	cr_expect(has_line(head, "X-Forwarded-For: 127.0.0.1"), "%s", head);
	cr_expect(has_line(head, "X-Forwarded-Proto: http"));
	cr_expect(has_line(head, "X-Forwarded-Host: a.test"));
	cr_expect_null(strstr(head, "203.0.113.9"), "nobody vouches for it");
	cr_expect_null(strstr(head, "X-Hop"));
	say(origin, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\nX-Mine: yes\r\n\r\nhello");
	head = hear(client, HEAD_END);
	cr_expect_eq(strncmp(head, "HTTP/1.1 200 Fine\r\n", 19), 0, "%s", head);
	cr_expect(has_line(head, "Content-Length: 5"));
	cr_expect(has_line(head, "X-Mine: yes"));
	cr_expect_null(strstr(head, "Keep-Alive"));
	expect_rest(client, "hello");
	close_both();
}

Test(exchange, connections_are_kept_on_both_sides)
{
	serve();
	say(client, GET("/1"));
	origin = origin_accept(0);
	for (unsigned i = 0; i < 3; i++) {
		(void)hear(origin, HEAD_END);
		say(origin, OK);
		(void)hear(client, HEAD_END);
		expect_rest(client, "OK");
		/* Back in its pool before the next request is made. */
		RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
		say(client, GET("/again"));
	}
	(void)hear(origin, HEAD_END);
	cr_expect(origin_is_idle(0));
	cr_expect_eq(RIG_COUNT(origin_connections_opened), 1);
	cr_expect_eq(RIG_COUNT(origin_connections_reused), 3);
	cr_expect_eq(RIG_COUNT(requests), 4);
	cr_expect_eq(RIG_COUNT(requests_in_flight), 1);
	close_both();
}

Test(exchange, a_head_in_pieces_does_not_cost_the_connection)
{
	serve();
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.1 200 OK\r\nX-Split: ");
	usleep(20000); /* most likely read on its own */
	say(origin, "here\r\nContent-Length: 2\r\n\r\nOK");
	cr_expect(has_line(hear(client, HEAD_END), "X-Split: here"));
	expect_rest(client, "OK");
	RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
	ask(client, GET("/2"), origin, OK, "200");
	cr_expect_eq(RIG_COUNT(origin_connections_opened), 1);
	close_both();
}

Test(exchange, pipelined_requests_are_answered_in_order)
{
	serve();
	say(client, GET("/1") GET("/2") GET("/3"));
	origin = origin_accept(0);
	for (char i = '1'; i <= '3'; i++) {
		cr_expect_eq(hear(origin, HEAD_END)[5], i);
		char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n#";
		answer[sizeof(answer) - 2] = i;
		say(origin, answer);
	}
	for (char i = '1'; i <= '3'; i++) {
		(void)hear(client, HEAD_END);
		cr_expect_eq(hear(client, (char[]){i, '\0'})[0], i);
	}
	close_both();
}

Test(exchange, pipelined_requests_and_then_the_end)
{
	size_t n;

	serve();
	say(client, GET("/1") GET("/2"));
	cr_assert_eq(shutdown(client, SHUT_WR), 0);
	origin = origin_accept(0);
	for (unsigned i = 0; i < 2; i++) {
		(void)hear(origin, HEAD_END);
		say(origin, OK);
	}
	char *all = hear_all(client, &n, NULL);
	cr_expect_not_null(strstr(all, "OKHTTP/1.1 200"), "%s", all);
	free(all);
	close_both();
}

Test(exchange, chunks_and_trailers_both_ways)
{
	serve();
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n006\r\n world\r\n"
		"0\r\nX-Sum: 11\r\nX-Client-Cert-Verify: SUCCESS\r\n\r\n");
	origin = origin_accept(0);
	cr_expect(has_line(hear(origin, HEAD_END), "Transfer-Encoding: chunked"));
	const char *body = hear(origin, "0\r\nX-Sum: 11\r\n\r\n");
	cr_expect_not_null(strstr(body, "hello"), "%s", body);
	cr_expect_not_null(strstr(body, " world"));
	cr_expect_null(strstr(body, "X-Client-Cert"), "%s", body);
	say(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n");
	cr_expect(has_line(hear(client, HEAD_END), "Transfer-Encoding: chunked"));
	expect_rest(client, "3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n");
	close_both();
}

Test(exchange, responses_without_a_body)
{
	serve();
	say(client, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	cr_expect(has_line(hear(client, HEAD_END), "Content-Length: 1000"));
	/* An origin that sends those 1000 bytes after all must not be asked anything more. */
	free(hear_all(origin, NULL, NULL));
	close(origin);
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.1 204 No Content\r\n\r\n");
	(void)hear(client, HEAD_END);
	ask(client, GET("/"), origin, "HTTP/1.1 204 No Content\r\n\r\n", "204");
	ask(client, GET("/"), origin, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "304");
	ask(client, GET("/"), origin, OK, "200");
	expect_rest(client, "OK");
	close_both();
}

Test(exchange, a_response_that_ends_with_its_connection)
{
	serve();
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
	close(origin);
	cr_expect(has_line(hear(client, HEAD_END), "Transfer-Encoding: chunked"));
	cr_expect_not_null(strstr(hear(client, "0\r\n\r\n"), "until the end"));
	say(client, GET("/2"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	close_both();
}

Test(exchange, a_client_of_http_1_0)
{
	size_t n;
	bool reset;

	serve();
	say(client, "GET / HTTP/1.0\r\n\r\n");
	origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_eq(strncmp(head, "GET / HTTP/1.1\r\n", 16), 0, "%s", head);
	say(origin, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	char *all = hear_all(client, &n, &reset);
	cr_expect_eq(strncmp(all, "HTTP/1.1 200 OK\r\n", 17), 0, "it knows no interim response: %s", all);
	cr_expect(has_line(all, "Connection: close"));
	cr_expect_null(strstr(all, "chunked"));
	cr_expect_not_null(strstr(all, "\r\n\r\nhello"));
	cr_expect_not(reset, "a whole response ends cleanly");
	free(all);
	close_both();
}

Test(exchange, continue_and_other_interim_responses_are_passed_on)
{
	serve();
	say(client, "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	origin = origin_accept(0);
	cr_expect(has_line(hear(origin, HEAD_END), "Expect: 100-continue"));
	say(origin, "HTTP/1.1 100 Continue\r\n\r\n");
	cr_expect_eq(strncmp(hear(client, HEAD_END), "HTTP/1.1 100 ", 13), 0);
	say(client, "hello");
	expect_rest(origin, "hello");
	say(origin, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK);
	cr_expect(has_line(hear(client, HEAD_END), "Link: </x>"));
	cr_expect_eq(strncmp(hear(client, HEAD_END), "HTTP/1.1 200 ", 13), 0);
	close_both();
}

Test(exchange, the_client_asks_for_the_end)
{
	size_t n;
	bool reset;

	serve();
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
	origin = origin_accept(0);
	cr_expect_null(strcasestr(hear(origin, HEAD_END), "close"), "that is between the client and us");
	say(origin, OK);
	char *all = hear_all(client, &n, &reset);
	cr_expect(has_line(all, "Connection: close"));
	cr_expect_not(reset);
	free(all);
	RIG_UNTIL(rig_closed(CLOSE_LAST_REQUEST) == 1);
	close_both();
}

/* --- listeners that do other things ------------------------------------------------------------------------- */

static void
service(struct exchange *x, void *arg)
{
	struct exchange_field field = {SV("X-Service"), sv_cstr(arg)};

	exchange_respond(x, 200, &field, 1, x->request.target);
}

Test(exchange, a_service_answers_itself)
{
	static char name[] = "demo";

	rig_serve_as("{}", service, name, NULL);
	client = client_connect();
	for (unsigned i = 0; i < 3; i++) {
		say(client, GET("/one") GET("/two"));
		cr_expect(has_line(hear(client, HEAD_END), "X-Service: demo"));
		expect_rest(client, "/one");
		(void)hear(client, HEAD_END);
		expect_rest(client, "/two");
	}
	/* A body that it does not want is read and thrown away. */
	say(client, "POST /three HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello" GET("/four"));
	(void)hear(client, HEAD_END);
	expect_rest(client, "/three");
	(void)hear(client, HEAD_END);
	expect_rest(client, "/four");
	close(client);
}

Test(exchange, a_redirecting_listener)
{
	struct conf_listener how = {.redirect = CONF_REDIRECT_HTTPS, .redirect_port = 8443};

	rig_serve_as(RIG_SITE("", ""), NULL, NULL, &how);
	client = client_connect();
	say(client, "GET /a?b=c HTTP/1.1\r\nHost: A.test:8080\r\n\r\n");
	const char *head = hear(client, HEAD_END);
	cr_expect_eq(strncmp(head + 9, "301", 3), 0, "%s", head);
	cr_expect(has_line(head, "Location: https://a.test:8443/a?b=c"), "%s", head);
	say(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
	cr_expect_eq(strncmp(hear(client, HEAD_END) + 9, "308", 3), 0);
	close(client);
}

/* --- reload and drain --------------------------------------------------------------------------------------- */

Test(exchange, a_reload_leaves_requests_in_flight_alone)
{
	serve();
	say(client, GET("/old"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	struct snapshot *old = rig.snapshot;
	rig_serve("{ 'sites': [ { 'names': ['a.test'], 'upstream': 'nodes' } ], 'upstreams': { 'nodes': { 'servers': ['$1'] } } }");
	cr_expect_neq(rig.snapshot, old);
	say(origin, OK);
	cr_expect_eq(strncmp(hear(client, HEAD_END) + 9, "200", 3), 0);
	expect_rest(client, "OK");
	close(origin);
	say(client, GET("/new"));
	origin = origin_accept(1);
	(void)hear(origin, HEAD_END);
	say(origin, OK);
	(void)hear(client, HEAD_END);
	close_both();
}

static void
drain(void *arg)
{
	(void)arg;
	px_thread_drain(rig.thread);
}

Test(exchange, draining_lets_requests_end)
{
	serve();
	int idle = client_connect();
	RIG_UNTIL(RIG_COUNT(connections_open) == 2);
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	rig_call(drain, NULL);
	cr_expect(hears_end(idle));
	close(idle);
	say(origin, OK);
	size_t n;
	char *all = hear_all(client, &n, NULL);
	cr_expect(has_line(all, "Connection: close"));
	free(all);
	RIG_UNTIL(rig_closed(CLOSE_DRAIN) == 1);
	close_both();
}

Test(exchange, the_end_of_the_thread_ends_all)
{
	serve();
	int idle = client_connect(), second = client_connect();
	RIG_UNTIL(RIG_COUNT(connections_open) == 3);
	say(client, GET("/"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(second, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nsome of it");
	int other = origin_accept(0);
	(void)hear(other, HEAD_END);
	/* rig_teardown() frees the thread with all of this under way. */
	close(idle);
	close(second);
	close(other);
	close_both();
}

/* --- limits ------------------------------------------------------------------------------------------------- */

Test(exchange, requests_per_connection)
{
	size_t n;

	rig_serve(RIG_SITE("'limits': { 'requests_per_connection': 2 },", ""));
	client = client_connect();
	say(client, GET("/1"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, OK);
	cr_expect_null(strstr(hear(client, HEAD_END), "close"));
	expect_rest(client, "OK");
	say(client, GET("/2"));
	(void)hear(origin, HEAD_END);
	say(origin, OK);
	char *all = hear_all(client, &n, NULL);
	cr_expect(has_line(all, "Connection: close"), "%s", all);
	free(all);
	close_both();
}

Test(exchange, above_the_limit_of_connections)
{
	size_t n;

	rig.shared.max_connections = 1;
	serve();
	RIG_UNTIL(RIG_COUNT(connections_open) == 1);
	int second = client_connect();
	say(second, GET("/"));
	char *all = hear_all(second, &n, NULL);
	cr_expect_eq(strncmp(all, "HTTP/1.1 503 ", 13), 0, "%s", all);
	free(all);
	close(second);
	RIG_UNTIL(RIG_COUNT(connections_open) == 1);
	cr_expect_eq(RIG_COUNT(connections_refused), 1);
	origin = -1;
	close(client);
	RIG_UNTIL(RIG_COUNT(connections_open) == 0);
	cr_expect_eq(rig.shared.connections, 0);
}

/* --- the log ------------------------------------------------------------------------------------------------ */

static void
log_to(void *arg)
{
	px_thread_log(rig.thread, arg != NULL ? *(int *)arg : -1, CONF_ACCESS_JSON);
}

Test(exchange, a_line_in_the_log)
{
	char line[4096] = "";
	int fd = memfd_create("log", 0);

	serve();
	rig_call(log_to, &fd);
	say(client, GET("/logged"));
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, OK);
	(void)hear(client, HEAD_END);
	expect_rest(client, "OK");
	rig_call(log_to, NULL);
	cr_assert_gt(pread(fd, line, sizeof(line) - 1, 0), 0);
	json_t *json = json_loads(line, 0, NULL);
	cr_assert_not_null(json, "%s", line);
	cr_expect_str_eq(json_string_value(json_object_get(json, "target")), "/logged");
	cr_expect_str_eq(json_string_value(json_object_get(json, "upstream")), "nodes");
	cr_expect_str_eq(json_string_value(json_object_get(json, "server")), rig.origin_text[0]);
	cr_expect_eq(json_integer_value(json_object_get(json, "bytes_out")), 2);
	cr_expect_eq(json_integer_value(json_object_get(json, "tries")), 1);
	json_decref(json);
	close(fd);
	close_both();
}
