#include "worker/held.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* one that is not noted is told once more */
#include <uthash.h>

struct held_entry {
	UT_hash_handle hh;
	char *why;
	uint64_t round; /* when it was held back the last time */
	char name[];
};

static void
forget(struct held *h, struct held_entry *e)
{
	HASH_DEL(h->all, e);
	free(e->why);
	free(e);
}

bool
held_note(struct held *h, const char *bundle, const char *why)
{
	size_t n = strlen(bundle);
	struct held_entry *e;

	HASH_FIND_STR(h->all, bundle, e);
	if (e != NULL)
		e->round = h->round;
	if (e != NULL && strcmp(e->why, why) == 0)
		return false;
	if (e != NULL)
		forget(h, e);
	e = calloc(1, sizeof(*e) + n + 1);
	char *copy = strdup(why);
	if (e == NULL || copy == NULL) {
		free(e);
		free(copy);
		return true;
	}
	memcpy(e->name, bundle, n + 1);
	e->why = copy;
	e->round = h->round;
	HASH_ADD_STR(h->all, name, e);
	if (e->hh.tbl == NULL) {
		free(copy);
		free(e);
	}
	return true;
}

void
held_end_round(struct held *h)
{
	struct held_entry *e, *next;

	HASH_ITER(hh, h->all, e, next)
		if (e->round != h->round)
			forget(h, e);
	h->round++;
}

void
held_free(struct held *h)
{
	struct held_entry *e, *next;

	HASH_ITER(hh, h->all, e, next)
		forget(h, e);
}
