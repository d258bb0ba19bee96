#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/place.h"
#include "scratch.h"

TestSuite(place, .init = scratch_setup, .fini = scratch_teardown);

Test(place, base_names)
{
	static const char *const good[] = {"a", "A-1_b", "_x", "0"};
	static const char *const bad[] = {"", "-a", "a.b", "a/b", "..", "a b", "a\n", "\xc3\xa4", "a:b"};
	struct err err;

	for (size_t i = 0; i < COUNTOF(good); i++)
		cr_expect(base_name_check(good[i], &err), "%s", good[i]);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		cr_expect_not(base_name_check(bad[i], &err), "%s", bad[i]);
}

Test(place, paths)
{
	cr_expect_str_eq(place(&scratch, "a", ".key"), "a.key");
	scratch.args.dir = "d";
	cr_expect_str_eq(place(&scratch, "a", ".key"), "d/a.key");
	scratch.args.dir = "/";
	cr_expect_str_eq(place(&scratch, "a", ".key"), "/a.key");
	cr_expect_str_eq(place_previous(&scratch, "a.key"), ".a.key.previous");
	cr_expect_str_eq(place_previous(&scratch, "/x/y/a.key"), "/x/y/.a.key.previous");
}

/* Whatever the spelling, and whether or not it exists. */
Test(place, one_file_has_one_real_path)
{
	char plain[PATH_MAX], other[PATH_MAX];

	cr_assert_eq(mkdir("d", 0700), 0);
	cr_assert_eq(symlink("d", "e"), 0);
	cr_assert_eq(symlink("e/new", "dangling"), 0);
	for (int exists = 0; exists < 2; exists++) {
		cr_assert(place_real("d/new", plain));
		static const char *const spellings[] = {"./d//new", "e/new", "d/../e/./new", "dangling"};
		for (size_t i = 0; i < COUNTOF(spellings); i++) {
			cr_assert(place_real(spellings[i], other), "%s", spellings[i]);
			cr_expect_str_eq(other, plain, "%s", spellings[i]);
		}
		scratch_file("d/new", "");
	}
	cr_expect_not(place_real("nowhere/new", other));
	cr_assert(place_real("/x", other));
	cr_expect_str_eq(other, "/x");
}
