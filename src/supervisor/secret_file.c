#include "supervisor/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"

bool
secret_random(unsigned char *out, size_t n, struct err *err)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = getrandom(out + at, n - at, 0);
		if (got > 0)
			at += (size_t)got;
		else if (errno != EINTR)
			return err_set(err, "no random bytes: %s", strerror(errno));
	}
	return true;
}

static bool
write_synced(int fd, const unsigned char *p, size_t n)
{
	return write(fd, p, n) == (ssize_t)n && fsync(fd) == 0;
}

/* Appears under its name complete or not at all; when another process was faster, its secret is the one that counts. */
static bool
make(const char *path, struct err *err)
{
	unsigned char bytes[SECRET_FILE_MADE];
	char draft[PATH_MAX];

	int len = snprintf(draft, sizeof(draft), "%s.%d", path, (int)getpid());
	if (len < 0 || (size_t)len >= sizeof(draft))
		return err_set(err, "%s: the path is too long", path);
	if (!secret_random(bytes, sizeof(bytes), err))
		return false;
	int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && write_synced(fd, bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	if (ok && link(draft, path) == 0)
		log_notice("%s: made a new secret; copy it to every node of the cluster", path);
	else if (!ok || errno != EEXIST)
		ok = err_set(err, "%s: can not make the secret file: %s", path, strerror(errno));
	if (fd >= 0) {
		(void)unlink(draft);
		close(fd);
	}
	return ok;
}

static bool
read_open(int fd, const char *path, unsigned char *out, size_t *n, bool *exposed, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(err, "%s: the secret file is not a regular file", path);
	if (st.st_size < SECRET_FILE_MIN || st.st_size > SECRET_FILE_MAX)
		return err_set(err, "%s: the secret has %lld bytes, but %d to %d are needed; remove it to have one made",
		    path, (long long)st.st_size, SECRET_FILE_MIN, SECRET_FILE_MAX);
	*exposed = (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
	ssize_t got = read(fd, out, SECRET_FILE_MAX);
	if (got != st.st_size)
		return err_set(err, "%s: can not read the secret: %s", path, got < 0 ? strerror(errno) : "it is changing");
	*n = (size_t)got;
	return true;
}

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static bool
refuse(const char *path, struct err *err)
{
	int error = errno;

	err_set(err, "%s: can not open the secret file: %s", path, strerror(error));
	errno = error;
	return false;
}

bool
secret_file_read(const char *path, unsigned char *out, size_t *n, struct err *err)
{
	int fd = open(path, OPEN_FLAGS);
	bool exposed = false;

	if (fd < 0 && errno == ENOENT) {
		if (!make(path, err))
			return false;
		fd = open(path, OPEN_FLAGS);
	}
	if (fd < 0)
		return refuse(path, err);
	bool ok = read_open(fd, path, out, n, &exposed, err);
	close(fd);
	if (ok && exposed)
		log_warning(SECRET_FILE_EXPOSED, path);
	return ok;
}

bool
secret_file_check(const char *path, bool *exposed, struct err *err)
{
	unsigned char bytes[SECRET_FILE_MAX];
	int fd = open(path, OPEN_FLAGS);
	size_t n;

	*exposed = false;
	if (fd < 0)
		return errno == ENOENT ? files_can_make(path, err) : refuse(path, err);
	bool ok = read_open(fd, path, bytes, &n, exposed, err);
	close(fd);
	explicit_bzero(bytes, sizeof(bytes));
	return ok;
}
