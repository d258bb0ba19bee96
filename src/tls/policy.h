/*
 * policy.h: what a site demands of client certificates.
 *
 * Immutable and shared by threads; reference-counted. Its identity covers
 * mode, pins, CRLs and depth: two sites with the same identity may share a
 * connection or a ticket, others never do. It is the session id context, so
 * that a ticket issued under another policy does not resume.
 */
#ifndef BASCULE_TLS_POLICY_H
#define BASCULE_TLS_POLICY_H

#include "certs/thread.h"
#include "conf/config.h"

enum { TLS_POLICY_ID = 32 };

struct tls_policy {
	int refs; /* atomic */
	enum conf_client_certificate_mode mode;
	unsigned char identity[TLS_POLICY_ID];
	struct tls_policy_private *private;
};

/*
 * Read pins and CRLs. NULL with errors in `problems`: the file, the reason, what to do. What serves but refuses clients,
 * such as a CRL out of date, is a warning there, at each load. `previous` (may be NULL) is returned, referenced, when
 * nothing has changed. Background thread only.
 */
struct tls_policy *tls_policy_load(const struct conf_client_certificate *c, struct tls_policy *previous,
    struct files *files, struct tls_thread *thread, struct conf_problems *problems);
struct tls_policy *tls_policy_ref(struct tls_policy *p);
void tls_policy_unref(struct tls_policy *p);

/* A CA that a policy trusts. */
struct tls_pin {
	unsigned char id[32];     /* SHA-256 over its name and key: each certificate of this CA has the same */
	unsigned char sha256[32]; /* of the certificate that is pinned */
	int64_t not_after;        /* seconds of the epoch */
	int64_t until;            /* when the config ends it; INT64_MAX: never. The background thread's */
	char name[512];           /* RFC 2253, as that of a peer's issuer */
};

/* Those in force; owned by the policy. */
const struct tls_pin *tls_policy_pins(const struct tls_policy *p, size_t *n);

/* For people: "2 CAs and 1 CRL are in force". */
void tls_policy_text(const struct tls_policy *p, char *out, size_t size);

static inline bool
tls_policy_same(const struct tls_policy *a, const struct tls_policy *b)
{
	return a == b || __builtin_memcmp(a->identity, b->identity, TLS_POLICY_ID) == 0;
}

#endif
