#include "try.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void
try_begin(struct try *t)
{
	memset(t, 0, sizeof(*t));
	(void)snprintf(t->directory, sizeof(t->directory), "/tmp/bascule-conf-XXXXXX");
	cr_assert_not_null(mkdtemp(t->directory));
	conf_problems_init(&t->problems);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

void
try_end(struct try *t)
{
	conf_free(t->conf);
	conf_problems_free(&t->problems);
	cr_assert_eq(nftw(t->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *
try_path(struct try *t, const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s%s%s", t->directory, name[0] != '\0' ? "/" : "", name);
	return path;
}

void
try_write_bytes(struct try *t, const char *name, const char *bytes, size_t n)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s", try_path(t, name));
	for (char *slash = path + strlen(t->directory) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
		*slash = '\0';
		(void)mkdir(path, 0700);
	}
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(bytes, 1, n, f), n);
	cr_assert_eq(fclose(f), 0);
}

void
try_write(struct try *t, const char *name, const char *content)
{
	try_write_bytes(t, name, content, strlen(content));
}

void
try_load(struct try *t, const char *name)
{
	char prefix[80];
	size_t n = 0;

	conf_free(t->conf);
	conf_problems_free(&t->problems);
	conf_problems_init(&t->problems);
	t->conf = conf_load(files_direct(), try_path(t, name), &t->problems);
	int cut = snprintf(prefix, sizeof(prefix), "%s/", t->directory);
	struct sv all = buf_view(&t->problems.text);
	for (size_t i = 0; i < all.n && n + 1 < sizeof(t->text);) {
		if (sv_starts(sv_of(all.p + i, all.n - i), sv_cstr(prefix)))
			i += (size_t)cut;
		else
			t->text[n++] = all.p[i++];
	}
	t->text[n] = '\0';
	cr_assert_eq(t->conf == NULL, t->problems.errors > 0, "refused exactly when there are errors");
}

void
try_text(struct try *t, const char *content)
{
	try_write(t, "c.json", content);
	try_load(t, "c.json");
}

void
try_faults(struct try *t, const char *before, const struct try_fault *faults, size_t n, const char *after)
{
	char text[4096];

	for (const struct try_fault *f = faults; f < faults + n; f++) {
		cr_assert_lt(snprintf(text, sizeof(text), "%s%s%s", before, f->config, after), (int)sizeof(text));
		try_text(t, text);
		cr_expect_str_eq(t->text, f->says, "%s\nsays\n%snot\n%s", f->config, t->text, f->says);
	}
}
