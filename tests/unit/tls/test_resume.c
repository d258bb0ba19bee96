#include <criterion/criterion.h>
#include <time.h>

#include "tls/private.h"
#include "wire.h"

static struct wire w;
static struct test_cert ca, leaf, device_ca, other_ca, device;
static struct tls_policy *none, *required, *other;
static struct tls_server *server;
static struct secret secret;

static void
setup(void)
{
	wire_init(&w);
	ca = pki_ca("CA");
	leaf = pki_leaf("a.test,b.test", &ca);
	device_ca = pki_ca("Devices");
	other_ca = pki_ca("Others");
	device = pki_leaf("device-1", &device_ca);
	none = wire_policy(&w, CONF_CLIENT_NONE, NULL, NULL);
	required = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, NULL);
	other = wire_policy(&w, CONF_CLIENT_REQUIRED, &other_ca, NULL);
	w.sites[0] = (struct wire_site){.name = "a.test", .policy = none, .n_bundles = 1, .bundles = {wire_bundle(&w, "a", &leaf, NULL)}};
	w.sites[1] = w.sites[0];
	w.sites[1].name = "b.test";
	secret = wire_secret('s');
	server = wire_server(&w, &secret);
}

static void
teardown(void)
{
	tls_server_unref(server);
	tls_policy_unref(none), tls_policy_unref(required), tls_policy_unref(other);
	tls_bundle_unref(w.sites[0].bundles[0]);
	pki_free(&ca), pki_free(&leaf), pki_free(&device_ca), pki_free(&other_ca), pki_free(&device);
	wire_done(&w);
}

TestSuite(tls_resume, .init = setup, .fini = teardown, .timeout = 30);

/* A connection with a session from one before; which is freed. */
static struct peer_seen
again(struct peer_config c, SSL_SESSION *session)
{
	struct peer_seen seen;

	c.session = session;
	wire_connect(&w, server, &c, &seen);
	SSL_SESSION_free(session);
	return seen;
}

/* Made anew, as by a reload or a restart. */
static void
renew_server(const struct secret *s)
{
	tls_server_unref(server);
	server = wire_server(&w, s);
}

static void
expect_resumption(int version)
{
	struct peer_config c = {.sni = "a.test", .version = version};
	struct peer_seen p = again(c, NULL);

	cr_assert(p.ponged && !p.resumed && p.session != NULL);
	p = again(c, p.session);
	cr_expect(p.ponged && p.resumed && w.seen.facts.resumed);
	/* A ticket of TLS 1.3 is for one use: a new one comes. In TLS 1.2 the old one goes on. */
	cr_expect_eq(p.tickets, version == TLS1_3_VERSION ? 1 : 0);
	if (version == TLS1_3_VERSION) {
		p = again(c, p.session);
		cr_expect(p.resumed);
		cr_expect_eq(p.tickets, 1);
	}
	SSL_SESSION_free(p.session);
}

Test(tls_resume, version_1_3)
{
	expect_resumption(TLS1_3_VERSION);
}

Test(tls_resume, version_1_2)
{
	expect_resumption(TLS1_2_VERSION);
}

static void
expect_after_renewal(int version, char fill, bool resumed)
{
	struct peer_config c = {.sni = "a.test", .version = version};
	struct secret s = wire_secret(fill);
	struct peer_seen p = again(c, NULL);

	cr_assert(p.session != NULL);
	renew_server(&s);
	p = again(c, p.session);
	cr_expect(p.ponged);
	cr_expect_eq(p.resumed, resumed);
	cr_expect_eq(p.tickets, resumed && version == TLS1_2_VERSION ? 0 : 1);
	SSL_SESSION_free(p.session);
}

Test(tls_resume, survives_a_reload)
{
	expect_after_renewal(TLS1_3_VERSION, 's', true);
	expect_after_renewal(TLS1_2_VERSION, 's', true);
}

Test(tls_resume, not_with_another_secret)
{
	expect_after_renewal(TLS1_3_VERSION, 'x', false);
	expect_after_renewal(TLS1_2_VERSION, 's', false);
}

