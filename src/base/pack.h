/*
 * pack.h: values one behind the other in memory, for another process of this program.
 *
 * Writing goes twice over the same values: a pack without memory only
 * measures, the second goes into as many bytes as the first has counted. So
 * secrets are copied once, to where they stay.
 *
 * Reading trusts nothing: what is not there reads as zero or empty and marks
 * the whole as bad, so that it is enough to look at that mark before acting.
 */
#ifndef BASCULE_BASE_PACK_H
#define BASCULE_BASE_PACK_H

#include "base/sv.h"

struct pack {
	unsigned char *to; /* NULL: measure; not owned */
	size_t room;       /* bytes at `to` */
	size_t n;          /* bytes packed, or measured */
	bool failed;       /* it did not fit, or was larger than a length can say */
};

void pack_bytes(struct pack *p, const void *from, size_t n);
void pack_u8(struct pack *p, uint8_t v);
void pack_u32(struct pack *p, uint32_t v);
void pack_u64(struct pack *p, uint64_t v);
/* With its length before it. */
void pack_block(struct pack *p, const void *from, size_t n);
/* The same, with a NUL behind it. */
void pack_string(struct pack *p, const char *s);

struct unpack {
	const unsigned char *p; /* what is left; not owned */
	size_t n;
	bool bad;
};

void unpack_bytes(struct unpack *u, void *to, size_t n);
uint8_t unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
/* Views into the memory. */
struct sv unpack_block(struct unpack *u);
const char *unpack_string(struct unpack *u);

/* How many follow, each of at least `least` bytes: never more than there is memory for, so that it may be allocated. */
size_t unpack_count(struct unpack *u, size_t least);

#endif
