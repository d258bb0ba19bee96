/* What a good config becomes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "conf/keys.h"
#include "try.h"

TRY_SUITE(conf_load);

static const struct conf *
loaded(const char *text)
{
	try_text(&t, text);
	cr_assert_str_eq(t.text, "");
	return t.conf;
}

static const struct conf *
loaded_more(const char *rest)
{
	char text[8192];

	(void)snprintf(text, sizeof(text), TRY_BEGIN "%s }", rest);
	return loaded(text);
}

Test(conf_load, defaults)
{
	const struct conf *c = loaded("{ \"listeners\": [ { \"address\": \"*:80\", \"redirect\": \"https\" } ] }");

	cr_expect_null(c->user);
	cr_expect_null(c->group);
	cr_expect_null(c->pid_file);
	cr_expect_null(c->secret_file);
	cr_expect_null(c->admin_socket);
	cr_expect_eq(c->threads, 0);
	cr_expect_eq(c->connections, 0);
	cr_expect_eq(c->drain, 30 * SECOND);
	cr_expect_eq(c->trusted_proxies.n, 0);
	cr_expect_null(c->log.error);
	cr_expect_null(c->log.access);
	cr_expect_eq(c->log.level, LOG_NOTICE);
	cr_expect_eq(c->log.format, CONF_ACCESS_JSON);
	cr_expect(c->reload.watch);
	cr_expect_eq(c->reload.poll, 10 * SECOND);
	cr_expect_eq(c->reload.policy, CONF_RELOAD_EACH);
	cr_expect_str_eq(c->tls.min_version, "1.2");
	cr_expect_null(c->tls.ciphers);
	cr_expect_null(c->tls.ciphersuites);
	cr_expect_null(c->tls.groups);
	cr_expect_eq(c->tls.ticket_lifetime, 12 * HOUR);
	cr_expect_eq(c->limits.head_bytes, 32 * KIB);
	cr_expect_eq(c->limits.fields, 100);
	cr_expect_eq(c->limits.body_bytes, 0);
	cr_expect_eq(c->limits.requests_per_connection, 0);
	cr_expect_eq(c->timeouts.handshake, 10 * SECOND);
	cr_expect_eq(c->timeouts.head, 10 * SECOND);
	cr_expect_eq(c->timeouts.body, 30 * SECOND);
	cr_expect_eq(c->timeouts.idle, 75 * SECOND);
	cr_expect_eq(c->timeouts.send, 30 * SECOND);
	cr_expect_eq(c->timeouts.connect, 5 * SECOND);
	cr_expect_eq(c->timeouts.response, 60 * SECOND);
	cr_expect_eq(c->timeouts.response_body, 60 * SECOND);
	cr_expect_eq(c->timeouts.tunnel, HOUR);
	cr_assert_eq(c->n_listeners, 1);
	cr_expect_not(c->listeners[0].tls);
	cr_expect_eq(c->listeners[0].redirect_port, 443);
	cr_expect_eq(c->listeners[0].backlog, 4096);
	cr_assert_eq(c->files.n, 1);
	cr_expect_str_eq(c->files.v[0], try_path(&t, "c.json"));
}

Test(conf_load, top)
{
	const struct conf *c = loaded_more(
	    "\"$schema\": \"schema.json\", \"user\": \"www\", \"group\": \"web\", \"threads\": 4, \"connections\": 1000, \"pid_file\": \"/p\",\n"
	    "\"secret_file\": \"s\", \"trusted_proxies\": [ \"10.0.0.0/8\", \"::1\" ], \"drain_timeout\": 0,\n"
	    "\"log\": { \"error\": \"./e.log\", \"level\": \"debug\", \"access\": \"../a.log\", \"format\": \"combined\" },\n"
	    "\"admin\": { \"socket\": \"admin.sock\" }, \"reload\": { \"watch\": false, \"poll\": 0, \"policy\": \"all_or_nothing\" },\n"
	    "\"tls\": { \"min_version\": \"1.3\", \"ciphers\": \"A\", \"ciphersuites\": \"B\", \"groups\": \"C\", \"ticket_lifetime\": \"1h\" },\n"
	    "\"limits\": { \"head_bytes\": \"16k\", \"fields\": 50, \"body_bytes\": 7, \"requests_per_connection\": 9 },\n"
	    "\"timeouts\": { \"handshake\": \"1s\", \"head\": \"2s\", \"body\": \"3s\", \"idle\": \"4s\", \"send\": \"5s\", \"connect\": \"6s\",\n"
	    "              \"response\": \"7s\", \"response_body\": \"8s\", \"tunnel\": \"9s\" }");

	cr_expect_str_eq(c->user, "www");
	cr_expect_str_eq(c->group, "web");
	cr_expect_eq(c->threads, 4);
	cr_expect_eq(c->connections, 1000);
	cr_expect_str_eq(c->pid_file, "/p");
	cr_expect_str_eq(c->secret_file, try_path(&t, "s"));
	cr_assert_eq(c->trusted_proxies.n, 2);
	cr_expect_str_eq(c->trusted_proxies.v[0], "10.0.0.0/8");
	cr_expect_str_eq(c->trusted_proxies.v[1], "::1");
	cr_expect_eq(c->drain, 0);
	cr_expect_str_eq(c->log.error, try_path(&t, "e.log"));
	cr_expect_str_eq(c->log.access, try_path(&t, "../a.log"));
	cr_expect_eq(c->log.level, LOG_DEBUG);
	cr_expect_eq(c->log.format, CONF_ACCESS_COMBINED);
	cr_expect_str_eq(c->admin_socket, try_path(&t, "admin.sock"));
	cr_expect_not(c->reload.watch);
	cr_expect_eq(c->reload.poll, 0);
	cr_expect_eq(c->reload.policy, CONF_RELOAD_ALL_OR_NOTHING);
	cr_expect_str_eq(c->tls.min_version, "1.3");
	cr_expect_str_eq(c->tls.ciphers, "A");
	cr_expect_str_eq(c->tls.ciphersuites, "B");
	cr_expect_str_eq(c->tls.groups, "C");
	cr_expect_eq(c->tls.ticket_lifetime, HOUR);
	cr_expect_eq(c->limits.head_bytes, 16 * KIB);
	cr_expect_eq(c->limits.fields, 50);
	cr_expect_eq(c->limits.body_bytes, 7);
	cr_expect_eq(c->limits.requests_per_connection, 9);
	const uint64_t *timeouts = &c->timeouts.handshake;
	for (uint64_t i = 0; i < 9; i++)
		cr_expect_eq(timeouts[i], (i + 1) * SECOND, "timeout %lu", (unsigned long)i);
}

Test(conf_load, listeners_and_bundles)
{
	const struct conf *c = loaded(
	    "{ \"listeners\": [ { \"address\": \"127.0.0.1:8443\", \"tls\": true, \"backlog\": 7 },\n"
	    "  { \"address\": \"*:80\", \"redirect\": \"https\", \"redirect_port\": 8443 }, { \"address\": \"unix:/run/X\" } ],\n"
	    "\"bundles\": { \"z\": { \"certificate\": \"c\", \"key\": \"/k\", \"chain\": \"h\" }, \"a\": { \"combined\": \"c\" },\n"
	    "  \"m\": { \"pkcs12\": \"c\", \"password_file\": \"p\" }, \"*\": { \"directory\": \"d/\" } },\n"
	    "\"sites\": [ { \"default\": true, \"upstream\": \"u\" } ], \"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } } }");

	cr_assert_eq(c->n_listeners, 3);
	cr_expect_str_eq(c->listeners[0].address, "127.0.0.1:8443");
	cr_expect(c->listeners[0].tls);
	cr_expect_eq(c->listeners[0].backlog, 7);
	cr_expect_eq(c->listeners[0].redirect, CONF_REDIRECT_NONE);
	cr_expect_eq(c->listeners[1].redirect, CONF_REDIRECT_HTTPS);
	cr_expect_eq(c->listeners[1].redirect_port, 8443);
	cr_expect_eq(c->listeners[1].at.line, 2);
	cr_expect_eq(c->listeners[1].at.column, 3);
	cr_expect_str_eq(c->listeners[1].at.file, try_path(&t, "c.json"));
	cr_expect_str_eq(c->listeners[2].address, "unix:/run/X");
	cr_assert_eq(c->n_bundles, 4);
	const struct conf_bundle *z = conf_bundle(c, "z"), *m = conf_bundle(c, "m"), *d = conf_bundle(c, "*");
	cr_assert(z != NULL && m != NULL && d != NULL && conf_bundle(c, "a") != NULL);
	cr_expect_null(conf_bundle(c, "b"));
	cr_expect_str_eq(z->certificate, try_path(&t, "c"));
	cr_expect_str_eq(z->chain, try_path(&t, "h"));
	cr_expect_str_eq(z->key, "/k");
	cr_expect_null(z->combined);
	cr_expect_str_eq(m->pkcs12, try_path(&t, "c"));
	cr_expect_str_eq(m->password_file, try_path(&t, "p"));
	cr_expect_str_eq(d->directory, try_path(&t, "d/"));
}

static const char site_text[] =
    "\"bundles\": { \"b\": { \"combined\": \"b\" }, \"e\": { \"combined\": \"e\" } },\n"
    "\"sites\": [ { \"names\": [ \"Shop.Example\", \"*.shop.example\" ], \"bundle\": [ \"e\", \"b\" ],\n"
    "  \"client_certificate\": { \"mode\": \"optional\", \"pins\": [ { \"ca\": \"1\" }, { \"ca\": \"2\" } ], \"crls\": \"l\",\n"
    "    \"crl_check\": \"chain\", \"depth\": 0 },\n"
    "  \"routes\": [\n"
    "    { \"path\": \"^/a\", \"host\": \"h\", \"methods\": [ \"GET\", \"PUT\" ], \"headers\": { \"X\": \"x\", \"Y\": \"\" }, \"upstream\": \"v\",\n"
    "      \"rewrite\": \"/$1\", \"request_headers\": { \"set\": { \"A\": \"${host}\" }, \"remove\": [ \"B\", \"C\" ] },\n"
    "      \"response_headers\": { \"remove\": \"D\" } },\n"
    "    {} ],\n"
    "  \"upstream\": \"u\", \"response_headers\": { \"set\": { \"E\": \"\" } } } ],\n"
    "\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] }, \"v\": { \"servers\": [ \"h:1\" ] } }";

Test(conf_load, rotation)
{
	const struct conf *c = loaded_more("\"bundles\": { \"none\": { \"combined\": \"a\" }, "
	    "\"one\": { \"combined\": \"b\", \"rotation\": { \"accept\": \"weaker-key\", \"fresh\": \"90s\" } }, "
	    "\"two\": { \"directory\": \"d\", \"rotation\": { \"accept\": [ \"too-fresh\", \"lost-names\" ] } } }");

	cr_expect_eq(conf_bundle(c, "none")->rotation.accept, 0);
	cr_expect_eq(conf_bundle(c, "none")->rotation.fresh, 0);
	cr_expect_eq(conf_bundle(c, "one")->rotation.accept, 1u << CONF_WEAKER_KEY);
	cr_expect_eq(conf_bundle(c, "one")->rotation.fresh, 90 * SECOND);
	cr_expect_eq(conf_bundle(c, "two")->rotation.accept, 1u << CONF_TOO_FRESH | 1u << CONF_LOST_NAMES);
}

Test(conf_load, sites)
{
	const struct conf *c = loaded_more(site_text);

	cr_assert_eq(c->n_sites, 1);
	const struct conf_site *s = &c->sites[0];
	cr_expect_eq(s->at.line, 3);
	cr_expect_eq(s->at.column, 12);
	cr_expect_not(s->is_default);
	cr_assert_eq(s->names.n, 2);
	cr_expect_str_eq(s->names.v[0], "shop.example");
	cr_expect_str_eq(s->names.v[1], "*.shop.example");
	cr_assert_eq(s->bundles.n, 2);
	cr_expect_str_eq(s->bundles.v[0], "e");
	cr_expect_eq(s->client.mode, CONF_CLIENT_OPTIONAL);
	cr_assert_eq(s->client.n_pins, 2);
	cr_expect_str_eq(s->client.pins[1].ca, try_path(&t, "2"));
	cr_assert_eq(s->client.crls.n, 1);
	cr_expect_str_eq(s->client.crls.v[0], try_path(&t, "l"));
	cr_expect_eq(s->client.crl_check, CONF_CRL_CHAIN);
	cr_expect_eq(s->client.depth, 0);
	cr_expect_str_eq(s->upstream, "u");
	cr_assert_eq(s->response_headers.n_set, 1);
	cr_expect_str_eq(s->response_headers.set[0].name, "E");
	cr_expect_str_eq(s->response_headers.set[0].value, "");
	cr_expect_eq(s->request_headers.n_set, 0);
}

Test(conf_load, routes)
{
	const struct conf *c = loaded_more(site_text);

	cr_assert_eq(c->sites[0].n_routes, 2);
	const struct conf_route *r = &c->sites[0].routes[0];
	cr_expect_eq(r->at.line, 7);
	cr_expect_str_eq(r->path, "^/a");
	cr_expect_str_eq(r->host, "h");
	cr_assert_eq(r->methods.n, 2);
	cr_expect_str_eq(r->methods.v[1], "PUT");
	cr_assert_eq(r->n_headers, 2);
	cr_expect_str_eq(r->headers[0].name, "X");
	cr_expect_str_eq(r->headers[0].pattern, "x");
	cr_expect_str_eq(r->headers[1].pattern, "");
	cr_expect_str_eq(r->upstream, "v");
	cr_expect_str_eq(r->rewrite, "/$1");
	cr_assert_eq(r->request_headers.n_set, 1);
	cr_expect_str_eq(r->request_headers.set[0].value, "${host}");
	cr_assert_eq(r->request_headers.remove.n, 2);
	cr_expect_str_eq(r->request_headers.remove.v[1], "C");
	cr_expect_eq(r->response_headers.remove.n, 1);
	cr_expect_null(r[1].path);
	cr_expect_null(r[1].upstream);
}

Test(conf_load, upstreams)
{
	const struct conf *c = loaded_more(
	    "\"bundles\": { \"b\": { \"combined\": \"b\" } }, \"upstreams\": { \"z\": { \"servers\": [ \"H:1\", { \"address\": \"[::1]:2\", \"weight\": 9 } ],\n"
	    "  \"tls\": { \"ca\": \"ca\", \"pin\": \"sha256/r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=\", \"name\": \"N\", \"bundle\": \"b\" },\n"
	    "  \"balance\": \"least_requests\", \"sticky\": {}, \"eject\": { \"failures\": 0, \"time\": \"1m\" }, \"host\": \"server\",\n"
	    "  \"idle_connections\": 0, \"idle_time\": \"3s\", \"tries\": 1 }, \"a\": { \"servers\": [ \"h:1\" ] } }");
	const struct conf_upstream *z = conf_upstream(c, "z"), *a = conf_upstream(c, "a");

	cr_assert(z != NULL && a != NULL);
	cr_expect_null(conf_upstream(c, "y"));
	cr_assert_eq(z->n_servers, 2);
	cr_expect_str_eq(z->servers[0].address, "h:1");
	cr_expect_eq(z->servers[0].weight, 1);
	cr_expect_eq(z->servers[0].at.column, 77);
	cr_expect_str_eq(z->servers[1].address, "[::1]:2");
	cr_expect_eq(z->servers[1].weight, 9);
	cr_expect(z->tls.present);
	cr_expect(z->tls.verify);
	cr_expect_eq(z->tls.at.line, 3);
	cr_expect_str_eq(z->tls.ca, try_path(&t, "ca"));
	cr_expect_eq(z->tls.pins.n, 1);
	cr_expect_str_eq(z->tls.name, "n");
	cr_expect_str_eq(z->tls.bundle, "b");
	cr_expect_eq(z->balance, CONF_LEAST_REQUESTS);
	cr_expect(z->sticky.present);
	cr_expect_str_eq(z->sticky.cookie, "BASCULE");
	cr_expect_str_eq(z->sticky.path, "/");
	cr_expect_eq(z->eject.failures, 0);
	cr_expect_eq(z->eject.time, MINUTE);
	cr_expect_eq(z->host, CONF_HOST_SERVER);
	cr_expect_eq(z->idle_connections, 0);
	cr_expect_eq(z->idle_time, 3 * SECOND);
	cr_expect_eq(z->tries, 1);
	cr_expect_not(a->tls.present);
	cr_expect(a->tls.verify);
	cr_expect_not(a->sticky.present);
	cr_expect_eq(a->balance, CONF_ROUND_ROBIN);
	cr_expect_eq(a->eject.failures, 3);
	cr_expect_eq(a->eject.time, 10 * SECOND);
	cr_expect_eq(a->host, CONF_HOST_PASS);
	cr_expect_eq(a->idle_connections, 256);
	cr_expect_eq(a->idle_time, 60 * SECOND);
	cr_expect_eq(a->tries, 3);
}

Test(conf_load, levels_inherit)
{
	const struct conf *c = loaded_more(
	    "\"limits\": { \"fields\": 10, \"body_bytes\": 1 }, \"timeouts\": { \"response\": \"1s\" },\n"
	    "\"sites\": [ { \"names\": \"a\", \"upstream\": \"u\", \"limits\": { \"body_bytes\": 0 }, \"timeouts\": { \"idle\": \"2s\" },\n"
	    "  \"routes\": [ { \"path\": \"x\", \"limits\": { \"fields\": 30 }, \"timeouts\": { \"response\": \"3s\" } }, { \"path\": \"y\" } ] },\n"
	    "  { \"names\": \"b\", \"upstream\": \"u\" } ], \"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }");
	const struct conf_site *a = &c->sites[0], *b = &c->sites[1];

	cr_expect_eq(a->limits.fields, 10);
	cr_expect_eq(a->limits.body_bytes, 0, "0 is given, not absent");
	cr_expect_eq(a->limits.head_bytes, 32 * KIB);
	cr_expect_eq(a->timeouts.response, SECOND);
	cr_expect_eq(a->timeouts.idle, 2 * SECOND);
	cr_expect_eq(a->routes[0].limits.fields, 30);
	cr_expect_eq(a->routes[0].limits.body_bytes, 0);
	cr_expect_eq(a->routes[0].timeouts.response, 3 * SECOND);
	cr_expect_eq(a->routes[0].timeouts.idle, 2 * SECOND);
	cr_expect_eq(a->routes[1].limits.fields, 10);
	cr_expect_eq(a->routes[1].timeouts.response, SECOND);
	cr_expect_eq(b->limits.body_bytes, 1);
	cr_expect_eq(b->timeouts.idle, 75 * SECOND);
}

Test(conf_load, what_needs_a_restart)
{
	struct conf old = {.threads = 1, .user = "a", .drain = 1}, new = old;
	char keys[64];

	conf_needs_restart(&old, &new, keys, sizeof(keys));
	cr_expect_str_eq(keys, "");
	new.drain = 2; /* takes effect at once */
	new.user = (char[]){"a"};
	conf_needs_restart(&old, &new, keys, sizeof(keys));
	cr_expect_str_eq(keys, "");
	new.user = NULL;
	new.threads = 2;
	new.admin_socket = "/x";
	conf_needs_restart(&old, &new, keys, sizeof(keys));
	cr_expect_str_eq(keys, "user, threads, admin.socket");
	conf_needs_restart(&old, &new, keys, 8);
	cr_expect_str_eq(keys, "user, t");
}

