/*
 * serving.h: a broker that serves one end of a socket in a thread; the test is the worker at the other.
 *
 * Its config, in scratch, names a bundle "one" of two files that are there, and the directory "all".
 */
#ifndef BASCULE_TESTS_SUPERVISOR_SERVING_H
#define BASCULE_TESTS_SUPERVISOR_SERVING_H

#include "line/control.h"
#include "supervisor/broker.h"

extern struct broker broker;
extern int worker_end, supervisor_end; /* of the socket */
extern const char *config_path;

void serving_start(void);
void serving_stop(void);

/* Write the config anew; `more`: keys and a comma. */
void serving_config(const char *more);

/* What the supervisor says to a request; *fd is the descriptor or -1. */
struct message ask(enum message_kind kind, const char *text, int *fd);

/* A worker's end of its own. */
struct control *attach(void);

/* All that are open here, the broker's among them. */
int count_descriptors(void);

#endif
