/*
 * uthash.h: stands in for the real one under static analysis.
 *
 * The real macros unfold into hundreds of lines of pointer work in each caller, which analyzers count as the caller's own
 * and misread. Here a table is what its callers may rely on: functions of which nothing more is known.
 */
#ifndef BASCULE_MODEL_UTHASH_H
#define BASCULE_MODEL_UTHASH_H

#include <stddef.h>
#include <string.h>

typedef struct UT_hash_handle {
	void *tbl; /* NULL after an addition for which there was no memory */
	void *next;
} UT_hash_handle;

void *model_find(const void *head, const void *key, size_t n);
void *model_add(void *head, void *entry, UT_hash_handle *hh, const void *key, size_t n);
void *model_delete(void *head, const void *entry);

#define HASH_FIND(hh, head, key, n, out) ((out) = model_find((head), (key), (n)))
#define HASH_FIND_STR(head, key, out) HASH_FIND(hh, head, key, strlen(key), out)
#define HASH_FIND_PTR(head, key, out) HASH_FIND(hh, head, key, sizeof(void *), out)
#define HASH_ADD_KEYPTR(hh, head, key, n, entry) ((head) = model_add((head), (entry), &(entry)->hh, (key), (n)))
#define HASH_ADD(hh, head, field, n, entry) HASH_ADD_KEYPTR(hh, head, &(entry)->field, n, entry)
#define HASH_ADD_STR(head, field, entry) HASH_ADD_KEYPTR(hh, head, (entry)->field, strlen((entry)->field), entry)
#define HASH_ADD_PTR(head, field, entry) HASH_ADD(hh, head, field, sizeof(void *), entry)
#define HASH_DEL(head, entry) ((head) = model_delete((head), (entry)))
#define HASH_CLEAR(hh, head) ((head) = NULL)
#define HASH_SRT(hh, head, compare) ((void)((head) != NULL && (compare)((head), (head)) < 0))
#define HASH_ITER(hh, head, e, after) \
	for ((e) = (head); (e) != NULL && (((after) = (e)->hh.next), 1); (e) = (after))

#endif
