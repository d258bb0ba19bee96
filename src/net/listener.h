/*
 * listener.h: accepting connections on a socket that somebody else opened.
 */
#ifndef BASCULE_NET_LISTENER_H
#define BASCULE_NET_LISTENER_H

#include "net/address.h"
#include "net/loop.h"

struct net_listener {
	struct event ev;
	struct net_loop *loop;
	struct net_timer pause; /* after the descriptors ran out */
	int fd;                 /* not owned */
	bool held;              /* the owner's to set, for a moment: connections wait in the backlog, and the loop does not sleep */
	/* Takes over `fd` (non-blocking, close-on-exec). */
	void (*on_accept)(struct net_listener *l, int fd, const struct net_address *peer);
	/* A connection was accepted and closed at once, or could not be accepted: out of descriptors or memory. */
	void (*on_refused)(struct net_listener *l, int error);
};

/*
 * Open a listening socket (SO_REUSEPORT, non-blocking, close-on-exec, TCP_NODELAY for what it accepts); a Unix socket
 * gets `mode` and replaces a stale one. -1 with err set: names the address and, when it is taken, says so.
 */
int net_listen(const struct net_address *a, bool any, int backlog, unsigned mode, struct err *err);

/*
 * From now on the next process that wants the path of this Unix socket may take it, although we still listen there: its
 * net_listen() then puts its own file in the place of ours.
 */
void net_listen_give_way(const char *path);

/*
 * Does nobody else listen there? SO_REUSEPORT lets a second process of the same user share a port unnoticed: ask
 * before the first socket of an address is opened. False with err set.
 */
bool net_listen_is_free(const struct net_address *a, bool any, struct err *err);

/* Has this machine such an address at all? Asks at no port in particular. False with err set. */
bool net_listen_is_possible(const struct net_address *a, bool any, struct err *err);

/* False: no memory. To let a listener that was started while held accept can not fail any more. */
MUST_CHECK bool net_listener_start(struct net_listener *l, struct net_loop *loop, int fd);
void net_listener_stop(struct net_listener *l); /* leaves the descriptor open: others may go on accepting */

#endif
