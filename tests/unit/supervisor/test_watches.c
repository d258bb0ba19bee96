/* The directories that the supervisor watches for its worker. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/watches.h"
#include "scratch.h"

static struct watches watches = {-1};

static void
stop(void)
{
	watches_end(&watches);
	scratch_remove();
}

TestSuite(watches, .init = scratch_make, .fini = stop);

/* inotify queues an event before the call that made it returns. */
static bool
noticed(void)
{
	struct pollfd p = {watches.fd, POLLIN, 0};

	return poll(&p, 1, 0) == 1;
}

/* Watch the file, call `change`, and tell whether that was noticed. */
static bool
notices(const char *path, bool is_file, void (*change)(void))
{
	struct err err = {""};

	watches_end(&watches);
	cr_assert(watches_add(&watches, path, is_file, &err), "%s", err.text);
	cr_expect(!noticed());
	change();
	return noticed();
}

static void
write_target(void)
{
	(void)scratch_write("archive/one.pem", "new");
}

static void
write_beside(void)
{
	(void)scratch_write("elsewhere.pem", "new");
}

static void
turn_link(void)
{
	cr_assert_eq(symlink("../archive/two.pem", scratch_path("live/new")), 0);
	cr_assert_eq(rename(scratch_path("live/new"), scratch_path("live/cert.pem")), 0);
}

static void
make_directories(void)
{
	cr_assert_eq(mkdir(scratch_path("archive"), 0700), 0);
	cr_assert_eq(mkdir(scratch_path("live"), 0700), 0);
	scratch_write("archive/one.pem", "one");
	scratch_write("archive/two.pem", "two");
	cr_assert_eq(symlink("../archive/one.pem", scratch_path("live/cert.pem")), 0);
}

Test(watches, both_ends_of_a_link)
{
	make_directories();
	cr_expect(notices(scratch_path("live/cert.pem"), true, write_target));
	cr_expect(notices(scratch_path("live/cert.pem"), true, turn_link));
	cr_expect(!notices(scratch_path("live/cert.pem"), true, write_beside));
}

Test(watches, a_directory)
{
	make_directories();
	cr_expect(notices(scratch_path("archive/"), false, write_target));
	cr_expect(!notices(scratch_path("archive"), false, turn_link));
}

Test(watches, several_at_once)
{
	struct err err = {""};

	make_directories();
	cr_assert(watches_add(&watches, scratch_path("live/cert.pem"), true, &err), "%s", err.text);
	cr_assert(watches_add(&watches, scratch_path("elsewhere.pem"), true, &err), "it may come to be: %s", err.text);
	write_target();
	cr_expect(noticed());
	watches_end(&watches);
	cr_expect_eq(watches.fd, -1);
	watches_end(&watches);
}

Test(watches, what_is_not_there)
{
	struct err err = {""};

	cr_expect(!watches_add(&watches, scratch_path("nowhere/cert.pem"), true, &err));
	cr_expect_eq(errno, ENOENT);
	cr_expect_not_null(strstr(err.text, "nowhere"), "%s", err.text);
}
