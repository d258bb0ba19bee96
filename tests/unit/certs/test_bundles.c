/* One bundle: what is read, put in order, refused, and what is said of it. */
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(bundles, .init = fixture_setup, .fini = fixture_teardown);

/* "site" from cert.pem and key.pem. */
static struct conf_bundle *
configure_pair(void)
{
	struct conf_bundle *b = fixture_bundle("site");

	b->certificate = IN_DIR("cert.pem");
	b->key = IN_DIR("key.pem");
	return b;
}

static struct tls_bundle *
site(void)
{
	return tls_store_bundle(fix.store, "site");
}

/* What is in the two files is refused with a text that begins with the file `name` and holds `part`. */
static void
expect_refused(const char *name, const char *part)
{
	fixture_load();
	fixture_expect("site", TLS_MISSING, part);
	const char *path = IN_DIR("%s", name), *text = fixture_outcome("site")->text;
	cr_expect_eq(strncmp(text, path, strlen(path)), 0, "does not begin with %s: %s", path, text);
	cr_expect_null(site());
	cr_expect_eq(fix.outcomes.failed, 1);
}

Test(bundles, pair)
{
	struct test_cert leaf = pki_leaf("A.b.c,*.b.c", &fix.intermediate);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 1: a.b.c, *.b.c; valid until ");
	struct tls_bundle *b = site();
	cr_assert_not_null(b);
	cr_expect_eq(b->n_chain, 2);
	cr_expect_eq(b->generation, 1);
	cr_expect_eq(b->facts.n_names, 2);
	cr_expect_str_eq(b->facts.names[0], "a.b.c");
	cr_expect_str_eq(b->facts.subject, "CN=A.b.c, O=Bascule Tests");
	cr_expect_str_eq(b->where, IN_DIR("cert.pem"));
	cr_expect(tls_bundle_covers(b, "a.b.c"));
	cr_expect(tls_bundle_covers(b, "x.b.c"));
	cr_expect_not(tls_bundle_covers(b, "y.x.b.c"));
	cr_expect_not(tls_bundle_covers(b, "b.c"));
	cr_expect_not(tls_bundle_covers(b, ".b.c"));
	cr_expect_not(tls_bundle_covers(b, ""));
	pki_free(&leaf);
}

Test(bundles, materials_are_made_once_a_thread)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct err err;
	struct tls_thread *other = tls_thread_new(1, &err);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate));
	pki_write_key_traditional(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	const struct tls_materials *m = tls_bundle_materials(site(), fix.thread),
	                           *n = tls_bundle_materials(site(), other);
	cr_assert_not_null(m);
	cr_assert_not_null(n);
	cr_expect_eq(m, tls_bundle_materials(site(), fix.thread));
	cr_expect_neq(m, n);
	cr_expect_eq(X509_cmp(m->leaf, leaf.x509), 0);
	cr_expect_eq(sk_X509_num(m->chain), 1);
	cr_expect_eq(X509_check_private_key(n->leaf, m->key), 1);
	tls_store_unref(fix.store);
	fix.store = NULL;
	tls_thread_free(other);
	pki_free(&leaf);
}

Test(bundles, combined_rsa_traditional_with_text_around)
{
	struct test_cert leaf = pki_rsa_leaf("a.b.c", &fix.intermediate);
	char *text;
	size_t n, key, cert;

	pki_write_key_traditional(IN_DIR("k"), leaf.key);
	pki_write_certs(IN_DIR("c"), PKI_CERTS(&leaf));
	char *k = pki_read(IN_DIR("k"), &key), *c = pki_read(IN_DIR("c"), &cert);
	n = (size_t)asprintf(&text, "Bag Attributes\r\n  friendlyName: x\n%s\nsubject=CN = a\n%s trailing", k, c);
	pki_write(IN_DIR("all.pem"), text, n);
	fixture_bundle("site")->combined = IN_DIR("all.pem");
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 1");
	cr_expect_eq(site()->facts.key_type, TLS_KEY_RSA);
	cr_expect_not_null(tls_bundle_materials(site(), fix.thread));
	free(k), free(c), free(text);
	pki_free(&leaf);
}

