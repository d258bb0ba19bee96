/*
 * webhooks.h: what is to be posted, until it is delivered or given up.
 *
 * A bounded queue. Each try is a process of its own (webhook/webhook.h), a few
 * at a time; between tries that failed there are growing pauses. What one
 * bundle has to tell to one address is posted in its order, so a receiver
 * never hears of an end before the beginning. Background thread only.
 */
#ifndef BASCULE_WORKER_WEBHOOKS_H
#define BASCULE_WORKER_WEBHOOKS_H

#include <sys/queue.h>

#include "admin/admin.h"
#include "base/files.h"
#include "net/loop.h"

/* What people are told. */
struct notify_event {
	const char *word;   /* "rolled_back" */
	const char *bundle; /* its name */
	struct sv json;     /* all of it */
};

enum { WEBHOOK_PLACE_MAX = 300 };

struct webhook_post;

struct webhooks {
	struct net_loop *loop;
	struct files *files;
	struct admin_notices *told;
	TAILQ_HEAD(webhook_queue, webhook_post) queue;
	size_t bytes;                    /* of all that waits */
	unsigned n_trying;
	struct net_timer due;            /* of the next try */
	char failing[WEBHOOK_PLACE_MAX]; /* the server that the last try failed at, which is said once; empty: it did not */
};

void webhooks_init(struct webhooks *w, struct net_loop *loop, struct files *files, struct admin_notices *told);

/* To to->url, which is no NULL. All is copied, but files are read at each try. */
void webhooks_post(struct webhooks *w, const struct conf_notify *to, const struct notify_event *e);

/* Tries that go on do so by themselves; what waits is lost, and it is logged how much. */
void webhooks_end(struct webhooks *w);

/*
 * Read the file of "authorization", to a NUL, and that of "ca", which has a certificate. `out` is initialised; clear it in
 * any case, the first by webhooks_wipe(). False with "PATH: reason", and errno of what could not be opened.
 */
MUST_CHECK bool webhooks_read_authorization(struct files *files, const char *path, struct buf *out, struct err *err);
MUST_CHECK bool webhooks_read_ca(struct files *files, const char *path, struct buf *out, struct err *err);
void webhooks_wipe(struct buf *b);

/* Somebody could not be told: log it, and count it. */
void notices_fail(struct admin_notices *told, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
