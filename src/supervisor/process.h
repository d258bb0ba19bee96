/*
 * process.h: starting worker processes, and how soon again.
 */
#ifndef BASCULE_SUPERVISOR_PROCESS_H
#define BASCULE_SUPERVISOR_PROCESS_H

#include <sys/types.h>

#include "base/err.h"
#include "supervisor/privileges.h"

/*
 * Fork and exec this very program as `bascule worker -c CONFIG_PATH`, with one end of a new socket as descriptor 3, the
 * error log as 4 and no other beyond standard error. *socket is the other end. -1 with err set.
 */
pid_t process_start_worker(const char *config_path, const struct identity *id, int *socket, struct err *err);

/* At once the first time, then 100 ms, doubled up to 10 s; anew after one that lived for 30 s. */
struct backoff {
	uint64_t delay_ms; /* before the last start */
	bool started;
};

/* How long to wait, when the last one lived for `lived_ms`. */
uint64_t backoff_next(struct backoff *b, uint64_t lived_ms);

#endif