Test(bundles, ed25519_has_no_public_part_to_compare)
{
	struct test_cert leaf = pki_make(&(struct pki_spec){.cn = "a.b.c", .key = PKI_ED25519});
	struct test_cert other = pki_make(&(struct pki_spec){.cn = "a.b.c", .key = PKI_ED25519});

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("key.pem"), other.key);
	expect_refused("cert.pem", "belongs to none of its certificates");
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "a.b.c");
	cr_expect_not_null(tls_bundle_materials(site(), fix.thread));
	pki_free(&leaf);
	pki_free(&other);
}

static void
write_leaf(const struct test_cert *leaf, const struct test_cert *issuer)
{
	pki_write_certs(IN_DIR("cert.pem"), (const struct test_cert *const[]){leaf, issuer}, issuer != NULL ? 2 : 1);
	pki_write_key(IN_DIR("key.pem"), leaf->key);
}

/* --- secrets that are none --- */

static void
expect_exposed(const char *path)
{
	fixture_load();
	const char *is = site()->exposed;
	cr_expect(path == NULL ? is == NULL : is != NULL && strcmp(is, path) == 0, "%s", is != NULL ? is : "none");
}

Test(bundles, a_key_that_everybody_may_read_is_remarked)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	write_leaf(&leaf, NULL);
	const struct {
		mode_t mode;
		const char *path;
	} steps[] = {{0600, NULL}, {0604, IN_DIR("key.pem")}, {0640, NULL}, {0622, IN_DIR("key.pem")}};
	for (size_t i = 0; i < COUNTOF(steps); i++) {
		cr_assert_eq(chmod(IN_DIR("cert.pem"), 0666), 0);
		cr_assert_eq(chmod(IN_DIR("key.pem"), steps[i].mode), 0);
		expect_exposed(steps[i].path);
		cr_expect_eq(site()->generation, 1, "it is the same");
		cr_expect_eq(site()->exposed_mode, steps[i].path != NULL ? steps[i].mode : 0);
	}
	pki_free(&leaf);
}

Test(bundles, of_pkcs12_the_password_is_the_secret)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct conf_bundle *b = fixture_bundle("site");

	b->pkcs12 = IN_DIR("site.p12");
	b->password_file = IN_DIR("site.pass");
	pki_write_pkcs12(b->pkcs12, PKI_CERTS(&leaf, &fix.intermediate), "geheim", false);
	pki_write_text(b->password_file, "geheim");
	cr_assert_eq(chmod(b->pkcs12, 0644), 0);
	cr_assert_eq(chmod(b->password_file, 0600), 0);
	expect_exposed(NULL);
	cr_assert_eq(chmod(b->password_file, 0644), 0);
	expect_exposed(b->password_file);
	b->password_file = NULL;
	pki_write_pkcs12(b->pkcs12, PKI_CERTS(&leaf, &fix.intermediate), "", false);
	cr_assert_eq(chmod(b->pkcs12, 0644), 0);
	expect_exposed(b->pkcs12);
	pki_free(&leaf);
}

/* --- the chain --- */

static bool
lacks_issuer(void)
{
	fixture_load();
	return site()->lacks_issuer;
}

