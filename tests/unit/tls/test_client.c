#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <errno.h>

#include "wire.h"

static struct wire w;
static struct test_cert ca, other_ca, leaf, device;

static void
setup(void)
{
	wire_init(&w);
	ca = pki_ca("CA");
	other_ca = pki_ca("Other");
	leaf = pki_leaf("node-1.test", &ca);
	device = pki_leaf("bascule", &other_ca);
}

static void
teardown(void)
{
	pki_free(&ca), pki_free(&other_ca), pki_free(&leaf), pki_free(&device);
	wire_done(&w);
}

TestSuite(tls_client, .init = setup, .fini = teardown, .timeout = 30);

static struct tls_client *
client_of(struct conf_upstream_tls conf, const struct test_cert *trusted)
{
	struct err err = {""};

	conf.present = true;
	if (trusted != NULL) {
		conf.ca = pki_path(w.dir, "ca.pem");
		pki_write_certs(conf.ca, &trusted, 1);
	}
	struct tls_client *c = tls_client_load(&conf, NULL, NULL, files_direct(), &err);
	cr_assert_not_null(c, "%s", err.text);
	return c;
}

/* One connection, everything made for it. */
static struct origin_seen
connect_to(const char *host, struct conf_upstream_tls conf, const struct test_cert *trusted)
{
	struct tls_client *c = client_of(conf, trusted);
	SSL_CTX *origin = wire_origin_context(&(struct origin_config){.cert = &leaf});
	struct origin_seen seen;

	wire_origin(&w, c, host, NULL, origin, &seen);
	SSL_CTX_free(origin);
	tls_client_unref(c);
	return seen;
}

static void
expect_refused(const char *with)
{
	cr_expect(w.seen.failed && !w.seen.opened);
	cr_expect_eq(w.seen.error, EPROTO);
	cr_expect(strstr(w.seen.failure.text, with) != NULL, "%s", w.seen.failure.text);
}

Test(tls_client, verified)
{
	struct origin_seen o = connect_to("node-1.test", (struct conf_upstream_tls){.verify = true}, &ca);

	cr_expect(o.accepted && w.seen.opened && w.seen.eof);
	cr_expect_str_eq(w.seen.first, "ping");
	cr_expect_str_eq(o.sni, "node-1.test");
	cr_expect_str_eq(o.alpn, "http/1.1");
}

Test(tls_client, wrong_name)
{
	struct origin_seen o = connect_to("node-2.test", (struct conf_upstream_tls){.verify = true}, &ca);

	expect_refused("ostname mismatch");
	cr_expect(strstr(w.seen.failure.text, "node-1.test") != NULL, "%s", w.seen.failure.text);
	cr_expect_neq(o.alert, 0);
}

Test(tls_client, wrong_ca)
{
	struct origin_seen o = connect_to("node-1.test", (struct conf_upstream_tls){.verify = true}, &other_ca);

	expect_refused("issuer certificate");
	cr_expect_eq(o.alert, SSL_AD_UNKNOWN_CA + 1);
}

Test(tls_client, the_systems_store_does_not_know_our_ca)
{
	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = true}, NULL);
	expect_refused("issuer certificate");
}

Test(tls_client, the_name_of_the_config_counts)
{
	struct origin_seen o = connect_to("127.0.0.1", (struct conf_upstream_tls){.verify = true, .name = "node-1.test"}, &ca);

	cr_expect(w.seen.opened);
	cr_expect_str_eq(o.sni, "node-1.test");
}

Test(tls_client, an_address_is_verified_and_not_sent)
{
	struct origin_seen o = connect_to("127.0.0.1", (struct conf_upstream_tls){.verify = true}, &ca);

	expect_refused("IP address mismatch");
	cr_expect_str_empty(o.sni);
}

Test(tls_client, not_verified)
{
	(void)connect_to("whatever", (struct conf_upstream_tls){.verify = false}, &other_ca);
	cr_expect(w.seen.opened && w.seen.eof);
}

/* "sha256/…" of a certificate's key; in one of two static buffers in turn. */
static const char *
pin_of(const struct test_cert *c)
{
	static char texts[2][64];
	static unsigned next;
	unsigned char *der = NULL, digest[32];
	char *text = texts[next++ % 2];
	int n = i2d_PUBKEY(c->key, &der);

	cr_assert(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL));
	OPENSSL_free(der);
	memcpy(text, "sha256/", 7);
	EVP_EncodeBlock((unsigned char *)text + 7, digest, sizeof(digest));
	return text;
}

Test(tls_client, a_pin_suffices)
{
	const char *pin = pin_of(&leaf);

	(void)connect_to("another.name", (struct conf_upstream_tls){.verify = true, .pins = {&pin, 1}}, NULL);
	cr_expect(w.seen.opened);
}

