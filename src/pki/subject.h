/*
 * subject.h: what a certificate is called, from words to OpenSSL's objects.
 */
#ifndef BASCULE_PKI_SUBJECT_H
#define BASCULE_PKI_SUBJECT_H

#include <openssl/x509v3.h>

#include "pki/command.h"

/*
 * Judge it and make it whole: a common name that is a host's is among the names, and the first name is the common name when
 * none was given. False with err set.
 */
MUST_CHECK bool subject_complete(struct pki *p, struct subject *s);

/* A host name, with *. in front of it at most? */
bool is_host_name(struct sv name);

/* NULL with err set. */
X509_NAME *subject_name(const struct subject *s, struct err *err);

/* The names as a subjectAltName. NULL with err set, or when there are none. */
GENERAL_NAMES *subject_alt_names(const struct subject *s, struct err *err);

#endif
