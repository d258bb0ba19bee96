/*
 * overlay.h: the file system as it would be, with some files not yet written.
 *
 * The loader reads through it and can not tell: what it accepts of files that
 * are only in memory is what it will accept of them on disk.
 */
#ifndef BASCULE_PKI_OVERLAY_H
#define BASCULE_PKI_OVERLAY_H

#include <limits.h>

#include "base/files.h"
#include "base/sv.h"

enum { OVERLAY_MAX = 4 };

struct overlay_file {
	char path[PATH_MAX]; /* without links */
	int fd;              /* in memory; no file system has it */
};

struct overlay {
	struct files files; /* hand out this; first, so that it leads back here */
	struct overlay_file v[OVERLAY_MAX];
	size_t n;
};

void overlay_init(struct overlay *o);
MUST_CHECK bool overlay_add(struct overlay *o, const char *path, struct sv content, struct err *err);
void overlay_close(struct overlay *o);

/* Is this one of the files that are laid over? */
bool overlay_has(const struct overlay *o, const char *path);

#endif
