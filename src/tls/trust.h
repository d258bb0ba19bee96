/*
 * trust.h: client-certificate CAs and CRLs as they are read from files.
 */
#ifndef BASCULE_TLS_TRUST_H
#define BASCULE_TLS_TRUST_H

#include "certs/facts.h"
#include "certs/thread.h"
#include "conf/config.h"
#include "tls/policy.h"

/* Grows as needed; each has one reference. Sorted by SHA-256 and without doubles once read. */
struct der_list {
	struct tls_der **v;
	size_t n, capacity;
};
void der_list_free(struct der_list *l);

/* What reading works with, and what it finds out besides the content. */
struct trust_reader {
	const struct conf_client_certificate *conf;
	struct files *files;
	const struct tls_thread *thread;
	struct conf_problems *problems; /* errors are "FILE: reason; what to do" */
	int64_t now;                    /* seconds of the epoch */
	int64_t good_until;             /* what is first too old is so then; not after `now`: there was a warning */
	struct conf_where at;           /* of the file that is being read */
	int64_t until;                  /* the end of the pin that is being read */
	struct tls_pin *pins;           /* what is told of those read; malloc'ed, the caller's */
	size_t n_pins;
};

/* Read the pins' files. Each certificate must be a CA. One that has expired is only warned about. */
MUST_CHECK bool trust_read_pins(struct der_list *out, struct trust_reader *r);

/* Read the CRLs. One out of date is only warned about: its CA's clients are refused until there is a new one. */
MUST_CHECK bool trust_read_crls(struct der_list *out, struct trust_reader *r);

/*
 * Can certificates be verified with these pins and CRLs at all? Warns about a pin without a CRL; refuses a pin whose
 * own revocation would have to be checked and can not.
 */
MUST_CHECK bool trust_check(const struct der_list *pins, const struct der_list *crls, struct trust_reader *r);

#endif
