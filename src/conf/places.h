/*
 * places.h: what the reader knows of places, kept for the life of the config.
 */
#ifndef BASCULE_CONF_PLACES_H
#define BASCULE_CONF_PLACES_H

#include "conf/read.h"

/* Empty, in the config's arena; NULL: no memory. */
struct conf_places *places_new(struct conf *c);

/* Fill it with those of a reader. Fields must not move any more. False: no memory. */
MUST_CHECK bool places_keep(struct conf_places *places, struct conf *c, const struct conf_place *places_of_reader);

#endif
