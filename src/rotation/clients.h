/*
 * clients.h: what is known of each client of one bundle.
 *
 * A client is its address (IPv6: the /64) and the way its ClientHello is made
 * up: see struct client_identity. A bounded table; nobody outside can make
 * it grow beyond its bound, nor a few networks push out the others. No lock of
 * its own: the rotation's is held.
 */
#ifndef BASCULE_ROTATION_CLIENTS_H
#define BASCULE_ROTATION_CLIENTS_H

#include "rotation/networks.h"

/* The two generations that matter at a time. */
enum slot { SLOT_PREVIOUS, SLOT_CURRENT, SLOTS };

/* Who is it? Made by rotation_identify(). */
struct client_identity {
	uint64_t key;         /* keyed hash of address and hello */
	uint64_t network;     /* keyed hash of the address's network: IPv4 /24, IPv6 /48 */
	struct net_ip ip;
	uint32_t fingerprint; /* of the hello, for people: tells two clients behind one address apart */
};

/* What a client did with a generation. Full handshakes only: a resumed one shows no certificate. */
struct evidence {
	uint32_t accepted, rejected, silent;
	int64_t at;    /* of the last one, seconds of the epoch; 0: none */
	uint8_t alert; /* of the last rejection */
};

struct client_record {
	struct client_record *next;  /* in its bucket */
	struct network *network;     /* that of its identity */
	struct client_identity who;
	struct evidence by[SLOTS];
	bool refuses[SLOTS];         /* it rejected this one and has not accepted it since */
	bool suspected;              /* what it refuses it refuses in silence: it closes without a word */
	uint8_t silent_in_row;       /* with nothing accepted between */
	uint8_t flips;               /* how often a rejection contradicted what it had accepted before: several behind one address */
	uint8_t content_in_row;      /* then: connections that accepted what the plan has, since one refused it */
	uint8_t last_offered;        /* enum slot */
	bool dropped;                /* from the table; the last of its connections frees it */
	uint32_t open;               /* connections now */
	int64_t first_seen, last_seen, last_resumed; /* seconds of the epoch */
	uint64_t offer_again_ms;     /* monotonic: when one connection tries anew what it refuses */
	uint64_t retry_ms;           /* the interval after that */
	char *name;                  /* malloc'ed: what it said of itself (certificate subject, device); NULL: nothing */
};

struct clients {
	struct client_record **buckets; /* a power of two of them, in the order of their clients' keys; NULL: none yet */
	size_t n_buckets, n;
	unsigned shift;                 /* a key's bucket is what is left of it */
	struct networks networks;
	size_t max;                     /* records */
	size_t network_max;             /* records of one network */
	size_t hand;                    /* the bucket where the search for one that may go goes on */
	uint64_t left_out;              /* clients that found no room, or lost it while they were connected */
};

void clients_init(struct clients *c, size_t max, size_t network_max);
void clients_free(struct clients *c);

/* When was it there? Who is connected is seen now: it may have been open for longer than anybody is waited for. */
static inline int64_t
client_seen(const struct client_record *c, int64_t now)
{
	return c->open > 0 ? now : c->last_seen;
}

/* NULL: not known. */
struct client_record *clients_find(const struct clients *c, uint64_t key);

/* It had accepted the previous generation; and it was shown the current one. */
static inline bool
is_known(const struct client_record *c)
{
	return c->by[SLOT_PREVIOUS].accepted > 0;
}

static inline bool
is_tested(const struct client_record *c)
{
	const struct evidence *e = &c->by[SLOT_CURRENT];

	return e->accepted + e->rejected + e->silent > 0;
}

/*
 * The record, made when it is new. In a full table another makes room for it: one that was never served, or one of a
 * network that has more than a small part of the table. Once served and refusing now, one of another network stays. NULL:
 * no room, or no memory; then the client is served by the plan, and nothing is noted. Of equals one that is connected goes
 * last, and is missed: it counts as left out.
 */
struct client_record *clients_note(struct clients *c, const struct client_identity *who, int64_t now);

/* One of its connections, each of which is counted in `open`, has ended. It may have been dropped before, and is freed then. */
void client_leave(struct client_record *r, int64_t now);

/*
 * One that was in another table, whose name is `name`; not checked against the bounds. False: it is there already, or no
 * memory.
 */
MUST_CHECK bool clients_restore(struct clients *c, const struct client_record *from, struct sv name);

/* What it does counts for its network: out (`by` -1) before its evidence changes, in (1) when it has. */
void clients_count(struct clients *c, const struct client_record *r, int by);

/* Walk all, in no order: begin with NULL. The record returned before must not have been dropped. */
struct client_record *clients_next(const struct clients *c, struct client_record *r);

/*
 * The same in slices of a fraction of a millisecond, between which the table may change in any way: whoever is in it all the
 * while is met once. Begin with all zero.
 */
struct clients_walk {
	uint64_t from; /* keys below have been met */
	bool over;
};
void clients_slice(const struct clients *c, struct clients_walk *w, void (*each)(void *arg, struct client_record *r), void *arg);
enum { CLIENTS_SLICE = 512 }; /* records in it, and those of one bucket more */

/* The clock has leapt to `now`, ahead by so many seconds: nobody has been away for longer because of that. */
void clients_move(struct clients *c, int64_t by, int64_t now);

/* What it said of itself; the last word counts. Cut to a bound at a whole character. */
void client_set_name(struct client_record *r, struct sv name);
enum { CLIENT_NAME_MAX = 256 }; /* bytes */

#endif
