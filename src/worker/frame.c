#include "worker/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "certs/keep.h"
#include "line/sealed.h"
#include "line/state_name.h"

enum {
	HEAD = FRAME_MAGIC + TLS_DIGEST, /* then the version and the content, which the digest is of */
	MORE = 4096, /* bytes */
	PACK_TRIES = 3,
};
_Static_assert(HEAD + 1 + STATE_CONTENT_MAX / 8 + MORE <= STATE_SIZE_MAX - STATE_CONTENT_MAX, "what is written can be read");

static bool
seal_once(const struct frame_kind *k, void (*content)(void *arg, struct pack *p), void *arg, const struct tls_thread *thread,
    struct sealed *s, size_t *used, struct err *err)
{
	struct pack measured = {.to = NULL};

	content(arg, &measured);
	if (measured.failed || measured.n > STATE_CONTENT_MAX)
		return err_set(err, "%zu bytes are too many: %s", measured.n, k->remedy);
	/* Clients come while nobody holds the lock: there is room for some more. */
	if (!sealed_begin(s, "bascule-state", HEAD + 1 + measured.n + measured.n / 8 + MORE, err))
		return false;
	struct pack p = {.to = s->p + HEAD, .room = s->n - HEAD};
	pack_u8(&p, k->version);
	content(arg, &p);
	memcpy(s->p, k->magic, FRAME_MAGIC);
	*used = HEAD + p.n;
	if (!p.failed && tls_digest(thread, p.to, p.n, s->p + FRAME_MAGIC))
		return true;
	sealed_abandon(s);
	return err_set(err, "clients come faster than they can be written down");
}

int
frame_seal(const struct frame_kind *k, void (*content)(void *arg, struct pack *p), void *arg, const struct tls_thread *thread,
    struct err *err)
{
	struct sealed s;
	size_t used = 0;

	for (unsigned i = 0; i < PACK_TRIES; i++)
		if (seal_once(k, content, arg, thread, &s, &used, err))
			return sealed_shorten(&s, used, err) ? sealed_finish(&s, err) : -1;
	return -1;
}

bool
frame_open(const struct frame_kind *k, struct sv bytes, const struct tls_thread *thread, struct unpack *u, struct err *err)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	unsigned char digest[TLS_DIGEST];

	if (bytes.n <= HEAD || memcmp(p, k->magic, FRAME_MAGIC) != 0)
		return err_set(err, "it is no %s, or cut short", k->what);
	if (!tls_digest(thread, p + HEAD, bytes.n - HEAD, digest))
		return err_no_memory(err);
	if (memcmp(p + FRAME_MAGIC, digest, sizeof(digest)) != 0)
		return err_set(err, "it is damaged: its checksum is another");
	*u = (struct unpack){.p = p + HEAD, .n = bytes.n - HEAD};
	unsigned version = unpack_u8(u);
	if (version > k->version)
		return err_set(err, "a newer version of bascule wrote it (format %u, this one reads up to %u)", version, (unsigned)k->version);
	return version == k->version || err_set(err, "its format %u is unknown", version);
}

unsigned char *
frame_read(int fd, size_t *n, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > STATE_SIZE_MAX) {
		err_set(err, "it is empty, or larger than a state can be");
		return NULL;
	}
	size_t size = (size_t)st.st_size, at = 0;
	unsigned char *p = malloc(size);
	while (p != NULL && at < size) {
		ssize_t got = pread(fd, p + at, size - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		at += (size_t)got;
	}
	if (p != NULL && at == size) {
		*n = size;
		return p;
	}
	err_set(err, "can not read it: %s", p == NULL ? "out of memory" : strerror(errno));
	secret_wipe(p, size);
	return NULL;
}
