/*
 * probe.h: a stream that notes what it hears, and a plain descriptor as its peer.
 */
#ifndef BASCULE_TEST_NET_PROBE_H
#define BASCULE_TEST_NET_PROBE_H

#include "net/stream.h"

enum probe_event { PROBE_NOTHING, PROBE_OPEN, PROBE_READABLE, PROBE_DRAINED, PROBE_TIMEOUT, PROBE_FAILED };

struct probe {
	struct net_stream s;
	bool reads;      /* read all there is in on_readable; else only count */
	bool pauses;     /* pause in on_readable */
	struct buf in;   /* what was read */
	ssize_t result;  /* of the read that ended the last on_readable */
	unsigned opened, readable, drained, timeouts, failures;
	int error;       /* of the last failure */
	uint64_t timed_out_at;
	enum probe_event close_in; /* close within this callback, and free itself after the turn */
	bool *gone;                /* set when it has freed itself */
	struct net_deferred later;
};

extern const struct net_stream_events probe_events;

struct pair {
	struct probe p;
	int peer; /* non-blocking; -1: closed */
};

/* Two connected sockets, of which one is the probe's, not started. */
void pair_unix(struct pair *x, struct net_loop *loop, size_t out_max);
void pair_tcp(struct pair *x, struct net_loop *loop, size_t out_max);
void pair_init(struct probe *p, struct net_loop *loop, int fd, size_t out_max);
void pair_close(struct pair *x);

/* Connected TCP sockets of 127.0.0.1. */
void tcp_sockets(int fds[2]);

/* A listening socket on a port that the kernel chose, and its address. */
int tcp_listening(struct net_address *a);

/* Says all of it; must fit into the socket. */
void peer_say(int peer, const char *text);
/* Reads what is there into `out`; false: the end has come. */
bool peer_hear(int peer, struct buf *out);

bool probe_write(struct probe *p, const char *text);

static inline struct iovec
iov(const char *text)
{
	return (struct iovec){.iov_base = (char *)text, .iov_len = strlen(text)};
}

#endif
