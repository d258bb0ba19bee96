/*
 * json.h: what the replies of the admin API are put together with. A NULL value (memory is out) is left out, and the
 * dump shows less or fails, never crashes.
 */
#ifndef BASCULE_ADMIN_JSON_H
#define BASCULE_ADMIN_JSON_H

#include <jansson.h>

#include "certs/bundle.h"

/* Both take over `v`. */
void json_add(json_t *array, json_t *v);
void json_put(json_t *object, const char *key, json_t *v);

/* The reply, malloc'ed; takes over `o`, which may be NULL. NULL: memory is out. */
char *json_text(json_t *o);

json_t *json_wall_time(uint64_t us);
json_t *json_seconds(int64_t at); /* of the epoch; null when it is not after that */
json_t *json_bundle(const struct tls_bundle *b); /* what is known of a certificate */

#endif
