/*
 * worker.h: the process that serves the traffic, unprivileged.
 */
#ifndef BASCULE_WORKER_WORKER_H
#define BASCULE_WORKER_WORKER_H

/*
 * Serve by the config at `config_path` until the supervisor at the other end of `control_fd` says otherwise. Returns
 * the exit status: WORKER_EXIT_CONFIG when the first config can not be brought into service.
 */
int worker_main(int control_fd, const char *config_path);

#endif
