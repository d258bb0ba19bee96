/*
 * record.h: what files held when they were read, to be read again.
 *
 * A load reads through record_note(), which passes everything on and keeps a
 * copy; record_files() serves the copies, stamps and listings as they were,
 * whatever has become of the files since. So a load can be repeated after the
 * files were broken. Not for what is secret: copies are not wiped. One thread
 * at a time.
 */
#ifndef BASCULE_BASE_RECORD_H
#define BASCULE_BASE_RECORD_H

#include "base/files.h"
#include "base/pack.h"

struct record;

struct record *record_new(void); /* empty; NULL: out of memory */
struct record *record_copy(const struct record *r); /* NULL: out of memory */
void record_free(struct record *r); /* NULL is fine */

/*
 * Reads through `from`, which must be there as long as this is used, and notes in `r`: every file that is read whole
 * (files_read), every directory that is listed, and of the files of which only the stamp is taken those that `before`
 * (NULL: none) has with this very stamp, for whoever asks goes on with what was read then.
 */
struct files *record_note(struct record *r, struct files *from, const struct record *before);

/* What is in `more` as well, in place of older copies of the same. NULL: memory was out for it, so `r` has failed. */
void record_add(struct record *r, const struct record *more);

/* Serves what is in `r` and nothing else; opens nothing. */
struct files *record_files(struct record *r);

/* Memory was out while it was noted: something is missing. */
bool record_failed(const struct record *r);

void record_pack(const struct record *r, struct pack *p);
struct record *record_unpack(struct unpack *u); /* NULL: out of memory, or `u` is bad */

#endif
