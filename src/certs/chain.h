/*
 * chain.h: which certificate is the leaf, what follows it, and whether that may be served.
 */
#ifndef BASCULE_CERTS_CHAIN_H
#define BASCULE_CERTS_CHAIN_H

#include "certs/pieces.h"

/* Weaker keys are not served. */
enum {
	RSA_BITS_MIN = 2048,
	EC_BITS_MIN = 256, /* TLS 1.3 knows no smaller curve */
};

struct chain {
	const struct piece *order[TLS_CHAIN_MAX]; /* leaf first, each followed by its issuer; no root */
	unsigned n;
	bool reordered; /* the files had them in another order */
};

enum chain_result {
	CHAIN_OK,
	CHAIN_REFUSED,
	CHAIN_NOT_MATCHING /* the key belongs to no certificate: maybe half-written */
};

/* Borrows from `p`. With CHAIN_REFUSED `err` is set, with CHAIN_NOT_MATCHING it is not. */
enum chain_result chain_make(struct chain *c, const struct pieces *p, const struct tls_thread *t, struct err *err);

/* The same, the leaf being known already. False with err set. */
MUST_CHECK bool chain_follow(struct chain *c, const struct pieces *p, size_t leaf, struct err *err);

/* Validity at `now` and strength of keys and signatures. */
MUST_CHECK bool chain_check(const struct chain *c, int64_t now, struct err *err);

#endif
