/* What is kept for the next worker, in parts. The broker's part of it: test_broker.c. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "line/sealed.h"
#include "supervisor/kept.h"
#include "scratch.h"

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

static int
count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int before;

static void
begin(void)
{
	kept_init(&now);
	kept_init(&coming);
	before = count_descriptors();
}

static void
finish(void)
{
	kept_free(&now);
	kept_free(&coming);
	cr_expect_eq(count_descriptors(), before);
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
	cr_expect_eq(count_descriptors(), before + 3, "the one before is let go of");
}

Test(kept, parts_come_twice_before_it_is_whole)
{
	put(0, "one");
	put(0, "two");
	cr_assert(whole(1));
	expect(0, "two");
	cr_expect_eq(count_descriptors(), before + 1);
}

Test(kept, what_is_beyond_the_last_is_let_go)
{
	put(0, "first");
	put(1, "second");
	cr_assert(whole(2));
	put(2, "third");
	cr_assert(whole(1));
	cr_expect_eq(now.n, 1);
	cr_expect_eq(count_descriptors(), before + 1);
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
	cr_expect_eq(count_descriptors(), before + 1);
	cr_expect_not(whole(MESSAGE_KEEP_MAX + 1));
	cr_expect_eq(now.n, 0);
	put(MESSAGE_KEEP_MAX - 1, "the last");
	cr_expect_not(whole(MESSAGE_KEEP_MAX), "those before it never came");
	cr_expect_eq(now.n, 0);
	cr_expect_eq(count_descriptors(), before);
}
