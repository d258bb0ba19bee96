/*
 * hash.h: uthash that does not end the process when memory is out.
 *
 * What could not be added has hh.tbl == NULL: look at it after each HASH_ADD.
 */
#ifndef BASCULE_CONF_HASH_H
#define BASCULE_CONF_HASH_H

#define HASH_NONFATAL_OOM 1

#include <uthash.h>

#endif
