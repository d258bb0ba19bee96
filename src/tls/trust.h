/*
 * trust.h: client-certificate CAs and CRLs as they are read from files.
 */
#ifndef BASCULE_TLS_TRUST_H
#define BASCULE_TLS_TRUST_H

#include "conf/config.h"
#include "tls/facts.h"
#include "tls/thread.h"

/* Grows as needed; each has one reference. Sorted by SHA-256 and without doubles once read. */
struct der_list {
	struct tls_der **v;
	size_t n, capacity;
};
void der_list_free(struct der_list *l);

/* Read the pins' files. Each certificate must be a CA. False with "FILE: reason; what to do". */
MUST_CHECK bool trust_read_pins(struct der_list *out, const struct conf_client_certificate *c, struct files *files,
    const struct tls_thread *t, struct err *err);

/* Read the CRLs. One out of date is only warned about: its CA's clients are refused until there is a new one. */
MUST_CHECK bool trust_read_crls(struct der_list *out, const struct conf_client_certificate *c, struct files *files,
    const struct tls_thread *t, struct err *err);

/*
 * Can certificates be verified with these pins and CRLs at all? Warns about a pin without a CRL; refuses a pin whose
 * own revocation would have to be checked and can not.
 */
MUST_CHECK bool trust_check(const struct der_list *pins, const struct der_list *crls, enum conf_crl_check check,
    struct err *err);

#endif
