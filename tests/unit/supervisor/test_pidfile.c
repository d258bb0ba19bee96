#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/pidfile.h"
#include "scratch.h"

TestSuite(pidfile, .init = scratch_make, .fini = scratch_remove);

static int
number_in(const char *path)
{
	char text[32] = "";
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return -1;
	cr_assert_not_null(fgets(text, sizeof(text), f));
	cr_assert_null(fgets(text + 16, 8, f), "one line, and nothing left of what was there before");
	(void)fclose(f);
	return (int)strtol(text, NULL, 10);
}

Test(pidfile, is_there_while_we_live)
{
	const char *path = scratch_path("pid");
	struct pidfile p;

	cr_assert(pidfile_take(&p, path, NULL));
	cr_expect_eq(number_in(path), (int)getpid());
	pidfile_remove(&p);
	cr_expect_neq(access(path, F_OK), 0);
}

Test(pidfile, none_is_fine)
{
	struct pidfile p;

	cr_assert(pidfile_take(&p, NULL, NULL));
	pidfile_remove(&p);
}

Test(pidfile, a_stale_one_is_taken_over)
{
	const char *path = scratch_write("pid", "99999999999\nmore that a longer number left\n");
	struct pidfile p;

	cr_assert(pidfile_take(&p, path, NULL));
	cr_expect_eq(number_in(path), (int)getpid());
	pidfile_remove(&p);
}

Test(pidfile, a_second_instance_is_refused_by_name)
{
	const char *path = scratch_path("pid");
	struct pidfile first, second;
	struct err err;
	char number[16];

	cr_assert(pidfile_take(&first, path, NULL));
	cr_expect(!pidfile_take(&second, path, &err));
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	cr_expect_not_null(strstr(err.text, path), "%s", err.text);
	cr_expect_not_null(strstr(err.text, number), "%s", err.text);
	cr_expect_eq(number_in(path), (int)getpid(), "the refused one has not touched it");
	pidfile_remove(&first);
	cr_expect(pidfile_take(&second, path, &err), "%s", err.text);
	pidfile_remove(&second);
}

Test(pidfile, goes_free_when_its_owner_is_killed)
{
	const char *path = scratch_path("pid");
	struct pidfile p;
	int status, told[2];
	char c;

	cr_assert_eq(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(told[0]);
		if (pidfile_take(&p, path, NULL) && write(told[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(told[1]);
	cr_assert_eq(read(told[0], &c, 1), 1);
	cr_expect(!pidfile_take(&p, path, NULL));
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(pidfile_take(&p, path, NULL));
	pidfile_remove(&p);
}

Test(pidfile, a_place_that_is_none)
{
	struct pidfile p;
	struct err err;

	cr_expect(!pidfile_take(&p, "/nonexistent/pid", &err));
	cr_expect_not_null(strstr(err.text, "/nonexistent/pid"));
	pidfile_remove(&p);
}
