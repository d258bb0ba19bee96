/*
 * hook.h: a process that is given something on its standard input and does one thing with it.
 *
 * It runs as the worker's user, in a session of its own, with nothing of the
 * worker but what it is given. What it comes to is told when it has ended;
 * nothing waits for it. Background thread only.
 */
#ifndef BASCULE_WORKER_HOOK_H
#define BASCULE_WORKER_HOOK_H

#include "base/err.h"
#include "net/loop.h"

enum { HOOK_OUTPUT_MAX = 256, HOOK_PATIENCE_MS = 30000 };

/* What a process came to. */
struct hook_end {
	bool killed;     /* it had not ended after HOOK_PATIENCE_MS */
	int signal;      /* that ended it; 0: it ended by itself, with */
	int status;
	char output[HOOK_OUTPUT_MAX]; /* what it said, when that was asked for */
};

struct hook_order {
	const char *path;         /* what is executed */
	char *const *arguments;   /* from its name on; ends with NULL */
	char *const *environment; /* all of it; ends with NULL */
	int in;                   /* its standard input; stays the caller's */
	bool listens;             /* its standard output is wanted, else thrown away */
	void (*ended)(void *arg, const struct hook_end *how); /* once, from the loop; not when the hook was let go */
	void *arg;
};

struct hook; /* a process that runs */

/* NULL: it can not be started, and err says why. Freed when it has ended. */
struct hook *hook_start(struct net_loop *loop, const struct hook_order *o, struct err *err);

/* Nobody wants to know any more what becomes of it: it goes on by itself. */
void hook_let_go(struct hook *h);

/* Anonymous memory with these bytes, to be read from its beginning; -1: it can not be made, errno says why. */
int hook_input(const void *p, size_t n);

#endif
