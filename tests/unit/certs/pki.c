#include "pki.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define MUST(e)                                                                          \
	do {                                                                             \
		if (!(e)) {                                                              \
			fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #e); \
			abort();                                                         \
		}                                                                        \
	} while (0)

enum { RSA_BITS = 2048, RSA_BITS_MORE = 3072, RSA_BITS_WEAK = 1024, DAYS_VALID = 90 };

EVP_PKEY *
pki_new_key(enum pki_key kind)
{
	switch (kind) {
	case PKI_P256:
		return EVP_EC_gen("P-256");
	case PKI_P384:
		return EVP_EC_gen("P-384");
	case PKI_P192:
		return EVP_EC_gen("P-192");
	case PKI_RSA2048:
		return EVP_RSA_gen(RSA_BITS);
	case PKI_RSA3072:
		return EVP_RSA_gen(RSA_BITS_MORE);
	case PKI_RSA1024:
		return EVP_RSA_gen(RSA_BITS_WEAK);
	case PKI_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	}
	return NULL;
}

static void
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	MUST(e != NULL);
	MUST(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static void
add_names(X509 *x, const char *names)
{
	char value[2048] = "", *copy = strdup(names), *rest = copy, *one;

	while ((one = strsep(&rest, ",")) != NULL) {
		size_t n = strlen(value);
		MUST((size_t)snprintf(value + n, sizeof(value) - n, "%sDNS:%s", n > 0 ? "," : "", one) <
		    sizeof(value) - n);
	}
	free(copy);
	add_extension(x, x, NID_subject_alt_name, value);
}

static void
add_extensions(X509 *x, X509 *issuer, const struct pki_spec *spec)
{
	add_extension(x, issuer, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (spec->ca)
		add_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
	add_extension(x, issuer, NID_subject_key_identifier, "hash");
	if (issuer != x && X509_get0_subject_key_id(issuer) != NULL)
		add_extension(x, issuer, NID_authority_key_identifier, "keyid");
	if (spec->names != NULL)
		add_names(x, spec->names);
	if (spec->issuer_url != NULL) {
		char value[256];
		(void)snprintf(value, sizeof(value), "OCSP;URI:http://ocsp.test/,caIssuers;URI:%s", spec->issuer_url);
		add_extension(x, issuer, NID_info_access, value);
	}
}

static void
set_serial(X509 *x, size_t octets)
{
	unsigned char *bytes = malloc(octets);

	MUST(bytes != NULL && RAND_bytes(bytes, (int)octets) == 1);
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	BIGNUM *n = BN_bin2bn(bytes, (int)octets, NULL);
	MUST(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL);
	BN_free(n);
	free(bytes);
}

struct test_cert
pki_make(const struct pki_spec *spec)
{
	struct test_cert c = {.x509 = X509_new(), .key = spec->reuse_key};
	bool dated = spec->not_before != 0 || spec->not_after != 0;
	time_t now = time(NULL);

	if (c.key == NULL)
		c.key = pki_new_key(spec->key);
	else
		EVP_PKEY_up_ref(c.key);
	MUST(c.x509 != NULL && c.key != NULL);
	X509 *issuer = spec->issuer != NULL ? spec->issuer->x509 : c.x509;
	EVP_PKEY *signer = spec->issuer != NULL ? spec->issuer->key : c.key;
	X509_NAME *name = X509_get_subject_name(c.x509);

	MUST(X509_set_version(c.x509, spec->v1 ? X509_VERSION_1 : X509_VERSION_3));
	set_serial(c.x509, spec->serial_octets != 0 ? spec->serial_octets : 16);
	MUST(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Bascule Tests", -1, -1, 0));
	if (spec->cn != NULL)
		MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->cn, -1, -1, 0));
	MUST(X509_set_issuer_name(c.x509, X509_get_subject_name(issuer)));
	MUST(ASN1_TIME_set(X509_getm_notBefore(c.x509), now + (dated ? spec->not_before : -3600)) != NULL);
	MUST(ASN1_TIME_set(X509_getm_notAfter(c.x509), now + (dated ? spec->not_after : DAYS_VALID * 86400L)) != NULL);
	MUST(X509_set_pubkey(c.x509, c.key));
	if (!spec->v1)
		add_extensions(c.x509, issuer, spec);
	bool own_digest = EVP_PKEY_is_a(signer, "ED25519");
	MUST(X509_sign(c.x509, signer,
	    own_digest ? NULL : EVP_get_digestbyname(spec->digest != NULL ? spec->digest : "SHA256")) > 0);
	return c;
}

void
pki_free(struct test_cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	*c = (struct test_cert){NULL, NULL};
}

struct test_cert
pki_ca(const char *cn)
{
	return pki_make(&(struct pki_spec){.cn = cn, .ca = true});
}

struct test_cert
pki_intermediate(const char *cn, const struct test_cert *issuer)
{
	return pki_make(&(struct pki_spec){.cn = cn, .ca = true, .issuer = issuer});
}

static struct test_cert
leaf_of(enum pki_key key, const char *names, const struct test_cert *issuer)
{
	char cn[64];

	(void)snprintf(cn, sizeof(cn), "%.*s", (int)strcspn(names, ","), names);
	return pki_make(&(struct pki_spec){.cn = cn, .names = names, .key = key, .issuer = issuer});
}

struct test_cert
pki_leaf(const char *names, const struct test_cert *issuer)
{
	return leaf_of(PKI_P256, names, issuer);
}

struct test_cert
pki_rsa_leaf(const char *names, const struct test_cert *issuer)
{
	return leaf_of(PKI_RSA2048, names, issuer);
}

X509_CRL *
pki_crl(const struct test_cert *issuer, const struct test_cert *const *revoked, size_t n, int64_t next_update)
{
	X509_CRL *crl = X509_CRL_new();
	time_t now = time(NULL);
	ASN1_TIME *last = ASN1_TIME_set(NULL, now - 7200), *next = ASN1_TIME_set(NULL, now + next_update);

	MUST(crl != NULL && last != NULL && next != NULL);
	MUST(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)));
	MUST(X509_CRL_set1_lastUpdate(crl, last) && X509_CRL_set1_nextUpdate(crl, next));
	for (size_t i = 0; i < n; i++) {
		X509_REVOKED *r = X509_REVOKED_new();
		MUST(r != NULL && X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked[i]->x509)));
		MUST(X509_REVOKED_set_revocationDate(r, last) && X509_CRL_add0_revoked(crl, r));
	}
	MUST(X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
	ASN1_TIME_free(last);
	ASN1_TIME_free(next);
	return crl;
}

