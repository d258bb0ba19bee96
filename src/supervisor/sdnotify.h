/*
 * sdnotify.h: telling the service manager how we are (sd_notify(3)).
 *
 * Its protocol is public: a datagram of lines VARIABLE=value to the Unix
 * socket that the environment names. Without one, nothing is sent.
 */
#ifndef BASCULE_SUPERVISOR_SDNOTIFY_H
#define BASCULE_SUPERVISOR_SDNOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/defs.h"

struct sdnotify {
	int fd; /* -1: nobody to tell */
	socklen_t length;
	struct sockaddr_un to;
};

/* Takes NOTIFY_SOCKET out of the environment: the worker is not to speak for the service. */
void sdnotify_init(struct sdnotify *s);

void sdnotify_ready(const struct sdnotify *s, const char *status);
void sdnotify_reloading(const struct sdnotify *s);
void sdnotify_stopping(const struct sdnotify *s, const char *status);

/* While stopping, before so many milliseconds have passed again and again: the manager is to wait on, whatever its own limit. */
void sdnotify_extend(const struct sdnotify *s, uint64_t ms);

void sdnotify_status(const struct sdnotify *s, const char *status);

#endif
