#ifndef BASCULE_CONF_INHERIT_H
#define BASCULE_CONF_INHERIT_H

#include "conf/keys.h"

/* Give every limit and timeout of sites and routes its value. */
void conf_inherit(struct conf *c);

#endif
