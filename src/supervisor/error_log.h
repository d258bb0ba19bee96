/*
 * error_log.h: where the supervisor's own lines go, as the config in service says.
 */
#ifndef BASCULE_SUPERVISOR_ERROR_LOG_H
#define BASCULE_SUPERVISOR_ERROR_LOG_H

#include "conf/config.h"

struct error_log {
	char *path; /* owned; NULL: standard error */
};

#define ERROR_LOG_NONE ((struct error_log){NULL})

/* Write to the file that the config names, opened now, or to standard error. False: it goes on as it was. */
MUST_CHECK bool error_log_open(struct error_log *l, const struct conf_log *conf, struct err *err);

/* After the config has changed; the file is opened only when it is another. What fails is logged. */
void error_log_follow(struct error_log *l, const struct conf_log *conf);

/* Back to standard error. */
void error_log_close(struct error_log *l);

#endif
