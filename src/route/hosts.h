/*
 * hosts.h: which site serves a host name.
 *
 * Exact names first, then the longest wildcard suffix ("*.b.c" covers a.b.c
 * and x.a.b.c, any depth, never b.c itself), then the default site. Immutable
 * once made; any thread looks up.
 */
#ifndef BASCULE_ROUTE_HOSTS_H
#define BASCULE_ROUTE_HOSTS_H

#include "conf/config.h"

enum { HOST_MAX = 253 }; /* bytes of a host name without its trailing dot (RFC 1035, 2.3.4) */

struct host_index;

/* Over conf->sites, borrowing nothing from conf. Of two sites with one name the first has it. NULL: out of memory. */
struct host_index *host_index_new(const struct conf *conf);
void host_index_free(struct host_index *i); /* NULL is fine */

/* The number of the site in conf->sites for a host in lower case without port or trailing dot; -1: none. */
int host_index_find(const struct host_index *i, struct sv host);

/*
 * Lower case without a trailing dot, into `out`; false when it is no host name or does not fit. Letters, digits, '-'
 * and '_' in labels of 1 to 63: an internationalised name comes as xn--. IPv6 literals in brackets pass, in their
 * canonical text (RFC 5952). HOST_MAX + 1 bytes are always enough.
 */
bool host_normalize(struct sv host, char *out, size_t size, struct sv *normal);

#endif
