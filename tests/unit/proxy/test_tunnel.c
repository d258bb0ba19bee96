/* test_tunnel.c: connections that switch to another protocol. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

static int client, origin;

#define UPGRADE "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void
begin(void)
{
	rig_setup();
	rig_serve(RIG_SITE("", ""));
	client = client_connect();
}

static void
end(void)
{
	close(client);
	close(origin);
	rig_teardown();
}

TestSuite(tunnel, .init = begin, .fini = end);

static void
expect_bytes(int fd, const char *text)
{
	char got[200] = "";

	hear_bytes(fd, got, strlen(text));
	cr_expect_str_eq(got, text);
}

static void
open_tunnel(void)
{
	say(client, UPGRADE);
	origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_not_null(strcasestr(head, "\r\nUpgrade: websocket\r\n"), "%s", head);
	cr_expect_not_null(strcasestr(head, "\r\nConnection: upgrade\r\n"), "%s", head);
	say(origin, SWITCHING);
	head = hear(client, HEAD_END);
	cr_expect_eq(strncmp(head, "HTTP/1.1 101 ", 13), 0, "%s", head);
	cr_expect_not_null(strcasestr(head, "\r\nUpgrade: websocket\r\n"), "%s", head);
	RIG_UNTIL(RIG_COUNT(tunnels_open) == 1);
}

Test(tunnel, bytes_go_both_ways_as_they_are)
{
	open_tunnel();
	for (unsigned i = 0; i < 3; i++) {
		say(client, "\x81\x02GET / HTTP/1.1\r\n\r\n");
		expect_bytes(origin, "\x81\x02GET / HTTP/1.1\r\n\r\n");
		say(origin, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
		expect_bytes(client, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	}
	cr_expect_eq(RIG_COUNT(requests), 1);
}

Test(tunnel, bytes_behind_the_switch_belong_to_it)
{
	say(client, UPGRADE);
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, SWITCHING "welcome");
	(void)hear(client, HEAD_END);
	expect_bytes(client, "welcome");
}

Test(tunnel, a_client_that_could_not_wait)
{
	say(client, UPGRADE "early");
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, SWITCHING);
	expect_bytes(origin, "early");
	say(client, " and more");
	expect_bytes(origin, " and more");
}

Test(tunnel, the_clients_end_reaches_the_origin_and_the_answer_the_client)
{
	open_tunnel();
	say(client, "last words");
	cr_assert_eq(shutdown(client, SHUT_WR), 0);
	expect_bytes(origin, "last words");
	cr_expect(hears_end(origin));
	say(origin, "and an answer");
	close(origin);
	expect_bytes(client, "and an answer");
	cr_expect(hears_end(client));
	RIG_UNTIL(rig_closed(CLOSE_TUNNEL) == 1);
	cr_expect_eq(RIG_COUNT(tunnels_open), 0);
	origin = -1;
}

Test(tunnel, the_origins_end_reaches_the_client)
{
	open_tunnel();
	say(origin, "bye");
	close(origin);
	expect_bytes(client, "bye");
	cr_expect(hears_end(client));
	origin = -1;
}

Test(tunnel, the_origins_end_leaves_the_other_direction_open)
{
	open_tunnel();
	say(origin, "bye");
	cr_assert_eq(shutdown(origin, SHUT_WR), 0);
	expect_bytes(client, "bye");
	cr_expect(hears_end(client));
	for (int i = 0; i < 3; i++) {
		say(client, "not yet");
		expect_bytes(origin, "not yet");
	}
	cr_expect_eq(RIG_COUNT(tunnels_open), 1);
	cr_assert_eq(shutdown(client, SHUT_WR), 0);
	cr_expect(hears_end(origin));
	RIG_UNTIL(rig_closed(CLOSE_TUNNEL) == 1);
	cr_expect_eq(RIG_COUNT(tunnels_open), 0);
}

struct seen {
	uint64_t read; /* of the client */
	size_t pending; /* to the origin */
	bool ended;
};

static void
look(void *arg)
{
	const struct client *c = LIST_FIRST(&rig.thread->clients);
	const struct exchange *x = c != NULL ? c->h1.exchange : NULL;

	*(struct seen *)arg = x != NULL ? (struct seen){x->body_in, x->back->pending(x), x->client_ended} : (struct seen){.ended = true};
}

static struct seen
seen(void)
{
	struct seen s;

	rig_call(look, &s);
	return s;
}

/* Both have ended, and what the client said last still waits for the origin to take it. */
Test(tunnel, it_ends_when_the_origin_has_taken_all)
{
	static const char block[16 * 1024];
	uint64_t said = 0;
	bool reset;
	size_t n;

	open_tunnel();
	cr_assert_eq(shutdown(origin, SHUT_WR), 0);
	cr_expect(hears_end(client));
	while (seen().pending == 0) {
		say_bytes(client, block, sizeof(block));
		said += sizeof(block);
		RIG_UNTIL(seen().read == said);
	}
	cr_assert_eq(shutdown(client, SHUT_WR), 0);
	RIG_UNTIL(seen().ended);
	free(hear_all(origin, &n, &reset));
	cr_expect_eq(n, said);
	cr_expect_not(reset);
	RIG_UNTIL(rig_closed(CLOSE_TUNNEL) == 1);
}

/* As most do: it does not wait for what the client may still have to say. */
Test(tunnel, an_origin_that_has_left_is_no_failure)
{
	open_tunnel();
	say(origin, "bye");
	close(origin);
	origin = -1;
	expect_bytes(client, "bye");
	cr_expect(hears_end(client));
	for (uint64_t since = rig_now(); RIG_COUNT(tunnels_open) == 1; rig_expect_soon(since, "the end of the tunnel"))
		say(client, "but"); /* until a reset has answered the first */
	RIG_UNTIL(rig_closed(CLOSE_TUNNEL) == 1);
	cr_expect_eq(RIG_COUNT(origin_failures), 0);
}

Test(tunnel, the_connection_goes_to_no_pool)
{
	open_tunnel();
	close(client);
	client = -1;
	cr_expect(hears_end(origin));
	close(origin);
	origin = -1;
	RIG_UNTIL(RIG_COUNT(connections_open) == 0);
	cr_expect_eq(RIG_COUNT(origin_connections_idle), 0);
	cr_expect_eq(RIG_COUNT(tunnels_open), 0);
}

Test(tunnel, an_origin_that_does_not_want_to)
{
	say(client, UPGRADE);
	origin = origin_accept(0);
	(void)hear(origin, HEAD_END);
	say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	(void)hear(client, HEAD_END);
	expect_bytes(client, "no");
	RIG_UNTIL(RIG_COUNT(origin_connections_idle) == 1);
	ask(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", origin, "HTTP/1.1 204 No Content\r\n\r\n", "204");
}

Test(tunnel, without_connection_upgrade_nothing_is_switched)
{
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n");
	origin = origin_accept(0);
	cr_expect_null(strcasestr(hear(origin, HEAD_END), "upgrade"));
	say(origin, SWITCHING);
	cr_expect_eq(strncmp(hear(client, HEAD_END), "HTTP/1.1 502 ", 13), 0);
}

Test(tunnel, http_2_in_clear_is_not_switched_to)
{
	say(client, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
	origin = origin_accept(0);
	const char *head = hear(origin, HEAD_END);
	cr_expect_null(strcasestr(head, "h2c"), "%s", head);
	cr_expect_null(strcasestr(head, "http2-settings"), "%s", head);
}
