#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"

static char dir[] = "/tmp/bascule-unit-XXXXXX";
static char path[256];

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void
make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_lt((size_t)snprintf(path, sizeof(path), "%s/file", dir), sizeof(path));
	write_file("0123456789");
}

static void
remove_dir(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

Test(files, read, .init = make_dir, .fini = remove_dir)
{
	struct file_stamp stamp, again;
	struct err err = {""};
	struct buf out;

	buf_init(&out, 10);
	cr_assert(files_read(files_direct(), path, &out, &stamp, &err), "%s", err.text);
	cr_expect(sv_eq(buf_view(&out), SV("0123456789")));
	cr_expect_eq(stamp.size, 10);
	cr_expect(files_direct()->stamp(files_direct(), path, &again, &err));
	cr_expect(file_stamp_eq(&stamp, &again));
	buf_clear(&out);
}

Test(files, larger_than_allowed, .init = make_dir, .fini = remove_dir)
{
	struct err err = {""};
	struct buf out;

	buf_init(&out, 9);
	cr_expect_not(files_read(files_direct(), path, &out, NULL, &err));
	cr_expect_not_null(strstr(err.text, "larger than the 9 bytes allowed"), "%s", err.text);
	buf_clear(&out);
}

Test(files, errors_name_the_path, .init = make_dir, .fini = remove_dir)
{
	struct err err = {""};
	struct buf out;

	buf_init(&out, 100);
	cr_expect_not(files_read(files_direct(), "/nowhere/at/all", &out, NULL, &err));
	cr_expect_not_null(strstr(err.text, "/nowhere/at/all: "), "%s", err.text);
	cr_expect_not(files_read(files_direct(), dir, &out, NULL, &err));
	cr_expect_not_null(strstr(err.text, "is a directory"), "%s", err.text);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_not(files_read(files_direct(), path, &out, NULL, &err), "a FIFO is refused, not waited for");
	buf_clear(&out);
}

/* It may be there again in a moment. */
Test(files, a_link_that_leads_nowhere, .init = make_dir, .fini = remove_dir)
{
	static const struct file_stamp none;
	struct file_entry *entries = NULL;
	struct file_stamp stamp;
	struct err err = {""};
	char link[300];
	size_t n = 0;

	(void)snprintf(link, sizeof(link), "%s/dangling", dir);
	cr_expect(!files_direct()->stamp(files_direct(), link, &stamp, &err));
	cr_expect_eq(errno, ENOENT);
	cr_assert_eq(symlink("nowhere", link), 0);
	cr_expect(!files_direct()->stamp(files_direct(), link, &stamp, &err));
	cr_expect_eq(errno, ENOLINK);
	cr_expect_not_null(strstr(err.text, "dangling: No such file"), "%s", err.text);
	cr_assert(files_list(files_direct(), dir, &entries, &n, &err), "%s", err.text);
	cr_assert(n == 2 && entries != NULL);
	for (size_t i = 0; i < n; i++) {
		bool is_link = strcmp(entries[i].name, "dangling") == 0;
		cr_expect_eq(entries[i].dangling, is_link);
		cr_expect_eq(file_stamp_eq(&entries[i].stamp, &none), is_link);
	}
	free(entries);
	(void)unlink(link);
}

Test(files, list_leaves_out_what_is_hidden, .init = make_dir, .fini = remove_dir)
{
	struct file_entry *entries = NULL;
	char hidden[300];
	struct err err = {""};
	size_t n = 0;

	(void)snprintf(hidden, sizeof(hidden), "%s/.hidden", dir);
	cr_assert_eq(symlink("/", hidden), 0);
	cr_assert(files_list(files_direct(), dir, &entries, &n, &err), "%s", err.text);
	cr_assert(n == 1 && entries != NULL);
	cr_expect_str_eq(entries[0].name, "file");
	cr_expect_not(entries[0].is_directory);
	free(entries);
	(void)unlink(hidden);
}
