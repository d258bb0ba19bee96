/*
 * siphash.h: SipHash-2-4 (Aumasson, Bernstein 2012), a keyed hash of short input.
 *
 * For tables whose keys come from outside and for shares that nobody may aim
 * at: without the key nobody can tell what collides. Not for secrets.
 */
#ifndef BASCULE_BASE_SIPHASH_H
#define BASCULE_BASE_SIPHASH_H

#include "base/defs.h"

enum { SIPHASH_KEY = 16 }; /* bytes */

uint64_t siphash(const unsigned char key[SIPHASH_KEY], const void *p, size_t n);

#endif
