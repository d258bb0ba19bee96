/*
 * check_running.h: what new certificates would change for the clients of the running proxy.
 */
#ifndef BASCULE_CLI_CHECK_RUNNING_H
#define BASCULE_CLI_CHECK_RUNNING_H

#include "certs/thread.h"
#include "conf/config.h"

/*
 * Compare the certificates that `conf` names with those that the proxy behind its admin socket has in service. What a
 * reload would hold back for a loss that neither the config nor `accept` accepts is an error in `problems`; all
 * differences, or why they can not be told, go to `news` as lines. Without a proxy that runs there is nothing to tell.
 */
void check_against_running(
    const struct conf *conf, unsigned accept, struct tls_thread *thread, struct conf_problems *problems, struct buf *news);

#endif
