#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/write.h"
#include "scratch.h"

TestSuite(write, .init = scratch_setup, .fini = scratch_teardown);

static struct writes w;
static struct err err;

static unsigned
mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

Test(write, several_at_once)
{
	(void)umask(0);
	writes_add(&w, "a.key", SV("key"), WRITE_SECRET);
	writes_add(&w, "./a.crt", SV("crt"), WRITE_PUBLIC);
	cr_assert(writes_commit(&w, &err), "%s", err.text);
	cr_expect(scratch_holds("a.key", "key") && scratch_holds("a.crt", "crt"));
	cr_expect_eq(mode_of("a.key"), 0600);
	cr_expect_eq(mode_of("a.crt"), 0644);
	cr_expect_eq(scratch_count(), 2);
}

Test(write, one_in_the_way_and_none_is_written)
{
	scratch_file("b", "precious");
	writes_add(&w, "a", SV("1"), WRITE_PUBLIC);
	writes_add(&w, "b", SV("2"), WRITE_PUBLIC);
	cr_expect_not(writes_commit(&w, &err));
	cr_expect_not_null(strstr(err.text, "b: exists"));
	cr_expect(scratch_holds("b", "precious"));
	cr_expect_eq(scratch_count(), 1);
}

Test(write, what_is_replaced_is_kept)
{
	scratch_file("a", "old");
	scratch_file(".a.previous", "older");
	writes_replace(&w, "a", ".a.previous", SV("new"), WRITE_PUBLIC);
	writes_replace(&w, "b", ".b.previous", SV("first"), WRITE_PUBLIC);
	cr_assert(writes_commit(&w, &err), "%s", err.text);
	cr_expect(scratch_holds("a", "new") && scratch_holds(".a.previous", "old"));
	cr_expect(scratch_holds("b", "first") && scratch_holds(".b.previous", NULL));
	cr_expect_eq(scratch_count(), 3);
}

Test(write, undone)
{
	scratch_file("a", "old");
	writes_replace(&w, "a", ".a.previous", SV("new"), WRITE_SECRET);
	writes_replace(&w, "b", ".b.previous", SV("first"), WRITE_PUBLIC);
	cr_assert(writes_commit(&w, &err), "%s", err.text);
	cr_assert(writes_undo(&w, &err), "%s", err.text);
	cr_expect(scratch_holds("a", "old") && scratch_holds("b", NULL));
	cr_expect_eq(scratch_count(), 1);
}

/* The second can not get its name: a directory has it. The first is put back. */
Test(write, a_rename_that_fails_undoes_those_before)
{
	scratch_file("a", "old");
	cr_assert_eq(mkdir("d", 0700), 0);
	writes_replace(&w, "a", ".a.previous", SV("new"), WRITE_PUBLIC);
	writes_replace(&w, "gone/b", "gone/.b.previous", SV("x"), WRITE_PUBLIC);
	cr_expect_not(writes_commit(&w, &err));
	cr_expect(scratch_holds("a", "old"));

	w = (struct writes){.n = 0};
	writes_replace(&w, "a", ".a.previous", SV("new"), WRITE_PUBLIC);
	writes_replace(&w, "d", ".d.previous", SV("x"), WRITE_PUBLIC);
	cr_expect_not(writes_commit(&w, &err));
	cr_expect(scratch_holds("a", "old"));
	cr_expect_not(strstr(err.text, "d: ") == NULL);
}
