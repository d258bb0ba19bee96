/*
 * value.h: durations, sizes and the other values as people write them.
 */
#ifndef BASCULE_CONF_VALUE_H
#define BASCULE_CONF_VALUE_H

#include <jansson.h>

#include "conf/keys.h"

enum { VALUE_NUMBER_TEXT = 32, VALUE_EXPECTED_TEXT = 512 };

/* A number, duration or size within the row's bounds. */
bool value_number(const struct key *k, const json_t *v, uint64_t *out);

/* Is it of the form that the row wants? What is in it is not looked at. */
bool value_has_form(const struct key *k, const json_t *v);

/* "10 min", "64KB": a duration or a size that a file may not hold, but whose meaning is plain. Bounds are not looked at. */
bool value_read_loosely(enum key_type type, struct sv s, uint64_t *out);

/* As it would stand in a file: 65535, "10s", "32k". */
void value_number_text(enum key_type type, uint64_t v, char out[VALUE_NUMBER_TEXT]);

/* One of the row's words: its index, or -1. */
int value_word(const struct key *k, const char *word);

/* What the row wants: a duration from "100ms" to "1d". */
void value_expected(const struct key *k, char out[VALUE_EXPECTED_TEXT]);

/* A value that would do, as JSON: the row's example, else its default. Empty when a word already shows it. */
void value_example(const struct key *k, char out[VALUE_EXPECTED_TEXT]);

/* The default as JSON, empty when there is none. */
void value_preset(const struct key *k, char out[VALUE_NUMBER_TEXT]);

/*
 * What to write in place of a value that the row does not take, where that is plain: "write true". `raw` is the value as it
 * stands in the file. Empty: who knows.
 */
void value_meant(const struct key *k, const json_t *v, const char *raw, char out[VALUE_EXPECTED_TEXT]);

#endif
