/*
 * kept.h: what a worker has in service, as sealed memory, for the one after it.
 *
 * In parts, so that a worker hands over anew what has changed and no more. All
 * descriptors; nothing of it is looked into.
 */
#ifndef BASCULE_SUPERVISOR_KEPT_H
#define BASCULE_SUPERVISOR_KEPT_H

#include "line/message.h"

struct kept {
	size_t n;                    /* parts from 0 on that are there; 0: nothing is kept */
	int parts[MESSAGE_KEEP_MAX]; /* owned; one is -1 only in what is being handed over */
	size_t sizes[MESSAGE_KEEP_MAX]; /* bytes of each; 0: it is not there. SEALED_MAX at most in sum */
};

void kept_init(struct kept *k);
void kept_free(struct kept *k); /* it is empty then */

/* Takes over fd in any case. False with err set: it is no sealed memory, no part can have that number, or it is too much. */
MUST_CHECK bool kept_put(struct kept *k, uint64_t part, int fd, struct err *err);

/*
 * `k` becomes n parts: those of `came`, which is empty then, and for the rest those of `before`, which may be `k` itself.
 * False with err set: one is in neither, it is too much, or we are out of descriptors; `k` keeps nothing then.
 */
MUST_CHECK bool kept_whole(struct kept *k, const struct kept *before, struct kept *came, uint64_t n, struct err *err);

#endif
