#include "supervisor/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Between open and lock the one before may have removed the file: then the lock is on a file without a name. */
static bool
still_has_its_name(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
	       ours.st_ino == there.st_ino;
}

static bool
refuse_second(int fd, const char *path, struct err *err)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[MAX_OF(n, 0)] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return err_set(err, "%s: another bascule has this pid file, process %s; stop it first, or name another pid_file",
	    path, text[0] != '\0' ? text : "unknown");
}

/* One write over what was there, then cut: who reads at any moment finds a whole line first. */
static bool
write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return fchmod(fd, 0644) == 0 && pwrite(fd, text, (size_t)n, 0) == n && ftruncate(fd, n) == 0;
}

bool
pidfile_take(struct pidfile *p, const char *path, struct err *err)
{
	*p = PIDFILE_NONE;
	if (path == NULL)
		return true;
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
		if (fd < 0)
			return err_set(err, "%s: can not open the pid file: %s", path, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			refuse_second(fd, path, err);
			close(fd);
			return false;
		}
		if (!still_has_its_name(fd, path)) {
			close(fd);
			continue;
		}
		char *name = strdup(path);
		if (name != NULL && write_pid(fd)) {
			*p = (struct pidfile){name, fd};
			return true;
		}
		err_set(err, "%s: can not write the pid file: %s", path, strerror(errno));
		free(name);
		close(fd);
		return false;
	}
}

void
pidfile_remove(struct pidfile *p)
{
	if (p->fd < 0)
		return;
	(void)unlink(p->path); /* before the lock goes: whoever takes it next sees that the name has gone */
	close(p->fd);
	free(p->path);
	*p = PIDFILE_NONE;
}
