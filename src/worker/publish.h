/*
 * publish.h: a load comes into service, in all threads and all rotations, or in none.
 *
 * First all is made that can fail, beside what is in service, which goes on:
 * the sockets of new listeners, the room for new rotations, what each thread
 * needs. Then all take it over, which can not fail. Background thread only.
 */
#ifndef BASCULE_WORKER_PUBLISH_H
#define BASCULE_WORKER_PUBLISH_H

#include "worker/loader.h"

/*
 * Takes over `s`, which gets the next number; the first one starts the loop threads. False with err set: all is as it was, and
 * `s` is freed.
 */
MUST_CHECK bool publish(struct loader *l, struct snapshot *s, struct err *err);

#endif
