/*
 * pem.h: the blocks of a PEM file (RFC 7468).
 *
 * Text between blocks is passed over; inside, everything has to be right.
 */
#ifndef BASCULE_CERTS_PEM_H
#define BASCULE_CERTS_PEM_H

#include "base/err.h"
#include "base/sv.h"

struct pem_reader {
	const char *path; /* for messages */
	struct sv file, rest;
};

struct pem_block {
	struct sv label; /* "CERTIFICATE" */
	struct sv body;  /* what stands between the BEGIN and the END line */
};

enum pem_result { PEM_BLOCK, PEM_END, PEM_BROKEN };

/* The next block; views into the file. PEM_BROKEN with `err` set: "PATH: line N: …". */
enum pem_result pem_next(struct pem_reader *r, struct pem_block *out, struct err *err);

/* Bytes that a block's content needs at most. */
static inline size_t
pem_decoded_max(const struct pem_block *b)
{
	return b->body.n / 4 * 3 + 3;
}

/* Decode into `out` of pem_decoded_max() bytes; 0 with `err` set when it is not base64. */
size_t pem_decode(const struct pem_reader *r, const struct pem_block *b, unsigned char *out, struct err *err);

/* Does the block carry the headers of an encrypted key in the traditional form (RFC 1421)? */
bool pem_is_encrypted(const struct pem_block *b);

#endif
