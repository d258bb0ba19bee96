/*
 * secret_file.h: the secret that all nodes of a cluster share, on disk.
 */
#ifndef BASCULE_SUPERVISOR_SECRET_FILE_H
#define BASCULE_SUPERVISOR_SECRET_FILE_H

#include "base/err.h"

enum { SECRET_FILE_MIN = 32, SECRET_FILE_MADE = 64, SECRET_FILE_MAX = 512 }; /* bytes */

/*
 * Read it into `out` (SECRET_FILE_MAX bytes, to be wiped by the caller). One that does not exist is made, of random
 * bytes, for its owner's eyes only. False with err set.
 */
MUST_CHECK bool secret_file_read(const char *path, unsigned char *out, size_t *n, struct err *err);

/* Could it be read, or made? Changes nothing. `exposed`: others than its owner may use it. False with err set, errno kept. */
MUST_CHECK bool secret_file_check(const char *path, bool *exposed, struct err *err);

/* What is said then, of a path. */
#define SECRET_FILE_EXPOSED "%s: others than its owner may use the secret; chmod 600 it"

MUST_CHECK bool secret_random(unsigned char *out, size_t n, struct err *err);

#endif
