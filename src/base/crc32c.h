/*
 * crc32c.h: the CRC of Castagnoli (RFC 9260, appendix A), for short input.
 */
#ifndef BASCULE_BASE_CRC32C_H
#define BASCULE_BASE_CRC32C_H

#include "base/defs.h"

/* Begin with `crc` 0; what it returns goes on where it has ended. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