/* Ten thousand sites, bundles and routes on one line: nothing in the loader may grow with the square of them. */
Test(conf_load, many)
{
	enum { MANY = 10000 };
	struct buf b;

	buf_init(&b, 8 << 20);
	cr_assert(buf_printf(&b, "{ \"listeners\": [ { \"address\": \"*:1\", \"tls\": true } ], \"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] } }, \"bundles\": { "));
	for (int i = 0; i < MANY; i++)
		cr_assert(buf_printf(&b, "%s\"b%d\": { \"combined\": \"%d.pem\" }", i > 0 ? ", " : "", i, i));
	cr_assert(buf_printf(&b, " }, \"sites\": [ "));
	for (int i = 0; i < MANY; i++)
		cr_assert(buf_printf(&b, "%s{ \"names\": [ \"s%d.x\", \"*.s%d.x\" ], \"bundle\": \"b%d\", \"routes\": [ { \"path\": \"/\", \"upstream\": \"u\" } ] }",
		    i > 0 ? ", " : "", i, i, i));
	cr_assert(buf_append(&b, " ] }", 5)); /* with its NUL */
	loaded(b.data);
	cr_assert_eq(t.conf->n_sites, MANY);
	cr_assert_eq(t.conf->n_bundles, MANY);
	cr_expect_str_eq(t.conf->sites[MANY - 1].bundles.v[0], "b9999");
	cr_expect_not_null(conf_bundle(t.conf, "b9999"));
	cr_expect_eq(t.conf->sites[MANY - 1].at.line, 1);
	cr_expect_eq(t.conf->sites[MANY - 1].at.column, strstr(b.data, "{ \"names\": [ \"s9999.x\"") - b.data + 1);
	buf_clear(&b);
}

