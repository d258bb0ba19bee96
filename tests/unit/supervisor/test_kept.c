/* What is kept for the next worker, in parts. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "line/sealed.h"
#include "supervisor/kept.h"
#include "scratch.h"
#include "serving.h"

static struct kept now, coming;

static void
put(size_t part, const char *text)
{
	struct err err = {""};

	cr_assert(kept_put(&coming, part, scratch_sealed(text), &err), "%s", err.text);
}

static bool
whole(size_t n)
{
	struct err err = {""};
	bool ok = kept_whole(&now, &now, &coming, n, &err);

	cr_expect_eq(ok, err.text[0] == '\0');
	return ok;
}

static void
expect(size_t part, const char *text)
{
	struct err err = {""};
	struct sealed s;

	cr_assert_lt(part, now.n);
	cr_assert(sealed_map(&s, now.parts[part], &err), "%s", err.text);
	cr_expect_str_eq((const char *)s.p, text);
	sealed_unmap(&s);
}

static int at_first;

static void
begin(void)
{
	serving_start();
	kept_init(&now);
	kept_init(&coming);
	at_first = count_descriptors();
}

static void
finish(void)
{
	kept_free(&now);
	kept_free(&coming);
	cr_expect_eq(count_descriptors(), at_first);
	serving_stop();
}

TestSuite(kept, .init = begin, .fini = finish);

Test(kept, parts_that_do_not_come_again_stay)
{
	put(0, "first");
	put(1, "second");
	put(2, "third");
	cr_expect_eq(now.n, 0, "nobody has said yet that it is whole");
	cr_assert(whole(3));
	put(1, "another");
	expect(1, "second");
	cr_assert(whole(3));
	expect(0, "first");
	expect(1, "another");
	expect(2, "third");
	cr_expect_eq(count_descriptors(), at_first + 3, "the one before is let go of");
}

Test(kept, parts_come_twice_before_it_is_whole)
{
	put(0, "one");
	put(0, "two");
	cr_assert(whole(1));
	expect(0, "two");
	cr_expect_eq(count_descriptors(), at_first + 1);
}

Test(kept, what_is_beyond_the_last_is_let_go)
{
	put(0, "first");
	put(1, "second");
	cr_assert(whole(2));
	put(2, "third");
	cr_assert(whole(1));
	cr_expect_eq(now.n, 1);
	cr_expect_eq(count_descriptors(), at_first + 1);
	cr_expect_not(whole(2), "it is not there any more");
	cr_expect_eq(now.n, 0);
	cr_assert(whole(0), "nothing is something, too");
}

Test(kept, of_another_its_parts_are_shared)
{
	struct err err = {""};
	struct kept next;

	kept_init(&next);
	put(0, "old");
	put(1, "stays");
	cr_assert(whole(2));
	put(0, "new");
	cr_assert(kept_whole(&next, &now, &coming, 2, &err), "%s", err.text);
	expect(0, "old");
	kept_free(&now);
	now = next;
	expect(0, "new");
	expect(1, "stays");
	put(0, "newer");
	cr_assert(whole(2));
	expect(0, "newer");
	expect(1, "stays");
}

Test(kept, more_than_there_can_be_is_refused)
{
	struct err err = {""};

	put(0, "good");
	cr_assert(whole(1));
	cr_expect_not(kept_put(&coming, MESSAGE_KEEP_MAX, scratch_sealed("x"), &err));
	cr_expect_not_null(strstr(err.text, "65 parts"), "%s", err.text);
	cr_expect_not(kept_put(&coming, UINT64_MAX, scratch_sealed("x"), &err));
	cr_expect_not(kept_put(&coming, 0, -1, &err), "nothing");
	cr_expect_not(kept_put(&coming, 0, open("/dev/null", O_RDONLY | O_CLOEXEC), &err));
	cr_expect_not_null(strstr(err.text, "sealed"), "%s", err.text);
	expect(0, "good");
	cr_expect_eq(count_descriptors(), at_first + 1);
	cr_expect_not(whole(MESSAGE_KEEP_MAX + 1));
	cr_expect_eq(now.n, 0);
	put(MESSAGE_KEEP_MAX - 1, "the last");
	cr_expect_not(whole(MESSAGE_KEEP_MAX), "those before it never came");
	cr_expect_eq(now.n, 0);
	cr_expect_eq(count_descriptors(), at_first);
}

/* Of no memory, but as large as it says. */
static int
large(off_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_eq(ftruncate(fd, n), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	return fd;
}

Test(kept, too_much_in_sum_is_refused)
{
	const off_t half = SEALED_MAX / 2;
	struct err err = {""};

	cr_assert(kept_put(&coming, 0, large(half), &err));
	cr_assert(kept_put(&coming, 1, large(half), &err));
	cr_assert(kept_put(&coming, 1, large(half), &err), "in place of the other");
	cr_assert(whole(2));
	cr_expect_not(kept_put(&coming, 0, large(SEALED_MAX + (off_t)1), &err));
	put(0, "x");
	cr_expect_not(kept_put(&coming, 2, large(SEALED_MAX), &err));
	cr_expect_not_null(strstr(err.text, "more than the"), "%s", err.text);
	cr_assert(whole(2));
	expect(0, "x");
	cr_assert(kept_put(&coming, 2, large(half), &err));
	cr_assert(kept_put(&coming, 3, large(half), &err));
	cr_expect_not(whole(4), "with the one that was there");
	cr_expect_eq(now.n, 0);
}

/* --- by the broker --- */

TestSuite(control_kept, .init = serving_start, .fini = serving_stop);

static void
keep_part(struct control *c, size_t part, const char *text)
{
	struct err err = {""};
	int fd = scratch_sealed(text);

	cr_assert(control_keep(c, part, fd, &err), "%s", err.text);
	close(fd);
}

static void
keep(struct control *c, const char *text)
{
	struct err err = {""};

	keep_part(c, 0, text);
	cr_assert(control_keep_whole(c, 1, &err), "%s", err.text);
}

/* Of n parts. NULL: there is no such part. */
static void
expect_part(struct control *c, size_t part, const char *text, size_t n)
{
	struct err err = {""};
	struct sealed s;
	size_t found;
	int fd;

	cr_assert(control_kept(c, part, &fd, &found, &err), "%s", err.text);
	cr_expect_eq(found, n);
	if (text == NULL) {
		cr_expect_eq(fd, -1, "nothing is kept");
		return;
	}
	cr_assert_geq(fd, 0);
	cr_assert(sealed_map(&s, fd, &err), "%s", err.text);
	cr_expect_str_eq((const char *)s.p, text);
	sealed_unmap(&s);
	close(fd);
}

static void
expect_kept(struct control *c, const char *text)
{
	expect_part(c, 0, text, text != NULL);
}

Test(control_kept, what_is_handed_over_waits_for_the_next_worker)
{
	struct control *c = attach();

	expect_kept(c, NULL);
	keep(c, "one");
	int before = count_descriptors();
	keep(c, "two");
	expect_kept(c, "two");
	cr_expect_eq(count_descriptors(), before, "the one before is let go of");
	control_detach(c);
	c = attach();
	expect_kept(c, "two");
	expect_kept(c, "two");
	cr_assert(control_keep_whole(c, 0, NULL));
	expect_kept(c, NULL);
	control_detach(c);
}

/* Also where another config is being loaded, which has none of its own yet. */
Test(control_kept, parts_stay_from_one_config_to_the_next)
{
	struct control *c = attach();
	struct err err = {""};

	keep_part(c, 1, "stays");
	keep_part(c, 0, "old");
	for (int ok = 0; ok < 2; ok++) {
		cr_assert(control_keep_whole(c, 2, &err), "%s", err.text);
		expect_part(c, 0, "old", 2);
		cr_assert(control_refresh(c, &err));
		keep_part(c, 0, "new");
		cr_assert(control_keep_whole(c, 2, &err), "%s", err.text);
		expect_part(c, 0, "old", 2);
		control_reloaded(c, ok, NULL);
	}
	expect_part(c, 0, "new", 2);
	expect_part(c, 1, "stays", 2);
	control_detach(c);
}

/* What a worker did not come to the end of, the one after it does not end either. */
Test(control_kept, what_a_dead_worker_was_handing_over_is_let_go)
{
	struct control *c = attach();
	struct err err = {""};
	int before = count_descriptors();

	keep(c, "whole");
	keep_part(c, 0, "half");
	control_detach(c);
	broker_forget_worker(&broker); /* its thread waits for a message */
	c = attach();
	cr_expect_eq(count_descriptors(), before + 1);
	cr_assert(control_keep_whole(c, 1, &err), "%s", err.text);
	expect_kept(c, "whole");
	control_detach(c);
}

/* It belongs to a config: with that it comes and goes. */
Test(control_kept, what_is_kept_is_that_of_the_config_in_service)
{
	struct control *c = attach();
	struct err err;

	keep(c, "old");
	cr_assert(control_refresh(c, &err));
	keep(c, "new");
	expect_kept(c, "old");
	control_reloaded(c, false, NULL);
	expect_kept(c, "old");
	cr_assert(control_refresh(c, &err));
	keep(c, "new");
	control_reloaded(c, true, NULL);
	expect_kept(c, "new");
	keep(c, "newer");
	expect_kept(c, "newer");
	cr_assert(control_refresh(c, &err));
	control_reloaded(c, true, NULL);
	expect_kept(c, NULL); /* that of another config helps nobody */
	control_detach(c);
}

Test(control_kept, what_is_not_sealed_is_not_kept)
{
	struct control *c = attach();
	struct err err = {""};
	int before = count_descriptors();

	keep(c, "good");
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(fd, "bad", 4), 4);
	cr_expect(!control_keep(c, 0, fd, &err));
	cr_expect_not_null(strstr(err.text, "sealed"), "%s", err.text);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_expect(!control_keep(c, 0, fd, &err));
	close(fd);
	expect_kept(c, "good");
	cr_expect_eq(count_descriptors(), before + 1);
	control_detach(c);
}
