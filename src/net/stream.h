/*
 * stream.h: a byte stream over one socket, plain or with a transform (TLS) over it.
 *
 * Reading: try first, wait for on_readable only after NET_AGAIN. Writing:
 * net_stream_write() always takes all it is given; what the socket does not
 * take is kept in `out` and sent as the socket allows, then on_drained is
 * called. The memory is bounded by the caller, who stops giving while
 * net_stream_pending() is above zero. All from the loop's thread.
 *
 * The owner embeds the stream. After net_stream_close() no callback comes any
 * more; the memory may be freed once the turn is over (net_loop_defer).
 */
#ifndef BASCULE_NET_STREAM_H
#define BASCULE_NET_STREAM_H

#include <sys/uio.h>

#include "net/address.h"
#include "net/loop.h"

struct net_stream;

/* What a read or a step of a handshake came to, where it is not a count of bytes. */
enum { NET_EOF = 0, NET_AGAIN = -1, NET_ERROR = -2 };

/* Who has read so often in one callback leaves the others their turn: net_stream_again(), and return. */
enum { NET_READS = 16 };

/* What the owner hears. None may be NULL. Each may close the stream. */
struct net_stream_events {
	/* Connected, and the transform's handshake is complete: bytes can be read and written. */
	void (*on_open)(struct net_stream *s);
	/* Read until NET_AGAIN, NET_EOF or NET_ERROR, or pause. Also called once after a pause ends. */
	void (*on_readable)(struct net_stream *s);
	/* All that was written has been given to the kernel. Only after net_stream_pending() was above zero. */
	void (*on_drained)(struct net_stream *s);
	/* The deadline has passed. */
	void (*on_timeout)(struct net_stream *s);
	/* Connecting or the handshake failed, or writing did. `error` is an errno, or EPROTO when the transform says why. */
	void (*on_failed)(struct net_stream *s, int error);
};

/* A layer between the socket and the owner. Its calls work on net_raw_*() below. */
struct net_transform {
	int (*handshake)(struct net_stream *s);                     /* 1: complete; NET_AGAIN; NET_ERROR */
	ssize_t (*read)(struct net_stream *s, void *p, size_t n);   /* as net_stream_read */
	/* 0 or NET_ERROR; `last`: see net_stream_finish. */
	int (*write)(struct net_stream *s, const struct iovec *v, int n, bool last);
	bool (*pending)(const struct net_stream *s);                /* it holds bytes, decoded or not, that nobody has read */
	void (*free)(struct net_stream *s);                         /* frees s->state */
};

struct net_stream {
	/* set by init, then constant */
	struct net_loop *loop;
	const struct net_stream_events *events;
	const struct net_transform *transform; /* NULL: plain */
	void *state;                           /* the transform's; owned by it */

	/* the stream's own */
	struct event read_ev, timer_ev;
	struct event *write_ev; /* made when the socket is first waited for; owned; most never wait */
	struct buf out;        /* not yet taken by the socket; cipher text with TLS */
	uint64_t deadline;     /* ms; 0: none. The timer is moved lazily: it may fire early and be set anew */
	uint64_t sent;         /* bytes the kernel has taken so far: tells whether a slow peer makes progress */
	uint64_t timer_at;     /* when timer_ev is set for; 0: not set */
	int fd;                /* -1: closed */
	bool connecting, open; /* open: on_open has been called */
	bool again;            /* timer_ev fires in the next turn, for on_readable to be called */
	bool dry;              /* the last read took all there was: no use in asking again before the next event */
	bool paused;           /* read_ev is not armed by wish of the owner */
	bool half_closed;      /* we have sent our end (shutdown) */
	bool finish;           /* shut down our side once `out` is empty */
	bool eof;              /* the peer has sent its end */
	bool writing;          /* write_ev is armed */
};

/* Take over a connected, non-blocking descriptor. Call net_stream_start() next. `out_max` bounds s->out. */
void net_stream_init(struct net_stream *s, struct net_loop *loop, int fd, const struct net_stream_events *events, size_t out_max);

/* Put a transform over it; before start. */
void net_stream_set_transform(struct net_stream *s, const struct net_transform *t, void *state);

/*
 * Begin: arm the events, and with a transform begin the handshake. Calls on_open from within when nothing has to be
 * waited for. False (errno kept) when the events can not be armed; then close it.
 */
MUST_CHECK bool net_stream_start(struct net_stream *s);

/* A new socket connecting to `to`; on_open or on_failed follows from the loop. False (errno kept) when it failed at once. */
MUST_CHECK bool net_stream_connect(struct net_stream *s, struct net_loop *loop, const struct net_address *to,
    const struct net_stream_events *events, size_t out_max);

/*
 * A transform has been put over a stream that is open without one: begin its handshake, and on_open is called once more. For
 * who reads what stands before it.
 */
void net_stream_handshake(struct net_stream *s);

/* As net_stream_read, of a stream without a transform; what it finds is still there to be read. */
ssize_t net_stream_peek(struct net_stream *s, void *p, size_t n);

/* > 0: bytes read; NET_EOF: the peer has ended; NET_AGAIN: wait for on_readable; NET_ERROR: broken, errno is set. */
ssize_t net_stream_read(struct net_stream *s, void *p, size_t n);

/*
 * Send all of it, or keep what the socket does not take. False when the stream is broken or out_max is exceeded:
 * the caller closes it. One system call at most when nothing was waiting.
 */
MUST_CHECK bool net_stream_write(struct net_stream *s, const struct iovec *v, int n);

/* Bytes that wait for the socket. */
static inline size_t
net_stream_pending(const struct net_stream *s)
{
	return buf_len(&s->out);
}

/* The end of what we send, after all that waits: with TLS close_notify, then shutdown(SHUT_WR). */
void net_stream_finish(struct net_stream *s);

/*
 * The last write, with close_notify behind it in the same system call. The socket's own end is sent by net_stream_finish()
 * afterwards, or by closing: who closes at once is spared a system call.
 */
MUST_CHECK bool net_stream_write_last(struct net_stream *s, const struct iovec *v, int n);

/*
 * The transform has failed for good, and what it had to say of it is on its way. What the peer still sends are raw bytes
 * from now on, read only to be thrown away: closing before they have come would reset the connection, and the
 * peer might never see why.
 */
void net_stream_abandon(struct net_stream *s);

/*
 * The kernel keeps no more than so many bytes that it can not send yet: for who has several messages for the peer, and wants
 * to choose late which is next. One system call.
 */
void net_stream_keep_short(struct net_stream *s, unsigned unsent);

/* Do not call on_readable until resumed. Costs a system call each: for back-pressure only. */
void net_stream_pause(struct net_stream *s);
void net_stream_resume(struct net_stream *s);

/* Call on_readable in the next turn: for who stops reading before NET_AGAIN. Ends a pause. */
void net_stream_again(struct net_stream *s);

/* on_timeout in `ms` from now unless moved; 0: no deadline. Costs no system call and, mostly, no timer operation. */
void net_stream_deadline(struct net_stream *s, uint64_t ms);

/* Has the peer ended or broken it, or sent what nobody asked for, though no event has told yet? One system call. */
bool net_stream_is_stale(struct net_stream *s);

/* Close at once, with a reset when `abort`. Idempotent. No callback comes from now on. */
void net_stream_close(struct net_stream *s, bool abort);

/* --- for transforms: the socket itself --- */

/* recv with the dry rule. As net_stream_read. */
ssize_t net_raw_read(struct net_stream *s, void *p, size_t n);
/* Send or keep. 0, or NET_ERROR. */
int net_raw_write(struct net_stream *s, const struct iovec *v, int n);

#endif
