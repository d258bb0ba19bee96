/*
 * chains.h: certificates and keys of several files as what is to be served.
 */
#ifndef BASCULE_PKI_CHAINS_H
#define BASCULE_PKI_CHAINS_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "certs/chain.h"
#include "pki/command.h"

/* What a bundle's files hold, in place or to be. */
struct peek {
	struct pieces pieces;
	struct chain chain; /* borrows from pieces; n is 0 when it could not be made */
	struct err problem; /* why a load would refuse it; empty: it would not, as far as one sees without building it */
};

/* Read a source as the loader would, but go on when what is there has expired. Any outcome is fine. */
void peek_source(struct pki *p, struct source *s, struct files *files, struct peek *out);
void peek_free(struct peek *k);

/* PEM of the chain, from certificate `from` on. */
MUST_CHECK bool chain_to_pem(struct buf *out, const struct chain *c, unsigned from, struct err *err);

/* Is each certificate signed by the next? */
MUST_CHECK bool chain_links(struct pki *p, const struct chain *c);

/* PKCS#12 with AES-256 of chain and key. */
MUST_CHECK bool chain_to_pkcs12(struct pki *p, struct buf *out, const struct chain *c, EVP_PKEY *key, const char *name,
    const char *password);

#endif
