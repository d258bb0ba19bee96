/* Pins and CRLs: what is refused, what identity means, and what the store of a thread accepts. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "../certs/fixture.h"
#include "tls/private.h"

TestSuite(policy, .init = fixture_setup, .fini = fixture_teardown);

static struct conf_pin pins[4];
static const char *crls[4];
static struct conf_client_certificate conf = {
    .mode = CONF_CLIENT_REQUIRED, .pins = pins, .crls = {crls, 0}, .depth = 2};

static struct conf_problems problems; /* of the last load */

static void
pin(const char *path)
{
	pins[conf.n_pins++].ca = path;
}

static void
add_crl(const char *path)
{
	crls[conf.crls.n++] = path;
}

static struct tls_policy *
load(struct tls_policy *previous)
{
	conf_problems_free(&problems);
	conf_problems_init(&problems);
	struct tls_policy *p = tls_policy_load(&conf, previous, files_direct(), fix.thread, &problems);

	cr_assert_not_null(p, "%.*s", SV_FMT(buf_view(&problems.text)));
	return p;
}

static void
expect_told(const char *part)
{
	struct sv text = buf_view(&problems.text);

	cr_expect_not_null(memmem(text.p, text.n, part, strlen(part)), "\"%s\" is not in: %.*s", part, SV_FMT(text));
}

static void
expect_refused(const char *part)
{
	conf_problems_free(&problems);
	conf_problems_init(&problems);
	cr_expect_null(tls_policy_load(&conf, NULL, files_direct(), fix.thread, &problems));
	cr_expect_geq(problems.errors, 1);
	expect_told(part);
}

/* What OpenSSL's verification says of a client's chain. */
static int
verify(struct tls_policy *p, const struct test_cert *leaf, const struct test_cert *intermediate)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(fix.thread->lib, NULL);
	STACK_OF(X509) *others = sk_X509_new_null();

	if (intermediate != NULL)
		cr_assert(sk_X509_push(others, intermediate->x509));
	X509_STORE *store = tls_policy_store(p, fix.thread);
	cr_assert_not_null(store);
	cr_assert_eq(X509_STORE_CTX_init(ctx, store, leaf->x509, others), 1);
	int result = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	sk_X509_free(others);
	return result;
}

static void
write_crl(
    const char *path, const struct test_cert *issuer, const struct test_cert *revoked, int64_t next_update, bool der)
{
	X509_CRL *crl = pki_crl(issuer, &revoked, revoked != NULL, next_update);

	pki_write_crls(path, &crl, 1, der);
	X509_CRL_free(crl);
}

Test(policy, trusts_exactly_its_pins)
{
	struct test_cert client = pki_leaf("client", &fix.intermediate), other_ca = pki_ca("Other");
	struct test_cert stranger = pki_leaf("client", &other_ca);

	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&fix.root));
	pin(IN_DIR("root.pem"));
	struct tls_policy *p = load(NULL);
	cr_expect_eq(p->mode, CONF_CLIENT_REQUIRED);
	cr_expect_eq(verify(p, &client, &fix.intermediate), X509_V_OK);
	cr_expect_neq(verify(p, &client, NULL), X509_V_OK);
	cr_expect_neq(verify(p, &stranger, &other_ca), X509_V_OK);
	cr_assert_eq(sk_X509_NAME_num(tls_policy_names(p, fix.thread)), 1);
	cr_expect_eq(
	    X509_NAME_cmp(sk_X509_NAME_value(tls_policy_names(p, fix.thread), 0), X509_get_subject_name(fix.root.x509)),
	    0);
	cr_expect_eq(tls_policy_store(p, fix.thread), tls_policy_store(p, fix.thread));
	tls_policy_unref(p);
	conf.depth = 0;
	p = load(NULL);
	cr_expect_eq(verify(p, &client, &fix.intermediate), X509_V_ERR_CERT_CHAIN_TOO_LONG);
	tls_policy_unref(p);
	pki_free(&client), pki_free(&other_ca), pki_free(&stranger);
}

Test(policy, pinned_intermediate_and_not_its_siblings)
{
	struct test_cert sibling = pki_intermediate("Sibling", &fix.root);
	struct test_cert client = pki_leaf("client", &fix.intermediate), other = pki_leaf("client", &sibling);

	pki_write_certs(IN_DIR("pin.pem"), PKI_CERTS(&fix.intermediate));
	pin(IN_DIR("pin.pem"));
	struct tls_policy *p = load(NULL);
	cr_expect_eq(verify(p, &client, NULL), X509_V_OK);
	cr_expect_neq(verify(p, &other, &sibling), X509_V_OK);
	tls_policy_unref(p);
	pki_free(&sibling), pki_free(&client), pki_free(&other);
}

