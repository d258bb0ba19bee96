/*
 * client.h: asking a running proxy over its admin socket, for the command line.
 *
 * Blocking, one request a connection. What is printed for people comes from
 * the JSON of the reply, so a script can have everything that a person sees.
 */
#ifndef BASCULE_ADMIN_CLIENT_H
#define BASCULE_ADMIN_CLIENT_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "certs/store.h"

struct admin_reply {
	unsigned status;
	struct buf body;
};

/* False with err set: who was asked, why there is no reply, what to do. */
MUST_CHECK bool admin_request(const char *socket, const char *method, const char *path, struct admin_reply *out, struct err *err);
void admin_reply_free(struct admin_reply *r);

/* For a reply that should not have come: its status and its text. Always false. */
bool admin_unexpected(const struct admin_reply *r, struct err *err);

/* The body as it is, with a line end. */
MUST_CHECK bool admin_print_body(const struct admin_reply *r, FILE *out, struct err *err);

/* The reply to GET /v1/status, for people. False when it is no such thing. */
MUST_CHECK bool admin_print_status(const struct admin_reply *r, FILE *out, struct err *err);

/*
 * Was the reload that POST /v1/reload asked for done, and `whole`, with no bundle held back? False when the reply does not
 * tell.
 */
MUST_CHECK bool admin_reload_outcome(const struct admin_reply *r, bool *done, bool *whole, struct err *err);

/* Was this bundle held back in it, or is it missing? Then `err` says why. */
bool admin_reload_held(const struct admin_reply *r, const char *bundle, struct err *err);

/* Does this bundle wait to be started? Then `err` says how. */
bool admin_reload_waits(const struct admin_reply *r, const char *bundle, struct err *err);

/* The first of its problems, for a reload that was refused. */
void admin_reload_problem(const struct admin_reply *r, struct err *err);

MUST_CHECK bool admin_print_reload(const struct admin_reply *r, FILE *out, struct err *err);

/* The replies to /v1/rotations and to /v1/rotations/NAME. */
MUST_CHECK bool admin_print_rotations(const struct admin_reply *r, FILE *out, struct err *err);
MUST_CHECK bool admin_print_rotation(const struct admin_reply *r, FILE *out, struct err *err);
/* Does the reply for a bundle say that the previous generation may go? */
MUST_CHECK bool admin_rotation_verdict(const struct admin_reply *r, bool *may_retire, struct err *err);

/* The number of the current generation, when the reply says that it has this certificate; else 0. */
uint64_t admin_rotation_generation(const struct admin_reply *r, const unsigned char sha256[32]);

/* The replies to /v1/client-cas, and to what stands below it. */
MUST_CHECK bool admin_print_client_cas(const struct admin_reply *r, FILE *out, struct err *err);
MUST_CHECK bool admin_print_client_ca(const struct admin_reply *r, FILE *out, struct err *err);
/* Does the reply for one CA say that its pin may be dropped? */
MUST_CHECK bool admin_client_ca_verdict(const struct admin_reply *r, bool *may_drop, struct err *err);

/* What the proxy has in service, without keys, to compare others with (certs/shown.h). */
struct admin_chains {
	struct tls_store *bundles;
	struct tls_store *rolled_back_to; /* of those that are rolled back: what clients are shown instead */
};

/* False with err set as by admin_request(). Either way, admin_chains_free(). */
MUST_CHECK bool admin_chains(const char *socket, const struct tls_thread *thread, struct admin_chains *out, struct err *err);
void admin_chains_free(struct admin_chains *c);

#endif
