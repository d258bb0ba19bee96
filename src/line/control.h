/*
 * control.h: the worker's end of the line to its supervisor.
 *
 * The supervisor holds what needs privileges: listening sockets, files that
 * only root may read, the cluster secret. The worker's background thread asks
 * for them, one blocking call at a time, over a SOCK_SEQPACKET socket that it
 * inherits; the supervisor's commands come over the same socket. Background
 * thread only. What goes over the socket is in line/message.h; the other end
 * is supervisor/broker.c.
 */
#ifndef BASCULE_LINE_CONTROL_H
#define BASCULE_LINE_CONTROL_H

#include "base/err.h"
#include "base/files.h"

struct control;

/* What the supervisor wants. A command that arrives twice before it is taken is taken once. */
enum control_command {
	CONTROL_STOP,        /* end now */
	CONTROL_DRAIN,       /* stop accepting, finish what is in flight until conf->drain has passed, then exit 0 */
	CONTROL_LOST,        /* the supervisor has died: stop watching control_fd(), drain as above */
	CONTROL_REOPEN_LOGS,
	CONTROL_RELOAD,
	CONTROL_LOOK,        /* something has changed where control_watch() asked for, and is watched no longer */
};

/* The exit status of a worker that could not bring its first config into service; it has logged why. */
enum { WORKER_EXIT_CONFIG = 3 };

/* Where a worker finds its socket, and the error log, until it has read from the config which one is its own. */
enum { WORKER_CONTROL_FD = 3, WORKER_LOG_FD = 4 };

/* Takes over `fd`. NULL with err set when it is no control socket or memory is out. */
struct control *control_attach(int fd, struct err *err);
void control_detach(struct control *c);

/*
 * Files as the worker may reach them: what it can open itself it opens itself, the rest it gets through the
 * broker, which serves only what the config names; log files always come from the broker. Lives as long as `c`.
 */
struct files *control_files(struct control *c);

/*
 * Have the supervisor watch what only root may look at: the file, or directory, that the config names, and all links on
 * the way to it. CONTROL_LOOK tells, once, that something has changed. False with err set: it is not watched.
 */
MUST_CHECK bool control_watch(struct control *c, const char *path, bool is_file, struct err *err);

/* Nothing is watched any longer. */
void control_unwatch(struct control *c);

/*
 * A listening socket for an address of the config ("*:443"), or "unix:" and conf->admin_socket: socket `index` of
 * `count` that share the port (SO_REUSEPORT; a Unix socket has index 0 of 1). The supervisor opens it on first
 * demand, gives the same one to every later worker, and closes it once a config in service no longer names it.
 * The descriptor is the caller's. -1 with err set.
 */
int control_listen(struct control *c, const char *address, unsigned index, unsigned count, struct err *err);

/*
 * The supervisor reads the config anew, so that its paths and addresses may be asked for. First thing in each load.
 * What the config in service names stays allowed until control_reloaded(). False with the problems, as far as they
 * fit, in `err`: the config is refused; conf_load() through control_files() tells all of them.
 */
MUST_CHECK bool control_refresh(struct control *c, struct err *err);

/* How a load ended: in service, or refused and the one before goes on. `text`: for people, may be NULL. */
void control_ready(struct control *c); /* the first one is in service */
void control_reloaded(struct control *c, bool ok, const char *text);

enum { CONTROL_SECRET_MAX = 512 }; /* bytes */

/*
 * The secret that all nodes of the cluster share: the content of secret_file, made when it does not exist; without
 * one, random and the same for the life of the supervisor. `out` has CONTROL_SECRET_MAX bytes. The caller wipes it.
 */
MUST_CHECK bool control_secret(struct control *c, unsigned char *out, size_t *n, struct err *err);

/*
 * What the worker after us is to get: sealed memory (line/sealed.h), in parts numbered from 0; fd stays the caller's. They
 * take the place of what was handed over before when it is whole: n parts, those that were not handed over since as they
 * were before; 0: nothing is kept. Before control_ready() and control_reloaded(), with which it comes into force; at once
 * when no load has begun by control_refresh().
 */
MUST_CHECK bool control_keep(struct control *c, size_t part, int fd, struct err *err);
MUST_CHECK bool control_keep_whole(struct control *c, size_t n, struct err *err);

/*
 * A part of what the worker before us has handed over, and how many there are: *fd is the caller's; -1: there are less.
 * False with err set, and *fd is -1.
 */
MUST_CHECK bool control_kept(struct control *c, size_t part, int *fd, size_t *n, struct err *err);

/*
 * States, by name (line/state_name.h), which outlive this worker, and with a state_dir a restart. Put: sealed memory; fd
 * stays the caller's. False: what could be done was done. Get: a descriptor, the caller's; -1 with err set. List: as struct
 * files has it, and the directory they lie in, empty when that is memory. Refuse: move it out of the way; where it lies then
 * goes into `to`.
 */
MUST_CHECK bool control_state_put(struct control *c, const char *name, int fd, struct err *err);
int control_state_get(struct control *c, const char *name, struct err *err);
MUST_CHECK bool control_state_list(struct control *c, struct file_entry **out, size_t *n, char *directory, size_t size,
    struct err *err);
MUST_CHECK bool control_state_refuse(struct control *c, const char *name, char *to, size_t size, struct err *err);

/* To watch for commands. */
int control_fd(const struct control *c);

/*
 * A command that comes while a call above waits for its answer is kept here, and the descriptor will not tell of it again:
 * `kept` does, from within that call. It has control_next() asked soon, but does not ask itself.
 */
void control_on_kept(struct control *c, void (*kept)(void *owner), void *owner);

/* The next command; false: none now. Never blocks. Ask until false when control_fd() is readable, and after `kept`. */
bool control_next(struct control *c, enum control_command *out);

#endif
