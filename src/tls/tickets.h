/*
 * tickets.h: session ticket keys from the shared secret and the time.
 *
 * Every node and every process with the same secret derives the same keys, so
 * tickets survive reloads and restarts and are good on all nodes. Time is cut
 * into epochs of half a ticket's lifetime. The current epoch's key encrypts;
 * those of the epochs from which a ticket can still be alive decrypt, and
 * that of the next for a node whose clock is ahead. A ticket never outlives
 * its key, so there is no need to renew one for its key's sake.
 *
 * One thread's; not shared.
 */
#ifndef BASCULE_TLS_TICKETS_H
#define BASCULE_TLS_TICKETS_H

#include "certs/thread.h"
#include "tls/secret.h"

enum { TICKET_NAME = 16, TICKET_KEY = 32, TICKET_EPOCHS = 4 };

struct ticket_key {
	uint64_t epoch;
	bool made;
	unsigned char name[TICKET_NAME]; /* stands in the ticket, in the clear: derived too, so it tells nothing */
	unsigned char cipher[TICKET_KEY], mac[TICKET_KEY];
};

struct tls_tickets {
	struct secret root; /* derived: who reads it can not compute the secret, nor other keys from it */
	uint64_t period;    /* seconds of an epoch */
	struct ticket_key keys[TICKET_EPOCHS]; /* at epoch modulo TICKET_EPOCHS */
};

/* `lifetime` of a ticket, in seconds, above 0. */
MUST_CHECK bool tickets_init(struct tls_tickets *t, const struct secret *secret, uint64_t lifetime);
void tickets_wipe(struct tls_tickets *t);

/* `now` in seconds of the epoch of Unix. NULL when OpenSSL fails. Valid until the next call. */
const struct ticket_key *tickets_current(struct tls_tickets *t, uint64_t now);

/* NULL: no key of that name decrypts now. */
const struct ticket_key *tickets_find(struct tls_tickets *t, uint64_t now, const unsigned char name[TICKET_NAME]);

/* Make OpenSSL's contexts ready with a key; `iv` is read, of AES-256-CBC's block size. */
MUST_CHECK bool tickets_apply(const struct ticket_key *key, const struct tls_thread *thread, const unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt);

#endif
