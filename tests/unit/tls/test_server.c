#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include "wire.h"

static struct wire w;
static struct test_cert ca, leaf_a, rsa_a, leaf_b;
static struct tls_policy *open_policy;
static struct tls_server *server;
static struct secret secret;

static void
setup(void)
{
	wire_init(&w);
	ca = pki_ca("CA");
	leaf_a = pki_leaf("a.test", &ca);
	rsa_a = pki_rsa_leaf("a.test", &ca);
	leaf_b = pki_leaf("b.test", &ca);
	open_policy = wire_policy(&w, CONF_CLIENT_NONE, NULL, NULL);
	w.sites[0] = (struct wire_site){.name = "a.test", .policy = open_policy, .n_bundles = 2,
	    .bundles = {wire_bundle(&w, "a-ec", &leaf_a, NULL), wire_bundle(&w, "a-rsa", &rsa_a, NULL)}};
	w.sites[1] = (struct wire_site){.name = "b.test", .policy = open_policy, .n_bundles = 1,
	    .bundles = {wire_bundle(&w, "b", &leaf_b, NULL)}};
	secret = wire_secret('s');
	server = wire_server(&w, &secret);
}

static void
teardown(void)
{
	tls_server_unref(server);
	tls_policy_unref(open_policy);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < w.sites[i].n_bundles; j++)
			tls_bundle_unref(w.sites[i].bundles[j]);
	pki_free(&ca), pki_free(&leaf_a), pki_free(&rsa_a), pki_free(&leaf_b);
	wire_done(&w);
}

TestSuite(tls_server, .init = setup, .fini = teardown, .timeout = 30);

static struct peer_seen
connect_with(struct peer_config c)
{
	struct peer_seen seen;

	wire_connect(&w, server, &c, &seen);
	SSL_SESSION_free(seen.session);
	seen.session = NULL;
	return seen;
}

Test(tls_server, full_handshake_1_3)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION, .trust = &ca});

	cr_expect(p.connected && p.ponged && !p.resumed);
	cr_expect_str_eq(p.cn, "a.test");
	cr_expect(w.seen.opened && w.seen.eof && !w.seen.has_peer);
	cr_expect_str_eq(w.seen.facts.version, "TLSv1.3");
	cr_expect_str_eq(w.seen.facts.cipher, "TLS_AES_128_GCM_SHA256");
	cr_expect_not(w.seen.facts.resumed);
	cr_expect_eq(w.seen.chosen, 1);
	cr_expect_eq(p.tickets, 1);
}

Test(tls_server, full_handshake_1_2)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .version = TLS1_2_VERSION, .trust = &ca});

	cr_expect(p.connected && p.ponged && !p.resumed);
	cr_expect_str_eq(w.seen.facts.version, "TLSv1.2");
	cr_expect_str_eq(w.seen.facts.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
	cr_expect_eq(p.tickets, 1);
}

Test(tls_server, the_name_chooses_in_any_case)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "B.Test"});

	cr_expect(p.ponged);
	cr_expect_str_eq(p.cn, "b.test");
	cr_expect_str_eq(w.seen.name, "b.test");
}

Test(tls_server, a_name_that_nobody_serves)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "c.test"});

	cr_expect_not(p.connected);
	cr_expect_eq(p.alert, SSL_AD_UNRECOGNIZED_NAME + 1);
	cr_expect(w.seen.failed && w.seen.failure.unrecognized_name);
	cr_expect_eq(w.seen.error, EPROTO);
	cr_expect_str_eq(w.seen.failure.text, "no site, or no certificate, for \"c.test\"");
}

Test(tls_server, without_a_name_or_with_an_address_the_default_answers)
{
	w.sites[2] = (struct wire_site){.name = "", .policy = open_policy, .n_bundles = 1, .bundles = {w.sites[1].bundles[0]}};
	cr_expect_str_eq(connect_with((struct peer_config){.sni = NULL}).cn, "b.test");
	cr_expect_str_eq(connect_with((struct peer_config){.sni = "127.0.0.1"}).cn, "b.test");
}

Test(tls_server, rsa_and_ecdsa_by_what_the_client_offers)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test"});
	cr_expect_eq(p.key_type, EVP_PKEY_EC);
	p = connect_with((struct peer_config){.sni = "a.test", .sigalgs = "RSA-PSS+SHA256:RSA+SHA256", .version = TLS1_3_VERSION});
	cr_expect(p.ponged);
	cr_expect_eq(p.key_type, EVP_PKEY_RSA);
	p = connect_with((struct peer_config){.sni = "a.test", .ciphers = "ECDHE-RSA-AES128-GCM-SHA256", .version = TLS1_2_VERSION});
	cr_expect(p.ponged);
	cr_expect_eq(p.key_type, EVP_PKEY_RSA);
}

