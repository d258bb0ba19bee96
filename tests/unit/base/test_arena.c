#include <criterion/criterion.h>

#include "base/arena.h"

Test(arena, memory_is_zeroed_and_aligned)
{
	struct arena a = ARENA_EMPTY;

	for (size_t size = 1; size < 200; size += 7) {
		unsigned char *p = arena_alloc(&a, size);
		cr_assert_not_null(p);
		cr_expect_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			cr_expect_eq(p[i], 0);
		memset(p, 0xff, size);
	}
	arena_free(&a);
	cr_expect_null(a.chunks);
}

Test(arena, pieces_do_not_overlap)
{
	struct arena a = ARENA_EMPTY;
	char *pieces[300];

	for (size_t i = 0; i < COUNTOF(pieces); i++) {
		pieces[i] = arena_alloc(&a, 100);
		cr_assert_not_null(pieces[i]);
		memset(pieces[i], (int)(i % 128), 100);
	}
	for (size_t i = 0; i < COUNTOF(pieces); i++)
		cr_expect(pieces[i][0] == (char)(i % 128) && pieces[i][99] == (char)(i % 128));
	arena_free(&a);
}

Test(arena, large_and_impossible)
{
	struct arena a = ARENA_EMPTY;

	char *large = arena_alloc(&a, 1 << 20);
	cr_assert_not_null(large);
	large[(1 << 20) - 1] = 'x';
	cr_expect_null(arena_alloc(&a, SIZE_MAX));
	cr_expect_null(arena_alloc(&a, SIZE_MAX - 20));
	cr_expect_null(arena_copy(&a, sv_of("", SIZE_MAX)));
	cr_expect_not_null(arena_alloc(&a, 8), "it goes on working");
	arena_free(&a);
}

Test(arena, strings)
{
	struct arena a = ARENA_EMPTY;

	cr_expect_str_eq(arena_copy(&a, sv_of("hello", 4)), "hell");
	cr_expect_str_eq(arena_copy(&a, SV_NONE), "");
	cr_expect_str_eq(arena_printf(&a, "%s:%d", "host", 443), "host:443");
	arena_free(&a);
}

static void
use(struct arena *a, size_t times, char with)
{
	for (size_t i = 0; i < times; i++) {
		char *p = arena_alloc(a, 100);
		cr_assert_not_null(p);
		for (size_t k = 0; k < 100; k++)
			cr_assert_eq(p[k], 0, "zeroed, whatever was there before");
		memset(p, with, 100);
	}
}

Test(arena, goes_back_to_a_moment)
{
	struct arena a = ARENA_EMPTY;
	struct arena_mark empty = arena_mark(&a);

	char *kept = arena_copy(&a, SV("kept"));
	struct arena_mark mark = arena_mark(&a);
	char *after = arena_alloc(&a, 8);
	for (size_t times = 1; times < 300; times *= 7) {
		arena_rewind(&a, mark);
		use(&a, times, 'x');
	}
	arena_rewind(&a, mark);
	cr_expect_eq(arena_alloc(&a, 8), after, "the same room again");
	cr_expect_str_eq(kept, "kept");
	arena_rewind(&a, empty);
	cr_expect_null(a.chunks);
	use(&a, 3, 'y');
	arena_free(&a);
}
