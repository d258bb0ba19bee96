#include "pki/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/place.h"

static const struct overlay_file *
find(const struct overlay *o, const char *path)
{
	char real[PATH_MAX];

	if (!place_real(path, real))
		return NULL;
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->v[i].path, real) == 0)
			return &o->v[i];
	return NULL;
}

bool
overlay_has(const struct overlay *o, const char *path)
{
	return find(o, path) != NULL;
}

static int
open_read(struct files *f, const char *path, struct err *err)
{
	const struct overlay *o = CONTAINER_OF(f, struct overlay, files);
	const struct overlay_file *mine = find(o, path);

	if (mine == NULL)
		return files_direct()->open_read(files_direct(), path, err);
	int fd = dup(mine->fd);
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	err_set(err, "%s: %s", path, strerror(errno));
	return -1;
}

static int
open_append(struct files *f, const char *path, struct err *err)
{
	(void)f;
	err_set(err, "%s: not while bundles are looked at", path);
	errno = EROFS;
	return -1;
}

/* No file on disk has this one. */
static bool
stamp_of(const struct overlay_file *mine, struct file_stamp *out)
{
	struct stat st;

	if (fstat(mine->fd, &st) != 0)
		return false;
	*out = (struct file_stamp){.device = st.st_dev, .inode = st.st_ino, .size = st.st_size};
	return true;
}

static bool
stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	const struct overlay_file *mine = find(CONTAINER_OF(f, struct overlay, files), path);

	if (mine == NULL)
		return files_direct()->stamp(files_direct(), path, out, err);
	return stamp_of(mine, out) || err_set(err, "%s: %s", path, strerror(errno));
}

/* Add it, or give the entry that is there the new stamp. */
static bool
add_entry(const struct overlay_file *mine, struct file_entry **v, size_t *n)
{
	const char *name = strrchr(mine->path, '/') + 1;
	size_t i = 0;

	while (i < *n && strcmp((*v)[i].name, name) != 0)
		i++;
	if (i == *n) {
		struct file_entry *grown = reallocarray(*v, *n + 1, sizeof(*grown));
		if (grown == NULL)
			return false;
		*v = grown;
		grown[i] = (struct file_entry){.is_directory = false};
		if (!sv_copy(sv_cstr(name), grown[i].name, sizeof(grown[i].name)))
			return true; /* a name so long is none of a bundle */
		(*n)++;
	}
	return stamp_of(mine, &(*v)[i].stamp);
}

static bool
list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	const struct overlay *o = CONTAINER_OF(f, struct overlay, files);
	struct file_entry *v;
	char real[PATH_MAX];
	size_t n;

	if (!files_list(files_direct(), path, &v, &n, err))
		return false;
	bool ok = true, found = realpath(path, real) != NULL;
	size_t length = found ? strlen(real) : 0;
	for (size_t i = 0; ok && found && i < o->n; i++) {
		const char *own = o->v[i].path;
		bool inside = strncmp(own, real, length) == 0 && own[length] == '/' && strchr(own + length + 1, '/') == NULL;
		ok = !inside || add_entry(&o->v[i], &v, &n);
	}
	ok = (ok && files_give(v, n, to)) || err_no_memory(err);
	free(v);
	return ok;
}

void
overlay_init(struct overlay *o)
{
	o->files = (struct files){.open_read = open_read, .open_append = open_append, .stamp = stamp, .list = list};
	o->n = 0;
}

bool
overlay_add(struct overlay *o, const char *path, struct sv content, struct err *err)
{
	struct overlay_file *mine = &o->v[o->n];

	if (o->n == OVERLAY_MAX || !place_real(path, mine->path))
		return err_set(err, "%s: there is no such directory", path);
	mine->fd = memfd_create("bascule", MFD_CLOEXEC);
	if (mine->fd < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	o->n++;
	while (content.n > 0) {
		ssize_t n = write(mine->fd, content.p, content.n);
		if (n <= 0 && errno != EINTR)
			return err_set(err, "%s: %s", path, strerror(errno));
		if (n > 0)
			content = sv_of(content.p + n, content.n - (size_t)n);
	}
	return true;
}

void
overlay_close(struct overlay *o)
{
	for (size_t i = 0; i < o->n; i++)
		close(o->v[i].fd);
	o->n = 0;
}
