/*
 * client_ca_registry.h: the client CAs of all sites, by the site's name.
 *
 * Lives as long as the worker. The background thread brings it up to each
 * load; loop threads get at a site's by way of the snapshot, which refers to it.
 */
#ifndef BASCULE_ROTATION_CLIENT_CA_REGISTRY_H
#define BASCULE_ROTATION_CLIENT_CA_REGISTRY_H

#include "conf/config.h"
#include "rotation/client_cas.h"

struct client_ca_registry;

struct client_ca_registry *client_ca_registry_new(void); /* NULL: out of memory */
void client_ca_registry_free(struct client_ca_registry *r); /* NULL is fine */

/*
 * What is known of this site, with the settings and pins of the load; made when it is new. NULL: out of memory, or the site
 * asks for no certificate.
 */
struct client_cas *client_ca_registry_sync(struct client_ca_registry *r, const struct conf_site *site,
    const struct tls_policy *policy, struct moment now);
/*
 * That were all sites of this load; others have stopped asking, and so dropped their pins. They stay in case they come back,
 * by a config that is rolled back, say: see below.
 */
void client_ca_registry_synced(struct client_ca_registry *r, struct moment now);

/*
 * Lets go of sites that no config has had for a window, of time in which we served, and of which nothing more could be told
 * if they came back. Their states stay with the supervisor; whoever takes them back lets go of them again.
 */
void client_ca_registry_sweep(struct client_ca_registry *r, struct moment now);

/* One of before, which is taken over in any case. False: there is one of that name already, or no memory. */
MUST_CHECK bool client_ca_registry_adopt(struct client_ca_registry *r, struct client_cas *restored);

/* By the site's name; NULL: there is none. */
struct client_cas *client_ca_registry_find(const struct client_ca_registry *r, const char *site);

/* Walk all, in no order: begin with NULL. */
struct client_cas *client_ca_registry_next(const struct client_ca_registry *r, const struct client_cas *at);

#endif
