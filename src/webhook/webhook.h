/*
 * webhook.h: one POST of JSON, by a process of its own.
 *
 * Whoever has something to tell packs an order, starts this program as
 * `bascule webhook` with the order as its standard input, and learns from the
 * exit status, and from a line on its standard output, what became of it. So
 * the secrets in it stand in no argument and no environment, and a server
 * that is slow or hostile has a process before it that holds nothing else.
 */
#ifndef BASCULE_WEBHOOK_WEBHOOK_H
#define BASCULE_WEBHOOK_WEBHOOK_H

#include "base/err.h"
#include "base/pack.h"

struct webhook_order {
	const char *url;       /* http:// or https:// */
	struct sv ca;          /* PEM: the server's certificate is verified by that alone; empty: by the system's store */
	const char *authorization; /* the value of that field; empty: it is not sent */
	struct sv body;        /* JSON */
};

/* As pack.h has it: once to measure, once to write. */
void webhook_pack(struct pack *p, const struct webhook_order *o);

/* Exit statuses: none that a shell, a signal or a failed exec gives. */
enum webhook_outcome {
	WEBHOOK_DELIVERED = 0,
	WEBHOOK_FAILED = 40,  /* it may go better later */
	WEBHOOK_REFUSED = 41, /* it will not: the server has answered, and does not want it */
};

enum { WEBHOOK_TIME_MS = 10000, WEBHOOK_REASON_MAX = 256 };

/* The process: post the order in `in`, a regular file or memory, and write to `out` why not, when it could not be delivered. */
enum webhook_outcome webhook_run(int in, int out);

/* Is the library there that does it? */
MUST_CHECK bool webhook_is_possible(struct err *err);

#endif
