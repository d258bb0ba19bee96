/*
 * notify.h: telling people what becomes of a rotation, by a command of theirs or by a webhook.
 *
 * A command is run once, as the worker's user, without a shell; what is posted
 * waits in a queue (worker/webhooks.h). Both are given the same JSON. Nothing
 * waits for any of it; what could not be told is logged and counted.
 * Background thread only.
 */
#ifndef BASCULE_WORKER_NOTIFY_H
#define BASCULE_WORKER_NOTIFY_H

#include "worker/hook.h"
#include "worker/webhooks.h"

struct notify_command;

struct notify {
	struct net_loop *loop;
	struct admin_notices told;
	struct webhooks webhooks;
	TAILQ_HEAD(notify_commands, notify_command) commands; /* that run */
	unsigned n_commands;
};

/* `files`: of what only root may read. */
void notify_init(struct notify *n, struct net_loop *loop, struct files *files);

/* Whoever `to` names is told, soon. What `e` points to is copied. */
void notify_tell(struct notify *n, const struct conf_notify *to, const struct notify_event *e);

/* Commands go on by themselves; what is not posted by now is lost, and logged. */
void notify_end(struct notify *n);

#endif
