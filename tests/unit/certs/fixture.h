/*
 * fixture.h: a directory of certificates, a config that names them, and loading them, for the tests of the store.
 */
#ifndef BASCULE_TESTS_FIXTURE_H
#define BASCULE_TESTS_FIXTURE_H

#include "pki.h"
#include "certs/private.h"
#include "certs/store.h"

/* Of the test that runs; each runs in its own process. */
extern struct fixture {
	char *dir;
	struct tls_thread *thread;
	struct test_cert root, intermediate;
	struct conf conf;
	struct conf_bundle bundles[4];
	unsigned accept;         /* losses, for the next load */
	struct tls_store *store; /* the newest, NULL before the first load */
	struct tls_outcomes outcomes;
} fix;

enum { FIXTURE_ACCEPT_ALL = (1 << CONF_LOSSES_N) - 1 };

void fixture_setup(void);
void fixture_teardown(void);

/* "DIR/NAME" */
#define IN_DIR(...) pki_path(fix.dir, __VA_ARGS__)

/* Add to the config. */
struct conf_bundle *fixture_bundle(const char *name);

/* Load with the store before as previous; it must succeed, whatever the outcomes. */
void fixture_load(void);
/* The same, and nothing becomes of it; both are the caller's. */
struct tls_store *fixture_load_with(struct files *files, struct tls_outcomes *outcomes);

/* The outcome of a bundle in the last load; NULL: unchanged. */
const struct tls_outcome *fixture_outcome(const char *bundle);

/* The one outcome that a load must have had: kind, and a text that holds `part`. */
void fixture_expect(const char *bundle, enum tls_outcome_kind kind, const char *part);

/* What is logged from now on goes to a file; fixture_log() is all of it so far, malloc'ed. */
void fixture_catch_log(void);
char *fixture_log(void);

#endif
