/* What a site demands of client certificates, seen from both ends. */
#include <criterion/criterion.h>

#include "wire.h"

static struct wire w;
static struct test_cert ca, leaf, device_ca, other_ca, device, foreign, revoked;
static struct tls_server *server;

static void
setup(void)
{
	struct secret secret = wire_secret('s');

	wire_init(&w);
	ca = pki_ca("CA");
	leaf = pki_leaf("a.test", &ca);
	device_ca = pki_ca("Devices");
	other_ca = pki_ca("Others");
	device = pki_leaf("device-1", &device_ca);
	revoked = pki_leaf("device-2", &device_ca);
	foreign = pki_leaf("foreign", &other_ca);
	w.sites[0] = (struct wire_site){.name = "a.test", .n_bundles = 1, .bundles = {wire_bundle(&w, "a", &leaf, NULL)}};
	server = wire_server(&w, &secret);
}

static void
teardown(void)
{
	tls_server_unref(server);
	tls_policy_unref(w.sites[0].policy);
	tls_bundle_unref(w.sites[0].bundles[0]);
	pki_free(&ca), pki_free(&leaf), pki_free(&device_ca), pki_free(&other_ca);
	pki_free(&device), pki_free(&foreign), pki_free(&revoked);
	wire_done(&w);
}

TestSuite(tls_client_certificates, .init = setup, .fini = teardown, .timeout = 30);

static struct peer_seen
connect_as(const struct test_cert *cert, int version)
{
	struct peer_seen seen;

	wire_connect(&w, server, &(struct peer_config){.sni = "a.test", .version = version, .cert = cert}, &seen);
	SSL_SESSION_free(seen.session);
	return seen;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

Test(tls_client_certificates, none_asks_for_none)
{
	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_NONE, NULL, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct peer_seen p = connect_as(&device, versions[i]);
		cr_expect(p.ponged && !w.seen.has_peer);
		cr_expect_eq(p.cas, 0);
	}
}

Test(tls_client_certificates, required)
{
	const char *foreigner = "client certificate refused: unable to get local issuer certificate: CN=foreign";

	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct peer_seen p = connect_as(&device, versions[i]);
		cr_expect(p.ponged && w.seen.has_peer);
		cr_expect_eq(p.cas, 1);
		cr_expect_str_eq(w.seen.peer->subject, "CN=device-1,O=Bascule Tests");
		cr_expect_str_eq(w.seen.peer->issuer, "CN=Devices,O=Bascule Tests");
		cr_expect_eq(strlen(w.seen.peer->fingerprint), 64);
		cr_expect_gt(strlen(w.seen.peer->serial), 0);

		p = connect_as(NULL, versions[i]);
		cr_expect(!p.ponged && w.seen.failed);
		cr_expect_eq(p.alert, (versions[i] == TLS1_3_VERSION ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE) + 1);

		p = connect_as(&foreign, versions[i]);
		cr_expect(!p.ponged && w.seen.failed);
		cr_expect_eq(p.alert, SSL_AD_UNKNOWN_CA + 1);
		cr_expect(strncmp(w.seen.failure.text, foreigner, strlen(foreigner)) == 0, "%s", w.seen.failure.text);
	}
}

Test(tls_client_certificates, optional)
{
	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_OPTIONAL, &device_ca, NULL);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(connect_as(&device, versions[i]).ponged && w.seen.has_peer);
		cr_expect(connect_as(NULL, versions[i]).ponged && !w.seen.has_peer);
		cr_expect(!connect_as(&foreign, versions[i]).ponged && w.seen.failed);
	}
}

Test(tls_client_certificates, revoked)
{
	X509_CRL *crl = pki_crl(&device_ca, (const struct test_cert *const[]){&revoked}, 1, 3600);

	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, crl);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(connect_as(&device, versions[i]).ponged);
		struct peer_seen p = connect_as(&revoked, versions[i]);
		cr_expect(!p.ponged && w.seen.failed);
		cr_expect_eq(p.alert, SSL_AD_CERTIFICATE_REVOKED + 1);
		cr_expect(strstr(w.seen.failure.text, "revoked") != NULL, "%s", w.seen.failure.text);
	}
	X509_CRL_free(crl);
}

static struct test_cert
with_serial(size_t octets)
{
	return pki_make(&(struct pki_spec){.cn = "device-3", .key = PKI_P256, .issuer = &device_ca, .serial_octets = octets});
}

Test(tls_client_certificates, a_long_serial_is_cut)
{
	static const struct {
		size_t octets, printed;
	} cases[] = {{19, 38}, {20, 40}, {21, 43}, {30000, 43}};

	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, NULL);
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct test_cert cert = with_serial(cases[i].octets);
		cr_expect(connect_as(&cert, 0).ponged);
		const char *serial = w.seen.peer->serial;
		cr_expect_eq(strlen(serial), cases[i].printed, "%zu: %s", cases[i].octets, serial);
		cr_expect_eq(strspn(serial, "0123456789ABCDEF"), MIN_OF(cases[i].printed, (size_t)40), "%s", serial);
		cr_expect_eq(strstr(serial, "...") != NULL, cases[i].octets > 20, "%s", serial);
		pki_free(&cert);
	}
}

Test(tls_client_certificates, too_many_bytes_of_them_are_refused)
{
	struct test_cert fits = with_serial(TLS_PEER_CERTIFICATES_MAX - 1000), large = with_serial(TLS_PEER_CERTIFICATES_MAX);

	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, NULL);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(connect_as(&fits, versions[i]).ponged);
		cr_expect(!connect_as(&large, versions[i]).ponged && w.seen.failed);
		cr_expect_not_null(strstr(w.seen.failure.text, "excessive message size"), "%s", w.seen.failure.text);
	}
	pki_free(&fits);
	pki_free(&large);
}

Test(tls_client_certificates, names_are_escaped)
{
	struct test_cert odd = pki_make(&(struct pki_spec){.cn = "a\r\nX: y, O=root+b\xc3\xbc", .key = PKI_P256, .issuer = &device_ca});

	w.sites[0].policy = wire_policy(&w, CONF_CLIENT_REQUIRED, &device_ca, NULL);
	cr_expect(connect_as(&odd, 0).ponged);
	cr_expect_str_eq(w.seen.peer->subject, "CN=a\\0D\\0AX: y\\, O=root\\+b\\C3\\BC,O=Bascule Tests");
	pki_free(&odd);
}
