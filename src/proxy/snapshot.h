/*
 * snapshot.h: all that comes from one reading of the config, ready for use.
 *
 * Immutable, shared by all threads, reference-counted. What changes while the
 * proxy runs (health, in-flight counts) lives in the server states, which a
 * snapshot only points to. Built by the background thread; what has not
 * changed is taken over from the previous snapshot by reference.
 */
#ifndef BASCULE_PROXY_SNAPSHOT_H
#define BASCULE_PROXY_SNAPSHOT_H

#include "balance/upstream.h"
#include "base/record.h"
#include "conf/config.h"
#include "net/address.h"
#include "proxy/credentials.h"
#include "route/fields.h"
#include "route/hosts.h"
#include "route/routes.h"
#include "tls/secret.h"

enum { SITE_BUNDLES_MAX = CONF_SITE_BUNDLES_MAX };

struct client_cas;

struct snap_upstream {
	struct upstream *balance;
	struct tls_client *tls; /* NULL: plain */
};

/* Networks, as the config names them. */
struct snap_networks {
	struct net_cidr *v;
	size_t n;
	bool unix_too; /* "unix:" is among them: peers of Unix sockets, who have no address */
};

/* What is to be done with a request once its route is known: the route's word over the site's. */
struct snap_action {
	const struct conf_limits *limits;
	const struct conf_timeouts *timeouts;
	struct field_edits *request_edits, *response_edits; /* owned; NULL: none; the site's come before the route's */
	struct snap_upstream *upstream;                     /* NULL: nothing serves it (404) */
};

struct snap_site {
	const struct conf_site *conf;
	struct tls_policy *policy; /* never NULL */
	struct client_cas *client_cas; /* who comes with a certificate; referenced; set before it is published; NULL: not noted */
	struct tls_bundle *bundles[SITE_BUNDLES_MAX]; /* referenced; none: by name among the directories' */
	unsigned n_bundles;
	struct route_set *routes;
	struct snap_action *actions; /* one a route, and last the site's own */
};

/* A config shared by the snapshots made from it: certificates change more often than the config does. */
struct snap_conf {
	int refs; /* atomic */
	struct conf *conf;
};

/* Takes over `conf`; NULL (conf is freed) when memory is out. */
struct snap_conf *snap_conf_new(struct conf *conf);
struct snap_conf *snap_conf_ref(struct snap_conf *c);
void snap_conf_unref(struct snap_conf *c); /* NULL is fine */

struct snapshot {
	int refs; /* atomic */
	uint64_t generation; /* from 1; grows with each that is published; set by who publishes */
	struct snap_conf *shared; /* referenced */
	const struct conf *conf;  /* the same one, for short */
	struct tls_store *store;
	struct host_index *hosts;
	struct snap_site *sites; /* as in conf->sites */
	struct snap_upstream *upstreams; /* as in conf->upstreams */
	uint32_t head_bytes, fields; /* the largest of all limits: a head is read before its site is known */
	struct snap_networks trusted;  /* conf->trusted_proxies */
	struct snap_networks *proxies; /* of each of conf->listeners: who speaks the PROXY protocol to it */
};

/* What building one needs besides the config. */
struct snapshot_inputs {
	struct files *files;
	struct tls_thread *thread; /* the background thread's */
	const struct secret *secret;
	struct server_registry *registry;
	struct snapshot *previous;    /* NULL at the first */
	struct record *record;        /* what files of CAs and CRLs hold that are accepted is noted there; NULL: it is not */
	const struct record *before;  /* the record of the previous one; NULL: none */
	struct tls_bundle *(*rolled_back_to)(const void *arg, const char *bundle); /* see struct tls_load */
	const void *rotations;        /* its arg */
	struct tls_store *kept;       /* without a previous one: the bundles in service until now; NULL: none */
	const struct tls_changes *changes; /* of the previous one's bundles; NULL: not known, all are looked at */
	struct tls_changes *left;     /* for the next load, see struct tls_load; NULL: it is not asked for */
	const char *only;             /* this bundle alone is looked at, all else is the previous one's; NULL: all is */
	unsigned accept;              /* losses of new certificates, see struct tls_load */
	bool first;                   /* there is nothing to go on with: a kept bundle serves whatever the policy is */
	bool only_kept;               /* and they stay as they are: no bundle is looked for */
};

/*
 * Takes a reference of `shared`. NULL when something in the config can not be used (in `problems`); what is wrong
 * with single bundles is in `outcomes` and does not make it fail unless the config says all_or_nothing.
 */
struct snapshot *snapshot_build(struct snap_conf *shared, const struct snapshot_inputs *in, struct conf_problems *problems,
    struct tls_outcomes *outcomes);

/* The same from what has been loaded already, for the same config and inputs, and may be taken over. */
struct snapshot *snapshot_build_with(struct snap_conf *shared, const struct snapshot_inputs *in, const struct credentials *cr,
    struct conf_problems *problems);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/* The site for a normalized host; NULL: none. */
const struct snap_site *snapshot_site(const struct snapshot *s, struct sv host);

/* Is that address in one of them? */
bool snap_networks_hold(const struct snap_networks *networks, const struct net_ip *ip);

/* Do both need the same of a client's certificate, so that a connection made for one may carry the other's requests? */
static inline bool
snap_site_shares(const struct snap_site *a, const struct tls_policy *policy)
{
	return tls_policy_same(a->policy, policy);
}

#endif
