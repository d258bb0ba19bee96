/*
 * write.h: several files at once, whole or not at all.
 *
 * Each is written to a new file in the directory where it is to be, which has
 * its mode from the open(2) that makes it and so before its first byte; synced;
 * and given its name only when all of them are there. Signals wait meanwhile.
 */
#ifndef BASCULE_PKI_WRITE_H
#define BASCULE_PKI_WRITE_H

#include <limits.h>

#include "base/err.h"
#include "base/sv.h"

enum { WRITES_MAX = 8, WRITE_SECRET = 0600, WRITE_PUBLIC = 0644 };

enum write_how {
	WRITE_NEW,     /* refuse when something of that name is there */
	WRITE_REPLACE, /* take its place, with its owner; what was there goes to `previous` */
};

struct write_one {
	const char *path, *previous; /* borrowed; previous: NULL for WRITE_NEW */
	struct sv content;           /* borrowed */
	unsigned mode;
	enum write_how how;
	char temporary[PATH_MAX]; /* empty: there is none */
	bool kept, placed;        /* the old one is at `previous`; this one has its name */
};

struct writes {
	struct write_one v[WRITES_MAX];
	size_t n;
};

/* Nothing is written before writes_commit(). At most WRITES_MAX. */
void writes_add(struct writes *w, const char *path, struct sv content, unsigned mode);
void writes_replace(struct writes *w, const char *path, const char *previous, struct sv content, unsigned mode);

/* All, or none with err set. May be called once. */
MUST_CHECK bool writes_commit(struct writes *w, struct err *err);

/* After a commit: put back what was replaced, and take away what was not there before. */
MUST_CHECK bool writes_undo(struct writes *w, struct err *err);

#endif
