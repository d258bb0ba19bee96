/*
 * networks.h: the clients of one bundle by the networks that they come from, counted while they change.
 *
 * A network is an IPv4 /24 or an IPv6 /48. Clients are cheap to make up: an
 * address is as many as it likes, by another hello each. Networks are not,
 * so they have the votes: one each, which its clients share. No lock of its
 * own: the rotation's is held.
 */
#ifndef BASCULE_ROTATION_NETWORKS_H
#define BASCULE_ROTATION_NETWORKS_H

#include "net/address.h"

enum { VOTE = 10000 }; /* one network's */

struct network {
	struct network *next;   /* in its bucket */
	uint64_t key;           /* keyed hash */
	uint32_t clients;       /* records: it lives as long as there are any */
	uint32_t known;         /* of them those that had accepted the previous generation */
	uint32_t tested;        /* known ones that were shown the current one */
	uint32_t refusing;      /* known ones that refuse it */
	uint64_t refused_at;    /* addresses where known ones did, a bit each; more than 64 share them */
};

struct networks {
	struct network **buckets; /* a power of two of them; NULL: none yet */
	size_t n_buckets, n;
	size_t known, tested, refusing;      /* networks with such clients */
	size_t known_clients, tested_clients, refusing_clients;
	uint64_t against;         /* the votes of all: VOTE for a network whose tested clients all refuse */
	uint64_t refused_at;      /* addresses: the bits of all */
};

/* What counts of a client. */
struct client_vote {
	bool known, tested, refuses;
};

void networks_free(struct networks *all);

/* NULL: none. */
struct network *networks_find(const struct networks *all, uint64_t key);

/* For one client more of this network, and one less: then the network may be gone. NULL: no memory. */
struct network *networks_enter(struct networks *all, uint64_t key);
void networks_leave(struct networks *all, struct network *n);

/* A client's vote comes in (`by` 1) and, before it changes, goes out again (-1). */
void networks_count(struct networks *all, struct network *n, const struct net_ip *ip, struct client_vote vote, int by);

/* As if nobody had been tested; and as if nobody had been counted at all. */
void networks_untest(struct networks *all);
void networks_count_none(struct networks *all);

#endif
