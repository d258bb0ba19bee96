/*
 * outcomes.h: writing struct tls_outcomes.
 */
#ifndef BASCULE_CERTS_OUTCOMES_H
#define BASCULE_CERTS_OUTCOMES_H

#include "certs/guard.h"
#include "certs/store.h"

/* Of bundles; all copy what they are given. False when memory is out. */
MUST_CHECK bool outcomes_add(
    struct tls_outcomes *o, enum tls_outcome_kind kind, const char *bundle, const char *fmt, ...) PRINTF_LIKE(4, 5);
MUST_CHECK bool outcomes_add_loaded(struct tls_outcomes *o, const struct tls_bundle *b);

/* To the outcome added last. */
MUST_CHECK bool outcomes_add_findings(struct tls_outcomes *o, const struct guard_findings *f);

#endif
