/*
 * sealed.h: memory that is handed from process to process and can no longer change.
 *
 * A memfd with all its seals: whoever maps it need not fear that it is
 * truncated or written to meanwhile, by whoever made it. It has no name, is
 * not inherited through exec, and ends with its last descriptor.
 */
#ifndef BASCULE_LINE_SEALED_H
#define BASCULE_LINE_SEALED_H

#include "base/err.h"

enum { SEALED_MAX = 512 << 20 }; /* bytes that are taken from another process */

struct sealed {
	int fd;
	unsigned char *p;
	size_t n; /* bytes at p; not 0 */
};

/* New memory of n bytes to be filled; then sealed_finish(). False with err set. */
MUST_CHECK bool sealed_begin(struct sealed *s, const char *name, size_t n, struct err *err);

/*
 * It has become less than there was room for: n bytes of it stay, and only sealed_finish() follows. False with err set:
 * it is gone.
 */
MUST_CHECK bool sealed_shorten(struct sealed *s, size_t n, struct err *err);
/* In place of sealed_finish(): it is not wanted. */
void sealed_abandon(struct sealed *s);

/* Nothing in it changes any more. The descriptor, the caller's; -1 with err set. */
int sealed_finish(struct sealed *s, struct err *err);

/* Is that sealed memory of a size that can be? Reads nothing of it. *n becomes the size. */
MUST_CHECK bool sealed_check(int fd, size_t *n, struct err *err);

/* Map it to read, after sealed_check(); fd stays the caller's. */
MUST_CHECK bool sealed_map(struct sealed *s, int fd, struct err *err);
void sealed_unmap(struct sealed *s);

#endif