Test(tls_server, hello_retry_asks_choose_once)
{
	/* The client's key share is for the first of its groups, which we do not take. */
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .groups = "P-521:P-256", .version = TLS1_3_VERSION});

	cr_expect(p.ponged);
	cr_expect_eq(w.seen.chosen, 1);
}

/* In the second of what the client sends, which is its second ClientHello, another site's name. */
static long
change_second_hello(BIO *bio, int operation, const char *p, size_t n, int i, long l, int ret, size_t *done)
{
	static unsigned writes;

	(void)bio, (void)i, (void)l, (void)done;
	if (operation == BIO_CB_WRITE && ++writes == 2) {
		char *name = memmem(p, n, "a.test", 6);
		cr_assert_not_null(name);
		name[0] = 'b';
	}
	return ret;
}

Test(tls_server, the_second_hello_must_name_the_same_site)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .groups = "P-521:P-256", .version = TLS1_3_VERSION,
	    .on_io = change_second_hello});

	cr_expect_not(p.connected);
	cr_expect_eq(p.alert, SSL_AD_ILLEGAL_PARAMETER + 1);
	cr_expect(strstr(w.seen.failure.text, "names another server") != NULL, "%s", w.seen.failure.text);
}

Test(tls_server, a_site_may_ask_for_a_newer_version)
{
	w.sites[0].min_version = TLS1_3_VERSION;
	cr_expect_eq(connect_with((struct peer_config){.sni = "a.test", .version = TLS1_2_VERSION}).alert, SSL_AD_PROTOCOL_VERSION + 1);
	cr_expect(connect_with((struct peer_config){.sni = "b.test", .version = TLS1_2_VERSION}).ponged);
	cr_expect(connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION}).ponged);
}

Test(tls_server, alpn)
{
	cr_expect_str_eq(connect_with((struct peer_config){.sni = "a.test", .alpn = "http/1.1"}).alpn, "http/1.1");
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .alpn = "smtp"});
	cr_expect_not(p.connected);
	cr_expect_eq(p.alert, SSL_AD_NO_APPLICATION_PROTOCOL + 1);
}

Test(tls_server, a_client_that_rejects_the_certificate_is_heard)
{
	struct test_cert other = pki_ca("other");

	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .trust = &other});
	cr_expect_not(p.connected);
	cr_expect(w.seen.failed && !w.seen.failure.unrecognized_name);
	cr_expect_eq(w.seen.failure.peer_alert, SSL_AD_UNKNOWN_CA + 1);
	cr_expect(strstr(w.seen.failure.text, "unknown ca") != NULL, "%s", w.seen.failure.text);
	pki_free(&other);
}

/* --- the ends of a connection ------------------------------------------------------------------------------- */

static void
talk_cut(struct wire *wire, SSL *ssl)
{
	cr_assert_eq(SSL_write(ssl, "cut", 3), 3);
	shutdown(wire->peer_fd, SHUT_WR);
	while (SSL_read(ssl, (char[16]){0}, 16) > 0)
		;
}

Test(tls_server, an_end_without_close_notify_is_an_error)
{
	(void)connect_with((struct peer_config){.sni = "a.test", .talk = talk_cut});
	cr_expect(w.seen.broken && !w.seen.eof);
	cr_expect_eq(w.seen.error, ECONNRESET);
	cr_expect_eq(w.seen.bytes, 3);
}

