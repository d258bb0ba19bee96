#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "certs/thread.h"

Test(tls_thread, has_what_it_promises)
{
	struct err err = {""};
	struct tls_thread *a = tls_thread_new(0, &err), *b = tls_thread_new(TLS_THREADS_MAX - 1, &err);

	cr_assert(a != NULL && b != NULL, "%s", err.text);
	cr_expect(a->hmac != NULL && a->aes256_cbc != NULL && a->sha256 != NULL);
	cr_expect_neq(a->lib, b->lib);
	cr_expect_eq(EVP_MD_get_size(a->sha256), 32);
	tls_thread_free(a);
	tls_thread_free(b);
	tls_thread_free(NULL);
}

Test(tls_thread, slots_are_bounded)
{
	struct err err = {""};

	cr_expect_null(tls_thread_new(TLS_THREADS_MAX, &err));
	cr_expect(strstr(err.text, "too many threads") != NULL, "%s", err.text);
}

Test(tls_thread, errors_newest_first)
{
	char text[256];

	cr_assert_eq(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL), 1);
	ERR_raise_data(ERR_LIB_SSL, SSL_R_TLSV1_ALERT_UNKNOWN_CA, "deep");
	ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
	tls_error_text(text, sizeof(text));
	cr_expect_str_eq(text, "malloc failure; tlsv1 alert unknown ca (deep)");
	cr_expect_eq(ERR_peek_error(), 0);
	tls_error_text(text, sizeof(text));
	cr_expect_str_eq(text, "no reason given");
}

Test(tls_thread, errors_fit_in_any_room)
{
	char text[300];

	for (size_t size = 1; size < sizeof(text); size++) {
		for (int i = 0; i < 20; i++)
			ERR_raise_data(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR, "number %d", i);
		memset(text, '#', sizeof(text));
		tls_error_text(text, size);
		cr_expect_lt(strlen(text), size);
		cr_expect_eq(text[size], '#');
	}
}