Test(tls_client, a_wrong_pin_does_not)
{
	const char *pin = pin_of(&device);

	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = true, .pins = {&pin, 1}}, NULL);
	expect_refused("pinned");
	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = true, .pins = {&pin, 1}}, &ca);
	expect_refused("pinned");
	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = false, .pins = {&pin, 1}}, NULL);
	expect_refused("pinned");
}

Test(tls_client, with_a_ca_and_pins_both_count)
{
	const char *pins[] = {pin_of(&device), pin_of(&leaf)};

	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = true, .pins = {pins, 2}}, &ca);
	cr_expect(w.seen.opened);
	(void)connect_to("node-1.test", (struct conf_upstream_tls){.verify = true, .pins = {pins, 2}}, &other_ca);
	expect_refused("issuer certificate");
}

Test(tls_client, shows_its_certificate)
{
	struct tls_bundle *bundle = wire_bundle(&w, "device", &device, NULL);
	struct conf_upstream_tls conf = {.verify = false};
	SSL_CTX *origin = wire_origin_context(&(struct origin_config){.cert = &leaf, .client_ca = &other_ca});
	struct err err = {""};
	struct tls_client *c = tls_client_load(&conf, bundle, NULL, files_direct(), &err);
	struct origin_seen o;

	cr_assert_not_null(c);
	wire_origin(&w, c, "node-1.test", NULL, origin, &o);
	cr_expect(w.seen.opened);
	cr_expect_str_eq(o.client_cn, "bascule");
	SSL_CTX_free(origin);
	tls_client_unref(c);
	tls_bundle_unref(bundle);
}

static void
expect_resumption(int version)
{
	struct tls_client *c = client_of((struct conf_upstream_tls){.verify = true}, &ca);
	SSL_CTX *origin = wire_origin_context(&(struct origin_config){.cert = &leaf, .version = version});
	struct tls_client_session session = {NULL};
	struct origin_seen o;

	wire_origin(&w, c, "node-1.test", &session, origin, &o);
	cr_expect(w.seen.opened && !o.resumed);
	for (int i = 0; i < 3; i++) {
		wire_origin(&w, c, "node-1.test", &session, origin, &o);
		cr_expect(w.seen.opened && o.resumed && w.seen.facts.resumed);
	}
	/* Another trust, or another name: what was verified before says nothing. */
	struct tls_client *other = client_of((struct conf_upstream_tls){.verify = true}, &other_ca);
	wire_origin(&w, other, "node-1.test", &session, origin, &o);
	expect_refused("issuer certificate");
	wire_origin(&w, c, "node-1.test", &session, origin, &o);
	cr_expect(w.seen.opened && !o.resumed);
	wire_origin(&w, c, "node-2.test", &session, origin, &o);
	expect_refused("ostname mismatch");
	tls_client_session_free(&session);
	tls_client_unref(other);
	tls_client_unref(c);
	SSL_CTX_free(origin);
}

Test(tls_client, resumes_1_3)
{
	expect_resumption(0);
}

Test(tls_client, resumes_1_2)
{
	expect_resumption(TLS1_2_VERSION);
}

Test(tls_client, unchanged_is_the_same)
{
	struct conf_upstream_tls conf = {.present = true, .verify = true, .ca = pki_path(w.dir, "ca.pem")};
	struct err err = {""};

	struct tls_client *first = client_of(conf, &ca);
	struct tls_client *same = tls_client_load(&conf, NULL, first, files_direct(), &err);
	cr_expect_eq(same, first);
	conf.name = "other.name";
	struct tls_client *named = tls_client_load(&conf, NULL, first, files_direct(), &err);
	cr_expect_neq(named, first);
	pki_write_certs(conf.ca, PKI_CERTS(&ca, &other_ca));
	struct tls_client *trusting = tls_client_load(&conf, NULL, named, files_direct(), &err);
	cr_expect_neq(trusting, named);
	tls_client_unref(first), tls_client_unref(same), tls_client_unref(named), tls_client_unref(trusting);
}

static void
expect_load_error(struct conf_upstream_tls conf, const char *with)
{
	struct err err = {""};

	cr_expect_null(tls_client_load(&conf, NULL, NULL, files_direct(), &err));
	cr_expect(strstr(err.text, with) != NULL, "%s", err.text);
}

Test(tls_client, what_can_not_be_trusted_is_refused)
{
	const char *path = pki_path(w.dir, "bad.pem");
	const char *pins[] = {"sha256/AAAA", "md5/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
		"sha256/ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="};

	for (unsigned i = 0; i < COUNTOF(pins); i++)
		expect_load_error((struct conf_upstream_tls){.verify = true, .pins = {&pins[i], 1}}, pins[i]);
	expect_load_error((struct conf_upstream_tls){.verify = true, .ca = path}, path);
	pki_write_text(path, "nothing\n");
	expect_load_error((struct conf_upstream_tls){.verify = true, .ca = path}, "holds no certificate");
	pki_write_text(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	expect_load_error((struct conf_upstream_tls){.verify = true, .ca = path}, "certificate 1");
}
