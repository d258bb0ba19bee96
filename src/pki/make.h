/*
 * make.h: certificates and requests.
 */
#ifndef BASCULE_PKI_MAKE_H
#define BASCULE_PKI_MAKE_H

#include <openssl/x509v3.h>

#include "pki/command.h"

enum { MAKE_DAYS_MAX = 36500, MAKE_LEAF_DAYS = 397 /* what browsers take at most */, MAKE_CA_DAYS = 3650 };

enum make_kind { MAKE_SERVER, MAKE_CLIENT, MAKE_CA };

/* A CA with which to sign. */
struct issuer {
	X509 *cert;
	EVP_PKEY *key;
	const char *path; /* of the certificate, for messages */
};

/* NAME.crt (or .pem) and NAME.key; the suffix may be given. False, with err set and nothing to free, when it is no CA. */
MUST_CHECK bool issuer_read(struct pki *p, const char *name, struct issuer *out);
void issuer_free(struct issuer *i);

struct make_spec {
	enum make_kind kind;
	const X509_NAME *subject;
	GENERAL_NAMES *names; /* borrowed; NULL: none */
	EVP_PKEY *key;        /* its public part is what is certified */
	const struct issuer *issuer; /* NULL: itself */
	uint64_t days;        /* shortened, with a note, to the issuer's own end */
	long path_length;     /* of a CA */
};

/* NULL with err set. */
X509 *make_cert(struct pki *p, const struct make_spec *spec);

/* A request. NULL with err set. */
X509_REQ *make_request(struct pki *p, const X509_NAME *subject, GENERAL_NAMES *names, EVP_PKEY *key);

#endif
