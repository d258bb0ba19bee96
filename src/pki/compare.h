/*
 * compare.h: what a new certificate changes against the one in place.
 */
#ifndef BASCULE_PKI_COMPARE_H
#define BASCULE_PKI_COMPARE_H

#include "pki/chains.h"

/*
 * To standard output. `old` may be empty: there was none, or it can not be read. True: a name is lost that a site of the
 * config serves.
 */
bool compare_print(struct pki *p, const struct conf *conf, const char *bundle, const struct peek *old,
    const struct chain *chain);

#endif