/* A private root issues leaves itself, and then nothing is missing. */
Test(bundles, a_missing_intermediate_is_remarked_when_something_tells_that_there_is_one)
{
	struct test_cert of_root = pki_leaf("a.b.c", &fix.root), first = pki_leaf("a.b.c", &fix.intermediate);
	struct test_cert told = pki_make(&(struct pki_spec){
	    .cn = "a.b.c", .names = "a.b.c", .issuer = &fix.intermediate, .issuer_url = "http://ca.test/issuer.der"});

	configure_pair()->rotation.accept = 1u << CONF_ANOTHER_ROOT | 1u << CONF_EARLIER_EXPIRY; /* or it would be held back */
	write_leaf(&of_root, NULL);
	cr_expect(!lacks_issuer(), "nothing tells of more");
	write_leaf(&first, &fix.intermediate);
	cr_expect(!lacks_issuer(), "all there");
	write_leaf(&of_root, &fix.root);
	cr_expect(!lacks_issuer(), "all there, and the root is not served");
	write_leaf(&told, &fix.intermediate);
	cr_expect(!lacks_issuer(), "all there");
	write_leaf(&first, NULL);
	cr_expect(lacks_issuer(), "the generation before had more");
	write_leaf(&of_root, NULL);
	cr_expect(lacks_issuer(), "and what came since had no more");
	write_leaf(&of_root, &fix.root);
	cr_expect(!lacks_issuer(), "the same content, but the root is there");
	write_leaf(&told, NULL);
	cr_expect(lacks_issuer(), "the certificate says where there is more");
	pki_free(&of_root), pki_free(&first), pki_free(&told);
}

Test(bundles, chain_is_put_in_order_and_the_root_left_out)
{
	struct test_cert second = pki_intermediate("Second", &fix.intermediate), leaf = pki_leaf("a.b.c", &second);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&fix.root, &fix.intermediate, &leaf, &second));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 1");
	const struct tls_materials *m = tls_bundle_materials(site(), fix.thread);
	cr_assert_not_null(m);
	cr_assert_eq(sk_X509_num(m->chain), 2);
	cr_expect_eq(X509_cmp(m->leaf, leaf.x509), 0);
	cr_expect_eq(X509_cmp(sk_X509_value(m->chain, 0), second.x509), 0);
	cr_expect_eq(X509_cmp(sk_X509_value(m->chain, 1), fix.intermediate.x509), 0);
	cr_expect(site()->reordered);
	/* Put right it is the same content, which is not loaded for a second time. */
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &second, &fix.intermediate));
	fixture_load();
	cr_expect_eq(site()->generation, 1);
	cr_expect_not(site()->reordered);
	pki_free(&second);
	pki_free(&leaf);
}

Test(bundles, chain_in_order_is_no_warning_and_repeated_certificates_are_one)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair()->chain = IN_DIR("chain.pem");
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate, &fix.root));
	pki_write_certs(IN_DIR("chain.pem"), PKI_CERTS(&fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	cr_expect_eq(site()->n_chain, 2);
	cr_expect_not(site()->reordered);
	pki_free(&leaf);
}

Test(bundles, foreign_certificate)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate),
	                 stranger = pki_leaf("stranger.example", &fix.intermediate);
	struct test_cert second = pki_intermediate("Second", &fix.intermediate), deep = pki_leaf("a.b.c", &second);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate, &stranger));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	expect_refused("cert.pem", "\"CN=stranger.example, O=Bascule Tests\" does not belong to the chain");
	/* Pieces that do not connect: the one between is missing. */
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&deep, &fix.intermediate));
	pki_write_key(IN_DIR("key.pem"), deep.key);
	expect_refused("cert.pem", "goes on with \"CN=Second, O=Bascule Tests\"; remove it, or add what lies between");
	pki_free(&leaf), pki_free(&stranger), pki_free(&second), pki_free(&deep);
}

Test(bundles, cross_signed_intermediate_goes_before_the_root_of_its_name)
{
	struct test_cert old_root = pki_ca("Old Root");
	struct test_cert crossed = pki_make(
	    &(struct pki_spec){.cn = "Test Root", .ca = true, .issuer = &old_root, .reuse_key = fix.root.key});
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &fix.intermediate, &fix.root, &crossed));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 1");
	cr_expect_eq(site()->n_chain, 3);
	pki_free(&old_root), pki_free(&crossed), pki_free(&leaf);
}

