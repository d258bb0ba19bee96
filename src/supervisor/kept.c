#include "supervisor/kept.h"

#include <fcntl.h>
#include <unistd.h>

#include "line/sealed.h"

static void
let_go(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
kept_init(struct kept *k)
{
	k->n = 0;
	for (size_t i = 0; i < COUNTOF(k->parts); i++)
		k->parts[i] = -1;
}

void
kept_free(struct kept *k)
{
	k->n = 0;
	for (size_t i = 0; i < COUNTOF(k->parts); i++)
		let_go(&k->parts[i]);
}

bool
kept_put(struct kept *k, uint64_t part, int fd, struct err *err)
{
	size_t n;

	if (part < COUNTOF(k->parts) && sealed_check(fd, &n, err)) {
		let_go(&k->parts[part]);
		k->parts[part] = fd;
		return true;
	}
	let_go(&fd);
	return part < COUNTOF(k->parts) ? false : err_set(err, "there are no more than %zu parts", COUNTOF(k->parts));
}

/* The part of before, as one of our own. */
static bool
take_again(struct kept *k, const struct kept *before, size_t part, struct err *err)
{
	if (part >= before->n)
		return err_set(err, "part %zu was never handed over", part);
	if (k == before)
		return true;
	k->parts[part] = fcntl(before->parts[part], F_DUPFD_CLOEXEC, 3);
	return k->parts[part] >= 0 || err_set(err, "out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)");
}

bool
kept_whole(struct kept *k, const struct kept *before, struct kept *came, uint64_t n, struct err *err)
{
	bool ok = n <= COUNTOF(k->parts) || err_set(err, "there are no more than %zu parts", COUNTOF(k->parts));

	for (size_t i = 0; i < COUNTOF(k->parts); i++) {
		bool wanted = ok && i < n, new = came->parts[i] >= 0;
		if (new || !wanted || k != before)
			let_go(&k->parts[i]);
		if (wanted && new) {
			k->parts[i] = came->parts[i];
			came->parts[i] = -1;
		} else if (wanted) {
			ok = take_again(k, before, i, err);
		}
	}
	kept_free(came);
	if (!ok)
		kept_free(k);
	else
		k->n = (size_t)n;
	return ok;
}
