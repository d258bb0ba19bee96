/* internal.h: what the files of net/ share; nobody else includes it. */
#ifndef BASCULE_NET_INTERNAL_H
#define BASCULE_NET_INTERNAL_H

#include <event2/event.h>

#include "net/loop.h"

struct event_base *net_loop_base(struct net_loop *loop);

#endif