/* The name is right, the key is not: no client would accept the chain. */
Test(bundles, intermediate_that_did_not_sign)
{
	struct test_cert signer = pki_make(&(struct pki_spec){.cn = "Signer", .ca = true, .issuer = &fix.root});
	struct test_cert same_name = pki_make(&(struct pki_spec){.cn = "Signer", .ca = true, .issuer = &fix.root});
	struct test_cert leaf = pki_make(&(struct pki_spec){.cn = "a.b.c", .v1 = true, .issuer = &signer});
	struct test_cert with_key_id = pki_leaf("a.b.c", &signer);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &same_name));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	expect_refused("cert.pem", "is not signed by the one that bears its issuer's name");
	/* Where the certificates carry key identifiers, it is known without a signature. */
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&with_key_id, &same_name));
	pki_write_key(IN_DIR("key.pem"), with_key_id.key);
	expect_refused("cert.pem", "\"CN=Signer, O=Bascule Tests\" does not belong to the chain");
	pki_free(&signer), pki_free(&same_name), pki_free(&leaf), pki_free(&with_key_id);
}

Test(bundles, two_certificates_for_one_key)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct test_cert renewed = pki_make(
	    &(struct pki_spec){.cn = "a.b.c", .issuer = &fix.intermediate, .reuse_key = leaf.key});

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &renewed));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	expect_refused("cert.pem", "2 certificates for one private key");
	pki_free(&leaf), pki_free(&renewed);
}

/* --- refusals --- */

static void
write_pair(const struct pki_spec *spec)
{
	struct test_cert leaf = pki_make(spec);

	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	pki_free(&leaf);
}

Test(bundles, validity_and_strength)
{
	struct test_cert weak_ca = pki_make(
	    &(struct pki_spec){.cn = "Weak CA", .ca = true, .key = PKI_RSA1024, .issuer = &fix.root});
	struct test_cert under_weak = pki_leaf("a.b.c", &weak_ca);

	configure_pair();
	write_pair(&(struct pki_spec){.cn = "old", .not_before = -7200, .not_after = -3600});
	expect_refused("cert.pem", "\"CN=old, O=Bascule Tests\" expired on 20");
	write_pair(&(struct pki_spec){.cn = "new", .not_before = 3600, .not_after = 7200});
	expect_refused("cert.pem", "is not valid before 20");
	cr_expect_not_null(strstr(fixture_outcome("site")->text, "clock"));
	write_pair(&(struct pki_spec){.cn = "weak", .key = PKI_RSA1024});
	expect_refused("cert.pem", "has only 1024 bits; make one with 2048");
	write_pair(&(struct pki_spec){.cn = "weak", .key = PKI_P192});
	expect_refused("cert.pem", "has only 192 bits; make one with 256");
	write_pair(&(struct pki_spec){.cn = "sha1", .digest = "SHA1", .issuer = &fix.root});
	expect_refused("cert.pem", "signed with SHA-1 or MD5");
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&under_weak, &weak_ca));
	pki_write_key(IN_DIR("key.pem"), under_weak.key);
	expect_refused("cert.pem", "the RSA key of \"CN=Weak CA, O=Bascule Tests\" has only 1024 bits");
	pki_free(&under_weak), pki_free(&weak_ca);
}

Test(bundles, intermediate_that_is_no_ca)
{
	struct test_cert no_ca = pki_make(&(struct pki_spec){.cn = "Not a CA", .issuer = &fix.root});
	struct test_cert leaf = pki_leaf("a.b.c", &no_ca);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf, &no_ca));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	expect_refused("cert.pem", "\"CN=Not a CA, O=Bascule Tests\" stands in the chain but is not a CA");
	pki_free(&leaf), pki_free(&no_ca);
}

