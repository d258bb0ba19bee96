/*
 * print.h: replies of the admin API for people.
 *
 * What is missing in a reply reads as empty, so that an older proxy can still
 * be asked. Bytes that command a terminal are not passed on.
 */
#ifndef BASCULE_ADMIN_PRINT_H
#define BASCULE_ADMIN_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "admin/client.h"

/* NULL with err set: it is no JSON object. The caller's. */
json_t *reply_parse(const struct admin_reply *r, struct err *err);
const char *reply_text(const json_t *object, const char *key);
json_int_t reply_number(const json_t *object, const char *key);

/* Of at least `width` columns. */
void print_safe(FILE *out, const char *s, int width);
void print_line(FILE *out, const char *before, const char *text);
void print_names(FILE *out, const json_t *names);
void print_duration(FILE *out, json_int_t s);
/* Has all of it been written? */
MUST_CHECK bool print_done(FILE *out, struct err *err);

/* --- tables: one row for each object of a list --- */

struct column {
	const char *before; /* stands to its left */
	const char *key;    /* of the value, in each object */
	void (*show)(FILE *out, const json_t *row, const struct column *c);
	int width;
};

void cell_text(FILE *out, const json_t *row, const struct column *c);
void cell_number(FILE *out, const json_t *row, const struct column *c);
void cell_time(FILE *out, const json_t *row, const struct column *c); /* to the second, without the letters */
void cell_names(FILE *out, const json_t *row, const struct column *c);
void print_table(FILE *out, const json_t *list, const struct column *columns, size_t n);

#endif
