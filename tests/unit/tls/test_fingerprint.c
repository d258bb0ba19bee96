#include <criterion/criterion.h>
#include <openssl/ssl.h>

#include "wire.h"

static struct wire w;
static struct test_cert ca, other_ca, leaf, rsa;
static struct tls_policy *policy;
static struct tls_server *server;
static struct secret secret;

static void
setup(void)
{
	wire_init(&w);
	ca = pki_ca("CA");
	other_ca = pki_ca("Other");
	leaf = pki_leaf("a.test", &ca);
	rsa = pki_rsa_leaf("a.test", &other_ca);
	policy = wire_policy(&w, CONF_CLIENT_NONE, NULL, NULL);
	w.sites[0] = (struct wire_site){.name = "a.test", .policy = policy, .n_bundles = 2,
	    .bundles = {wire_bundle(&w, "ec", &leaf, NULL), wire_bundle(&w, "rsa", &rsa, NULL)}};
	secret = wire_secret('s');
	server = wire_server(&w, &secret);
}

static void
teardown(void)
{
	tls_server_unref(server);
	tls_policy_unref(policy);
	for (unsigned i = 0; i < 2; i++)
		tls_bundle_unref(w.sites[0].bundles[i]);
	pki_free(&ca), pki_free(&other_ca), pki_free(&leaf), pki_free(&rsa);
	wire_done(&w);
}

TestSuite(tls_fingerprint, .init = setup, .fini = teardown, .timeout = 30);

static uint64_t
print_of(struct peer_config c, struct peer_seen *seen)
{
	c.sni = "a.test";
	wire_connect(&w, server, &c, seen);
	return w.seen.fingerprint;
}

static uint64_t
print_of_new(struct peer_config c)
{
	struct peer_seen seen;
	uint64_t print = print_of(c, &seen);

	SSL_SESSION_free(seen.session);
	return print;
}

static void
expect_same_when_resumed(int version)
{
	struct peer_seen seen, again;
	uint64_t first = print_of((struct peer_config){.version = version}, &seen);
	uint64_t second = print_of((struct peer_config){.version = version, .session = seen.session}, &again);

	cr_expect(again.resumed);
	cr_expect_eq(first, second);
	cr_expect_eq(w.seen.shown, -1, "nothing is shown to who resumes");
	SSL_SESSION_free(seen.session);
	SSL_SESSION_free(again.session);
}

Test(tls_fingerprint, the_same_client_looks_the_same_each_time)
{
	cr_expect_eq(print_of_new((struct peer_config){.version = 0}), print_of_new((struct peer_config){.version = 0}));
	expect_same_when_resumed(TLS1_3_VERSION);
	expect_same_when_resumed(TLS1_2_VERSION);
}

Test(tls_fingerprint, what_makes_a_difference)
{
	const uint64_t prints[] = {
		print_of_new((struct peer_config){.version = 0}),
		print_of_new((struct peer_config){.version = TLS1_2_VERSION}),
		print_of_new((struct peer_config){.alpn = "http/1.1"}),
		print_of_new((struct peer_config){.groups = "P-256:P-384"}),
		print_of_new((struct peer_config){.sigalgs = "ECDSA+SHA256:RSA-PSS+SHA256"}),
		print_of_new((struct peer_config){.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}),
	};

	for (size_t i = 0; i < COUNTOF(prints); i++)
		for (size_t k = 0; k < i; k++)
			cr_expect_neq(prints[i], prints[k], "%zu and %zu", i, k);
	cr_expect_eq(print_of_new((struct peer_config){.groups = "P-256:P-384"}), print_of_new((struct peer_config){.groups = "P-384:P-256"}),
	    "the order makes none");
}

Test(tls_fingerprint, authorities)
{
	(void)print_of_new((struct peer_config){.version = TLS1_3_VERSION});
	cr_expect(!w.seen.has_authorities && !w.seen.trusts[0] && !w.seen.trusts[1]);
	(void)print_of_new((struct peer_config){.version = TLS1_3_VERSION, .authority = &other_ca});
	cr_expect(w.seen.has_authorities && !w.seen.trusts[0] && w.seen.trusts[1]);
}

Test(tls_fingerprint, which_bundle_was_shown)
{
	(void)print_of_new((struct peer_config){.version = 0});
	cr_expect_eq(w.seen.shown, 0);
	(void)print_of_new((struct peer_config){.sigalgs = "RSA-PSS+SHA256:RSA+SHA256"});
	cr_expect_eq(w.seen.shown, 1);
	(void)print_of_new((struct peer_config){.trust = &other_ca});
	cr_expect(w.seen.failed || w.seen.broken);
	cr_expect_eq(w.seen.shown, 0, "%d", w.seen.shown);
}