Test(bundles, key_and_certificate_missing_or_mixed_up)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root), other = pki_leaf("a.b.c", &fix.root);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	expect_refused("key.pem", "No such file or directory; put it there");
	pki_write_certs(IN_DIR("key.pem"), PKI_CERTS(&leaf));
	expect_refused("key.pem", "no private key in it");
	pki_write_key(IN_DIR("key.pem"), other.key);
	expect_refused("cert.pem", "belongs to none of its certificates");
	cr_expect_null(strstr(fixture_outcome("site")->text, "pending"));
	pki_write_key(IN_DIR("cert.pem"), leaf.key);
	expect_refused("cert.pem", "no certificate in it");
	pki_write_combined(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	expect_refused("key.pem", "a second private key beside that in");
	pki_free(&leaf), pki_free(&other);
}

Test(bundles, encrypted_keys)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	pki_write_key_encrypted(IN_DIR("key.pem"), leaf.key, "secret");
	expect_refused("key.pem", "encrypted; use PKCS#12 with a password file, or decrypt it");
	pki_write_text(IN_DIR("key.pem"),
	    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n"
	    "-----END RSA PRIVATE KEY-----\n");
	expect_refused("key.pem", "encrypted; use PKCS#12");
	pki_free(&leaf);
}

Test(bundles, damaged_pem)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root);
	size_t n;

	configure_pair();
	pki_write_certs(IN_DIR("good.pem"), PKI_CERTS(&leaf));
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	char *good = pki_read(IN_DIR("good.pem"), &n);
	pki_write(IN_DIR("cert.pem"), good, n / 2);
	expect_refused("cert.pem", "line 1: BEGIN CERTIFICATE without its END line: cut off, or still being written");
	pki_write(IN_DIR("cert.pem"), good, n - 3);
	expect_refused("cert.pem", "cut off");
	pki_write(IN_DIR("cert.pem"), good, 14);
	expect_refused("cert.pem", "cut off");
	good[100] = '!';
	pki_write(IN_DIR("cert.pem"), good, n);
	expect_refused("cert.pem", "line 1: CERTIFICATE: not base64");
	pki_write_text(IN_DIR("cert.pem"), "");
	expect_refused("cert.pem", "is empty");
	pki_write_text(IN_DIR("cert.pem"), "hello\n");
	expect_refused("cert.pem", "is not PEM: it has no BEGIN line");
	pki_write_text(IN_DIR("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	expect_refused("cert.pem", "a certificate in it is damaged");
	pki_write_text(IN_DIR("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
	expect_refused("cert.pem", "without its END line");
	pki_write(IN_DIR("cert.pem"), "\x30\x82\x01\x00", 4);
	expect_refused("cert.pem", "looks like DER; convert it");
	free(good);
	pki_free(&leaf);
}

Test(bundles, damaged_key)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	pki_write_text(IN_DIR("key.pem"), "-----BEGIN PRIVATE KEY-----\nMAMCAQA=\n-----END PRIVATE KEY-----\n");
	expect_refused("key.pem", "the private key can not be read");
	pki_free(&leaf);
}

Test(bundles, too_large_and_too_many)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root);
	char *big = calloc(1, 1024 * 1024 + 1);

	configure_pair();
	pki_write_key(IN_DIR("key.pem"), leaf.key);
	pki_write(IN_DIR("cert.pem"), big, 1024 * 1024 + 1);
	expect_refused("cert.pem", "larger than 1024 KiB");
	free(big);
	struct test_cert many[34];
	const struct test_cert *list[34];
	for (size_t i = 0; i < COUNTOF(many); i++) {
		many[i] = pki_leaf("a.b.c", &fix.root);
		list[i] = &many[i];
	}
	pki_write_certs(IN_DIR("cert.pem"), list, COUNTOF(list));
	expect_refused("cert.pem", "more than 32 certificates");
	for (size_t i = 0; i < COUNTOF(many); i++)
		pki_free(&many[i]);
	pki_free(&leaf);
}

