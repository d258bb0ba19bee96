#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/secret_file.h"
#include "scratch.h"

TestSuite(secret_file, .init = scratch_make, .fini = scratch_remove);

static unsigned char first[SECRET_FILE_MAX], second[SECRET_FILE_MAX];
static size_t n_first, n_second;

Test(secret_file, is_made_once)
{
	const char *path = scratch_path("secret");
	struct err err = {""};
	struct stat st;

	log_init("test", LOG_ERROR);
	cr_assert(secret_file_read(path, first, &n_first, &err), "%s", err.text);
	cr_expect_eq(n_first, SECRET_FILE_MADE);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(st.st_nlink, 1, "the draft is gone");
	cr_assert(secret_file_read(path, second, &n_second, &err), "%s", err.text);
	cr_expect(n_second == n_first && memcmp(first, second, n_first) == 0);
}

Test(secret_file, two_are_not_alike)
{
	log_init("test", LOG_ERROR);
	cr_assert(secret_file_read(scratch_path("a"), first, &n_first, NULL));
	cr_assert(secret_file_read(scratch_path("b"), second, &n_second, NULL));
	cr_expect_neq(memcmp(first, second, SECRET_FILE_MADE), 0);
}

Test(secret_file, sizes)
{
	char text[SECRET_FILE_MAX + 2];
	static const struct {
		size_t n;
		bool ok;
	} cases[] = {{0, false}, {SECRET_FILE_MIN - 1, false}, {SECRET_FILE_MIN, true}, {SECRET_FILE_MAX, true}, {SECRET_FILE_MAX + 1, false}};

	log_init("test", LOG_ERROR);
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct err err = {""};
		memset(text, 's', sizeof(text));
		text[cases[i].n] = '\0';
		const char *path = scratch_write("secret", text);
		cr_expect_eq(secret_file_read(path, first, &n_first, &err), cases[i].ok, "%zu bytes: %s", cases[i].n, err.text);
		cr_expect(cases[i].ok ? n_first == cases[i].n : strstr(err.text, path) != NULL, "%s", err.text);
	}
}

Test(secret_file, is_no_directory_and_no_device)
{
	struct err err = {""};

	cr_expect(!secret_file_read(scratch, first, &n_first, &err));
	cr_expect(!secret_file_read("/dev/zero", first, &n_first, &err));
	cr_expect(!secret_file_read("/nonexistent/secret", first, &n_first, &err));
	cr_expect_not_null(strstr(err.text, "/nonexistent/secret"));
}
