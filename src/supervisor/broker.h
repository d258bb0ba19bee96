/*
 * broker.h: what the supervisor does for its worker.
 *
 * Opens files and sockets that the worker may not open itself, and only those
 * that the config in service, or the one that is being loaded, names. The
 * worker faces the network: every message from it is taken for an attempt.
 * One thread, no protocol code, nothing parsed but the config.
 */
#ifndef BASCULE_SUPERVISOR_BROKER_H
#define BASCULE_SUPERVISOR_BROKER_H

#include "line/message.h"
#include "supervisor/allow.h"
#include "supervisor/kept.h"
#include "supervisor/secret_file.h"
#include "supervisor/shelf.h"
#include "supervisor/sockets.h"
#include "supervisor/watches.h"

/* A config and what it allows. */
struct charter {
	struct conf *conf;   /* owned; NULL: none */
	struct allow *allow; /* owned */
	struct kept kept;    /* what a worker by this config has in service */
};

struct broker {
	const char *config_path;   /* not owned */
	struct charter in_service; /* always there after broker_init */
	struct charter candidate;  /* read by the last refresh, until the worker tells how the load went */
	struct kept coming;        /* parts that are being handed over */
	struct file_listing *listing; /* a directory that the worker has not seen all of yet; owned; NULL: none */
	struct sockets sockets;
	struct watches watches; /* for this worker; who polls its descriptor ends them when it becomes readable */
	struct shelf shelf;        /* by the config that we were started with */
	unsigned char secret[SECRET_FILE_MAX]; /* when the config names no file: the state_dir's, or one for our life */
	size_t secret_size;
	unsigned patience_ms; /* how long a taken address is tried again; not 0 only while we start */
	unsigned refused;     /* requests of this worker that no config allows */
	bool closed;          /* no more listening: we drain */
};

/* Reads the config. False with all that is wrong with it in `problems`. */
MUST_CHECK bool broker_init(struct broker *b, const char *config_path, struct conf_problems *problems);
void broker_free(struct broker *b);

/*
 * Do what a message of the worker at `socket` asks and send the reply; `fd` came with it (-1: none) and is taken over.
 * Of MESSAGE_READY and MESSAGE_RELOADED it does its own part (broker_commit, broker_abandon); what they mean for others
 * is the caller's. False: the worker does not take its reply.
 */
MUST_CHECK bool broker_serve(struct broker *b, int socket, struct message *m, int fd);

/* The worker has ended: what it asked for, or was about to load or to hand over, is over. */
void broker_forget_worker(struct broker *b);

/* The candidate is in service; what only the one before named is closed. */
void broker_commit(struct broker *b);
void broker_abandon(struct broker *b);

/* Close the listening sockets, but for the admin socket, and open no more. */
void broker_close_sockets(struct broker *b);

/* A descriptor to append to a log file; "/dev/stdout" and "/dev/stderr" are ours. -1 with err set. */
int broker_open_log(const char *path, struct err *err);

/* Which of our own descriptors a path stands for; -1: none. */
int broker_is_own_log(const char *path);

/* False, with err set, for what must not even be opened. */
bool broker_can_be_log(const char *path, struct err *err);

#endif
