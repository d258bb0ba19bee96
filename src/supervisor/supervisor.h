/*
 * supervisor.h: the process that stays.
 *
 * Small and privileged, one thread, no protocol code: reads the config to know
 * what may be opened, holds the listening sockets, starts the worker, starts
 * it again when it dies, is its broker, and turns signals into commands:
 *
 *   SIGHUP           reload
 *   SIGUSR1          reopen the logs
 *   SIGQUIT          drain: take no more connections, end when those there are have ended
 *   SIGTERM, SIGINT  stop; a second one does not wait for the worker
 */
#ifndef BASCULE_SUPERVISOR_SUPERVISOR_H
#define BASCULE_SUPERVISOR_SUPERVISOR_H

/* Run until a signal ends it. Returns the exit status. */
int supervisor_run(const char *config_path);

#endif
