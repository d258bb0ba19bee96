/*
 * credentials.h: what of a snapshot is read from files of certificates, keys and CRLs.
 *
 * A snapshot is built in two steps, of which this is the first: when these
 * files alone may have changed, as the watch finds all the time, it tells at
 * the price of a look at their stamps whether anything has, and the rest is
 * built only then. Background thread only.
 */
#ifndef BASCULE_PROXY_CREDENTIALS_H
#define BASCULE_PROXY_CREDENTIALS_H

#include "certs/store.h"
#include "tls/client.h"
#include "tls/policy.h"

struct snapshot_inputs;

struct credentials {
	struct tls_store *store;
	struct tls_policy **policies; /* as conf->sites; NULL: refused */
	struct tls_client **clients;  /* as conf->upstreams; NULL: plain, or refused */
	size_t n_policies, n_clients;
};

/*
 * Load what `conf` names; what has not changed is in->previous's, by reference. Where `conf` is that of in->previous,
 * whom a site or an upstream trusts is held when its files are refused, as the last good generation of a bundle always
 * is. False with errors in `problems`: memory is out, and then there may be no store either, or something can not be had
 * at all. `outcomes` is initialised, and tells what is new or held. Free `out` in any case.
 */
MUST_CHECK bool credentials_load(struct credentials *out, const struct conf *conf, const struct snapshot_inputs *in,
    struct conf_problems *problems, struct tls_outcomes *outcomes);
/*
 * Does what was refused hold back all the rest (reload.policy)? All or nothing holds what is in service; `first`: nothing
 * is, and an earlier generation is better than that.
 */
bool credentials_held_back(const struct conf *conf, bool first, const struct tls_outcomes *outcomes);

void credentials_free(struct credentials *c);

#endif
