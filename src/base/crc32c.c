#include "base/crc32c.h"

enum { POLYNOMIAL = 0x82F63B78 }; /* bits in the order in which they are sent */

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *at = p;

	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc ^= at[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? (uint32_t)POLYNOMIAL : 0);
	}
	return ~crc;
}