Test(policy, refused_pins)
{
	struct test_cert leaf = pki_leaf("leaf", &fix.root);

	expect_refused("without pins it would trust nobody");
	pin(IN_DIR("pin.pem"));
	expect_refused("pin.pem: No such file or directory");
	pki_write_certs(IN_DIR("pin.pem"), PKI_CERTS(&fix.root, &leaf));
	expect_refused("pin.pem is not a CA certificate: \"CN=leaf, O=Bascule Tests\"");
	pki_write_key(IN_DIR("pin.pem"), leaf.key);
	expect_refused("pin.pem: no certificate in PEM in it");
	pki_write_text(IN_DIR("pin.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n");
	expect_refused("without its END line");
	pki_write_text(IN_DIR("pin.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	expect_refused("pin.pem: a certificate in it is damaged");
	pki_free(&leaf);
}

Test(policy, version_1_root_and_expired_pin)
{
	struct test_cert v1 = pki_make(&(struct pki_spec){.cn = "Old Root", .v1 = true});
	struct test_cert expired = pki_make(
	    &(struct pki_spec){.cn = "Gone", .ca = true, .not_before = -9, .not_after = -5});
	struct test_cert client = pki_leaf("client", &v1);

	pki_write_certs(IN_DIR("pin.pem"), PKI_CERTS(&v1, &expired));
	pin(IN_DIR("pin.pem"));
	struct tls_policy *p = load(NULL);
	cr_expect_eq(verify(p, &client, NULL), X509_V_OK);
	expect_told("warning: ca: ");
	expect_told("the pinned CA \"CN=Gone, O=Bascule Tests\" has expired");
	tls_policy_unref(p);
	pki_free(&v1), pki_free(&expired), pki_free(&client);
}

Test(policy, none_needs_nothing)
{
	conf.mode = CONF_CLIENT_NONE;
	struct tls_policy *p = load(NULL);
	pin(IN_DIR("not there"));
	struct tls_policy *q = load(NULL);

	cr_expect(tls_policy_same(p, q));
	cr_expect_null(tls_policy_store(p, fix.thread));
	cr_expect_null(tls_policy_names(p, fix.thread));
	tls_policy_unref(p);
	tls_policy_unref(q);
}

/* --- identity and reuse --- */

Test(policy, identity_is_that_of_the_content)
{
	struct test_cert second = pki_ca("Second");
	struct tls_policy *p[6];

	pki_write_certs(IN_DIR("a.pem"), PKI_CERTS(&fix.root));
	pki_write_certs(IN_DIR("b.pem"), PKI_CERTS(&second));
	pki_write_certs(IN_DIR("both.pem"), PKI_CERTS(&second, &fix.root, &second));
	pin(IN_DIR("a.pem"));
	p[0] = load(NULL);
	pin(IN_DIR("b.pem"));
	p[1] = load(NULL);
	conf.n_pins = 0;
	pin(IN_DIR("both.pem"));
	p[2] = load(NULL);
	conf.mode = CONF_CLIENT_OPTIONAL;
	p[3] = load(NULL);
	conf.depth = 3;
	p[4] = load(NULL);
	write_crl(IN_DIR("crl"), &fix.root, NULL, 3600, false);
	add_crl(IN_DIR("crl"));
	p[5] = load(NULL);
	for (size_t i = 0; i < COUNTOF(p); i++)
		for (size_t k = 0; k < COUNTOF(p); k++)
			cr_expect_eq(tls_policy_same(p[i], p[k]), i == k || i * k == 2 /* 1 and 2 */, "%zu %zu", i, k);
	for (size_t i = 0; i < COUNTOF(p); i++)
		tls_policy_unref(p[i]);
	pki_free(&second);
}

Test(policy, unchanged_is_the_same_object_and_not_read)
{
	struct files blind = *files_direct();

	blind.open_read = NULL;
	pki_write_certs(IN_DIR("a.pem"), PKI_CERTS(&fix.root));
	write_crl(IN_DIR("crl"), &fix.root, NULL, 3600, false);
	pin(IN_DIR("a.pem"));
	add_crl(IN_DIR("crl"));
	struct tls_policy *p = load(NULL), *q = tls_policy_load(&conf, p, &blind, fix.thread, &problems);
	cr_expect_eq(p, q);
	tls_policy_unref(q);
	/* Written anew with the same content: read once, and not again. */
	pki_write_certs(IN_DIR("a.pem"), PKI_CERTS(&fix.root));
	q = load(p);
	cr_expect_eq(p, q);
	tls_policy_unref(q);
	q = tls_policy_load(&conf, p, &blind, fix.thread, &problems);
	cr_expect_eq(p, q);
	tls_policy_unref(q);
	write_crl(IN_DIR("crl"), &fix.root, &fix.intermediate, 3600, false);
	q = load(p);
	cr_expect_neq(p, q);
	cr_expect_not(tls_policy_same(p, q));
	tls_policy_unref(p);
	tls_policy_unref(q);
}

/* --- CRLs --- */

Test(policy, revoked_in_pem_and_in_der)
{
	struct test_cert good = pki_leaf("good", &fix.root), bad = pki_leaf("bad", &fix.root);

	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&fix.root));
	pin(IN_DIR("root.pem"));
	add_crl(IN_DIR("crl"));
	for (int der = 0; der <= 1; der++) {
		write_crl(IN_DIR("crl"), &fix.root, &bad, 3600, der);
		struct tls_policy *p = load(NULL);
		cr_expect_eq(verify(p, &good, NULL), X509_V_OK);
		cr_expect_eq(verify(p, &bad, NULL), X509_V_ERR_CERT_REVOKED);
		tls_policy_unref(p);
	}
	pki_free(&good), pki_free(&bad);
}

Test(policy, leaf_or_chain)
{
	struct test_cert client = pki_leaf("client", &fix.intermediate);
	const struct test_cert *revoked = &fix.intermediate;
	X509_CRL *both[2] = {pki_crl(&fix.root, &revoked, 1, 3600), pki_crl(&fix.intermediate, NULL, 0, 3600)};

	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&fix.root));
	pki_write_crls(IN_DIR("crls"), both, 2, false);
	pin(IN_DIR("root.pem"));
	add_crl(IN_DIR("crls"));
	struct tls_policy *p = load(NULL);
	cr_expect_eq(verify(p, &client, &fix.intermediate), X509_V_OK);
	tls_policy_unref(p);
	conf.crl_check = CONF_CRL_CHAIN;
	p = load(NULL);
	cr_expect_eq(verify(p, &client, &fix.intermediate), X509_V_ERR_CERT_REVOKED);
	tls_policy_unref(p);
	/* The pin's own revocation can only be looked up when its issuer is pinned too. */
	pki_write_certs(IN_DIR("intermediate.pem"), PKI_CERTS(&fix.intermediate));
	pins[0].ca = IN_DIR("intermediate.pem");
	expect_refused("the pinned CA \"CN=Test Intermediate, O=Bascule Tests\" is an intermediate");
	X509_CRL_free(both[0]);
	X509_CRL_free(both[1]);
	pki_free(&client);
}

