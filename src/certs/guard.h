/*
 * guard.h: what a new certificate changes for the clients of the one in service.
 *
 * A client that trusts what is served now may reject what comes: each way in
 * which that happens is a loss, and has a word by which it is accepted. All
 * else that differs is only remarked. Pure functions of two generations, the
 * config and the time.
 */
#ifndef BASCULE_CERTS_GUARD_H
#define BASCULE_CERTS_GUARD_H

#include "certs/bundle.h"
#include "conf/config.h"

/* Differences that are no loss, behind the losses: X(name, word). */
#define GUARD_REMARKS(X)                            \
	X(GUARD_GAINED_NAMES, "gained-names")       \
	X(GUARD_LATER_EXPIRY, "later-expiry")       \
	X(GUARD_ANOTHER_ISSUER, "another-issuer")   \
	X(GUARD_KEY_TYPE, "key-type")               \
	X(GUARD_NEW_KEY, "new-key")                 \
	X(GUARD_SAME_KEY, "same-key")               \
	X(GUARD_SERIAL, "serial")

enum guard_remark {
	GUARD_BEFORE_REMARKS = CONF_LOSSES_N - 1,
#define X(name, word) name,
	GUARD_REMARKS(X)
#undef X
	GUARD_KINDS
};

enum { GUARD_TEXT = 256 };

struct guard_finding {
	const char *kind; /* its word */
	bool lossy;
	bool accepted;    /* of a lossy one */
	char text[GUARD_TEXT]; /* in words, about the new certificate: "it …" */
};

struct guard_findings {
	struct guard_finding v[GUARD_KINDS]; /* the losses first */
	size_t n;
	unsigned refused; /* losses that are not accepted, each its bit (1 << enum conf_loss) */
};

/* By what the two are compared. */
struct guard_rules {
	const struct conf *conf;          /* whose sites tell which names are served */
	const struct conf_bundle *bundle; /* in it: the bundle, or the directory that it comes from */
	unsigned accept;                  /* losses accepted besides those that the bundle accepts */
	int64_t now;                      /* seconds of the epoch */
};

void guard_compare(const struct tls_bundle *old, const struct tls_bundle *new, const struct guard_rules *rules,
    struct guard_findings *out);

/*
 * When there are refused losses: "PATH: not taken in place of generation 3: …; accept it by …" in `err`, and false. An old one
 * of generation 0 has a number that is not known here, and none is told.
 * `path` is the new certificate's file, `bundle` its name in the config, `command`
 * the one that takes --accept: "bascule rotation start NAME".
 */
MUST_CHECK bool guard_passes(const struct guard_findings *f, const struct tls_bundle *old, const char *path,
    const char *bundle, const char *command, struct err *err);

/* Nothing is refused, and it waits to be started by its name: always false, and err says how that is done. */
bool guard_awaits_start(const struct guard_findings *f, const struct guard_rules *rules, const char *path, const char *name,
    struct err *err);

#endif
