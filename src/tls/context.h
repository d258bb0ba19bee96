/*
 * context.h: what both sides set in an SSL_CTX.
 */
#ifndef BASCULE_TLS_CONTEXT_H
#define BASCULE_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "certs/thread.h"
#include "conf/config.h"

/* TLS 1.2 and 1.3, no session cache, no renegotiation, no compression. NULL with err set. */
SSL_CTX *tls_context_new(struct tls_thread *thread, const SSL_METHOD *method, struct err *err);

/*
 * The versions, ciphers and groups that the config asks for, or good ones. False with err set, naming the key: OpenSSL
 * passes over names in a list that it does not know; here they are refused.
 */
MUST_CHECK bool tls_context_configure(SSL_CTX *context, const struct conf_tls *conf, struct err *err);

#endif
