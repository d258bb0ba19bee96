#include "supervisor/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "line/sealed.h"

/* Out of memory: the entry is not in the table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { REFUSED_TRIES = 10 };

struct held {
	UT_hash_handle hh;
	int fd;
	char name[];
};

bool
shelf_init(struct shelf *s, const char *path)
{
	*s = (struct shelf){.path = path != NULL ? strdup(path) : NULL};
	return path == NULL || s->path != NULL;
}

static void
let_go(struct shelf *s, struct held *h)
{
	HASH_DEL(s->held, h);
	s->n_held--;
	close(h->fd);
	free(h);
}

void
shelf_free(struct shelf *s)
{
	struct held *h, *next;

	HASH_ITER(hh, s->held, h, next)
		let_go(s, h);
	free(s->path);
	*s = (struct shelf){.path = NULL};
}

static bool
is_safe(const char *name, struct err *err)
{
	if (state_name_is_safe(name))
		return true;
	errno = EINVAL;
	return err_set(err, "\"%.64s\" is not a name for a state", name);
}

static bool
fail(const struct shelf *s, const char *name, struct err *err)
{
	return err_set(err, "%s/%s: %s", s->path, name, strerror(errno));
}

/* --- in memory ------------------------------------------------------------------------------------------------ */

static struct held *
find(const struct shelf *s, const char *name)
{
	struct held *h;

	HASH_FIND_STR(s->held, name, h);
	return h;
}

/* Descriptors are what is short: the greater part stays for sockets and files. */
static size_t
most_held(void)
{
	struct rlimit files;

	return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (size_t)MIN_OF(files.rlim_cur, (rlim_t)1 << 20) / 2 : 128;
}

static struct held *
hold_new(struct shelf *s, const char *name)
{
	size_t size = strlen(name) + 1;
	struct held *h = s->n_held < most_held() ? malloc(sizeof(*h) + size) : NULL;

	if (h == NULL)
		return NULL;
	h->fd = -1;
	memcpy(h->name, name, size);
	HASH_ADD_KEYPTR(hh, s->held, h->name, size - 1, h);
	if (h->hh.tbl == NULL) {
		free(h);
		return NULL;
	}
	s->n_held++;
	return h;
}

/* Takes over fd. */
static bool
hold(struct shelf *s, const char *name, int fd, struct err *err)
{
	struct held *h = find(s, name);

	if (h == NULL && (h = hold_new(s, name)) == NULL) {
		close(fd);
		return err_set(err, "%zu states are kept in memory, and there is room for no more: raise the limit of descriptors "
		                    "(LimitNOFILE=, ulimit -n), or give a state_dir", s->n_held);
	}
	if (h->fd >= 0)
		close(h->fd);
	h->fd = fd;
	return true;
}

/* --- on the disk ---------------------------------------------------------------------------------------------- */

static int
open_directory(const struct shelf *s, struct err *err)
{
	int dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		err_set(err, "%s: %s%s", s->path, strerror(errno),
		    errno == ENOENT ? "; make the directory: install -d -m 700, of the user who starts the proxy" : "");
	return dir;
}

static bool
write_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

/* The old one or the new one, whatever happens meanwhile; on the disk before the name is. */
static bool
replace(int dir, const char *name, const struct sealed *content)
{
	char draft[STATE_NAME_MAX + 8];

	(void)snprintf(draft, sizeof(draft), ".%s.new", name);
	(void)unlinkat(dir, draft, 0); /* of one who died in the middle */
	int fd = openat(dir, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && write_all(fd, content->p, content->n) && fsync(fd) == 0;
	if (fd >= 0)
		ok = close(fd) == 0 && ok; /* cppcheck-suppress invalidFunctionArg ; it was opened */
	ok = ok && renameat(dir, draft, dir, name) == 0 && fsync(dir) == 0;
	if (!ok && fd >= 0) {
		int e = errno;
		(void)unlinkat(dir, draft, 0);
		errno = e;
	}
	return ok;
}

static bool
write_file(const struct shelf *s, const char *name, int fd, struct err *err)
{
	struct sealed content;

	if (s->unread)
		return err_set(err, "%s could not be read, and what lies there is not written over: mend it and restart", s->path);
	int dir = open_directory(s, err);

	if (dir < 0)
		return false;
	bool mapped = sealed_map(&content, fd, err);
	bool ok = mapped && (replace(dir, name, &content) || fail(s, name, err));
	if (mapped)
		sealed_unmap(&content);
	close(dir);
	return ok;
}

static int
open_file(const struct shelf *s, const char *name, struct err *err)
{
	struct stat st;
	int dir = open_directory(s, err);

	if (dir < 0)
		return -1;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		fail(s, name, err);
	} else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		fd = -1;
		err_set(err, "%s/%s: not a regular file", s->path, name);
	}
	close(dir);
	return fd;
}

