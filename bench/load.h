/*
 * load.h: what the two halves of the load generator share: slot.c moves one connection, load.c says when and counts.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	HEAD_MAX = 8192,
	CERTIFICATES = 8,        /* different ones told apart */
	BUCKET_US = 10,          /* of the latency histogram */
	BUCKETS = 200 * 1000,    /* the last one also holds all that took longer */
};

#define SECOND 1000000000LL

enum phase {
	WARM,    /* each slot makes its first request */
	HELD,    /* waits for the word on standard input */
	RUN,     /* measured */
	FINISH,  /* what is under way ends, nothing begins */
	DONE
};

enum state {
	CLOSED,     /* no connection */
	HANDSHAKE,  /* from connect() to the end of the TLS handshake */
	SENDING,
	HEAD,
	BODY,
	IDLE,       /* a kept connection without a request */
	CLOSING     /* the response is complete, the server is about to close */
};

enum failure {
	FAIL_CONNECT,  /* refused, reset, or the handshake failed */
	FAIL_LOST,     /* closed or reset with a request under way */
	FAIL_HEAD,     /* malformed, or without a Content-Length */
	FAIL_STATUS,   /* not 200 */
	FAIL_BODY,     /* other bytes, or more of them, than the body file has */
	FAIL_STALLED,
	FAILURES
};

struct slot {
	TAILQ_ENTRY(slot) next; /* in gen.free while CLOSED or IDLE */
	enum state state;
	int fd;
	SSL *ssl;
	bool opened;            /* at least once */
	bool server_closes;     /* as its response said */
	int64_t began;          /* this request, in ns; with its handshake where it needs one */
	int64_t progress;       /* the last time that anything arrived */
	size_t head_len;
	size_t body_read;
	char head[HEAD_MAX];
};

struct certificate {
	unsigned char sha256[32];
	unsigned long seen;
};

/* What is counted, from the word on. */
struct counts {
	unsigned long started, requests, handshakes, resumed, reopened, closed;
	unsigned long failed[FAILURES], failures;
	unsigned long long body_bytes;
	unsigned latency[BUCKETS];
};

struct generator {
	/* options */
	struct sockaddr_in to;
	const char *name, *path;
	size_t slots;
	double seconds, rate;       /* rate 0: as fast as it goes */
	unsigned long max_requests; /* 0: any */
	bool reconnect;             /* a new connection for each request */
	bool cold;                  /* no first requests */
	char *body;
	size_t body_len;

	SSL_CTX *tls;
	int epoll;
	char request[1024];
	int request_len;
	enum phase phase;
	int64_t now, run_began, run_ended, checked;
	size_t active; /* slots that are neither CLOSED nor IDLE */
	size_t warmed;
	struct slot *slot;
	TAILQ_HEAD(, slot) free; /* the longest unused first, so that paced requests visit all connections */
	struct counts count;
	struct certificate certificate[CERTIFICATES];
	char first_failure[256];
};

extern struct generator gen;

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Begin a request on a slot that is CLOSED or IDLE. */
void slot_start(struct slot *s);

/* Go on as far as the server lets us; call it whenever something has happened on the connection. */
void slot_drive(struct slot *s);

/* The slot's request has failed. */
void slot_fail(struct slot *s, enum failure why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool slot_is_active(const struct slot *s);

#endif
