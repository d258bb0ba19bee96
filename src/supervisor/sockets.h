/*
 * sockets.h: the listening sockets, which outlive every worker.
 *
 * While no worker runs, connections wait in their backlogs and none is
 * refused. Supervisor only.
 */
#ifndef BASCULE_SUPERVISOR_SOCKETS_H
#define BASCULE_SUPERVISOR_SOCKETS_H

#include "base/err.h"
#include "supervisor/allow.h"

struct socket_entry;

struct sockets {
	struct socket_entry *v; /* owned */
	size_t n, capacity;
};

#define SOCKETS_EMPTY ((struct sockets){NULL, 0, 0})

enum { SOCKETS_PER_ADDRESS = 1024 }; /* a worker has fewer threads */

/*
 * Socket `index` of `count` for an address, opened now if there is none yet; those beyond `count` are closed, since
 * nobody would accept from them. An address that another process holds is an error, after trying for `patience_ms`: a
 * predecessor may be about to let go of it. The descriptor stays here; -1 with err set.
 */
int sockets_get(struct sockets *s, const char *address, unsigned index, unsigned count, const struct allow_socket *how,
    unsigned patience_ms, struct err *err);

/* Close those whose address `allow` does not name; a lasting one stays. */
void sockets_keep(struct sockets *s, const struct allow *allow);

/* Close all but the lasting ones, whose paths whoever starts next may have. */
void sockets_drain(struct sockets *s);

/* Close all. The files of Unix sockets are removed, unless another process has put its own there. */
void sockets_close(struct sockets *s);

#endif
