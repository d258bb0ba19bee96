/*
 * nearest.h: the word that was probably meant, for messages about a word that is not known.
 */
#ifndef BASCULE_BASE_NEAREST_H
#define BASCULE_BASE_NEAREST_H

#include "base/defs.h"

/* The candidate that is most like `word`, if it is alike enough to be what was meant; NULL otherwise. */
const char *nearest_word(const char *word, const char *const *candidates, size_t n);

#endif
