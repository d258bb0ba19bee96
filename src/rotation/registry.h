/*
 * registry.h: the rotations of all bundles, by name.
 *
 * Lives as long as the worker. The background thread brings it up to each
 * load before that is published; loop threads get at a rotation by way of the
 * bundle that they have in hand.
 */
#ifndef BASCULE_ROTATION_REGISTRY_H
#define BASCULE_ROTATION_REGISTRY_H

#include "certs/store.h"
#include "conf/config.h"
#include "rotation/rotation.h"

struct rotation_registry;

/* `key`: see rotation_identify(). NULL: out of memory. */
struct rotation_registry *rotation_registry_new(const unsigned char key[16]);
void rotation_registry_free(struct rotation_registry *r); /* NULL is fine; after the loop threads have ended */

/*
 * A load comes in two steps, since it may yet be refused. The first makes all that the second needs, and changes nothing that
 * anybody sees: false when memory is out. Commit or abandon follows in any case, and before anything else is asked.
 */
MUST_CHECK bool rotation_registry_prepare(struct rotation_registry *r, const struct conf *conf, const struct tls_store *store);

/*
 * Each bundle of the store gets its rotation, by the settings of its config, and each rotation the newest bundle. For
 * one whose content has changed a rotation begins: `began` is called. A bundle that the store no longer has keeps its
 * rotation, in case it comes back. Config and store must still be there.
 */
void rotation_registry_commit(struct rotation_registry *r, struct moment now,
    void (*began)(void *arg, struct rotation *r, const struct tls_bundle *b), void *arg);

/* All rotations are as before. Also where nothing was prepared. */
void rotation_registry_abandon(struct rotation_registry *r);

/* One of before, which is taken over in any case. False: there is one of that name already, or no memory. */
MUST_CHECK bool rotation_registry_adopt(struct rotation_registry *r, struct rotation *restored);

/* By the bundle's name; NULL: there is none. */
struct rotation *rotation_registry_find(const struct rotation_registry *r, const char *name);

/* Walk all, in no order: begin with NULL. */
struct rotation *rotation_registry_next(const struct rotation_registry *r, const struct rotation *at);

#endif
