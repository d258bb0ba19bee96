/*
 * held.h: of which bundles it has been told why they are held back.
 *
 * Each reload, and each look of the watch, comes to the same result as long as
 * nobody has mended it; people are to hear of it once. Background thread only.
 */
#ifndef BASCULE_WORKER_HELD_H
#define BASCULE_WORKER_HELD_H

#include "base/defs.h"

struct held_entry;

struct held {
	struct held_entry *all; /* by name */
	uint64_t round;         /* of looks at all bundles */
};

/* It is held back, and why. True: that is news. */
bool held_note(struct held *h, const char *bundle, const char *why);

/* All that are held back have been noted since the last time; the others no longer are. */
void held_end_round(struct held *h);

void held_free(struct held *h);

#endif
