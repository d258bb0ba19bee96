/*
 * install.h: a certificate into the place of the one that a bundle has.
 */
#ifndef BASCULE_PKI_INSTALL_H
#define BASCULE_PKI_INSTALL_H

#include "pki/command.h"

/* `chain` and `key` may be NULL; the rest is in p->args. The exit status; not PKI_OK with err set. */
int install(struct pki *p, const char *bundle, const char *cert, const char *chain, const char *key);

#endif
