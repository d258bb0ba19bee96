/* PKCS#12 (RFC 7292) to pieces. */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "certs/der.h"
#include "certs/pieces.h"

/* What OpenSSL made of the file. */
struct contents {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *others;
};

static void
contents_free(struct contents *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->cert);
	sk_X509_pop_free(c->others, X509_free);
}

/* In the thread's library context: an algorithm that it lacks is told apart from a wrong password. */
static PKCS12 *
decode(struct sv content, const struct tls_thread *t)
{
	PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, t->lib, NULL);
	const unsigned char *p = (const unsigned char *)content.p;

	if (p12 == NULL || d2i_PKCS12(&p12, &p, (long)content.n) == NULL)
		return NULL; /* freed by d2i */
	return p12;
}

/* An empty password may be none at all or one of no characters: PKCS#12 makes a difference, people do not. */
static bool
opens(PKCS12 *p12, const char *password)
{
	if (!PKCS12_mac_present(p12))
		return true;
	return PKCS12_verify_mac(p12, password, -1) == 1 ||
	    (password[0] == '\0' && PKCS12_verify_mac(p12, NULL, 0) == 1);
}

bool
pkcs12_needs_password(struct sv content, const struct tls_thread *t)
{
	PKCS12 *p12 = decode(content, t);
	bool needs = p12 != NULL && !opens(p12, "");

	PKCS12_free(p12);
	ERR_clear_error();
	return needs;
}

/* `why` is OpenSSL's. An algorithm that only its legacy provider has, such as RC2-40, is what old tools leave behind. */
static bool
cannot_parse(const char *path, const char *why, struct err *err)
{
	if (strstr(why, "unsupported") != NULL)
		return err_set(err,
		    "%s: made with an outdated cipher; convert it: openssl pkcs12 -legacy -in OLD -nodes | "
		    "openssl pkcs12 -export -out NEW (%s)",
		    path, why);
	return err_set(err, "%s: can not be read as PKCS#12: %s; make it anew (openssl pkcs12 -export)", path, why);
}

static bool
cannot_open(const char *path, const char *password_path, struct err *err)
{
	char why[256];

	tls_error_text(why, sizeof(why));
	if (strstr(why, "unsupported") != NULL)
		return cannot_parse(path, why, err);
	if (password_path == NULL)
		return err_set(err,
		    "%s: needs a password; put it in a file and name that as password_file "
		    "(NAME.pass in a directory)",
		    path);
	return err_set(
	    err, "%s: wrong password in %s; put the one there that the file was made with", path, password_path);
}

/* OpenSSL allocates, so that the length and the bytes come from one encoding: which one it takes is its choice. */
static bool
add_cert(struct pieces *p, const char *path, X509 *x, const struct tls_thread *t, struct err *err)
{
	unsigned char *encoded = NULL;
	int n = i2d_X509(x, &encoded);
	struct tls_der *der = n > 0 ? tls_der_new((size_t)n) : NULL;

	if (der != NULL) {
		der->size = (uint32_t)n;
		memcpy(der->bytes, encoded, (size_t)n);
	}
	OPENSSL_free(encoded);
	return der != NULL ? pieces_add_cert(p, path, der, t, err) : err_no_memory(err);
}

static bool
add_key(struct pieces *p, const char *path, EVP_PKEY *key, struct err *err)
{
	unsigned char *encoded = NULL;
	int n = i2d_PrivateKey(key, &encoded);
	unsigned char *der = n > 0 ? malloc((size_t)n) : NULL;

	if (der != NULL)
		memcpy(der, encoded, (size_t)n);
	OPENSSL_clear_free(encoded, n > 0 ? (size_t)n : 0);
	return der != NULL ? pieces_add_key(p, path, der, (size_t)n, err) : err_no_memory(err);
}

static bool
add_contents(struct pieces *p, const char *path, const struct contents *c, const struct tls_thread *t, struct err *err)
{
	if (c->key != NULL && !add_key(p, path, c->key, err))
		return false;
	if (c->cert != NULL && !add_cert(p, path, c->cert, t, err))
		return false;
	for (int i = 0; i < sk_X509_num(c->others); i++)
		if (!add_cert(p, path, sk_X509_value(c->others, i), t, err))
			return false;
	return true;
}

bool
pieces_add_pkcs12(struct pieces *p, const char *path, struct sv content, const char *password,
    const char *password_path, const struct tls_thread *t, struct err *err)
{
	struct contents c = {NULL, NULL, NULL};
	char why[256];
	bool ok;

	ERR_clear_error();
	PKCS12 *p12 = decode(content, t);
	if (p12 == NULL) {
		ERR_clear_error();
		return err_set(err, "%s: is not PKCS#12, or cut off; make it anew (openssl pkcs12 -export)", path);
	}
	if (!opens(p12, password))
		ok = cannot_open(path, password_path, err);
	else if (PKCS12_parse(p12, password, &c.key, &c.cert, &c.others) == 1)
		ok = add_contents(p, path, &c, t, err);
	else {
		tls_error_text(why, sizeof(why));
		ok = cannot_parse(path, why, err);
	}
	ERR_clear_error();
	contents_free(&c);
	PKCS12_free(p12);
	return ok;
}
