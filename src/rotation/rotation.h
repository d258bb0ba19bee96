/*
 * rotation.h: which generation of a bundle a client is shown, and what is learned from how it takes it.
 *
 * One rotation a bundle, live state that outlives snapshots and reloads. It
 * has a current generation and, from a change on until it is given up, the
 * previous one. The plan says which share of the clients gets the current
 * one; the evidence of full handshakes says who can not live with it, and is
 * rescued: shown the other one instead.
 *
 * Any thread; a mutex inside, taken a few times for a connection and never
 * for a request. Times are given by the caller in struct moment.
 */
#ifndef BASCULE_ROTATION_ROTATION_H
#define BASCULE_ROTATION_ROTATION_H

#include "certs/bundle.h"
#include "rotation/clients.h"

struct rotation;

/* Durations are monotonic, what people read and certificates say is wall-clock time: clocks jump. */
struct moment {
	uint64_t ms;  /* monotonic */
	int64_t wall; /* seconds of the epoch */
};
struct moment moment_now(void);

/* --- settings, from the config ------------------------------------------------------------------------------ */

enum { ROTATION_STAGES_MAX = 16, ROTATION_GENERATIONS_MAX = 8, SHARE_ALL = 10000 };

struct rotation_stage {
	unsigned share;  /* of 10,000 clients so many get the current generation */
	uint64_t for_ms; /* then the next stage; the last one stays */
};

struct rotation_settings {
	struct rotation_stage stages[ROTATION_STAGES_MAX]; /* growing shares; the last is SHARE_ALL */
	unsigned n_stages;             /* 0: at once */
	uint64_t keep_previous_ms;     /* from the last stage on; 0: nobody is rescued */
	uint64_t retry_ms, retry_max_ms; /* how soon a rescued client is offered the current one again; doubles up to */
	unsigned silent_limit;         /* so many silent ends in a row make a suspect; 0: silence is no evidence */
	uint64_t silent_within_ms;     /* an end later than that after the handshake is no answer to the certificate */
	struct {
		unsigned clients;          /* distinct addresses of known ones that must refuse; 0: never by itself */
		unsigned networks;         /* distinct ones they must come from */
		unsigned share;            /* of 10,000 networks tested (rollback.c) */
	} rollback;
	size_t clients_max, network_max; /* bounds of the table */
};

void rotation_settings_default(struct rotation_settings *s);

/* --- one full handshake ------------------------------------------------------------------------------------- */

enum offer_reason {
	OFFER_PLAN,      /* the share it is in */
	OFFER_RESCUE,    /* it refuses what the plan has for it */
	OFFER_RETRY,     /* it does, and is to try again */
	OFFER_MIXED,     /* it refuses both: several behind one address, in turns and then by lot */
	OFFER_AUTHORITY, /* it named the authorities that it trusts */
};

struct rotation_offer {
	struct tls_bundle *bundle; /* referenced: rotation_end_offer() */
	uint64_t generation;
	enum offer_reason why;
};

/* The key of identities and shares, the same on all nodes: 16 bytes derived from the secret. */
void rotation_identify(const unsigned char key[16], const struct net_ip *ip, uint64_t hello, struct client_identity *out);

/* Does this rotation have two generations to choose from? One load, for the hot path. */
bool rotation_is_active(const struct rotation *r);

/* For a client that named the authorities it trusts: did it name one of this bundle's chain? */
struct rotation_hint {
	bool (*trusts)(const void *arg, const struct tls_bundle *b);
	const void *arg;
};

/* `hint` NULL: it named none. */
void rotation_choose(struct rotation *r, const struct client_identity *who, const struct rotation_hint *hint, struct moment now,
    struct rotation_offer *out);

/* How it went: once for each offer, then end it. Without an offer (no rotation goes on) `generation` is the bundle's. */
void rotation_accepted(struct rotation *r, const struct client_identity *who, uint64_t generation, struct sv name,
    struct moment now);
void rotation_rejected(struct rotation *r, const struct client_identity *who, uint64_t generation, unsigned alert,
    struct moment now);
/* It ended the connection without a word, `after_ms` after the handshake (0: within it). */
void rotation_silent(struct rotation *r, const struct client_identity *who, uint64_t generation, uint64_t after_ms,
    struct moment now);
void rotation_end_offer(struct rotation_offer *o);

/* It resumed, and was shown nothing. */
void rotation_resumed(struct rotation *r, const struct client_identity *who, struct moment now);

/*
 * A connection is open: whoever it is of is seen for as long, whatever becomes of the generations meanwhile. NULL: nobody
 * that is known. Else it is given back when the connection ends, on any thread, while the rotation is there.
 */
struct client_record *rotation_came(struct rotation *r, const struct client_identity *who);
void rotation_left(struct rotation *r, struct client_record *c, struct moment now);

/* Is this alert (RFC 8446, 6.2) a client's word on a certificate? */
bool rotation_alert_is_rejection(unsigned alert);
const char *rotation_alert_word(unsigned alert); /* "unknown_ca"; NULL: no rejection */

/* --- the plan ----------------------------------------------------------------------------------------------- */

enum rotation_phase {
	ROTATION_SETTLED,  /* one generation, nothing to choose */
	ROTATION_STAGED,   /* a share of the clients has the current one */
	ROTATION_HELD,     /* the same, and the share does not grow */
	ROTATION_COMPLETE, /* all but those rescued have it; the previous one is kept for them */
	ROTATION_BACK,     /* rolled back: all but those who refuse it have the previous one */
};
const char *rotation_phase_word(enum rotation_phase p);
const char *rotation_name(const struct rotation *r); /* the bundle's */

