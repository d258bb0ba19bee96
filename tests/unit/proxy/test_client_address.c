#include <criterion/criterion.h>
#include <stdio.h>

#include "proxy/client.h"

static struct net_cidr trusted[4];
static struct snapshot snapshot = {.trusted = {.v = trusted}};
static struct px_view view = {.snapshot = &snapshot, .refs = 1};
static struct client client;
static struct exchange x = {.view = &view, .client = &client};

static void
trust(const char *network)
{
	cr_assert(net_cidr_parse(sv_cstr(network), &trusted[snapshot.trusted.n++], NULL));
}

/* A request from `peer` with these X-Forwarded-For lines, up to a NULL. */
static void
from(const char *peer, const char *const *lines)
{
	char text[NET_ADDRESS_TEXT];

	(void)snprintf(text, sizeof(text), strchr(peer, ':') != NULL ? "[%s]:1" : "%s:1", peer);
	struct net_address a;
	cr_assert(net_address_parse(sv_cstr(text), &a, NULL));
	client.from = net_ip_of(&a);
	net_address_text(&a, false, text);
	(void)snprintf(client.address_text, sizeof(client.address_text), "%s", text);
	client.address_n = (uint8_t)strlen(client.address_text);
	http_head_init(&x.request, false);
	for (; *lines != NULL; lines++)
		cr_assert(http_head_add(&x.request, SV("X-Forwarded-For"), sv_cstr(*lines)));
}

#define EXPECT_CLIENT(want, peer, ...)                                                               \
	do {                                                                                         \
		from(peer, (const char *const[]){__VA_ARGS__, NULL});                                \
		struct sv is = exchange_client_address(&x);                                          \
		cr_expect(sv_eq(is, sv_cstr(want)), "%.*s is not %s", SV_FMT(is), want);             \
	} while (0)

Test(client_address, nobody_is_believed_by_default)
{
	EXPECT_CLIENT("192.0.2.7", "192.0.2.7", NULL);
	EXPECT_CLIENT("192.0.2.7", "192.0.2.7", "203.0.113.1");
	EXPECT_CLIENT("2001:db8::7", "2001:db8::7", "203.0.113.1");
}

Test(client_address, only_a_trusted_peer_is_believed)
{
	trust("10.0.0.0/8");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "203.0.113.1");
	EXPECT_CLIENT("192.0.2.7", "192.0.2.7", "203.0.113.1");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", NULL);
	EXPECT_CLIENT("203.0.113.1", "::ffff:10.0.0.1", "203.0.113.1");
}

Test(client_address, the_first_from_the_right_that_is_not_trusted)
{
	trust("10.0.0.0/8");
	trust("2001:db8:1::/48");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66, 203.0.113.1");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66, 203.0.113.1, 10.9.9.9");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66,203.0.113.1,2001:db8:1::5,10.9.9.9");
	EXPECT_CLIENT("2001:db8:2::1", "10.0.0.1", "127.0.0.1, \t2001:db8:2::1 , 10.2.3.4 ");
	EXPECT_CLIENT("10.3.3.3", "10.0.0.1", "10.3.3.3, 10.2.2.2");
}

Test(client_address, what_is_no_address_ends_the_search)
{
	trust("10.0.0.0/8");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", ",");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "unknown");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "203.0.113.1, unknown");
	EXPECT_CLIENT("10.2.2.2", "10.0.0.1", "203.0.113.1, _hidden, 10.2.2.2");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "203.0.113.1,");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "203.0.113.1:1234");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "[2001:db8::1]");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "203.0.113.1 10.0.0.2");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "unix:/x");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "\" forged");
}

Test(client_address, an_entry_of_any_length)
{
	char line[5000];

	trust("10.0.0.0/8");
	memset(line, '1', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", line);
}

/* Several lines are one list (RFC 9110, 5.3); some proxies add a line of their own behind the client's. */
Test(client_address, the_last_line_is_the_nearest)
{
	trust("10.0.0.0/8");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66", "203.0.113.1");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66, 203.0.113.1", "10.4.4.4");
	EXPECT_CLIENT("203.0.113.1", "10.0.0.1", "198.51.100.66", "203.0.113.1", "10.4.4.4, 10.5.5.5");
	EXPECT_CLIENT("10.0.0.1", "10.0.0.1", "198.51.100.66", "");
	EXPECT_CLIENT("10.5.5.5", "10.0.0.1", "203.0.113.1", "nobody", "10.5.5.5");
}

Test(client_address, our_own_entry_changes_nothing)
{
	trust("10.0.0.0/8");
	from("10.0.0.1", (const char *const[]){"198.51.100.66, 203.0.113.1", NULL});
	cr_assert(http_head_add_id(&x.request, HTTP_X_FORWARDED_FOR, client_address(&client)));
	cr_expect(sv_eq(exchange_client_address(&x), SV("203.0.113.1")));
}
