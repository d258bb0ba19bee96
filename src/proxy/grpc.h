/*
 * grpc.h: what a proxy has to know of gRPC over HTTP/2.
 *
 * A call may say how long it may take (grpc-timeout). That holds in place of
 * timeouts.response and timeouts.response_body, up to timeouts.tunnel: a call
 * may be silent for long, and one that is too late is ended here, to whoever
 * still works at it. Else a call is a request like any other.
 */
#ifndef BASCULE_PROXY_GRPC_H
#define BASCULE_PROXY_GRPC_H

#include "proxy/exchange.h"

/* Note the deadline of a call in x->deadline; its route is known. */
void grpc_note_deadline(struct exchange *x);

/* How long the server may be silent now, where the config says `ms`. */
uint64_t grpc_patience(const struct exchange *x, uint64_t ms);

/* Does a response with this head end with a status in its trailers? */
bool grpc_ends_with_status(const struct http_head *h, enum http_framing framing);

/*
 * The call is late: both sides are told. `with_status`: what of the response has come may end with one. Else it is cut, if it has
 * begun: half of it must not pass for the whole.
 */
void grpc_expire(struct exchange *x, bool with_status);

#endif