/* --- for those who find faults later --- */

static void
expect_place(const struct conf_where *at, const void *field, unsigned line, unsigned column)
{
	struct conf_where found = conf_place(at, field);

	cr_expect_str_eq(found.file, try_path(&t, "c.json"));
	cr_expect_eq(found.line, line, "line %u, not %u", found.line, line);
	cr_expect_eq(found.column, column, "column %u, not %u", found.column, column);
}

Test(conf_load, every_value_has_its_place)
{
	const struct conf *c = loaded_more("\"trusted_proxies\": [ \"::1\", \"10.0.0.0/8\" ],\n"
		"\"upstreams\": { \"z\": { \"servers\": [ \"h:1\" ] }, \"a\": { \"balance\": \"round_robin\", \"servers\": [ \"h:1\" ] } },\n"
		"\"sites\": [ { \"names\": [ \"a\", \"b\" ], \"upstream\": \"z\", \"routes\": [\n"
		"{ \"headers\": { \"X\": \"y\" }, \"path\": \"p\", \"request_headers\": { \"set\": { \"A\": \"b\" } } } ] } ]");
	const struct conf_route *r = &c->sites[0].routes[0];

	expect_place(&c->at, &c->trusted_proxies.v[1], 2, 29);
	expect_place(&c->sites[0].at, &c->sites[0].names.v[1], 4, 30);
	expect_place(&r->at, &r->path, 5, 36);
	expect_place(&r->at, &r->headers[0], 5, 21);
	expect_place(&r->at, &r->request_headers.set[0], 5, 76);
	expect_place(&r->at, &r->host, 5, 1); /* not given: the object */
	const struct conf_upstream *a = conf_upstream(c, "a");
	expect_place(&a->at, &a->balance, 3, 65);
	cr_expect_eq(conf_place(&c->at, &c->user).line, 0, "the whole file");
}

