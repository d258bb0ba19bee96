/*
 * notify.h: telling people by a command of theirs.
 *
 * The command is run as the worker's user, without a shell, with a JSON
 * object on its standard input; its output is thrown away. What it comes to
 * is logged; nothing waits for it. Background thread only.
 */
#ifndef BASCULE_APP_NOTIFY_H
#define BASCULE_APP_NOTIFY_H

#include "base/sv.h"
#include "conf/config.h"
#include "net/loop.h"

/*
 * Run `command` (its path and arguments; none: nothing happens) for an event such as "rolled_back", which is in its
 * environment as BASCULE_EVENT and BASCULE_BUNDLE, too. Ended after half a minute.
 */
void notify_run(struct net_loop *loop, const struct conf_strings *command, const char *event, const char *bundle, struct sv json);

#endif
