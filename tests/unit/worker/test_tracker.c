/* Which bundles' files have changed, as inotify tells. It queues an event before the call that made it returns. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/tracker.h"
#include "../supervisor/scratch.h"

static struct tracker tracker;
static struct tls_changes changes;
static char live[128]; /* as the config names it */

static void
start(void)
{
	scratch_make();
	(void)snprintf(live, sizeof(live), "%s", scratch_path("live"));
	cr_assert_eq(mkdir(live, 0700), 0);
	cr_assert(tracker_begin(&tracker));
	tls_changes_none(&changes);
}

static void
stop(void)
{
	tls_changes_forget(&changes);
	tracker_end(&tracker);
	cr_expect_eq(tracker.fd, -1);
	scratch_remove();
}

TestSuite(tracker, .init = start, .fini = stop);

static void
add(const char *path, struct watch_owner owner, bool loose)
{
	struct err err = {""};

	cr_assert(tracker_add(&tracker, &(struct watch_place){path, owner, loose}, &err), "%s", err.text);
}

static struct watch_owner
listing(void)
{
	return (struct watch_owner){live, NULL};
}

static struct watch_owner
bundle(const char *name)
{
	return (struct watch_owner){live, name};
}

static void
make_directory(const char *name)
{
	cr_assert_eq(mkdir(scratch_path(name), 0700), 0, "%s", name);
}

static void
move(const char *from, const char *to)
{
	cr_assert_eq(rename(scratch_path(from), scratch_path(to)), 0, "%s", from);
}

/* Exactly these are told, in whatever order; none: NULL at once. */
static void
expect(const char *a, const char *b)
{
	size_t wanted = (a != NULL) + (b != NULL);

	tracker_read(&tracker, &changes);
	cr_assert(changes.known, "anything may have changed, in place of %s", a != NULL ? a : "nothing");
	cr_assert_eq(changes.n, wanted, "%zu, the first %s", changes.n, changes.n > 0 ? changes.v[0].entry : "");
	for (size_t i = 0; i < changes.n; i++) {
		const char *e = changes.v[i].entry;
		cr_expect_str_eq(changes.v[i].directory, live);
		cr_expect(strcmp(e, a) == 0 || (b != NULL && strcmp(e, b) == 0), "%s", e);
	}
	tls_changes_none(&changes);
}

static void
expect_anything(void)
{
	tracker_read(&tracker, &changes);
	cr_expect_not(changes.known);
	tls_changes_none(&changes);
}

/* --- whose an event is ---------------------------------------------------------------------------------------- */

Test(tracker, in_a_listing_the_name_tells)
{
	add(live, listing(), false);
	cr_expect(tracker.complete);
	expect(NULL, NULL);
	scratch_write("live/a.pem", "a");
	expect("a.pem", NULL);
	scratch_write("live/a.pem", "another");
	scratch_write("live/b.key", "b");
	expect("a.pem", "b.key");
	move("live/a.pem", "live/c.pem");
	expect("a.pem", "c.pem");
	cr_assert_eq(unlink(scratch_path("live/c.pem")), 0);
	expect("c.pem", NULL);
	make_directory("live/d");
	expect("d", NULL);
	cr_assert_eq(symlink("nowhere", scratch_path("live/e.pem")), 0);
	expect("e.pem", NULL);
	expect(NULL, NULL);
}

Test(tracker, rights_and_dates_are_changes)
{
	scratch_write("live/a.pem", "a");
	add(live, listing(), false);
	cr_assert_eq(chmod(scratch_path("live/a.pem"), 0400), 0);
	expect("a.pem", NULL);
}

Test(tracker, what_is_written_to_but_not_closed_is_told)
{
	int fd = open(scratch_write("live/a.pem", "a"), O_WRONLY | O_CLOEXEC);

	add(live, listing(), false);
	cr_assert_eq(write(fd, "b", 1), 1);
	expect("a.pem", NULL);
	close(fd);
	expect("a.pem", NULL);
}

Test(tracker, a_dotted_name_is_no_bundles)
{
	add(live, listing(), false);
	scratch_write("live/.a.pem.swp", "a");
	expect(NULL, NULL);
	move("live/.a.pem.swp", "live/a.pem");
	expect("a.pem", NULL);
}

Test(tracker, in_a_folder_it_is_that_bundle)
{
	make_directory("live/site");
	make_directory("archive");
	add(live, listing(), false);
	add(scratch_path("live/site"), bundle("site"), false);
	add(scratch_path("archive"), bundle("other"), false);
	scratch_write("live/site/fullchain.pem", "a");
	scratch_write("live/site/.hidden", "a");
	expect("site", NULL);
	scratch_write("archive/whatever", "a");
	expect("other", NULL);
	scratch_write("live/site/privkey.pem", "a");
	scratch_write("live/b.pem", "b");
	expect("site", "b.pem");
}

Test(tracker, elsewhere_it_is_anything)
{
	make_directory("cas");
	add(live, listing(), false);
	add(scratch_path("cas"), WATCH_ANYTHING, false);
	scratch_write("cas/root.pem", "a");
	expect_anything();
	scratch_write("live/a.pem", "a");
	expect("a.pem", NULL);
}