Test(policy, expired_crl_is_warned_about_and_refuses)
{
	struct test_cert client = pki_leaf("client", &fix.root), second = pki_ca("Second");

	pki_write_certs(IN_DIR("pins.pem"), PKI_CERTS(&fix.root, &second));
	write_crl(IN_DIR("crl"), &fix.root, NULL, -60, false);
	pin(IN_DIR("pins.pem"));
	add_crl(IN_DIR("crl"));
	struct tls_policy *p = load(NULL);
	cr_expect_eq(verify(p, &client, NULL), X509_V_ERR_CRL_HAS_EXPIRED);
	/* Each load says so, although nothing has changed. */
	for (int i = 0; i < 3; i++) {
		expect_told("the CRL of \"CN=Test Root, O=Bascule Tests\" is out of date");
		expect_told("none of the pinned CA \"CN=Second, O=Bascule Tests\"");
		cr_expect_eq(problems.warnings, 2);
		struct tls_policy *again = load(p);
		cr_expect_eq(again, p);
		tls_policy_unref(p);
	}
	tls_policy_unref(p);
	pki_free(&client), pki_free(&second);
}

Test(policy, a_crl_that_goes_out_of_date_is_told_without_a_change)
{
	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&fix.root));
	write_crl(IN_DIR("crl"), &fix.root, NULL, 1, false);
	pin(IN_DIR("root.pem"));
	add_crl(IN_DIR("crl"));
	struct tls_policy *p = load(NULL);
	for (int i = 0; i < 400 && problems.warnings == 0; i++) {
		usleep(10000);
		tls_policy_unref(load(p));
	}
	expect_told("is out of date");
	tls_policy_unref(p);
}

Test(policy, damaged_crl)
{
	size_t n;

	pki_write_certs(IN_DIR("root.pem"), PKI_CERTS(&fix.root));
	pin(IN_DIR("root.pem"));
	add_crl(IN_DIR("crl"));
	expect_refused("crl: No such file or directory");
	pki_write_text(IN_DIR("crl"), "");
	expect_refused("crl: no CRL in it, neither PEM nor DER");
	pki_write_certs(IN_DIR("crl"), PKI_CERTS(&fix.root));
	expect_refused("crl: no CRL in it");
	write_crl(IN_DIR("crl"), &fix.root, NULL, 3600, true);
	char *good = pki_read(IN_DIR("crl"), &n);
	pki_write(IN_DIR("crl"), good, n - 1);
	expect_refused("crl: a CRL in it is damaged");
	pki_write(IN_DIR("crl"), good, n + 1);
	expect_refused("crl: a CRL in it is damaged");
	write_crl(IN_DIR("crl"), &fix.root, NULL, 3600, false);
	char *pem = pki_read(IN_DIR("crl"), &n);
	pki_write(IN_DIR("crl"), pem, n / 2);
	expect_refused("crl: line 1: BEGIN X509 CRL without its END line");
	free(good);
	free(pem);
}
