#include <criterion/criterion.h>

#include "base/siphash.h"

/* The vectors of the paper's appendix and of its reference implementation: key 00 01 … 0f, input 00 01 … */
Test(siphash, published_vectors)
{
	static const struct {
		size_t n;
		uint64_t want;
	} rows[] = {{0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)}, {8, UINT64_C(0x93f5f5799a932462)},
	    {15, UINT64_C(0xa129ca6149be45e5)}};
	unsigned char key[16], in[16];

	for (unsigned char i = 0; i < 16; i++)
		key[i] = in[i] = i;
	for (size_t i = 0; i < COUNTOF(rows); i++)
		cr_expect_eq(siphash(key, in, rows[i].n), rows[i].want, "%zu bytes", rows[i].n);
}
