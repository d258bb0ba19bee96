/*
 * check_start.h: what a start opens and a reload does not.
 */
#ifndef BASCULE_CLI_CHECK_START_H
#define BASCULE_CLI_CHECK_START_H

#include "conf/config.h"

/*
 * Would `bascule run` get what it opens first: the user and group, the pid file, the logs, the secret, the addresses and
 * sockets? Nothing is made, written or listened on; what another process holds right now, the running proxy mostly, is
 * no fault. What this user may not do, but root may, is a warning, and so are directories that the unit for systemd
 * has made at a start.
 */
void check_start(const struct conf *conf, struct conf_problems *problems);

/* Behind a text that ends in "make it": only who starts without the unit has to. */
#define CHECK_UNIT_MAKES_IT ", unless systemd starts the proxy: the unit has it made"

/* Is this directory made for each start by conf/bascule.service? */
bool check_is_made_by_unit(const char *directory, size_t n);

/* Is this file there, but not for this user, who is not root? */
bool check_is_forbidden(const char *path);

#endif
