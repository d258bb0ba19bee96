/*
 * asn1.h: walking DER without building anything.
 *
 * Strict: definite, minimal lengths that stay inside what encloses them, tags
 * below 31. What is BER, or cut off, is refused. Nothing is copied: a view is
 * valid as long as the bytes it looks at.
 */
#ifndef BASCULE_CERTS_ASN1_H
#define BASCULE_CERTS_ASN1_H

#include "base/defs.h"

struct asn1 {
	const unsigned char *p;
	size_t n;
};

#define ASN1_NONE ((struct asn1){NULL, 0})

/* Identifier octets: class, constructed bit and number together. */
enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_PRINTABLE = 0x13,
	DER_TELETEX = 0x14,
	DER_IA5 = 0x16,
	DER_UTC = 0x17,
	DER_GENERALIZED = 0x18,
	DER_BMP = 0x1e,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,             /* | number: [n] IMPLICIT of a primitive */
	DER_CONTEXT_CONSTRUCTED = 0xa0, /* | number: [n] EXPLICIT, or IMPLICIT of a constructed */
};

/* Take the next element whatever it is. Either output may be NULL. False: nothing left, or not DER. */
bool asn1_take(struct asn1 *rest, unsigned *tag, struct asn1 *value, struct asn1 *whole);

/* Take the next element if it has this tag; else *rest stays and it is false. */
bool asn1_next(struct asn1 *rest, unsigned tag, struct asn1 *value);

/* The same with the header: what identifies a Name or a key byte by byte. */
bool asn1_next_whole(struct asn1 *rest, unsigned tag, struct asn1 *whole);

/* The bytes of a BIT STRING whose number of bits is a multiple of eight. */
bool asn1_next_bits(struct asn1 *rest, struct asn1 *bytes);

/* A non-negative INTEGER, without the leading zero byte that keeps it so. */
bool asn1_next_unsigned(struct asn1 *rest, struct asn1 *magnitude);

static inline bool
asn1_eq(struct asn1 a, struct asn1 b)
{
	return a.n == b.n && (a.n == 0 || __builtin_memcmp(a.p, b.p, a.n) == 0);
}

#endif
