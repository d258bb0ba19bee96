/*
 * rig.h: one thread of the proxy between a client and an origin that the test plays itself.
 *
 * The proxy's loop runs in a thread of its own; the test's thread speaks for both sides over blocking sockets, one line
 * after the other. Every wait is bounded: what does not come fails the test.
 */
#ifndef BASCULE_TEST_PROXY_RIG_H
#define BASCULE_TEST_PROXY_RIG_H

#include "proxy/client.h"

enum { RIG_ORIGINS = 3 };

extern struct rig {
	struct px_shared shared;
	struct px_thread *thread;
	struct tls_thread *loader; /* what the background thread has */
	struct server_registry *registry;
	struct secret secret;
	struct snapshot *snapshot; /* the newest; NULL: none */
	struct conf_problems problems;
	struct tls_outcomes outcomes;
	struct net_address address;     /* the proxy listens there */
	int origin[RIG_ORIGINS];        /* listening sockets */
	char origin_text[RIG_ORIGINS][NET_ADDRESS_TEXT];
	char dir[64];
} rig;

void rig_setup(void);
void rig_teardown(void);

/* --- snapshots: of an object of JSON in which ' stands for " and $0, $1, $2 for the addresses of the origins --- */

struct conf *rig_conf(const char *json);
/* NULL: it could not be built, see rig.problems. The caller's. */
struct snapshot *rig_build(const char *json);

/* Build it and have it served; the first time also listen and begin to run. */
void rig_serve(const char *json);
void rig_serve_as(const char *json, px_service_fn service, void *arg, const struct conf_listener *how);

/* One site "a.test" in front of upstream "nodes" of origin 0; `more` goes into the upstream, `top` into the config. */
#define RIG_SITE(top, more)                                                                              \
	"{" top " 'sites': [ { 'names': ['a.test'], 'default': true, 'upstream': 'nodes' } ],"           \
	" 'upstreams': { 'nodes': { 'servers': ['$0'] " more " } } }"

/* Run in the proxy's thread and wait for it. */
void rig_call(void (*fn)(void *arg), void *arg);

uint64_t rig_closed(enum close_reason why);
#define RIG_COUNT(name) counter_read(&rig.thread->counters.name)

/* --- the two sides --- */

int client_connect(void);
int origin_accept(unsigned origin);
bool origin_is_idle(unsigned origin); /* nobody waits to be accepted */

void say(int fd, const char *text);
void say_bytes(int fd, const char *p, size_t n);

/* Read up to and with `end`, no further; the text so far, valid until the next call. */
const char *hear(int fd, const char *end);
/* Exactly so many bytes. */
void hear_bytes(int fd, char *p, size_t n);
/* All until the end of the stream; malloc'ed and with a NUL. `*reset`: it ended with a reset. */
char *hear_all(int fd, size_t *n, bool *reset);
/* Nothing comes any more but the end. */
bool hears_end(int fd);

#define HEAD_END "\r\n\r\n"

/* One request to a.test from end to end: what the client says, what the origin answers; expects `status`. */
void ask(int client, const char *request, int origin, const char *answer, const char *status);

#define RIG_UNTIL(condition)                                       \
	do {                                                       \
		uint64_t rig_since = rig_now();                    \
		while (!(condition))                               \
			rig_expect_soon(rig_since, #condition);    \
	} while (0)
uint64_t rig_now(void);
void rig_expect_soon(uint64_t since_ms, const char *what);

#endif
