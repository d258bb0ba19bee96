/*
 * resume.h: which sessions may be resumed by clients, and how tickets are sealed.
 *
 * That a ticket issued under another client-certificate policy does not
 * resume is the session id context's doing (server.c). The rules here are
 * about age: of the session and of the client certificate in it.
 */
#ifndef BASCULE_TLS_RESUME_H
#define BASCULE_TLS_RESUME_H

#include <openssl/ssl.h>

#include "tls/tickets.h"

struct tls_resume {
	struct tls_tickets tickets;
	struct tls_thread *thread; /* borrowed */
	uint64_t lifetime;         /* of a ticket, in seconds; 0: no tickets */
};

/* Install it in the context, which `r` must outlive. Takes SSL_CTX_set_app_data. False when OpenSSL fails. */
MUST_CHECK bool tls_resume_init(struct tls_resume *r, SSL_CTX *context, struct tls_thread *thread,
    const struct secret *secret, uint64_t lifetime);
void tls_resume_wipe(struct tls_resume *r);

#endif