/* --- files --- */

char *
pki_dir(void)
{
	char *dir = strdup("/tmp/bascule-tls-XXXXXX");

	MUST(dir != NULL && mkdtemp(dir) != NULL);
	return dir;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void
pki_dir_remove(char *dir)
{
	MUST(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
	free(dir);
}

const char *
pki_path(const char *dir, const char *fmt, ...)
{
	static struct path {
		struct path *next;
		char text[512];
	} *paths; /* all of them, until the process ends */
	struct path *p = malloc(sizeof(*p));
	va_list ap;

	MUST(p != NULL);
	p->next = paths;
	paths = p;
	int n = snprintf(p->text, sizeof(p->text), "%s/", dir);
	va_start(ap, fmt);
	(void)vsnprintf(p->text + n, sizeof(p->text) - (size_t)n, fmt, ap);
	va_end(ap);
	return p->text;
}

void
pki_write(const char *path, const void *p, size_t n)
{
	char temporary[600];

	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "w");
	MUST(f != NULL);
	MUST(fwrite(p, 1, n, f) == n);
	MUST(fclose(f) == 0);
	MUST(rename(temporary, path) == 0);
}

void
pki_write_text(const char *path, const char *text)
{
	pki_write(path, text, strlen(text));
}

static void
write_bio(const char *path, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	MUST(n >= 0);
	pki_write(path, p, (size_t)n);
	BIO_free(bio);
}

void
pki_write_certs(const char *path, const struct test_cert *const *certs, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++)
		MUST(PEM_write_bio_X509(bio, certs[i]->x509));
	write_bio(path, bio);
}

void
pki_write_key(const char *path, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	write_bio(path, bio);
}

void
pki_write_key_traditional(const char *path, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL));
	write_bio(path, bio);
}

void
pki_write_key_encrypted(const char *path, EVP_PKEY *key, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), password, (int)strlen(password), NULL, NULL));
	write_bio(path, bio);
}

void
pki_write_combined(const char *path, const struct test_cert *const *certs, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_PKCS8PrivateKey(bio, certs[0]->key, NULL, NULL, 0, NULL, NULL));
	for (size_t i = 0; i < n; i++)
		MUST(PEM_write_bio_X509(bio, certs[i]->x509));
	write_bio(path, bio);
}

void
pki_write_crls(const char *path, X509_CRL *const *crls, size_t n, bool der)
{
	BIO *bio = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++)
		MUST(der ? i2d_X509_CRL_bio(bio, crls[i]) : PEM_write_bio_X509_CRL(bio, crls[i]));
	write_bio(path, bio);
}

void
pki_write_pkcs12(const char *path, const struct test_cert *const *certs, size_t n, const char *password, bool legacy)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	BIO *bio = BIO_new(BIO_s_mem());
	OSSL_LIB_CTX *lib = OSSL_LIB_CTX_new();
	OSSL_PROVIDER *providers[2] = {
	    OSSL_PROVIDER_load(lib, "default"), legacy ? OSSL_PROVIDER_load(lib, "legacy") : NULL};

	MUST(lib != NULL && providers[0] != NULL && (!legacy || providers[1] != NULL));
	for (size_t i = 1; i < n; i++)
		MUST(sk_X509_push(chain, certs[i]->x509));
	enum { FEW_ITERATIONS = 2 }; /* nobody guesses these passwords */
	PKCS12 *p = PKCS12_create_ex(password, NULL, certs[0]->key, certs[0]->x509, chain,
	    legacy ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : 0, legacy ? NID_pbe_WithSHA1And40BitRC2_CBC : 0,
	    FEW_ITERATIONS, 1, 0, lib, NULL);
	MUST(p != NULL && i2d_PKCS12_bio(bio, p));
	write_bio(path, bio);
	PKCS12_free(p);
	sk_X509_free(chain);
	for (size_t i = 0; i < COUNTOF(providers); i++)
		if (providers[i] != NULL)
			OSSL_PROVIDER_unload(providers[i]);
	OSSL_LIB_CTX_free(lib);
}

char *
pki_read(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");

	MUST(f != NULL && fseek(f, 0, SEEK_END) == 0);
	long size = ftell(f);
	MUST(size >= 0);
	rewind(f);
	char *p = malloc((size_t)size + 1);
	MUST(p != NULL && fread(p, 1, (size_t)size, f) == (size_t)size);
	p[size] = '\0';
	*n = (size_t)size;
	MUST(fclose(f) == 0);
	return p;
}
