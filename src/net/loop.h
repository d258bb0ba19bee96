/*
 * loop.h: one thread's event loop, on libevent.
 *
 * Everything but net_loop_post() and net_loop_stop() is called from the
 * loop's own thread. A turn is: wait, run the callbacks of what is ready, run
 * what was deferred. Objects are freed by deferring, never in their own
 * callback.
 */
#ifndef BASCULE_NET_LOOP_H
#define BASCULE_NET_LOOP_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/err.h"

struct net_loop;

/* Work for the end of this turn. Embed it in the object; on no list while `fn` is NULL. */
struct net_deferred {
	STAILQ_ENTRY(net_deferred) link;
	void (*fn)(struct net_deferred *);
};

/* A message to another thread's loop. Owned by the loop from post until `fn` runs there, which may free it. */
struct net_message {
	STAILQ_ENTRY(net_message) link;
	void (*fn)(struct net_message *, struct net_loop *);
};

struct net_loop *net_loop_new(struct err *err);
void net_loop_free(struct net_loop *loop);

/* Run what was deferred, from outside a turn: before objects that it needs are freed. */
void net_loop_settle(struct net_loop *loop);

/* Runs turns until net_loop_stop(). */
void net_loop_run(struct net_loop *loop);

/* Any thread, and signal handlers. The turn that is running ends first. */
void net_loop_stop(struct net_loop *loop);

/* Any thread: m->fn runs in the loop's thread, in the order of posting. */
void net_loop_post(struct net_loop *loop, struct net_message *m);

/* Milliseconds, monotonic, taken once per turn. */
uint64_t net_loop_now(struct net_loop *loop);

/* Run d->fn at the end of this turn; once, however often it is called before. */
void net_loop_defer(struct net_loop *loop, struct net_deferred *d, void (*fn)(struct net_deferred *));

enum { NET_SCRATCH_SIZE = 64 * 1024 };

/*
 * The thread's buffer to read into, NET_SCRATCH_SIZE bytes. What is in it lives until the callback returns: who needs
 * the bytes longer copies them. So an idle connection owns no buffer.
 */
char *net_loop_scratch(struct net_loop *loop);

/* The thread's buffer to put outgoing plain text together in, and the one for cipher text. Empty between callbacks. */
struct buf *net_loop_gather(struct net_loop *loop);
struct buf *net_loop_cipher(struct net_loop *loop);

/* Free for the owner of the loop: the thread's own state. */
void net_loop_set_user(struct net_loop *loop, void *user);
void *net_loop_user(const struct net_loop *loop);

/* --- timers and plain descriptors --- */

struct net_timer {
	struct event ev;
	struct net_loop *loop;
	void (*fn)(struct net_timer *);
};

void net_timer_init(struct net_timer *t, struct net_loop *loop, void (*fn)(struct net_timer *));
void net_timer_set(struct net_timer *t, uint64_t in_ms); /* once, replacing what was set */
void net_timer_cancel(struct net_timer *t);
bool net_timer_pending(const struct net_timer *t);

/* Call fn whenever fd is readable, until net_watch_stop(). The descriptor stays the caller's. */
struct net_watch {
	struct event ev;
	void (*fn)(struct net_watch *, int fd);
};

MUST_CHECK bool net_watch_start(struct net_watch *w, struct net_loop *loop, int fd, void (*fn)(struct net_watch *, int fd));
void net_watch_stop(struct net_watch *w);

#endif