/* What has a fault is left out; what is right stays, and so do values beside a fault. */
Test(conf_load, what_is_sound_of_a_config_at_fault)
{
	struct conf_problems problems;

	try_write(&t, "c.json", TRY_BEGIN
		"\"threads\": \"many\", \"drain_timeout\": \"5s\",\n"
		"\"bundles\": { \"good\": { \"combined\": \"g\" }, \"bad\": { \"combind\": \"b\" } },\n"
		"\"sites\": [ { \"names\": \"a\", \"upstream\": \"u\" }, { \"names\": \"b..c\", \"upstream\": \"u\" },\n"
		"  { \"names\": \"d\", \"upstream\": \"nowhere\" }, { \"names\": \"e\", \"routes\": [ { \"path\": 5, \"upstream\": \"u\" } ] } ],\n"
		"\"upstreams\": { \"u\": { \"servers\": [ \"h:1\" ] }, \"v\": { \"servers\": [ \"h\" ] } } }");
	conf_problems_init(&problems);
	struct conf *c = conf_load_sound(files_direct(), try_path(&t, "c.json"), &problems);
	cr_assert_not_null(c);
	cr_expect_eq(problems.errors, 6, "each is told once: %.*s", SV_FMT(buf_view(&problems.text)));
	cr_expect_eq(c->drain, 5 * SECOND);
	cr_expect_eq(c->n_listeners, 1);
	cr_expect_eq(c->n_bundles, 1);
	cr_expect_not_null(conf_bundle(c, "good"));
	cr_expect_null(conf_bundle(c, "bad"));
	cr_assert_eq(c->n_sites, 1);
	cr_expect_str_eq(c->sites[0].names.v[0], "a");
	expect_place(&c->sites[0].at, &c->sites[0].names.v[0], 4, 23);
	cr_expect_eq(c->n_upstreams, 1);
	cr_expect_not_null(conf_upstream(c, "u"));
	conf_free(c);
	try_write(&t, "c.json", "{ \"threads\": 1");
	cr_expect_null(conf_load_sound(files_direct(), try_path(&t, "c.json"), &problems));
	conf_problems_free(&problems);
}

