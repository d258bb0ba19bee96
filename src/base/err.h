/*
 * err.h: an error that a person can act on.
 *
 * A function that can fail for a reason worth telling takes a `struct err *`
 * and returns false or NULL after err_set(). The text names the thing, the
 * place and what to do, without a newline at its end. `err` may be NULL.
 */
#ifndef BASCULE_BASE_ERR_H
#define BASCULE_BASE_ERR_H

#include "base/defs.h"

struct err {
	char text[768]; /* empty: no error */
};

/* Always returns false, so that `return err_set(err, …)` reads well. */
bool err_set(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Put "prefix: " before the text that is there. Always returns false. */
bool err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For an allocation that failed. Always returns false. */
bool err_no_memory(struct err *err);

#endif
