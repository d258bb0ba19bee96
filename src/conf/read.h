/*
 * read.h: from JSON to structs, as the rows tell.
 *
 * The reader keeps the place of every value it has stored, by the address of
 * the field, so that a fault found later (a name that leads nowhere) is
 * reported where it was written. Elements of arrays therefore never move
 * while the reader lives.
 */
#ifndef BASCULE_CONF_READ_H
#define BASCULE_CONF_READ_H

#include "conf/keys.h"
#include "conf/text.h"

struct conf_place {
	const void *field;
	struct conf_text *text;
	uint32_t node;
	UT_hash_handle hh;
};

struct conf_reader {
	struct conf *conf;
	struct conf_problems *problems;
	struct arena scratch;      /* of the places */
	struct conf_place *places; /* by field */
	struct conf_places *kept;  /* where they go in the end */
	struct conf_text *text;    /* being read */
	bool sound_only;           /* leave out objects in which a fault was found before */
	bool no_memory;
};

void reader_init(struct conf_reader *r, struct conf *conf, struct conf_problems *problems);
void reader_free(struct conf_reader *r); /* not the texts, nor the config */

/* The defaults of an object and of the objects in it. */
void reader_presets(const struct key_object *o, void *base);

/* Room in the arrays of `base` for what all texts together hold. */
void reader_reserve(struct conf_reader *r, const struct key_object *o, void *base, const struct conf_text *texts);

/* Read an object of `text`; may be called for the same struct with several texts. */
void reader_object(struct conf_reader *r, struct conf_text *text, const struct key_object *o, void *base, json_t *json,
    uint32_t node);

/* Where a field was given; NULL: it was not. An object with a place of its own is found by its `at`. */
const struct conf_place *reader_place(const struct conf_reader *r, const void *field);

/* An absolute path: `path` as seen from the directory of the file `from`. In the arena; NULL: no memory. */
char *conf_absolute(struct arena *a, const char *from, const char *path);

#endif
