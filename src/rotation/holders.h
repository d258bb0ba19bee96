/*
 * holders.h: the client certificates that have been seen at one site.
 *
 * Each is known by its fingerprint, belongs to the CA that vouched for it, and
 * to whoever its subject names: a device that gets a new certificate keeps its
 * subject. No bounds and no lock of its own: see client_cas.c.
 */
#ifndef BASCULE_ROTATION_HOLDERS_H
#define BASCULE_ROTATION_HOLDERS_H

#include <sys/queue.h>

#include <uthash.h>

#include "net/address.h"

enum { CA_ID = 32, HOLDER_SERIAL_MAX = 64 };

struct holder;
struct client_cas;
TAILQ_HEAD(holder_list, holder);

/* A CA that is pinned, or was. */
struct client_ca {
	struct client_ca *next;          /* in the order in which they were first pinned */
	unsigned char id[CA_ID];         /* SHA-256 over name and key */
	unsigned char fingerprint[32];   /* of its certificate; of the one pinned last when there are several */
	char *name;                      /* owned */
	int64_t not_after;               /* seconds of the epoch */
	int64_t until;                   /* the config ends it then; INT64_MAX: it does not */
	bool pinned;                     /* in force; else all that follows is what was before */
	bool told;                       /* that it may be dropped */
	uint64_t since;                  /* own time (client_cas.c): when the present watch over it began */
	int64_t pinned_at, dropped_at;   /* seconds of the epoch; dropped_at 0: it is pinned */
	struct holder_list holders;      /* who was seen last stands at the end */
	size_t n_holders;
	size_t open;                     /* connections now, of all of them */
	unsigned place;                  /* among the site's, as counted last: client_cas_count() */
	uint64_t left_out, left_out_at;  /* handshakes whose certificate found no room; own time of the last one */
	uint64_t strangers;              /* refused since it was dropped, with one not known that says it is from it */
};

/* Whoever a subject names. */
struct device {
	UT_hash_handle hh;
	struct holder *holders; /* by `next`, in no order; at least one */
	unsigned n;
	char subject[];         /* RFC 2253, the whole of it */
};

/* A certificate, which its CA vouched for when it was last seen. */
struct holder {
	UT_hash_handle hh;
	TAILQ_ENTRY(holder) link;       /* of its CA */
	struct client_cas *of;
	struct client_ca *ca;
	struct device *device;
	struct holder *next;            /* of the same device */
	unsigned char fingerprint[32];
	char serial[HOLDER_SERIAL_MAX]; /* upper-case hex, cut */
	int64_t not_after;              /* seconds of the epoch */
	int64_t first_seen, last_seen;  /* the same, for people */
	uint64_t first, last;           /* which sighting of the site it was: tells before from after whatever the clock does */
	uint64_t seen_at;               /* own time of the last one */
	uint32_t full, resumed;         /* handshakes */
	uint32_t open;                  /* connections now */
	uint32_t refused;               /* handshakes since it was last seen */
	int64_t refused_at;             /* the last one; seconds of the epoch */
	bool revoked;                   /* that was why */
	struct net_ip ip;               /* of the last sighting */
};

struct holders {
	struct holder *by_fingerprint; /* uthash keeps the order in which they were added */
	struct device *by_subject;
	size_t n, subjects;            /* certificates; bytes of the subjects, each certificate's for itself */
	struct holder *walked;         /* whom the walk meets next; NULL: it is over, or there is none */
};

struct holder *holders_find(const struct holders *t, const unsigned char fingerprint[32]);

/* One that is not there yet; all that is not named is zero. NULL: no memory. */
struct holder *holders_add(struct holders *t, struct client_ca *ca, const unsigned char fingerprint[32], const char *subject);
void holders_drop(struct holders *t, struct holder *h);

/* It was seen last of all; its CA may be another one now. */
void holder_touch(struct holder *h, struct client_ca *ca);

/* So many more connections. */
void holder_open(struct holder *h, int by);

/* All of them in the order in which they were seen last: after they were added in another one. */
void holders_order(struct holders *t);

/*
 * Walk all in slices of a fraction of a millisecond, between which the table may change in any way: whoever is in it all the
 * while is met once, who comes or goes meanwhile at most once. One walk at a time: holders_walk() begins anew. False: it is
 * over.
 */
void holders_walk(struct holders *t);
bool holders_slice(struct holders *t, void (*each)(void *arg, const struct holder *h), void *arg);
enum { HOLDERS_SLICE = 512 }; /* certificates in it, at most */

#endif