/* --- the admin socket of a config that may be broken --- */

static void
expect_socket(const char *text, const char *expected)
{
	struct arena arena = ARENA_EMPTY;
	struct conf_problems problems;

	conf_problems_init(&problems);
	try_write(&t, "c.json", text);
	const char *found = conf_find_admin_socket(files_direct(), try_path(&t, "c.json"), &arena, &problems);
	if (expected == NULL)
		cr_expect_null(found, "%s: found %s", text, found);
	else
		cr_expect(found != NULL && strcmp(found, expected) == 0, "%s: found %s", text, found != NULL ? found : "none");
	arena_free(&arena);
	conf_problems_free(&problems);
}

Test(conf_load, the_admin_socket_is_found_however_broken_the_rest)
{
	char relative[600], *at = relative;

	at += snprintf(relative, sizeof(relative), "%s", try_path(&t, "x.sock"));
	cr_assert_lt((size_t)(at - relative), sizeof(relative));
	expect_socket("{ \"admin\": { \"socket\": \"/run/a\" } }", "/run/a");
	expect_socket("{ \"threads\": \"many\", \"admin\": { \"sockt\": 1, \"socket\": \"./x.sock\" } }", relative);
	expect_socket("{ \"threads\": 1,, \"admin\": { \"socket\": \"/run/a\" }", "/run/a");
	expect_socket("{ \"admin\": { // \"socket\": \"/run/old\"\n\"socket\" : \"/run/a\"", "/run/a");
	expect_socket("{ \"threads\": 1, \"threads\": 2, \"admin\": { \"socket\": \"x.sock\" } }", relative);
	expect_socket("{ \"user\": \"socket\", \"admin\": {} ", NULL);
	expect_socket("{ \"admin\": { \"socket\": \"\" ", NULL);
	expect_socket("{ \"admin\": { \"socket\": \"/run/a", NULL);
	expect_socket("{ \"admin\": { \"socket\": 5 } }", NULL);
	expect_socket("{ \"admin\": 5 }", NULL);
	expect_socket("", NULL);
	try_write(&t, "more.json", "{ \"admin\": { \"socket\": \"/run/b\" } }");
	expect_socket("{ \"include\": [ \"nowhere.json\", \"more.json\" ] }", "/run/b");
}

/* A command alone may stand in place of the object, as a word or as a list. */
Test(conf_load, who_is_told)
{
	const char *const same[] = {"\"/c\"", "[ \"/c\" ]", "{ \"command\": \"/c\" }", "{ \"command\": [ \"/c\" ], \"url\": \"https://h/\" }"};
	char text[256];

	for (size_t i = 0; i < COUNTOF(same); i++) {
		(void)snprintf(text, sizeof(text), "\"bundles\": { \"b\": { \"combined\": \"b\", \"rotation\": { \"notify\": %s } } }", same[i]);
		const struct conf_notify *n = &loaded_more(text)->bundles[0].rotation.notify;
		cr_assert_eq(n->command.n, 1, "%s", same[i]);
		cr_expect_str_eq(n->command.v[0], "/c");
		cr_expect_eq(n->url != NULL, i == 3);
		cr_expect_null(n->ca);
	}
}