Test(tracker, a_directory_that_goes_is_anything)
{
	make_directory("live/site");
	add(live, listing(), false);
	add(scratch_path("live/site"), bundle("site"), false);
	cr_assert_eq(rmdir(scratch_path("live/site")), 0);
	expect_anything();
	scratch_write("live/a.pem", "a");
	expect("a.pem", NULL);
	move("live", "gone");
	expect_anything();
}

/* --- when it can not be told ---------------------------------------------------------------------------------- */

Test(tracker, one_place_of_two_owners_is_anything)
{
	make_directory("shared");
	add(scratch_path("shared"), bundle("one"), false);
	cr_expect(tracker.complete);
	scratch_write("shared/a", "a");
	expect("one", NULL);
	add(scratch_path("shared"), bundle("one"), false);
	scratch_write("shared/a", "a");
	expect("one", NULL);
	add(scratch_path("shared/../shared"), bundle("two"), false);
	scratch_write("shared/a", "a");
	expect_anything();
	cr_expect(tracker.complete);
}

Test(tracker, one_place_of_two_listings_is_anything)
{
	add(live, listing(), false);
	add(live, (struct watch_owner){"/another", NULL}, false);
	scratch_write("live/a.pem", "a");
	expect_anything();
}

Test(tracker, two_ways_that_may_lead_elsewhere_are_never_complete)
{
	make_directory("shared");
	add(scratch_path("shared"), bundle("one"), true);
	cr_expect(tracker.complete);
	add(scratch_path("shared"), bundle("one"), false);
	cr_expect_not(tracker.complete);
}

/* Its parent is not watched: no event tells that the path leads to another directory now. */
Test(tracker, what_is_loose_is_looked_at)
{
	make_directory("up");
	make_directory("up/folder");
	add(scratch_path("up/folder"), bundle("one"), true);
	add(live, listing(), false);
	expect(NULL, NULL);
	move("up", "away");
	make_directory("up");
	make_directory("up/folder");
	expect("one", NULL);
	expect("one", NULL);
	move("up", "away2");
	expect("one", NULL);
	move("away", "up");
	expect(NULL, NULL);
}

Test(tracker, a_loose_listing_that_was_replaced_is_anything)
{
	make_directory("up");
	make_directory("up/all");
	add(scratch_path("up/all"), listing(), true);
	expect(NULL, NULL);
	move("up", "away");
	expect_anything();
}

Test(tracker, what_is_not_loose_is_left_to_its_events)
{
	make_directory("up");
	make_directory("up/folder");
	add(scratch_path("up/folder"), bundle("one"), false);
	move("up", "away");
	expect(NULL, NULL);
}

Test(tracker, what_is_not_there)
{
	struct err err = {""};

	cr_expect_not(tracker_add(&tracker, &(struct watch_place){scratch_path("nowhere"), listing(), false}, &err));
	cr_expect_eq(errno, ENOENT);
	cr_expect_not_null(strstr(err.text, "nowhere"), "%s", err.text);
	cr_expect_not(tracker.complete);
}

Test(tracker, file_systems_that_do_not_tell_all)
{
	add("/proc/self", listing(), false);
	cr_expect_not(tracker.complete);
}

Test(tracker, more_names_than_are_worth_it_are_anything)
{
	char name[32];

	add(live, listing(), false);
	for (unsigned i = 0; i < TLS_CHANGES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "live/%u.pem", i);
		scratch_write(name, "a");
	}
	tracker_read(&tracker, &changes);
	cr_expect(changes.known);
	cr_expect_eq(changes.n, TLS_CHANGES_MAX);
	scratch_write("live/more.pem", "a");
	expect_anything();
}

/* The kernel drops what is too much, and says so in an event of no directory. */
Test(tracker, a_queue_that_ran_over_is_anything)
{
	unsigned long most = 0;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");

	cr_assert(f != NULL && fscanf(f, "%lu", &most) == 1 && fclose(f) == 0);
	if (most > 100000)
		return;
	scratch_write("live/a.pem", "a");
	scratch_write("live/b.pem", "b");
	add(live, listing(), false);
	for (unsigned long i = 0; i <= most; i++)
		cr_assert_eq(chmod(scratch_path(i % 2 ? "live/a.pem" : "live/b.pem"), i & 2 ? 0600 : 0400), 0);
	expect_anything();
	scratch_write("live/c.pem", "c");
	expect("c.pem", NULL);
}

Test(tracker, many_watches)
{
	char name[32], owner[32];

	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "live/n%u", i);
		(void)snprintf(owner, sizeof(owner), "n%u", i);
		make_directory(name);
		add(scratch_path(name), bundle(owner), false); /* copied: the next has the same memory */
	}
	cr_expect(tracker.complete);
	scratch_write("live/n7/tls.crt", "a");
	scratch_write("live/n499/tls.crt", "a");
	expect("n7", "n499");
}
