/*
 * client_cas.h: which client certificates come to a site, by the CA that vouches for them, and may a pin be dropped?
 *
 * While two CAs are pinned side by side, devices get certificates of the new
 * one. Each certificate seen is noted, so that it can be told who still comes
 * with one of the old CA alone: a device is known by the subject of its
 * certificates, and has moved when it came with one of another pinned CA since.
 * It can also be told when there is too little to go by: nobody has been
 * watching for long enough, or not everybody found room.
 *
 * One for each site with pins; it outlives snapshots and reloads: the registry
 * refers to it, and so do the snapshots whose clients it notes. Any thread
 * tells of connections: a mutex inside, taken when one with a client
 * certificate begins and when it ends, never for a request. All else is the
 * background thread's, which holds the mutex for a fraction of a millisecond
 * at a time.
 */
#ifndef BASCULE_ROTATION_CLIENT_CAS_H
#define BASCULE_ROTATION_CLIENT_CAS_H

#include "base/arena.h"
#include "net/address.h"
#include "rotation/rotation.h"
#include "tls/policy.h"

struct client_cas;
struct holder;

struct client_cas_settings {
	uint64_t window_ms; /* who has not come for so long, of time in which we served, is not waited for */
	size_t remember;    /* certificates of each CA; 0: none, and nothing is known */
};

struct client_cas *client_cas_new(const char *site, const struct client_cas_settings *s, struct moment now);
struct client_cas *client_cas_ref(struct client_cas *s); /* NULL is fine; so it is below */
void client_cas_unref(struct client_cas *s); /* the last one frees it; no connection may refer to a certificate then */
const char *client_cas_site(const struct client_cas *s);

/* The settings and pins of a load; CAs of before that are not among them have been dropped. False: no memory. */
MUST_CHECK bool client_cas_set(struct client_cas *s, const struct client_cas_settings *settings, const struct tls_pin *pins,
    size_t n, struct moment now);

void client_cas_drop_all(struct client_cas *s, struct moment now);

/*
 * Is nobody to come any more, nor to be told of? Only the registry refers to it, nothing is pinned, and nothing has happened
 * for a whole window: all whom it knows would be absent, were it pinned again.
 */
bool client_cas_is_past(struct client_cas *s, struct moment now);

/* --- connections --- */

/* A client certificate, and who came with it. */
struct client_sighting {
	const unsigned char *fingerprint; /* 32 bytes */
	const char *subject, *issuer, *serial;
	int64_t not_after; /* seconds of the epoch */
	struct net_ip from;
};

/*
 * A handshake is complete, vouched for by `pin`; NULL: not known by which. What is returned is to be given to
 * client_cas_left(); NULL: it found no room.
 */
struct holder *client_cas_came(struct client_cas *s, const struct tls_pin *pin, const struct client_sighting *who, bool resumed,
    struct moment now);
/* That connection has ended. */
void client_cas_left(struct holder *h, struct moment now);

/* Nobody vouches for this one any more: it has been refused. */
void client_cas_refused(struct client_cas *s, const struct client_sighting *who, bool revoked, struct moment now);

/* --- what to tell --- */

/*
 * What has become of a certificate, in the eyes of who wants to drop the pin of its CA. X(name, word, is it in the way of
 * that, what is said of those).
 */
#define HOLDER_STATUS_ROWS(X)                                                                                                \
	X(HOLDER_CURRENT, "current", true, "came within the window, and nothing of another CA with the same subject since")  \
	X(HOLDER_BOTH, "both", true, "came in turns with one of another CA that has the same subject")                       \
	X(HOLDER_SHARED, "shared", true, "have no subject, or that of several in use: who of them has moved is not known")   \
	X(HOLDER_MOVED, "moved", false, "one of another CA that is pinned came with the same subject since")                 \
	X(HOLDER_RENEWED, "renewed", false, "another one of this CA came with the same subject since")                       \
	X(HOLDER_ABSENT, "absent", false, "did not come within the window, and are not waited for")                          \
	X(HOLDER_REVOKED, "revoked", false, "were refused for that when they were last shown")                               \
	X(HOLDER_EXPIRED, "expired", false, "are past their own date")

enum holder_status {
#define X(name, word, blocks, means) name,
	HOLDER_STATUS_ROWS(X)
#undef X
	HOLDER_STATUSES
};
const char *holder_status_word(enum holder_status s);
bool holder_status_blocks(enum holder_status s);

enum drop_verdict { DROP_YES, DROP_UNKNOWN, DROP_NO }; /* the last word counts */
const char *drop_verdict_word(enum drop_verdict v);

struct drop_reason {
	enum drop_verdict says; /* DROP_YES: it is only remarked */
	char text[240];
};

enum { DROP_REASONS_MAX = HOLDER_STATUSES + 8 };

/* One certificate. A copy, its strings in the report's arena. */
struct holder_row {
	unsigned ca;               /* of the report */
	enum holder_status status;
	const char *subject, *moved_to; /* moved_to: the name of the other CA; NULL: none */
	char serial[72];
	unsigned char fingerprint[32];
	int64_t not_after, first_seen, last_seen, refused_at;
	uint64_t seen_at, last;    /* which was seen last: struct holder */
	uint32_t full, resumed, open, refused;
	struct net_ip ip;
};

struct client_ca_report {
	const char *name; /* in the report's arena */
	unsigned char fingerprint[32];
	int64_t not_after, until;       /* until: INT64_MAX: the config does not end it */
	bool pinned;
	int64_t pinned_at, dropped_at;
	uint64_t watched_s;             /* seconds of service */
	size_t certificates, connected; /* connected: of them */
	size_t by_status[HOLDER_STATUSES];
	size_t refused;                 /* certificates, since they were last seen, in whose place none has come */
	int64_t last_expiry;            /* of those that stand in the way; 0: none do */
	uint64_t left_out, strangers;
	struct holder_row *rows;        /* who was seen last first; NULL: no lists were asked for */
	enum drop_verdict verdict;
	struct drop_reason reasons[DROP_REASONS_MAX];
	unsigned n_reasons;
};

struct client_cas_report {
	const char *site; /* the site's own */
	uint64_t window_s;
	size_t remember;
	struct client_ca_report *cas; /* in the order in which they were first pinned */
	size_t n_cas;
	struct holder_row *rows; /* of all CAs; NULL: no lists were asked for */
	size_t n_rows;
	struct arena arena;
};

/*
 * Made in slices, so that no handshake waits for it, from the background thread. Each certificate is counted once, of one CA
 * and as it was at one moment of that time, so that all numbers of a CA agree with each other and with its rows; who comes or
 * goes meanwhile may be counted or not. The verdict says that none was in the way when it was looked at: as with any answer,
 * one may come the moment after.
 *
 * False when memory is out. `lists` false: only the numbers. Free with client_cas_report_free() in any case.
 */
MUST_CHECK bool client_cas_report(struct client_cas *s, bool lists, struct moment now, struct client_cas_report *out);
void client_cas_report_free(struct client_cas_report *r);

/* How many stand in the way of dropping it. */
size_t client_ca_waiting(const struct client_ca_report *r);

/* Is it new that this CA, from which others have moved, may be dropped? True once; by its place in the report. */
bool client_cas_note_verdict(struct client_cas *s, const struct client_ca_report *r);

#endif
