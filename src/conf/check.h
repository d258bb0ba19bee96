/*
 * check.h: what can only be judged with the whole config at hand.
 *
 * References that lead nowhere, names given twice, keys that contradict each
 * other. An object in which the reader has found a fault is not judged for
 * what it lacks: that would follow from the fault.
 */
#ifndef BASCULE_CONF_CHECK_H
#define BASCULE_CONF_CHECK_H

#include "conf/read.h"

/* A name and where it was given first. */
struct check_name {
	const char *name;
	const void *field; /* known to reader_place() */
	UT_hash_handle hh;
};

struct checker {
	struct conf_reader *r;
	struct conf *conf;
	struct arena scratch;
	struct check_name *bundles, *upstreams, *sites; /* by name */
	bool has_directory; /* a bundle that is one: names of bundles in it are not known here */
};

/* Check all; what is wrong goes to the reader's problems. */
void conf_check(struct conf_reader *r);

/* The parts of it. */
void check_bundles(struct checker *c);
void check_upstreams(struct checker *c);
void check_sites(struct checker *c);

/* An error at the place of a field, or of an object by its `at`. */
void check_error(struct checker *c, const void *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
void check_warning(struct checker *c, const void *field, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Was this field given in a file, rightly or wrongly? */
bool check_given(const struct checker *c, const void *field);
/* It was given, as an object by its `at`, and no fault was found in it. */
bool check_sound(const struct checker *c, const void *field);

/* Enter a name given at `field`. False, with an error, when it was entered before. `what`: "a bundle". */
bool check_unique(struct checker *c, struct check_name **names, const char *name, const void *field, const char *what);
/* False, with an error that suggests the nearest, when no such name was entered. */
bool check_known(struct checker *c, struct check_name *names, const char *const *name, const char *what);
bool check_has(struct check_name *names, const char *name);

#endif
