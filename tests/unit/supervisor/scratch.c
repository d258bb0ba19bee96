#include "scratch.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "line/sealed.h"

char scratch[64];

void
scratch_make(void)
{
	(void)snprintf(scratch, sizeof(scratch), "/tmp/bascule-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(scratch));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void
scratch_remove(void)
{
	(void)nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *
scratch_path(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % COUNTOF(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

const char *
scratch_write(const char *name, const char *text)
{
	const char *path = scratch_path(name);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert(fputs(text, f) >= 0);
	cr_assert_eq(fclose(f), 0);
	return path;
}

int
scratch_sealed(const char *text)
{
	struct err err = {""};
	struct sealed s;

	cr_assert(sealed_begin(&s, "test", strlen(text) + 1, &err), "%s", err.text);
	memcpy(s.p, text, s.n);
	int fd = sealed_finish(&s, &err);
	cr_assert_geq(fd, 0, "%s", err.text);
	return fd;
}
