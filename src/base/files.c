#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 16384 };

/* "PATH: reason"; keeps errno. strerrordesc_np() needs no buffer, so any thread may come here. */
static bool
fail(struct err *err, const char *path)
{
	int e = errno;
	const char *text = strerrordesc_np(e);

	err_set(err, "%s: %s", path, text != NULL ? text : "unknown error");
	errno = e;
	return false;
}

static int64_t
nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static struct file_stamp
stamp_of(const struct stat *st)
{
	return (struct file_stamp){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = st->st_size,
		.mtime_ns = nanoseconds(&st->st_mtim),
		.ctime_ns = nanoseconds(&st->st_ctim),
		.mode = st->st_mode & 07777,
		.links = st->st_nlink,
	};
}

bool
file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	    a->ctime_ns == b->ctime_ns;
}

static int
direct_open_read(struct files *f, const char *path, struct err *err)
{
	struct stat st;

	(void)f;
	/* Not to hang on a FIFO that somebody put there; regular files and directories do not mind the flag. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		fail(err, path);
		return -1;
	}
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return fd;
	close(fd);
	errno = EINVAL;
	err_set(err, "%s: neither a regular file nor a directory", path);
	return -1;
}

static int
direct_open_append(struct files *f, const char *path, struct err *err)
{
	(void)f;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		fail(err, path);
	return fd;
}

static bool
direct_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	struct stat st;

	(void)f;
	if (stat(path, &st) == 0) {
		*out = stamp_of(&st);
		return true;
	}
	fail(err, path);
	if (errno == ENOENT)
		errno = lstat(path, &st) == 0 ? ENOLINK : ENOENT;
	return false;
}

struct file_listing {
	DIR *dir;
	char path[];
};

struct file_listing *
file_listing_begin(const char *path, struct err *err)
{
	struct file_listing *l = malloc(sizeof(*l) + strlen(path) + 1);

	if (l == NULL) {
		err_no_memory(err);
		return NULL;
	}
	memcpy(l->path, path, strlen(path) + 1);
	if ((l->dir = opendir(path)) != NULL)
		return l;
	fail(err, path);
	int e = errno;
	free(l);
	errno = e;
	return NULL;
}

void
file_listing_end(struct file_listing *l)
{
	if (l != NULL)
		closedir(l->dir);
	free(l);
}

/* Whether it is one: not what is hidden, or gone by now. */
static bool
look_at(int dir, const char *name, struct file_entry *e)
{
	struct stat st;

	if (name[0] == '.')
		return false;
	memset(e, 0, sizeof(*e)); /* the broker hands it to the worker as it lies here: nothing of root's heap with it */
	if (fstatat(dir, name, &st, 0) == 0) {
		e->is_directory = S_ISDIR(st.st_mode);
		e->stamp = stamp_of(&st);
	} else if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
		e->dangling = true;
	} else {
		return false;
	}
	return sv_copy(sv_cstr(name), e->name, sizeof(e->name));
}

ssize_t
file_listing_next(struct file_listing *l, struct file_entry *v, size_t room, struct err *err)
{
	struct dirent *d = NULL;
	size_t n = 0;

	while (n < room && (errno = 0, d = readdir(l->dir)) != NULL)
		n += look_at(dirfd(l->dir), d->d_name, &v[n]);
	if (n == room || errno == 0)
		return (ssize_t)n;
	fail(err, l->path);
	return -1;
}

static bool
direct_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	struct file_listing *l = file_listing_begin(path, err);
	struct file_entry e;
	ssize_t n = 0;
	bool ok = l != NULL;

	(void)f;
	while (ok && (n = file_listing_next(l, &e, 1, err)) == 1)
		ok = to->take(to, &e) || err_no_memory(err);
	int kept = errno;
	file_listing_end(l);
	errno = kept;
	return ok && n == 0;
}

struct collector {
	struct file_taker taker;
	struct file_entry *v;
	size_t n, capacity;
};

