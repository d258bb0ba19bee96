#include "supervisor/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sv.h"

static bool
find_user(const char *user, uid_t *uid, gid_t *gid, struct err *err)
{
	uint64_t number;
	bool is_number = sv_u64(sv_cstr(user), &number) && number < (uid_t)-1;
	const struct passwd *p = is_number ? getpwuid((uid_t)number) : getpwnam(user);

	if (p == NULL && !is_number)
		return err_set(err, "user \"%s\" does not exist: adduser --system %s, or name another", user, user);
	*uid = p != NULL ? p->pw_uid : (uid_t)number;
	*gid = p != NULL ? p->pw_gid : (gid_t)number;
	return true;
}

static bool
find_group(const char *group, gid_t *gid, struct err *err)
{
	uint64_t number;

	if (sv_u64(sv_cstr(group), &number) && number < (gid_t)-1) {
		*gid = (gid_t)number;
		return true;
	}
	const struct group *g = getgrnam(group);
	if (g == NULL)
		return err_set(err, "group \"%s\" does not exist: addgroup --system %s, or name another", group, group);
	*gid = g->gr_gid;
	return true;
}

bool
identity_find(struct identity *id, const char *user, const char *group, struct err *err)
{
	bool root = geteuid() == 0;

	*id = (struct identity){root, geteuid(), getegid()};
	if (user == NULL && root)
		user = "nobody";
	if (user != NULL && !find_user(user, &id->uid, &id->gid, err))
		return false;
	if (group != NULL && !find_group(group, &id->gid, err))
		return false;
	return true;
}

bool
identity_is_possible(const struct identity *id, struct err *err)
{
	return id->change || (id->uid == geteuid() && id->gid == getegid()) ||
	       err_set(err, "only root can run a worker as another user: start as root, or remove \"user\"");
}

const char *
identity_warning(const struct identity *id)
{
	return id->change && id->uid == 0
	    ? "the worker runs as root, so a fault in it endangers the machine; name another \"user\""
	    : NULL;
}

bool
identity_take(const struct identity *id, struct err *err)
{
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_set(err, "can not give up privileges: %s", strerror(errno));
	if (!id->change)
		return true;
	if (setgroups(0, NULL) != 0 || setresgid(id->gid, id->gid, id->gid) != 0 ||
	    setresuid(id->uid, id->uid, id->uid) != 0)
		return err_set(err, "can not become user %u, group %u: %s", (unsigned)id->uid, (unsigned)id->gid,
		    strerror(errno));
	return true;
}

void
privileges_harden(void)
{
#if !defined(__SANITIZE_ADDRESS__) /* the leak checker must look at its own process */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void
privileges_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warning("can not raise the limit of descriptors: %s", strerror(errno));
}
