#include "supervisor/watches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs/watch.h"

static bool
add_directory(struct watches *w, const char *path, struct err *err)
{
	/* Numbers grow from 1 for as long as this inotify lives, and one directory has one: it is how many there are. */
	int number = inotify_add_watch(w->fd, path, WATCH_EVENTS);

	if (number < 0)
		return err_set(err, "%s: %s", path, errno == ENOSPC ? "raise fs.inotify.max_user_watches" : strerror(errno));
	if (number <= WATCHES_MAX)
		return true;
	(void)inotify_rm_watch(w->fd, number);
	errno = ENOSPC;
	return err_set(err, "%s: more than %d directories of root's are not watched", path, WATCHES_MAX);
}

bool
watches_add(struct watches *w, const char *path, bool is_file, struct err *err)
{
	struct arena names = ARENA_EMPTY;
	struct watch found = {.arena = &names};

	if (w->fd < 0 && (w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0)
		return err_set(err, "%s: inotify: %s", path, strerror(errno));
	bool ok = (is_file ? watch_file(&found, path) : watch_directory(&found, path)) || err_no_memory(err);
	for (size_t i = 0; ok && i < found.n; i++)
		ok = add_directory(w, found.v[i].path, err);
	int e = errno;
	watch_finish(&found);
	free(found.v);
	free(found.hidden);
	arena_free(&names);
	errno = e;
	return ok;
}

void
watches_end(struct watches *w)
{
	if (w->fd >= 0)
		close(w->fd);
	*w = WATCHES_NONE;
}
