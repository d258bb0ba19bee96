/*
 * origin_bound.h: connections to origins that serve one client's connection
 * and no other, because the origin takes all that comes on them for that
 * client's:
 *
 * - a header of the PROXY protocol has told it so (upstream's
 *   `proxy_protocol`), or
 * - the client has authenticated on it (NTLM, Negotiate), or is about to, as
 *   the word in a request's Authorization or a response's WWW-Authenticate
 *   tells, or the site's `connection_auth`: then it is `authenticated`.
 *
 * A bound connection is on its client's list, client->bound, from then until
 * it is closed, whether it carries an exchange or is idle; it is never on a
 * pool's. It can not be bound to another, nor be set free.
 *
 *   the client closes         all of its bound connections are closed.
 *   the origin closes one     idle or in mid-request, one that is authenticated
 *                             takes the client's connection with it: no
 *                             request follows the present one (client_end).
 *   a retry                   goes on a new connection, on which nobody has
 *                             authenticated, and with client_end set.
 *   reload                    an idle one whose server and TLS the config no
 *                             longer names is closed, as above. One that has
 *                             begun otherwise than proxy_protocol now says is
 *                             not used any more.
 *   drain                     they end with their clients.
 *
 * All in the client's thread.
 */
#ifndef BASCULE_PROXY_ORIGIN_BOUND_H
#define BASCULE_PROXY_ORIGIN_BOUND_H

#include "proxy/origin.h"

/* Does x need a connection that is bound? Asked when its head is as the origin will see it. */
struct bound_need {
	bool bound;
	bool authenticated;
};
struct bound_need origin_bound_need(const struct exchange *x);

/* The server where x's client has authenticated, which must have its requests; -1: none, or it was tried. */
int origin_bound_server(const struct exchange *x);

/* An idle connection of x's client to this pool's server; it stays on the client's list. NULL: none. */
struct origin *origin_bound_take(struct exchange *x, struct origin_pool *p);

/* From now on it serves this client alone. Idempotent; `authenticated` stays. */
void origin_bind(struct origin *o, struct client *c, bool authenticated);

/* It is being closed, and was open when `was_open`. Nothing where it is not bound. */
void origin_unbind(struct origin *o, bool was_open);

/* Its exchange went well: it waits for its client's next one, for at most `idle_ms` when nobody has authenticated on it. */
void origin_bound_idle(struct origin *o, uint64_t idle_ms);

/* The client is being closed. */
void origin_close_bound(struct client *c);

/* A new snapshot is in force, by which pools are `named`: close the idle ones of the others. */
void origin_bound_sweep(struct px_thread *t);

/* Begin a new connection with the PROXY header that x's upstream asks for. False: no memory. */
MUST_CHECK bool origin_bound_tell(struct origin *o, struct exchange *x);

#endif
