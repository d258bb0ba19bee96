#include "scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pki scratch;
static char dir[] = "/tmp/bsc-pki-XXXXXX";
static const struct pki_host host = {.default_config = "/nonexistent/bascule.json"};

void
scratch_setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	scratch = (struct pki){.host = &host};
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void
scratch_teardown(void)
{
	arena_free(&scratch.arena);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
scratch_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

bool
scratch_holds(const char *path, const char *text)
{
	char found[4096];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return text == NULL;
	size_t n = fread(found, 1, sizeof(found), f);
	(void)fclose(f);
	return text != NULL && n == strlen(text) && memcmp(found, text, n) == 0;
}

size_t
scratch_count(void)
{
	DIR *d = opendir(".");
	const struct dirent *e;
	size_t n = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}
