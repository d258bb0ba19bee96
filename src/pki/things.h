/*
 * things.h: whatever a file holds, PEM, DER or PKCS#12.
 *
 * The parts are taken apart by certs/pem, certs/facts and certs/pkcs12, the same as
 * when a bundle is loaded.
 */
#ifndef BASCULE_PKI_THINGS_H
#define BASCULE_PKI_THINGS_H

#include <openssl/x509.h>

#include "certs/pieces.h"
#include "pki/command.h"

enum { THINGS_MAX = 256, THINGS_FILE_MAX = 16 * 1024 * 1024 };

enum thing_kind { THING_CERT, THING_REQUEST, THING_KEY, THING_LOCKED_KEY, THING_CRL, THING_OTHER };

struct thing {
	enum thing_kind kind;
	char label[48];     /* of its PEM block */
	unsigned char *der; /* owned; wiped when freed */
	size_t n;
};

struct things {
	struct thing *v; /* owned */
	size_t n;
	const char *form; /* "PEM", "DER", "PKCS#12" */
};

/* False with err set; call things_free() in either case. Asks for the password of PKCS#12 when it needs one. */
MUST_CHECK bool things_read(struct pki *p, const char *path, struct things *out);
void things_free(struct things *t);

/* OpenSSL's objects of them, in the run's library context; NULL with err set, `path` in front. */
X509 *thing_cert(struct pki *p, const char *path, const struct thing *t);
X509_REQ *thing_request(struct pki *p, const char *path, const struct thing *t);

/* The first of a kind; NULL: there is none. */
const struct thing *things_first(const struct things *t, enum thing_kind kind);

/* The certificates, and with `keys` the private key, of a file of any form, added to `out`. False with err set. */
MUST_CHECK bool things_to_pieces(struct pki *p, const char *path, bool keys, struct pieces *out);

/* Certificates and key of PKCS#12; asks for the password as above. */
MUST_CHECK bool things_pkcs12(struct pki *p, const char *path, struct sv content, struct pieces *out);

#endif
