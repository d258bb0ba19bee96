#include <criterion/criterion.h>
#include <stdio.h>

#include "pool.h"

static void
begin(struct pool *p)
{
	pool_init(p, CONF_ROUND_ROBIN, WEIGHTS(1, 1, 1));
	p->conf.sticky = (struct conf_sticky){true, "BASCULE", "/"};
	pool_again(p);
}

/* The request now has this Cookie field, as it stands; the text must live on. */
static void
send_cookies(struct pool *p, const char *cookies)
{
	http_head_init(&p->request, false);
	cr_assert(http_head_add(&p->request, SV("Cookie"), sv_cstr(cookies)));
}

/* The request names this server. */
static void
send_value(struct pool *p, const char *value)
{
	static char text[256];

	snprintf(text, sizeof(text), "a=b; BASCULE=%s; c=d", value);
	send_cookies(p, text);
}

static void
expect_always(struct pool *p, int server)
{
	for (int i = 0; i < 6; i++)
		cr_assert_eq(pool_choose(p), server);
}

/* Nobody is favoured: each server comes up. */
static void
expect_balanced(struct pool *p)
{
	static unsigned n[POOL_MAX];

	pool_count(p, 300, n);
	cr_assert(n[0] == 100 && n[1] == 100 && n[2] == 100, "%u %u %u", n[0], n[1], n[2]);
}

Test(sticky, follows_its_server)
{
	struct pool p;

	begin(&p);
	expect_balanced(&p);
	for (int i = 0; i < 3; i++) {
		send_value(&p, upstream_at(p.upstream, (unsigned)i)->sticky);
		expect_always(&p, i);
	}
	pool_end(&p);
}

Test(sticky, values_are_opaque_and_differ)
{
	struct pool p;

	begin(&p);
	for (unsigned i = 0; i < 3; i++) {
		const char *value = upstream_at(p.upstream, i)->sticky;
		cr_expect_eq(strlen(value), STICKY_VALUE);
		cr_expect_eq(strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		    STICKY_VALUE);
		cr_expect_str_neq(value, upstream_at(p.upstream, (i + 1) % 3)->sticky);
	}
	pool_end(&p);
}

Test(sticky, same_on_every_node_with_the_secret)
{
	struct pool p, node, stranger, elsewhere;

	begin(&p);
	begin(&node);
	begin(&stranger);
	begin(&elsewhere);
	stranger.secret.bytes[7] ^= 1;
	pool_again(&stranger);
	elsewhere.conf.name = "api";
	pool_again(&elsewhere);
	for (unsigned i = 0; i < 3; i++) {
		const char *value = upstream_at(p.upstream, i)->sticky;
		cr_expect_str_eq(value, upstream_at(node.upstream, i)->sticky);
		cr_expect_str_neq(value, upstream_at(stranger.upstream, i)->sticky);
		cr_expect_str_neq(value, upstream_at(elsewhere.upstream, i)->sticky);
	}
	send_value(&stranger, upstream_at(p.upstream, 1)->sticky);
	expect_balanced(&stranger);
	pool_end(&p);
	pool_end(&node);
	pool_end(&stranger);
	pool_end(&elsewhere);
}

/* A reload that puts another server first changes positions, not identities. */
Test(sticky, survives_a_reload)
{
	struct pool p;
	char value[STICKY_VALUE + 1];

	begin(&p);
	memcpy(value, upstream_at(p.upstream, 2)->sticky, sizeof(value));
	struct conf_server first = p.servers[0];
	p.servers[0] = p.servers[2];
	p.servers[2] = first;
	pool_again(&p);
	send_value(&p, value);
	expect_always(&p, 0);
	pool_end(&p);
}

Test(sticky, damaged_values_are_no_value)
{
	struct pool p;
	char value[STICKY_VALUE + 2];

	begin(&p);
	for (size_t i = 0; i < STICKY_VALUE; i++) {
		memcpy(value, upstream_at(p.upstream, 1)->sticky, STICKY_VALUE + 1);
		value[i] ^= 1;
		send_value(&p, value);
		expect_balanced(&p);
	}
	memcpy(value, upstream_at(p.upstream, 1)->sticky, STICKY_VALUE + 1);
	value[STICKY_VALUE] = 'A';
	value[STICKY_VALUE + 1] = '\0';
	send_value(&p, value);
	expect_balanced(&p);
	value[STICKY_VALUE - 1] = '\0';
	send_value(&p, value);
	expect_balanced(&p);
	send_value(&p, "");
	expect_balanced(&p);
	send_cookies(&p, "BASCULE");
	expect_balanced(&p);
	pool_end(&p);
}

Test(sticky, moves_on_when_its_server_is_left_out)
{
	struct pool p;

	begin(&p);
	send_value(&p, upstream_at(p.upstream, 1)->sticky);
	pool_eject(&p, 1);
	for (int i = 0; i < 6; i++)
		cr_assert_neq(pool_choose(&p), 1);
	server_succeeded(pool_state(&p, 1), "HTTP/1.1");
	expect_always(&p, 1);
	upstream_mark_tried(&p.tried, 1);
	for (int i = 0; i < 6; i++)
		cr_assert_neq(pool_choose(&p), 1);
	pool_end(&p);
}

Test(sticky, its_server_is_gone)
{
	struct pool p;
	char value[STICKY_VALUE + 1];

	begin(&p);
	memcpy(value, upstream_at(p.upstream, 2)->sticky, sizeof(value));
	p.conf.n_servers = 2;
	pool_again(&p);
	send_value(&p, value);
	cr_expect_eq(pool_choose(&p) + pool_choose(&p), 1, "both in turn");
	pool_end(&p);
}

Test(sticky, cookie)
{
	struct pool p;
	struct sv cookie = SV_NONE;
	char expected[128];

	begin(&p);
	const char *value = upstream_at(p.upstream, 1)->sticky;
	cr_expect(upstream_sticky_cookie(p.upstream, &p.request, 1, true, &cookie));
	snprintf(expected, sizeof(expected), "BASCULE=%s; Path=/; Secure; HttpOnly; SameSite=Lax", value);
	cr_expect(sv_eq(cookie, sv_cstr(expected)), "%.*s", SV_FMT(cookie));
	cr_expect(upstream_sticky_cookie(p.upstream, &p.request, 1, false, &cookie));
	snprintf(expected, sizeof(expected), "BASCULE=%s; Path=/; HttpOnly; SameSite=Lax", value);
	cr_expect(sv_eq(cookie, sv_cstr(expected)), "%.*s", SV_FMT(cookie));
	send_value(&p, value);
	cr_expect_not(upstream_sticky_cookie(p.upstream, &p.request, 1, true, &cookie), "it has it already");
	cr_expect(upstream_sticky_cookie(p.upstream, &p.request, 2, true, &cookie), "it moves on");
	pool_end(&p);
}

Test(sticky, not_asked_for)
{
	struct pool p;
	struct sv cookie;

	pool_begin(&p, CONF_ROUND_ROBIN, WEIGHTS(1, 1, 1));
	cr_expect_str_eq(upstream_at(p.upstream, 0)->sticky, "");
	cr_expect_not(upstream_sticky_cookie(p.upstream, &p.request, 0, true, &cookie));
	pool_end(&p);
}
