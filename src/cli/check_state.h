/*
 * check_state.h: can the states of rotations be kept where the config says?
 */
#ifndef BASCULE_CLI_CHECK_STATE_H
#define BASCULE_CLI_CHECK_STATE_H

#include "certs/thread.h"
#include "conf/config.h"

/* By the rights of who asks, who should be the one who starts the proxy. The files in the directory are looked into. */
void check_state_dir(const struct conf *conf, const struct tls_thread *thread, struct conf_problems *problems);

#endif
