/*
 * try.h: configs for tests, in a directory of their own.
 */
#ifndef TESTS_CONF_TRY_H
#define TESTS_CONF_TRY_H

#include "conf/config.h"

struct try {
	char directory[64];
	struct conf *conf; /* of try_load() */
	struct conf_problems problems;
	char text[32768];  /* the problems, without "DIRECTORY/" */
};

void try_begin(struct try *t);
void try_end(struct try *t);

/* A suite whose tests have one, `t`. */
#define TRY_SUITE(name)                 \
	static struct try t;            \
	static void begin(void)         \
	{                               \
		try_begin(&t);          \
	}                               \
	static void end(void)           \
	{                               \
		try_end(&t);            \
	}                               \
	TestSuite(name, .init = begin, .fini = end, .timeout = 60)

/* Write a file; directories in its name are made. */
void try_write(struct try *t, const char *name, const char *content);
void try_write_bytes(struct try *t, const char *name, const char *bytes, size_t n);

/* The absolute path, until the next call. */
const char *try_path(struct try *t, const char *name);

/* Load it; what came before is freed. */
void try_load(struct try *t, const char *name);

/* Write it as c.json and load that. */
void try_text(struct try *t, const char *content);

/* What is to be said of a config; all that there is to say of it. */
struct try_fault {
	const char *config, *says;
};

/* Load each as c.json, between `before` and `after`. */
void try_faults(struct try *t, const char *before, const struct try_fault *faults, size_t n, const char *after);

/* A config that is right up to here; what follows begins at line 2, column 1. */
#define TRY_BEGIN "{ \"listeners\": [ { \"address\": \"*:80\", \"redirect\": \"https\" } ],\n"

#endif
