#include "certs/thread.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_thread *
tls_thread_new(unsigned slot, struct err *err)
{
	struct tls_thread *t = slot < TLS_THREADS_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (slot >= TLS_THREADS_MAX) {
		err_set(err, "too many threads for TLS: at most %d", TLS_THREADS_MAX);
		return NULL;
	}
	if (t == NULL) {
		err_no_memory(err);
		return NULL;
	}
	t->slot = slot;
	t->lib = OSSL_LIB_CTX_new();
	if (t->lib != NULL)
		t->provider = OSSL_PROVIDER_load(t->lib, "default");
	if (t->provider != NULL) {
		t->hmac = EVP_MAC_fetch(t->lib, "HMAC", NULL);
		t->aes256_cbc = EVP_CIPHER_fetch(t->lib, "AES-256-CBC", NULL);
		t->sha256 = EVP_MD_fetch(t->lib, "SHA256", NULL);
	}
	if (t->hmac == NULL || t->aes256_cbc == NULL || t->sha256 == NULL) {
		char why[256];
		tls_error_text(why, sizeof(why));
		err_set(err, "OpenSSL's default provider can not be used: %s", why);
		tls_thread_free(t);
		return NULL;
	}
	return t;
}

void
tls_thread_free(struct tls_thread *t)
{
	if (t == NULL)
		return;
	BIO_free(t->bio);
	EVP_MAC_free(t->hmac);
	EVP_CIPHER_free(t->aes256_cbc);
	EVP_MD_free(t->sha256);
	if (t->provider != NULL)
		OSSL_PROVIDER_unload(t->provider);
	OSSL_LIB_CTX_free(t->lib);
	free(t);
}

/* Append "reason (data)". */
static size_t
add_reason(char *out, size_t size, size_t at, unsigned long code, const char *data)
{
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
	bool told = data != NULL && data[0] != '\0';
	int n = snprintf(out + at, size - at, "%s%s%s%s%s", at > 0 ? "; " : "",
	    reason != NULL ? reason : "unknown error", told ? " (" : "", told ? data : "", told ? ")" : "");

	return n < 0 ? at : MIN_OF(at + (size_t)n, size - 1);
}

void
tls_error_text(char *out, size_t size)
{
	enum { ALL = 16 }; /* what the queue holds at most */
	struct {
		unsigned long code;
		char data[128]; /* a copy: the queue's own ends with the entry */
	} entries[ALL];
	unsigned n = 0;
	size_t at = 0;

	if (size == 0)
		return;
	out[0] = '\0';
	for (; n < ALL; n++) {
		const char *data = NULL;
		int flags = 0;
		entries[n].code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
		if (entries[n].code == 0)
			break;
		(void)snprintf(entries[n].data, sizeof(entries[n].data), "%s", (flags & ERR_TXT_STRING) ? data : "");
	}
	ERR_clear_error();
	while (n > 0) {
		n--;
		at = add_reason(out, size, at, entries[n].code, entries[n].data);
	}
	if (at == 0)
		(void)snprintf(out, size, "no reason given");
}