static void
expect_no_way_round(int version)
{
	struct peer_config c = {.sni = "a.test", .version = version};
	struct peer_seen p = again(c, NULL);

	/* The same site demands a certificate now: the old ticket must not get in without one. */
	cr_assert(p.ponged && p.session != NULL);
	w.sites[0].policy = required;
	p = again(c, p.session);
	cr_expect(!p.ponged && !p.resumed && w.seen.failed);
	SSL_SESSION_free(p.session);
	w.sites[0].policy = none;
}

Test(tls_resume, a_ticket_is_no_way_round_a_client_certificate)
{
	expect_no_way_round(TLS1_3_VERSION);
	expect_no_way_round(TLS1_2_VERSION);
}

static void
expect_bound_to_policy(int version)
{
	struct peer_config c = {.sni = "a.test", .version = version, .cert = &device};

	w.sites[0].policy = required;
	struct peer_seen p = again(c, NULL);
	cr_assert(p.ponged && w.seen.has_peer);
	/* Resumed: the certificate comes out of the ticket. */
	struct tls_peer *first = w.seen.peer;
	w.seen.peer = NULL;
	p = again(c, p.session);
	cr_expect(p.ponged && p.resumed && w.seen.has_peer);
	cr_expect_str_eq(w.seen.peer->fingerprint, first->fingerprint);
	cr_expect_str_eq(w.seen.peer->subject, first->subject);
	free(first);
	if (p.session == NULL) /* TLS 1.2: no new one on resumption */
		p = again(c, NULL);
	/* Another CA: not resumed, and the certificate is not good for it. */
	w.sites[0].policy = other;
	p = again(c, p.session);
	cr_expect(!p.resumed && !p.ponged);
	SSL_SESSION_free(p.session);
}

Test(tls_resume, a_ticket_is_bound_to_its_policy_1_3)
{
	expect_bound_to_policy(TLS1_3_VERSION);
}

Test(tls_resume, a_ticket_is_bound_to_its_policy_1_2)
{
	expect_bound_to_policy(TLS1_2_VERSION);
}

Test(tls_resume, version_1_2_is_bound_to_the_name)
{
	struct peer_seen p = again((struct peer_config){.sni = "a.test", .version = TLS1_2_VERSION}, NULL);

	cr_assert(p.session != NULL);
	p = again((struct peer_config){.sni = "b.test", .version = TLS1_2_VERSION}, p.session);
	cr_expect(p.ponged && !p.resumed);
	SSL_SESSION_free(p.session);
}

Test(tls_resume, not_with_a_certificate_that_has_expired)
{
	struct test_cert stale = pki_make(&(struct pki_spec){.cn = "stale", .names = "stale", .key = PKI_P256, .issuer = &device_ca,
	    .not_before = -3600, .not_after = -60});
	struct peer_config c = {.sni = "a.test", .version = TLS1_3_VERSION, .cert = &stale};

	/* Full handshakes are verified as of half an hour ago, when the certificate was valid. */
	w.sites[0].policy = required;
	X509_STORE *store = tls_policy_store(required, w.thread);
	cr_assert_not_null(store);
	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), time(NULL) - 1800);
	struct peer_seen p = again(c, NULL);
	cr_assert(p.ponged && w.seen.has_peer && p.session != NULL);
	p = again(c, p.session);
	cr_expect(p.ponged && !p.resumed);
	SSL_SESSION_free(p.session);
	pki_free(&stale);
}

Test(tls_resume, no_tickets_when_their_lifetime_is_zero)
{
	struct conf_tls conf = {.ticket_lifetime = 0};

	tls_server_unref(server);
	server = wire_server_with(&w, &conf, &secret);
	struct peer_seen p = again((struct peer_config){.sni = "a.test", .version = TLS1_3_VERSION}, NULL);
	cr_expect(p.ponged);
	cr_expect_eq(p.tickets, 0);
	p = again((struct peer_config){.sni = "a.test", .version = TLS1_2_VERSION}, NULL);
	cr_expect(p.ponged);
	SSL_SESSION_free(p.session);
}
