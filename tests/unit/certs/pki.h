/*
 * pki.h: certificates, keys, CRLs and PKCS#12 files for the tests, made per run.
 *
 * Every function asserts that it succeeds. Files go to a directory of the
 * test's own (pki_dir) which pki_dir_remove() deletes.
 */
#ifndef BASCULE_TESTS_PKI_H
#define BASCULE_TESTS_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/defs.h"

enum pki_key { PKI_P256, PKI_P384, PKI_P192, PKI_RSA2048, PKI_RSA3072, PKI_RSA1024, PKI_ED25519 };

struct test_cert {
	X509 *x509;
	EVP_PKEY *key;
};

struct pki_spec {
	const char *cn;
	const char *names; /* subjectAltName dNSNames: "a.b.c,*.b.c"; NULL: no such extension */
	enum pki_key key;
	EVP_PKEY *reuse_key;            /* this key instead of a new one; not consumed */
	const struct test_cert *issuer; /* NULL: self-signed */
	bool ca;                        /* basicConstraints CA:TRUE, keyUsage keyCertSign and cRLSign */
	bool v1;                        /* X.509 version 1: no extensions at all */
	const char *issuer_url;         /* authorityInfoAccess, caIssuers; NULL: no such extension */
	const char *digest;             /* of the signature; NULL: SHA256 */
	size_t serial_octets;           /* 0: 16 */
	int64_t not_before, not_after;  /* seconds from now; both 0: an hour ago, 90 days ahead */
};

struct test_cert pki_make(const struct pki_spec *spec);
void pki_free(struct test_cert *c);
EVP_PKEY *pki_new_key(enum pki_key kind);

/* Shorthands: P-256, valid now. `names` is also where the CN comes from (the first of them). */
struct test_cert pki_ca(const char *cn);
struct test_cert pki_intermediate(const char *cn, const struct test_cert *issuer);
struct test_cert pki_leaf(const char *names, const struct test_cert *issuer);
struct test_cert pki_rsa_leaf(const char *names, const struct test_cert *issuer);

/* A CRL of `issuer` that revokes the n certificates; `next_update` in seconds from now. */
X509_CRL *
pki_crl(const struct test_cert *issuer, const struct test_cert *const *revoked, size_t n, int64_t next_update);

/* --- files --- */

char *pki_dir(void); /* a new directory; free with pki_dir_remove */
void pki_dir_remove(char *dir);

/* "DIR/NAME", NAME made by printf; stays until the process ends. */
const char *pki_path(const char *dir, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* All replace the file with a rename, so that inode and stamp change. */
void pki_write(const char *path, const void *p, size_t n);
void pki_write_text(const char *path, const char *text);
void pki_write_certs(const char *path, const struct test_cert *const *certs, size_t n);
void pki_write_key(const char *path, EVP_PKEY *key);             /* PKCS#8 */
void pki_write_key_traditional(const char *path, EVP_PKEY *key); /* "EC PRIVATE KEY", "RSA PRIVATE KEY" */
void pki_write_key_encrypted(const char *path, EVP_PKEY *key, const char *password); /* PKCS#8, AES-256 */
void
pki_write_combined(const char *path, const struct test_cert *const *certs, size_t n); /* with the key of certs[0] */
void pki_write_crls(const char *path, X509_CRL *const *crls, size_t n, bool der);
/* `legacy`: RC2-40 as made by old tools. */
void
pki_write_pkcs12(const char *path, const struct test_cert *const *certs, size_t n, const char *password, bool legacy);

/* The file's content, malloc'ed, with a NUL; *n without it. */
char *pki_read(const char *path, size_t *n);

/* pki_write_certs(path, PKI_CERTS(&leaf, &intermediate)) */
#define PKI_CERTS(...)                                   \
	((const struct test_cert *const[]){__VA_ARGS__}), \
	    COUNTOF(((const struct test_cert *const[]){__VA_ARGS__}))

#endif
