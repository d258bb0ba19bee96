/*
 * h2_link.h: a connection of HTTP/2 on either side of the proxy: the codec, and the way of its frames into the stream.
 *
 * What is small is put together and goes out at the end of the loop turn, in
 * one record and one system call, of all streams; what is large goes at once,
 * from where it was read into. The owner embeds it first in what it keeps of
 * the connection; that memory is freed by owner->free(), after the turn.
 */
#ifndef BASCULE_PROXY_H2_LINK_H
#define BASCULE_PROXY_H2_LINK_H

#include "http/h2.h"
#include "proxy/outbox.h"

struct h2_link;

struct h2_link_owner {
	void (*waits)(struct h2_link *l);            /* the socket takes no more for now: net_stream_events.on_drained follows */
	void (*flushed)(struct h2_link *l, bool ok); /* at the end of a turn; false: the stream is broken, or memory was out */
	void (*free)(struct h2_link *l);             /* after h2_link_close(): nothing calls any more */
};

struct h2_link {
	struct h2 h2;
	struct net_stream *stream;
	struct outbox *box; /* of the thread, for this direction: empty between callbacks */
	const struct h2_link_owner *owner;
	struct buf out;     /* frames that wait for the end of the turn */
	struct net_deferred flush;
	bool receiving;     /* h2_receive() is on the stack: nothing can be sent */
	bool silent;        /* set by the owner: nothing more is to be sent */
	bool closed;
};

/* The session is begun by the caller (l->h2), with the calls below among its events. */
void h2_link_init(struct h2_link *l, struct net_stream *s, struct outbox *box, const struct h2_link_owner *owner);
void h2_link_close(struct h2_link *l);

/* False: see h2_receive(). */
MUST_CHECK bool h2_link_receive(struct h2_link *l, struct sv bytes);

/*
 * Send what there is: at once what is large, else at the end of the turn. Nothing while receiving: whoever reads sends
 * afterwards. False: the stream is broken, or memory was out.
 */
MUST_CHECK bool h2_link_flush(struct h2_link *l);

/* All of it at once. */
MUST_CHECK bool h2_link_send(struct h2_link *l);

/* At the end of the turn; for who has nothing that must go before. */
void h2_link_flush_later(struct h2_link *l);

/* For struct h2_events. */
void h2_link_put(struct h2 *s, struct sv bytes);
void h2_link_point(struct h2 *s, struct sv bytes);
bool h2_link_is_full(const struct h2 *s);

#endif
