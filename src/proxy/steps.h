/* steps.h: the steps of an exchange (EXCHANGE_STEPS in exchange.h), each in the file named beside it. */
#ifndef BASCULE_PROXY_STEPS_H
#define BASCULE_PROXY_STEPS_H

#include "proxy/exchange.h"

enum exchange_step step_site(struct exchange *x);    /* steps.c */
enum exchange_step step_route(struct exchange *x);   /* steps.c */
enum exchange_step step_prepare(struct exchange *x); /* forward.c */
enum exchange_step step_choose(struct exchange *x);  /* steps.c */
enum exchange_step step_connect(struct exchange *x); /* steps.c */
enum exchange_step step_send(struct exchange *x);    /* steps.c */
enum exchange_step step_relay(struct exchange *x);   /* steps.c */

/* forward.c: the Host field as the chosen server is to see it. False: no room. */
MUST_CHECK bool forward_host(struct exchange *x);

/* forward.c: take out what a client may not say of itself, before anything is decided by it. */
void forward_distrust(struct exchange *x);
void forward_distrust_trailers(struct http_head *trailers);

/* hops.c: may a TRACE or OPTIONS go further, by its Max-Forwards? False: it has been answered. */
MUST_CHECK bool hops_go_on(struct exchange *x);

/* forward.c: what the client sees of an origin's response head. False: the head is ambiguous (502). */
MUST_CHECK bool forward_response_head(struct exchange *x, struct http_head *h);

#endif
