/*
 * fuzz.h: what the fuzz targets share.
 *
 * A target is one file with one LLVMFuzzerTestOneInput(), which hands the
 * bytes to a parser and says what must hold of anything that it makes of them.
 */
#ifndef BASCULE_TESTS_FUZZ_H
#define BASCULE_TESTS_FUZZ_H

#include <stdlib.h>

#include "base/sv.h"

int LLVMFuzzerInitialize(int *argc, char ***argv); /* by fuzz.c */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may have its own way of changing inputs, and libFuzzer's for the parts of them. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* What must hold; printf's arguments tell what did not. */
#define FUZZ_CHECK(holds, ...) ((holds) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #holds, "" __VA_ARGS__))
_Noreturn void fuzz_fail(const char *file, int line, const char *what, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Memory that is there. */
void *fuzz_alloc(size_t n);

/* A copy in a block of just its size, so that a byte read beyond it is seen. free() it. */
char *fuzz_copy(struct sv s);

/* Where to cut bytes in two: every place of short ones, some of long ones. */
#define FUZZ_EACH_CUT(cut, n) for (size_t cut = 0; cut <= (n); cut += 1 + (n) / 64)

/*
 * Seeds that nobody can write by hand, with keys and certificates in them: a target that has some defines this, and
 * calls fuzz_seed() for each. `fuzz_NAME --seeds DIRECTORY` writes them there.
 */
void fuzz_seeds(void);
void fuzz_seed(const char *name, const void *p, size_t n);

#endif