static void
talk_end(struct wire *wire, SSL *ssl)
{
	char back[16];
	size_t n;

	(void)wire;
	cr_assert_eq(SSL_shutdown(ssl), 0);
	cr_expect_eq(SSL_read_ex(ssl, back, sizeof(back), &n), 0);
	cr_expect_eq(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
}

Test(tls_server, close_notify_is_answered_with_close_notify)
{
	w.finish_on_eof = true;
	(void)connect_with((struct peer_config){.sni = "a.test", .talk = talk_end});
	cr_expect(w.seen.eof);
}

static void
talk_last(struct wire *wire, SSL *ssl)
{
	char back[16];
	size_t n;

	(void)wire;
	cr_assert_eq(SSL_write(ssl, "first", 5), 5);
	cr_expect_eq(SSL_read_ex(ssl, back, sizeof(back), &n), 1);
	cr_expect_eq(SSL_read_ex(ssl, back, sizeof(back), &n), 0);
	cr_expect_eq(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
	SSL_shutdown(ssl);
}

Test(tls_server, the_last_write_brings_close_notify)
{
	w.finish_after_first = true;
	(void)connect_with((struct peer_config){.sni = "a.test", .talk = talk_last});
	cr_expect(w.seen.eof);
}

static void
talk_garbage(struct wire *wire, SSL *ssl)
{
	static const char garbage[] = "\x17\x03\x03\x00\x20................................";
	char back[16];

	cr_assert_eq(send(wire->peer_fd, garbage, sizeof(garbage) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(garbage) - 1);
	cr_expect_leq(SSL_read(ssl, back, sizeof(back)), 0);
}

Test(tls_server, a_forged_record_is_an_error_and_an_alert)
{
	struct peer_seen p = connect_with((struct peer_config){.sni = "a.test", .talk = talk_garbage});

	cr_expect(w.seen.broken);
	cr_expect_eq(w.seen.error, EPROTO);
	cr_expect_eq(p.alert, SSL_AD_BAD_RECORD_MAC + 1);
	cr_expect(strstr(w.seen.failure.text, "bad record mac") != NULL, "%s", w.seen.failure.text);
}

/* --- data --------------------------------------------------------------------------------------------------- */

enum { BIG = 4 * 1024 * 1024 };

/* As much out as goes, then as much in as there is: so our side's socket is full now and then. */
static void
talk_big(struct wire *wire, SSL *ssl)
{
	unsigned char *data = malloc(BIG), *back = malloc(BIG);
	struct pollfd p = {.fd = wire->peer_fd};
	size_t sent = 0, came = 0, n;

	cr_assert(data != NULL && back != NULL);
	for (size_t i = 0; i < BIG; i++)
		data[i] = (unsigned char)(i * 2654435761U >> 13);
	cr_assert_eq(fcntl(wire->peer_fd, F_SETFL, O_NONBLOCK), 0);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	while (came < BIG) {
		while (sent < BIG && SSL_write_ex(ssl, data + sent, MIN_OF((size_t)50000, BIG - sent), &n) == 1)
			sent += n;
		while (came < BIG && SSL_read_ex(ssl, back + came, BIG - came, &n) == 1)
			came += n;
		p.events = sent < BIG ? POLLIN | POLLOUT : POLLIN;
		if (came < BIG && (poll(&p, 1, 10000) != 1 || (p.revents & (POLLERR | POLLHUP)) != 0))
			break;
	}
	cr_expect_eq(came, (size_t)BIG);
	cr_expect_eq(memcmp(data, back, BIG), 0);
	SSL_shutdown(ssl);
	free(data), free(back);
}

Test(tls_server, much_data_both_ways)
{
	(void)connect_with((struct peer_config){.sni = "a.test", .talk = talk_big});
	cr_expect(w.seen.eof);
	cr_expect_eq(w.seen.bytes, (size_t)BIG);
	cr_expect_gt(w.seen.pauses, 0, "the peer's socket was never full: the test does not test back-pressure");
}

static void
talk_listen(struct wire *wire, SSL *ssl)
{
	char back[16384];
	size_t came = 0, n;

	while (came < wire->greeting && SSL_read_ex(ssl, back, sizeof(back), &n) == 1) {
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(back[i], 'g');
		came += n;
	}
	cr_expect_eq(came, wire->greeting);
	SSL_shutdown(ssl);
}

Test(tls_server, a_write_may_be_larger_than_the_threads_buffers)
{
	w.greeting = 2 * 1024 * 1024 + 1;
	(void)connect_with((struct peer_config){.sni = "a.test", .talk = talk_listen});
	cr_expect(w.seen.eof);
}

static void
talk_records(struct wire *wire, SSL *ssl)
{
	struct peer_seen *seen = SSL_get_app_data(ssl);
	char *data = calloc(1, 60000), back[60000];
	size_t n, came = 0;

	(void)wire;
	cr_assert_eq(SSL_write(ssl, "abc", 3), 3); /* echoed in three pieces of one byte */
	cr_assert_eq(SSL_read(ssl, back, sizeof(back)), 3);
	unsigned with_ticket = seen->records;
	cr_assert_eq(SSL_write(ssl, "abc", 3), 3);
	cr_assert_eq(SSL_read(ssl, back, sizeof(back)), 3);
	cr_expect_eq(seen->records - with_ticket, 1);
	cr_expect_eq(with_ticket, 2); /* the session ticket came after the handshake, ahead of the first answer */
	cr_assert_eq(SSL_write(ssl, data, 16384), 16384); /* pieces of 5,461 bytes */
	while (came < 16384 && SSL_read_ex(ssl, back, sizeof(back), &n) == 1)
		came += n;
	cr_expect_eq(seen->records - with_ticket, 2);
	free(data);
	SSL_shutdown(ssl);
}

Test(tls_server, pieces_go_in_as_few_records_as_they_fit_in)
{
	(void)connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION, .talk = talk_records});
	cr_expect_eq(w.seen.bytes, 3 + 3 + 16384);
}

static void
talk_key_update(struct wire *wire, SSL *ssl)
{
	cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	peer_ping(wire, ssl);
}

Test(tls_server, key_update)
{
	cr_expect(connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION, .talk = talk_key_update}).ponged);
}

