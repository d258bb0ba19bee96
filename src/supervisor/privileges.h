/*
 * privileges.h: what the worker may not do.
 */
#ifndef BASCULE_SUPERVISOR_PRIVILEGES_H
#define BASCULE_SUPERVISOR_PRIVILEGES_H

#include <sys/types.h>

#include "base/err.h"

/* Who the worker is to be. */
struct identity {
	bool change; /* false: stays who we are, since we are not root */
	uid_t uid;
	gid_t gid;
};

/*
 * By the config's user and group, names or numbers, each NULL when not given: as root "nobody" and the group of the
 * user. False with err set.
 */
MUST_CHECK bool identity_find(struct identity *id, const char *user, const char *group, struct err *err);

/* Not being root, only ourselves can be asked for. False with err set. */
MUST_CHECK bool identity_is_possible(const struct identity *id, struct err *err);

/* What should be said of it; NULL: nothing. */
const char *identity_warning(const struct identity *id);

/* Become it for good, and gain nothing by any exec from here on. In the child, before its exec. */
MUST_CHECK bool identity_take(const struct identity *id, struct err *err);

/* After the exec: no core dump and no debugger of the same user gets at the keys. */
void privileges_harden(void);

/* As many descriptors as we may have; inherited by the worker. */
void privileges_raise_limits(void);

#endif
