#include "pki/write.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

enum { NAME_TRIES = 64, PREVIOUS_MAX = 1024 * 1024 };

static bool
fail(const char *path, struct err *err)
{
	return err_set(err, "%s: %s", path, strerror(errno));
}

void
writes_add(struct writes *w, const char *path, struct sv content, unsigned mode)
{
	w->v[w->n++] = (struct write_one){.path = path, .content = content, .mode = mode, .how = WRITE_NEW};
}

void
writes_replace(struct writes *w, const char *path, const char *previous, struct sv content, unsigned mode)
{
	w->v[w->n++] = (struct write_one){
		.path = path, .previous = previous, .content = content, .mode = mode, .how = WRITE_REPLACE};
}

/* The directory of a path with its slash, and what follows. */
static struct sv
directory_of(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');

	*name = slash != NULL ? slash + 1 : path;
	return sv_of(path, (size_t)(*name - path));
}

/* A file of nobody else's, hidden, so that no watch or listing of the directory takes it for a bundle. */
static int
open_temporary(struct write_one *o, struct err *err)
{
	const char *name;
	struct sv dir = directory_of(o->path, &name);

	for (unsigned i = 0; i < NAME_TRIES; i++) {
		int n = snprintf(o->temporary, sizeof(o->temporary), "%.*s.%s.%ld-%u", SV_FMT(dir), name, (long)getpid(), i);
		if (n < 0 || (size_t)n >= sizeof(o->temporary))
			errno = ENAMETOOLONG;
		else {
			int fd = open(o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, o->mode);
			if (fd >= 0)
				return fd;
		}
		if (errno != EEXIST)
			break;
	}
	o->temporary[0] = '\0';
	fail(o->path, err);
	return -1;
}

/*
 * A key that a group may read has been given to it on purpose. Before the first byte; and only where it can be: another
 * owner is root's to set, and a file that is then less readable does no harm to who replaces it.
 */
static void
match_owner(int fd, const struct write_one *o)
{
	struct stat old, new;

	if (o->how != WRITE_REPLACE || stat(o->path, &old) != 0 || fstat(fd, &new) != 0)
		return;
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) && fchown(fd, old.st_uid, old.st_gid) != 0)
		return;
	if (o->mode == WRITE_SECRET && (old.st_mode & S_IRGRP) != 0)
		(void)fchmod(fd, WRITE_SECRET | S_IRGRP);
}

static bool
write_all(int fd, struct sv s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = sv_of(s.p + n, s.n - (size_t)n);
	}
	return fsync(fd) == 0;
}

static bool
prepare(struct write_one *o, struct err *err)
{
	struct stat st;

	if (o->how == WRITE_NEW && lstat(o->path, &st) == 0)
		return err_set(err, "%s: exists; nothing is overwritten: take another name, or move it away", o->path);
	int fd = open_temporary(o, err);
	if (fd < 0)
		return false;
	match_owner(fd, o);
	bool ok = write_all(fd, o->content) || fail(o->path, err);
	return (close(fd) == 0 || (ok && fail(o->path, err))) && ok;
}

/* What is in place now, to `previous`. Nothing there is fine. */
static bool
keep_previous(struct write_one *o, struct err *err)
{
	struct write_one copy = {.path = o->previous, .mode = o->mode, .how = WRITE_REPLACE};
	struct stat st;
	struct buf old;

	if (o->how != WRITE_REPLACE || stat(o->path, &st) != 0)
		return true;
	buf_init(&old, PREVIOUS_MAX);
	bool ok = files_read(files_direct(), o->path, &old, NULL, err);
	copy.content = buf_view(&old);
	ok = ok && prepare(&copy, err);
	if (ok && rename(copy.temporary, o->previous) != 0)
		ok = fail(o->previous, err);
	if (!ok && copy.temporary[0] != '\0')
		(void)unlink(copy.temporary);
	secret_wipe(old.data, old.capacity);
	o->kept = ok;
	return ok;
}

/* Between prepare() and here somebody else may have made a file of that name. Not every file system can tell (EINVAL). */
static bool
name_new(const struct write_one *o)
{
	if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0)
		return true;
	return errno == EINVAL && link(o->temporary, o->path) == 0 && unlink(o->temporary) == 0;
}

static bool
place(struct write_one *o, struct err *err)
{
	if (o->how == WRITE_NEW ? !name_new(o) : rename(o->temporary, o->path) != 0)
		return fail(o->path, err);
	o->temporary[0] = '\0';
	o->placed = true;
	return true;
}

/* So that the names, too, outlive a loss of power. A file system that can not sync a directory is none of our business. */
static void
sync_directory(const char *path)
{
	const char *name;
	char dir[PATH_MAX];
	struct sv d = directory_of(path, &name);

	if (!sv_copy(d.n > 0 ? d : SV("."), dir, sizeof(dir)))
		return;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

static bool
put_back(const struct write_one *o, struct err *err)
{
	if (!o->placed)
		return true;
	int done = o->kept ? rename(o->previous, o->path) : unlink(o->path);
	sync_directory(o->path);
	return done == 0 || fail(o->path, err);
}

bool
writes_undo(struct writes *w, struct err *err)
{
	bool ok = true;

	for (size_t i = w->n; i-- > 0;) {
		ok = put_back(&w->v[i], err) && ok;
		w->v[i].placed = false;
	}
	return ok;
}

static bool
commit(struct writes *w, struct err *err)
{
	for (size_t i = 0; i < w->n; i++)
		if (!prepare(&w->v[i], err) || !keep_previous(&w->v[i], err))
			return false;
	for (size_t i = 0; i < w->n; i++)
		if (!place(&w->v[i], err))
			return false;
	for (size_t i = 0; i < w->n; i++)
		sync_directory(w->v[i].path);
	return true;
}

bool
writes_commit(struct writes *w, struct err *err)
{
	sigset_t all, before;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	struct err trouble = {""};
	bool ok = commit(w, err);
	if (!ok && !writes_undo(w, &trouble))
		err_prefix(err, "%.200s; and before that", trouble.text);
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].temporary[0] != '\0')
			(void)unlink(w->v[i].temporary);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return ok;
}
