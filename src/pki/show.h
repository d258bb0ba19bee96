/*
 * show.h: one description, as lines for people or as JSON.
 *
 * Text may come from a certificate and so from anybody: control bytes do not
 * reach a terminal, and JSON stays JSON.
 */
#ifndef BASCULE_PKI_SHOW_H
#define BASCULE_PKI_SHOW_H

#include <stdio.h>

#include "base/defs.h"

enum { SHOW_DEPTH_MAX = 8 };

struct show {
	FILE *out;
	bool json;
	unsigned depth;
	bool any[SHOW_DEPTH_MAX]; /* at this depth something has been written: a comma comes first */
};

/* Around all: one JSON object. */
void show_begin(struct show *s, FILE *out, bool json);
void show_end(struct show *s);

/* A list of objects: JSON [ … ]; nothing for people. */
void show_list_begin(struct show *s, const char *key);
void show_list_end(struct show *s);

/* An object in the list. `title` is a line of its own for people; NULL: none. */
void show_item_begin(struct show *s, const char *title);
void show_item_end(struct show *s);

/* A key of JSON and the label that people see; a NULL label is not for people, a NULL key not for JSON. */
void show_text(struct show *s, const char *key, const char *label, const char *value);
void show_number(struct show *s, const char *key, const char *label, int64_t value);
void show_bool(struct show *s, const char *key, bool value); /* JSON only */
void show_texts(struct show *s, const char *key, const char *label, const char *const *values, size_t n);

/* Without what would command a terminal. */
void show_safe(FILE *out, const char *text);

/* The same for an error or a note, which may be several lines, and a newline at its end. */
void show_message(FILE *out, const char *text);

#endif
