/*
 * check.h: everything that can be wrong with a config, without serving by it.
 */
#ifndef BASCULE_CLI_CHECK_H
#define BASCULE_CLI_CHECK_H

#include "proxy/snapshot.h"

/*
 * Look at what a start opens (cli/check_start.h), and build what a worker would build of it, and throw it all away
 * again: bundles, pins, CRLs and CAs are loaded, patterns and field edits compiled, names of servers looked up. What a
 * load would refuse is an error in `problems`, and so is a bundle that can not be loaded; names that no certificate
 * covers are warned about. What this user may not read, not being root, is a warning. Takes over `conf`, which may be what
 * is left of one at fault (conf_load_sound()): then `problems` has errors already. Looks up names, so it may take its time.
 * What new certificates would change for the clients of the running proxy goes to `news`, lines for people; `accept`: see
 * check_against_running().
 */
void check_config(struct conf *conf, unsigned accept, struct conf_problems *problems, struct buf *news);

#endif
