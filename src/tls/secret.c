#include "tls/secret.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

enum { HKDF_MAX = 255 * 32, INFO_MAX = 512 };

static bool
hkdf(EVP_KDF_CTX *ctx, const struct secret *s, char *info, size_t n_info, unsigned char *out, size_t n)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, sizeof(digest) - 1),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)s->bytes, s->n),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info, n_info),
		OSSL_PARAM_END,
	};

	return EVP_KDF_derive(ctx, out, n, params) == 1;
}

bool
secret_derive(const struct secret *s, const char *label, struct sv context, unsigned char *out, size_t n)
{
	char info[INFO_MAX];
	size_t n_label = strlen(label) + 1; /* with its NUL, which no label holds: no two pairs give the same info */

	if (s->n > SECRET_MAX || n == 0 || n > HKDF_MAX || n_label > sizeof(info) || context.n > sizeof(info) - n_label)
		return false;
	memcpy(info, label, n_label);
	if (context.n > 0)
		memcpy(info + n_label, context.p, context.n);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	bool ok = ctx != NULL && hkdf(ctx, s, info, n_label + context.n, out, n);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

size_t
base64url(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t o = 0;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = MIN_OF(n - i, (size_t)3);
		unsigned group = (unsigned)p[i] << 16 | (have > 1 ? (unsigned)p[i + 1] << 8 : 0) |
		    (have > 2 ? p[i + 2] : 0);
		for (size_t k = 0; k <= have; k++)
			out[o++] = digits[group >> (18 - 6 * k) & 63];
	}
	out[o] = '\0';
	return o;
}

bool
random_bytes(void *p, size_t n)
{
	return n <= INT_MAX && RAND_bytes(p, (int)n) == 1;
}

bool
secret_eq(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