static bool
collect(struct file_taker *t, const struct file_entry *e)
{
	struct collector *c = CONTAINER_OF(t, struct collector, taker);

	if (c->n == c->capacity) {
		size_t more = c->capacity == 0 ? 16 : c->capacity * 2;
		struct file_entry *grown = reallocarray(c->v, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		c->v = grown;
		c->capacity = more;
	}
	c->v[c->n++] = *e;
	return true;
}

bool
files_list(struct files *f, const char *path, struct file_entry **out, size_t *n, struct err *err)
{
	struct collector c = {.taker = {collect}};
	bool ok = f->list(f, path, &c.taker, err);

	if (!ok) {
		int e = errno;
		free(c.v);
		errno = e;
		c = (struct collector){.v = NULL};
	}
	*out = c.v;
	*n = c.n;
	return ok;
}

bool
files_give(const struct file_entry *v, size_t n, struct file_taker *to)
{
	for (size_t i = 0; i < n; i++)
		if (!to->take(to, &v[i]))
			return false;
	return true;
}

struct files *
files_direct(void)
{
	static struct files direct = {direct_open_read, direct_open_append, direct_stamp, direct_list, NULL};

	return &direct;
}

/*
 * Until the end, wherever that is: the file may have grown since its size was asked for. Room for the expected size
 * and one more is made at once, so that a key is not left behind in memory that realloc gave up.
 */
static bool
read_to_end(int fd, size_t expected, struct buf *out, const char *path, struct err *err)
{
	size_t step = expected + 1;

	for (;;) {
		size_t room = MIN_OF(step, out->max - buf_len(out));
		char past_max = '\0', *to = room > 0 ? buf_room(out, room) : &past_max;
		if (to == NULL)
			return err_no_memory(err);
		ssize_t n = read(fd, to, MAX_OF(room, (size_t)1));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err, path);
		if (n == 0)
			return true;
		if (room == 0)
			return err_set(err, "%s: larger than the %u bytes allowed", path, out->max);
		buf_added(out, (size_t)n);
		size_t spare = out->capacity - out->tail;
		step = spare > 0 ? spare : READ_STEP;
	}
}

static bool
fail_as_directory(struct err *err, const char *path)
{
	err_set(err, "%s: is a directory, not a file", path);
	errno = EISDIR;
	return false;
}

bool
files_read(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err)
{
	struct file_stamp unwanted;
	struct stat st;
	bool ok;

	if (f->read != NULL)
		return f->read(f, path, out, stamp != NULL ? stamp : &unwanted, err);
	int fd = f->open_read(f, path, err);
	if (fd < 0)
		return false;
	/* The stamp is taken before the bytes: a write in between makes it stale, and the file is read again next time. */
	if (fstat(fd, &st) != 0)
		ok = fail(err, path);
	else if (S_ISDIR(st.st_mode))
		ok = fail_as_directory(err, path);
	else if ((uint64_t)st.st_size > out->max)
		ok = err_set(err, "%s: larger than the %u bytes allowed", path, out->max);
	else
		ok = read_to_end(fd, (size_t)st.st_size, out, path, err);
	close(fd);
	if (ok && stamp != NULL)
		*stamp = stamp_of(&st);
	return ok;
}

bool
files_can_make(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
	char directory[PATH_MAX];

	if (!sv_copy(slash != NULL ? sv_of(path, n) : SV("."), directory, sizeof(directory))) {
		errno = ENAMETOOLONG;
		return fail(err, path);
	}
	if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0)
		return true;
	int e = errno;
	if (e == ENOENT)
		err_set(err, "%s: its directory does not exist; make it", path);
	else
		err_set(err, "%s: can not be made there: %s", path, strerrordesc_np(e));
	errno = e;
	return false;
}

void
secret_wipe(void *p, size_t n)
{
	if (p == NULL)
		return;
	explicit_bzero(p, n);
	free(p);
}