Test(bundles, chain_too_long)
{
	struct test_cert chain[12];
	const struct test_cert *list[12];

	configure_pair();
	for (size_t i = COUNTOF(chain); i-- > 0;) {
		char cn[16];
		(void)snprintf(cn, sizeof(cn), "member %zu", i);
		const struct test_cert *issuer = i + 1 < COUNTOF(chain) ? &chain[i + 1] : &fix.root;
		chain[i] = i > 0 ? pki_intermediate(cn, issuer) : pki_leaf("a.b.c", issuer);
		list[i] = &chain[i];
	}
	pki_write_certs(IN_DIR("cert.pem"), list, COUNTOF(list));
	pki_write_key(IN_DIR("key.pem"), chain[0].key);
	expect_refused("cert.pem", "a chain of more than 10 certificates");
	for (size_t i = 0; i < COUNTOF(chain); i++)
		pki_free(&chain[i]);
}

/* --- PKCS#12 --- */

Test(bundles, pkcs12)
{
	struct test_cert second = pki_intermediate("Second", &fix.intermediate), leaf = pki_leaf("a.b.c", &second);
	struct conf_bundle *b = fixture_bundle("site");

	b->pkcs12 = IN_DIR("site.p12");
	pki_write_pkcs12(b->pkcs12, PKI_CERTS(&leaf, &fix.intermediate, &second), "geheim", false);
	expect_refused("site.p12", "needs a password");
	b->password_file = IN_DIR("site.pass");
	pki_write_text(b->password_file, "wrong\n");
	expect_refused("site.p12", "wrong password in ");
	pki_write_text(b->password_file, "two\nlines\n");
	expect_refused("site.p12", "wrong password in ");
	pki_write_text(b->password_file, "geheim\r\n");
	fixture_load();
	fixture_expect("site", TLS_LOADED, "a.b.c");
	cr_expect_eq(site()->n_chain, 3);
	cr_expect_not_null(tls_bundle_materials(site(), fix.thread));
	cr_expect_not(site()->reordered, "order in PKCS#12 is chance");
	pki_free(&second), pki_free(&leaf);
}

Test(bundles, pkcs12_without_password)
{
	struct test_cert leaf = pki_rsa_leaf("a.b.c", &fix.intermediate);

	fixture_bundle("site")->pkcs12 = IN_DIR("site.p12");
	pki_write_pkcs12(IN_DIR("site.p12"), PKI_CERTS(&leaf, &fix.intermediate), "", false);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "a.b.c");
	fix.accept = 1u << CONF_ANOTHER_ROOT; /* without the intermediate it ends at another */
	pki_write_pkcs12(IN_DIR("site.p12"), PKI_CERTS(&leaf), NULL, false);
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 2");
	pki_free(&leaf);
}

Test(bundles, pkcs12_outdated_or_damaged)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.intermediate);
	struct conf_bundle *b = fixture_bundle("site");
	size_t n;

	b->pkcs12 = IN_DIR("site.p12");
	b->password_file = IN_DIR("site.pass");
	pki_write_text(b->password_file, "geheim");
	pki_write_pkcs12(b->pkcs12, PKI_CERTS(&leaf), "geheim", true);
	expect_refused("site.p12", "made with an outdated cipher; convert it: openssl pkcs12 -legacy");
	pki_write_pkcs12(b->pkcs12, PKI_CERTS(&leaf), "geheim", false);
	char *good = pki_read(b->pkcs12, &n);
	pki_write(b->pkcs12, good, n / 2);
	expect_refused("site.p12", "is not PKCS#12, or cut off");
	pki_write_text(b->pkcs12, "");
	expect_refused("site.p12", "is not PKCS#12, or cut off");
	good[n / 3] ^= 0x10;
	pki_write(b->pkcs12, good, n);
	fixture_load();
	fixture_expect("site", TLS_MISSING, "site.p12: ");
	free(good);
	pki_free(&leaf);
}

