/*
 * describe.h: what people want to know of a certificate, a request, a key, a CRL.
 */
#ifndef BASCULE_PKI_DESCRIBE_H
#define BASCULE_PKI_DESCRIBE_H

#include <openssl/x509.h>

#include "certs/facts.h"
#include "pki/command.h"
#include "pki/show.h"

enum { NAME_TEXT = 512, SERIAL_TEXT = 96, NAMES_SHOWN = 256 };

/* subjectAltName's hosts and addresses, or else the common name, as text in the arena. Returns how many. */
size_t describe_names(struct pki *p, const struct cert_view *c, const char *out[NAMES_SHOWN]);

/* "EC 256 bits" */
void describe_key(const struct cert_view *c, char *out, size_t size);

void describe_cert(struct pki *p, struct show *s, const struct cert_view *c, const unsigned char *der, size_t n,
    int64_t now);

/* The "CA issuers" address of a certificate (RFC 5280, 4.2.2.1), in the arena; NULL: it has none. */
const char *describe_issuer_url(struct pki *p, X509 *x);

#endif