/* --- for the worker ------------------------------------------------------------------------------------------- */

bool
shelf_put(struct shelf *s, const char *name, int fd, struct err *err)
{
	size_t n;
	bool fits = is_safe(name, err) && sealed_check(fd, &n, err);

	if (fits && n > STATE_SIZE_MAX)
		fits = err_set(err, "a state of %zu bytes is not taken", n);
	if (!fits) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (s->path == NULL)
		return hold(s, name, fd, err);
	if (!write_file(s, name, fd, err)) {
		(void)hold(s, name, fd, NULL);
		return false;
	}
	close(fd);
	struct held *h = find(s, name);
	if (h != NULL)
		let_go(s, h);
	return true;
}

int
shelf_get(struct shelf *s, const char *name, struct err *err)
{
	if (!is_safe(name, err))
		return -1;
	const struct held *h = find(s, name);
	if (h == NULL && s->path != NULL)
		return open_file(s, name, err);
	int fd = h != NULL ? fcntl(h->fd, F_DUPFD_CLOEXEC, 3) : -1;
	if (fd < 0)
		err_set(err, "%s: %s", name, h == NULL ? "there is no such state" : strerror(errno));
	return fd;
}

static bool
add_held(const struct shelf *s, struct file_entry **v, size_t *n)
{
	size_t listed = *n; /* one can be in both: written once, and then the disk was full */
	struct file_entry *grown = reallocarray(*v, listed + s->n_held + 1, sizeof(*grown));

	if (grown == NULL)
		return false;
	*v = grown;
	for (const struct held *h = s->held; h != NULL; h = h->hh.next) {
		size_t i = 0;
		while (i < listed && strcmp(grown[i].name, h->name) != 0)
			i++;
		if (i < listed)
			continue;
		memset(&grown[*n], 0, sizeof(*grown)); /* what lies between its members goes to the worker as well */
		(void)sv_copy(sv_cstr(h->name), grown[(*n)++].name, sizeof(grown->name));
	}
	return true;
}

bool
shelf_list(struct shelf *s, struct file_entry **out, size_t *n, struct err *err)
{
	size_t all = 0, kept = 0;

	*out = NULL;
	*n = 0;
	bool ok = s->path == NULL || files_list(files_direct(), s->path, out, &all, err);
	s->unread = !ok && errno != ENOENT;
	if (!ok && s->n_held == 0)
		return false;
	for (size_t i = 0; i < all; i++)
		if (!(*out)[i].dangling && state_name_is_safe((*out)[i].name))
			(*out)[kept++] = (*out)[i];
	*n = kept;
	if (add_held(s, out, n))
		return true;
	free(*out);
	*out = NULL;
	return err_no_memory(err);
}

bool
shelf_refuse(struct shelf *s, const char *name, char *to, size_t size, struct err *err)
{
	struct held *h = is_safe(name, err) ? find(s, name) : NULL;
	char free_name[STATE_NAME_MAX + 16];

	if (!state_name_is_safe(name))
		return false;
	if (h != NULL) {
		let_go(s, h);
		(void)sv_copy(SV("nothing"), to, size);
		return true;
	}
	int dir = s->path != NULL ? open_directory(s, err) : -1;
	if (dir < 0)
		return false;
	bool ok = false;
	for (unsigned i = 0; !ok && i < REFUSED_TRIES; i++) {
		(void)snprintf(free_name, sizeof(free_name), i == 0 ? "%s" STATE_REFUSED : "%s" STATE_REFUSED ".%u", name, i);
		ok = renameat2(dir, name, dir, free_name, RENAME_NOREPLACE) == 0;
		if (!ok && errno != EEXIST)
			break;
	}
	if (!ok)
		fail(s, name, err);
	close(dir);
	return ok && ((size_t)snprintf(to, size, "%s/%s", s->path, free_name) < size || err_set(err, "the path is too long"));
}
