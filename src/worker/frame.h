/*
 * frame.h: what is kept for a later worker, as sealed memory that tells what it is and whether it is whole.
 *
 * A magic, the SHA-256 of the rest, a version, the content. The frame stays as
 * it is, so that a newer version is told from what is damaged.
 */
#ifndef BASCULE_WORKER_FRAME_H
#define BASCULE_WORKER_FRAME_H

#include "base/err.h"
#include "base/pack.h"
#include "certs/thread.h"

enum { FRAME_MAGIC = 16 };

struct frame_kind {
	char magic[FRAME_MAGIC + 1];
	uint8_t version;
	const char *what;   /* "state of a rotation" */
	const char *remedy; /* when it is too large, or grows too fast */
};

/* Sealed memory with what `content` packs, which is called several times; the descriptor is the caller's. -1 with err set. */
int frame_seal(const struct frame_kind *k, void (*content)(void *arg, struct pack *p), void *arg, const struct tls_thread *thread,
    struct err *err);

/* Is that a whole one of this version? `u` becomes the content. False with err set: why, and the way on. */
MUST_CHECK bool frame_open(const struct frame_kind *k, struct sv bytes, const struct tls_thread *thread, struct unpack *u,
    struct err *err);

/* All of a file, to be wiped by secret_wipe(). NULL with err set. */
unsigned char *frame_read(int fd, size_t *n, struct err *err);

#endif
