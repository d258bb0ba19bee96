/*
 * allow.h: what a config lets the worker ask the supervisor for.
 *
 * The config is root's word: a file may be had because the config names it,
 * or a directory that it lies below. Links are followed: certbot and
 * Kubernetes put certificates behind them, and who may write in such a
 * directory decides what it serves anyhow.
 */
#ifndef BASCULE_SUPERVISOR_ALLOW_H
#define BASCULE_SUPERVISOR_ALLOW_H

#include "conf/config.h"

struct allow;

struct allow *allow_new(void); /* nothing is; NULL: out of memory */
void allow_free(struct allow *a); /* NULL is fine */

/* files_direct(), and what is opened or listed through it may be opened and listed: to read the config itself with. */
struct files *allow_what_is_read(struct allow *a);

/* All paths and addresses that the config names. False: out of memory, also when it ran out before. */
MUST_CHECK bool allow_what_is_named(struct allow *a, const struct conf *conf);

/* May this be had (`a` NULL: no)? A path below a directory must not go up ("..") on its way. */
bool allow_read(const struct allow *a, const char *path);
bool allow_list(const struct allow *a, const char *path);
bool allow_append(const struct allow *a, const char *path);

/* How a socket for an address is to be opened. */
struct allow_socket {
	int backlog;
	unsigned mode; /* of the file of a Unix socket */
	bool lasting;  /* the admin socket: kept to the end, whatever a later config says, and while we drain */
};
bool allow_listen(const struct allow *a, const char *address, struct allow_socket *out);

#endif