/* So many of them and then "ping", all in one, but for the last byte, which comes by itself: what is read ends in a record. */
static unsigned flood;

static void
talk_flood(struct wire *wire, SSL *ssl)
{
	BIO *all = BIO_new(BIO_s_mem()), *socket = SSL_get_wbio(ssl);
	char *bytes, back[4];

	BIO_up_ref(socket);
	SSL_set0_wbio(ssl, all);
	for (unsigned i = 0; i < flood; i++) {
		cr_assert_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		cr_assert_eq(SSL_do_handshake(ssl), 1);
	}
	cr_assert_eq(SSL_write(ssl, "ping", 4), 4);
	long n = BIO_get_mem_data(all, &bytes);
	cr_expect_eq(send(wire->peer_fd, bytes, (size_t)n - 1, MSG_NOSIGNAL), n - 1);
	(void)send(wire->peer_fd, bytes + n - 1, 1, MSG_NOSIGNAL);
	SSL_set0_wbio(ssl, socket);
	if (SSL_read(ssl, back, sizeof(back)) > 0)
		SSL_shutdown(ssl);
}

Test(tls_server, a_few_key_updates_are_fine)
{
	flood = 20;
	(void)connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION, .talk = talk_flood});
	cr_expect_eq(w.seen.bytes, 4);
	cr_expect(w.seen.eof);
}

Test(tls_server, a_flood_of_key_updates_that_are_read_at_once_is_one)
{
	flood = 500;
	(void)connect_with((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION, .talk = talk_flood});
	cr_expect_eq(w.seen.bytes, 0);
	cr_expect(w.seen.broken);
	cr_expect(sv_starts(sv_cstr(w.seen.failure.text), SV("a flood")), "%s", w.seen.failure.text);
}

static void
talk_renegotiate(struct wire *wire, SSL *ssl)
{
	char back[4];

	(void)wire;
	cr_assert_eq(SSL_renegotiate(ssl), 1);
	cr_expect_neq(SSL_do_handshake(ssl), 1);
	(void)SSL_read(ssl, back, sizeof(back));
}

Test(tls_server, renegotiation_is_refused)
{
	(void)connect_with((struct peer_config){.sni = "a.test", .version = TLS1_2_VERSION, .talk = talk_renegotiate});
	cr_expect_eq(w.seen.chosen, 1);
}

/* --- the config --------------------------------------------------------------------------------------------- */

static void
expect_refused(struct conf_tls conf, const char *key)
{
	struct err err = {""};

	cr_expect_null(tls_server_new(w.thread, &conf, &secret, NULL, &err));
	cr_expect(strstr(err.text, key) != NULL, "%s", err.text);
}

Test(tls_server, what_openssl_would_pass_over_is_refused)
{
	expect_refused((struct conf_tls){.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:NONSENSE"}, "tls.ciphers: \"NONSENSE\"");
	expect_refused((struct conf_tls){.ciphers = ""}, "tls.ciphers");
	expect_refused((struct conf_tls){.ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_NONSENSE"}, "tls.ciphersuites: \"TLS_NONSENSE\"");
	expect_refused((struct conf_tls){.groups = "X25519:NONSENSE"}, "tls.groups");
	expect_refused((struct conf_tls){.min_version = "1.1"}, "tls.min_version: \"1.1\"");
	expect_refused((struct conf_tls){.min_version = "1.1"}, "tls.min_version: \"1.1\"");
}

Test(tls_server, what_is_right_is_taken)
{
	struct conf_tls conf = {.min_version = "1.3", .ciphers = "ECDHE+AESGCM:!aNULL:@STRENGTH", .ciphersuites = "TLS_AES_256_GCM_SHA384",
	    .groups = "P-256", .ticket_lifetime = 1000};
	struct err err = {""};
	struct tls_server *s = tls_server_new(w.thread, &conf, &secret, NULL, &err);

	cr_assert_not_null(s, "%s", err.text);
	cr_expect(tls_server_fits(s, &conf));
	conf.groups = "P-384";
	cr_expect_not(tls_server_fits(s, &conf));
	conf.groups = NULL;
	cr_expect_not(tls_server_fits(s, &conf));
	tls_server_unref(s);
}
