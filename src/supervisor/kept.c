#include "supervisor/kept.h"

#include <fcntl.h>
#include <unistd.h>

#include "line/sealed.h"

static void
let_go(struct kept *k, size_t part)
{
	if (k->parts[part] >= 0)
		close(k->parts[part]);
	k->parts[part] = -1;
	k->sizes[part] = 0;
}

void
kept_init(struct kept *k)
{
	*k = (struct kept){.n = 0};
	for (size_t i = 0; i < COUNTOF(k->parts); i++)
		k->parts[i] = -1;
}

void
kept_free(struct kept *k)
{
	k->n = 0;
	for (size_t i = 0; i < COUNTOF(k->parts); i++)
		let_go(k, i);
}

/* Each of them is of a size that is taken, so the sum does not overflow. */
static bool
fits(const struct kept *k, struct err *err)
{
	size_t all = 0;

	for (size_t i = 0; i < COUNTOF(k->sizes); i++)
		all += k->sizes[i];
	return all <= SEALED_MAX || err_set(err, "%zu bytes are more than the %d that are kept", all, (int)SEALED_MAX);
}

static bool
is_number(uint64_t n, uint64_t end, struct err *err)
{
	return n < end || err_set(err, "there are no more than %d parts", (int)MESSAGE_KEEP_MAX);
}

bool
kept_put(struct kept *k, uint64_t part, int fd, struct err *err)
{
	size_t n;

	if (!is_number(part, COUNTOF(k->parts), err) || !sealed_check(fd, &n, err)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	let_go(k, part);
	k->parts[part] = fd;
	k->sizes[part] = n;
	if (fits(k, err))
		return true;
	let_go(k, part);
	return false;
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
	k->sizes[part] = before->sizes[part];
	return k->parts[part] >= 0 || err_set(err, "out of file descriptors: raise the limit (LimitNOFILE=, ulimit -n)");
}

static void
take_new(struct kept *k, struct kept *came, size_t part)
{
	k->parts[part] = came->parts[part];
	k->sizes[part] = came->sizes[part];
	came->parts[part] = -1;
}

bool
kept_whole(struct kept *k, const struct kept *before, struct kept *came, uint64_t n, struct err *err)
{
	bool ok = is_number(n, COUNTOF(k->parts) + 1, err);

	for (size_t i = 0; i < COUNTOF(k->parts); i++) {
		bool wanted = ok && i < n, new = came->parts[i] >= 0;
		if (new || !wanted || k != before)
			let_go(k, i);
		if (wanted && new)
			take_new(k, came, i);
		else if (wanted)
			ok = take_again(k, before, i, err);
	}
	kept_free(came);
	ok = ok && fits(k, err);
	if (!ok)
		kept_free(k);
	else
		k->n = (size_t)n;
	return ok;
}
