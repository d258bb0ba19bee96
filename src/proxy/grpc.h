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

/* The call is late: both sides are told. */
void grpc_expire(struct exchange *x);

#endif
