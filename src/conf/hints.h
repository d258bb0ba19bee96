/*
 * hints.h: what is said of keys and values that the rows do not know: what would be right, and where.
 */
#ifndef BASCULE_CONF_HINTS_H
#define BASCULE_CONF_HINTS_H

#include "conf/keys.h"
#include "conf/text.h"

/* An error: the object at `node`'s parent has no key of that name. */
void hint_unknown_key(
    struct conf_text *t, uint32_t node, const struct key_object *o, const char *name, struct conf_problems *problems);

/* An error: the row does not take this value. */
void hint_wrong_value(
    struct conf_text *t, uint32_t node, const struct key *k, const json_t *json, struct conf_problems *problems);

#endif