/* --- a key that lies --- */

/* The private key of one with the public key of another, as the file of an EC key can claim. */
static void
write_lying_key(const char *path, EVP_PKEY *private, EVP_PKEY *claimed)
{
	unsigned char *der = NULL, *end, *public = NULL;
	int n = i2d_PrivateKey(private, &der), m = i2d_PublicKey(claimed, &public);

	cr_assert(n > m && m == 65);
	end = der + n - m; /* the public key stands last in ECPrivateKey */
	memcpy(end, public, (size_t)m);
	BIO *bio = BIO_new(BIO_s_mem());
	cr_assert(PEM_write_bio(bio, "EC PRIVATE KEY", "", der, n));
	char *text;
	long size = BIO_get_mem_data(bio, &text);
	pki_write(path, text, (size_t)size);
	BIO_free(bio);
	OPENSSL_free(der);
	OPENSSL_free(public);
}

Test(bundles, lying_key_is_found_at_load)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root), other = pki_leaf("a.b.c", &fix.root);

	configure_pair();
	pki_write_certs(IN_DIR("cert.pem"), PKI_CERTS(&leaf));
	write_lying_key(IN_DIR("key.pem"), other.key, leaf.key);
	expect_refused("cert.pem", "the private key is damaged");
	pki_write_key_traditional(
	    IN_DIR("key.pem"), leaf.key); /* as long as the lie, which is told by its bytes alone */
	fixture_load();
	fixture_expect("site", TLS_LOADED, "generation 1");
	write_lying_key(IN_DIR("key.pem"), other.key, leaf.key);
	fixture_load();
	fixture_expect("site", TLS_HELD, "the private key is damaged");
	cr_expect_not_null(tls_bundle_materials(site(), fix.thread));
	pki_free(&leaf), pki_free(&other);
}

/* Too many at once to prove each: the lie is found at first use, said once, and repaired by the right key. */
Test(bundles, lying_key_is_found_at_first_use)
{
	struct test_cert leaf = pki_leaf("a.b.c", &fix.root), other = pki_leaf("a.b.c", &fix.root);
	struct err err;
	struct tls_thread *thread = tls_thread_new(1, &err);

	cr_assert_eq(mkdir(IN_DIR("all"), 0700), 0);
	fixture_bundle("all")->directory = IN_DIR("all");
	fixture_catch_log();
	for (int i = 0; i < 65; i++)
		pki_write_combined(IN_DIR("all/n%d.pem", i), PKI_CERTS(&leaf));
	pki_write_certs(IN_DIR("all/liar.crt"), PKI_CERTS(&leaf));
	write_lying_key(IN_DIR("all/liar.key"), other.key, leaf.key);
	fixture_load();
	fixture_expect("liar", TLS_LOADED, "generation 1");
	struct tls_bundle *liar = tls_store_bundle(fix.store, "liar");
	cr_expect_null(tls_bundle_materials(liar, fix.thread));
	cr_expect_null(tls_bundle_materials(liar, thread));
	cr_expect_not_null(tls_bundle_materials(tls_store_bundle(fix.store, "n1"), thread));
	char *log = fixture_log(), *first = strstr(log, "can not be served");
	cr_assert_not_null(first);
	cr_expect_null(strstr(first + 1, "can not be served"), "said twice: %s", log);
	free(log);
	fixture_load();
	fixture_expect("liar", TLS_HELD, "the private key is damaged");
	pki_write_key(IN_DIR("all/liar.key"), leaf.key);
	fixture_load();
	fixture_expect("liar", TLS_LOADED, "generation 2");
	cr_expect_not_null(tls_bundle_materials(tls_store_bundle(fix.store, "liar"), fix.thread));
	tls_store_unref(fix.store);
	fix.store = NULL;
	tls_thread_free(thread);
	pki_free(&leaf), pki_free(&other);
}
