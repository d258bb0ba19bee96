/*
 * create.h: keys with what certifies them, from the words of the command line to files. For cmd_create.c and the wizard.
 */
#ifndef BASCULE_PKI_CREATE_H
#define BASCULE_PKI_CREATE_H

#include "pki/make.h"

enum create_kind { CREATE_REQUEST, CREATE_SELF_SIGNED, CREATE_CA };

/* By p->args, with the base name `name`: NAME.key (unless --use-key) and NAME.csr or NAME.crt. False with err set. */
MUST_CHECK bool create(struct pki *p, enum create_kind kind, const char *name);

/*
 * Sign the request in `csr` with the CA `ca`; write the certificate to `out`. Nothing of the request but its names and
 * key is taken over.
 */
MUST_CHECK bool create_signed(struct pki *p, const char *csr, const char *ca, const char *out);

#endif
