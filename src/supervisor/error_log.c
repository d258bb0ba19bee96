#include "supervisor/error_log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/broker.h"

bool
error_log_open(struct error_log *l, const struct conf_log *conf, struct err *err)
{
	log_set_level(conf->level);
	if (conf->error == NULL) {
		error_log_close(l);
		return true;
	}
	char *path = strdup(conf->error);
	if (path == NULL)
		return err_no_memory(err);
	int fd = broker_open_log(path, err);
	if (fd < 0) {
		free(path);
		return false;
	}
	log_set_fd(fd);
	free(l->path);
	l->path = path;
	return true;
}

void
error_log_follow(struct error_log *l, const struct conf_log *conf)
{
	struct err err = {""};

	log_set_level(conf->level);
	if (conf->error != NULL && l->path != NULL && strcmp(conf->error, l->path) == 0)
		return;
	if (!error_log_open(l, conf, &err))
		log_error("can not open the error log, going on with the one before: %s", err.text);
}

void
error_log_close(struct error_log *l)
{
	log_set_fd(STDERR_FILENO);
	free(l->path);
	*l = ERROR_LOG_NONE;
}
