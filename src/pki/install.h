/*
 * install.h: a certificate into the place of the one that a bundle has.
 */
#ifndef BASCULE_PKI_INSTALL_H
#define BASCULE_PKI_INSTALL_H

#include "pki/command.h"

/*
 * Asked when all is checked and shown. `loses`: a name that a site serves is no longer covered. False: leave it, maybe
 * with err set.
 */
typedef bool (*install_agree)(struct pki *p, bool loses);

/* `chain`, `key` and `agree` may be NULL; the rest is in p->args. The exit status; not PKI_OK with err set. */
int install(struct pki *p, const char *bundle, const char *cert, const char *chain, const char *key, install_agree agree);

#endif
