#include "line/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static bool
fail(struct err *err, const char *what)
{
	return err_set(err, "%s: %s", what, strerror(errno));
}

static bool
map(struct sealed *s, int protection, struct err *err)
{
	void *p = mmap(NULL, s->n, protection, MAP_SHARED, s->fd, 0);

	if (p == MAP_FAILED)
		return fail(err, "can not map memory");
	s->p = p;
	return true;
}

bool
sealed_begin(struct sealed *s, const char *name, size_t n, struct err *err)
{
	*s = (struct sealed){.fd = -1, .n = n};
	if (n == 0 || n > SEALED_MAX)
		return err_set(err, "%zu bytes are more than the %d that can be handed on", n, (int)SEALED_MAX);
	if ((s->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
		return fail(err, "can not make a file of memory");
	/* All of it at once: a page that is not there when it is written to would kill us. */
	int e = posix_fallocate(s->fd, 0, (off_t)n);
	errno = e;
	if ((e == 0 || fail(err, "can not get memory")) && map(s, PROT_READ | PROT_WRITE, err))
		return true;
	close(s->fd);
	s->fd = -1;
	return false;
}

void
sealed_abandon(struct sealed *s)
{
	int fd = s->fd;

	sealed_unmap(s);
	close(fd);
}

bool
sealed_shorten(struct sealed *s, size_t n, struct err *err)
{
	munmap(s->p, s->n);
	s->p = NULL;
	s->n = n;
	if (ftruncate(s->fd, (off_t)n) == 0)
		return true;
	fail(err, "can not shorten memory");
	sealed_abandon(s);
	return false;
}

int
sealed_finish(struct sealed *s, struct err *err)
{
	int fd = s->fd;

	sealed_unmap(s); /* what may still be written to can not be sealed */
	if (fcntl(fd, F_ADD_SEALS, all_seals) == 0)
		return fd;
	fail(err, "can not seal memory");
	close(fd);
	return -1;
}

bool
sealed_check(int fd, size_t *n, struct err *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS); /* fails with what is no memory */

	if (seals < 0 || (seals & all_seals) != all_seals || fstat(fd, &st) != 0)
		return err_set(err, "that is no sealed memory");
	if (st.st_size <= 0 || st.st_size > SEALED_MAX)
		return err_set(err, "sealed memory of %lld bytes is not taken", (long long)st.st_size);
	*n = (size_t)st.st_size;
	return true;
}

bool
sealed_map(struct sealed *s, int fd, struct err *err)
{
	*s = (struct sealed){.fd = fd};
	return sealed_check(fd, &s->n, err) && map(s, PROT_READ, err);
}

void
sealed_unmap(struct sealed *s)
{
	if (s->p != NULL)
		munmap(s->p, s->n);
	s->p = NULL;
	s->fd = -1;
}