struct rotation *rotation_new(const char *name, const struct rotation_settings *s, const unsigned char key[16]);
void rotation_free(struct rotation *r); /* NULL is fine; nobody may use it any more */
/* Shorter intervals hold for those who are waiting for the next offer, too. */
void rotation_set(struct rotation *r, const struct rotation_settings *s, struct moment now);

/* The name of the config's bundle that leads to it. Background thread. */
void rotation_set_origin(struct rotation *r, const char *origin);
const char *rotation_origin(const struct rotation *r);

/*
 * The bundle of the newest load. The first is taken as it is; one with other content than the current begins a rotation
 * by the stages: true then. While clients are still rescued by the previous one, that stays the previous.
 */
bool rotation_take(struct rotation *r, struct tls_bundle *b, struct moment now);

/* Some of what a rotation is told takes the previous generation from clients that need it. Is that meant? */
enum rotation_will {
	ROTATION_SAFELY,      /* no: it is refused then, with who they are */
	ROTATION_FORCED,      /* yes */
	ROTATION_COMPROMISED, /* to retire only: whoever needs it, it is never to be served again */
};

/* Each false with err set when it makes no sense in the present phase, or would do harm that is not meant. */
MUST_CHECK bool rotation_hold(struct rotation *r, struct moment now, struct err *err);
/* What lies on the disk is the current generation: begin anew with it, when it was rolled back. */
MUST_CHECK bool rotation_start(struct rotation *r, enum rotation_will will, struct moment now, struct err *err);
MUST_CHECK bool rotation_resume(struct rotation *r, enum rotation_will will, struct moment now, struct err *err);
/* All clients at once; those who refuse it go on being rescued. */
MUST_CHECK bool rotation_commit(struct rotation *r, enum rotation_will will, struct moment now, struct err *err);
/* Back to the previous generation, or to an earlier one that is kept, which takes its place. */
MUST_CHECK bool rotation_rollback(struct rotation *r, uint64_t generation, enum rotation_will will, struct moment now,
    struct err *err);
/* Give up the previous one: nobody is rescued any more. */
MUST_CHECK bool rotation_retire(struct rotation *r, enum rotation_will will, struct moment now, struct err *err);

/* What became of it by itself since the last call. */
struct rotation_news {
	bool next_stage, completed, expired; /* expired: the previous one is given up, its time is over */
	bool rolled_back;
	bool orphan;                /* the first known client refuses the current generation */
	unsigned share;             /* now */
	unsigned refusing, tested;  /* known clients, when rolled_back */
	unsigned networks;          /* of those that refuse */
};

/* From the background thread, about once a second. True: there is news. */
bool rotation_tick(struct rotation *r, struct moment now, struct rotation_news *out);

enum rotation_phase rotation_phase(struct rotation *r);

/* What clients are shown while the bundle in service is rolled back; referenced. NULL: it is not. */
struct tls_bundle *rotation_rolled_back_to(struct rotation *r);

/* The verdict as it is now. True: it has become that the previous one may go since the last time; so it is told once. */
bool rotation_note_verdict(struct rotation *r, bool may_retire);

/* --- what to tell ------------------------------------------------------------------------------------------- */

enum { ALERTS_NAMED = 8 };
struct generation_counts {
	uint64_t accepted, rejected, silent; /* full handshakes */
	uint64_t by_alert[ALERTS_NAMED];     /* in the order of rotation_alert_name() */
	uint64_t clients;                    /* distinct ones that accepted it */
};
const char *rotation_alert_name(unsigned i); /* "bad_certificate", …; NULL beyond the last */

struct rotation_reason {
	bool blocks;
	char text[160];
};

enum { REASONS_MAX = 8, REPORT_NAME = 256 };

/* One who refuses the current generation, or who has not been shown it. A copy. */
struct report_client {
	struct client_record record; /* its name and next are NULL; last seen now when it is connected */
	char name[REPORT_NAME];
};

struct rotation_report {
	const char *name;
	enum rotation_phase phase;
	unsigned share, stage, n_stages;
	uint64_t stage_left_ms;       /* 0: none */
	struct tls_bundle *bundles[SLOTS]; /* referenced; NULL: none */
	int64_t begun, ended_by;      /* seconds of the epoch; when the previous one is given up at the latest; 0: no rotation */
	struct generation_counts counts[SLOTS];
	uint64_t resumed;             /* handshakes since the rotation began */
	int64_t tickets_end;          /* when the last session of before the rotation can no longer be resumed */
	struct report_client *orphans, *untested; /* owned */
	size_t n_orphans, n_untested;
	uint64_t left_out;            /* clients not tracked because the table was full */
	bool may_retire;
	struct rotation_reason reasons[REASONS_MAX];
	unsigned n_reasons;
};

/*
 * False when memory is out. `lists` false: only the numbers (metrics). Free with rotation_report_free(). From the background
 * thread; the clients are gone through in slices, so that no handshake waits for it.
 */
MUST_CHECK bool rotation_report(struct rotation *r, bool lists, struct moment now, struct rotation_report *out);
void rotation_report_free(struct rotation_report *out);

#endif
