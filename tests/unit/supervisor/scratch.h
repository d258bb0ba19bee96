/*
 * scratch.h: a directory of a test's own, gone when the test ends, and memory that is handed from process to process.
 */
#ifndef BASCULE_TESTS_APP_SCRATCH_H
#define BASCULE_TESTS_APP_SCRATCH_H

#include "base/defs.h"

extern char scratch[64]; /* its path */

void scratch_make(void);
void scratch_remove(void);

/* A path in it; valid until the fourth call after this one. */
const char *scratch_path(const char *name);

/* Make a file there and return its path. */
const char *scratch_write(const char *name, const char *text);

/* Sealed memory (line/sealed.h) with this text and its NUL. */
int scratch_sealed(const char *text);

#endif
