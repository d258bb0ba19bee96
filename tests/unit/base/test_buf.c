#include <criterion/criterion.h>

#include "base/buf.h"

static void
fill(struct buf *b, char c, size_t n)
{
	char *to = buf_room(b, n);

	cr_assert_not_null(to);
	memset(to, c, n);
	buf_added(b, n);
}

Test(buf, append_and_consume)
{
	struct buf b;

	buf_init(&b, 100);
	cr_assert(buf_append(&b, "hello ", 6));
	cr_assert(buf_printf(&b, "%s %d", "world", 7));
	cr_expect(sv_eq(buf_view(&b), SV("hello world 7")));
	buf_consume(&b, 6);
	cr_expect(sv_eq(buf_view(&b), SV("world 7")));
	cr_expect(buf_append(&b, NULL, 0));
	buf_clear(&b);
	cr_expect_eq(buf_len(&b), 0);
}

Test(buf, an_empty_one_holds_no_memory)
{
	struct buf b;

	buf_init(&b, 100);
	cr_expect_null(b.data);
	cr_assert(buf_append(&b, "a", 1));
	buf_consume(&b, 1);
	cr_expect_null(b.data);
	cr_expect_eq(b.max, 100);
	cr_assert(buf_append(&b, "b", 1));
	cr_expect(sv_eq(buf_view(&b), SV("b")));
	buf_clear(&b);
	cr_expect_null(b.data);
}

Test(buf, never_more_than_its_maximum)
{
	struct buf b;

	buf_init(&b, 10);
	cr_assert(buf_append(&b, "0123456789", 10));
	cr_expect_not(buf_append(&b, "a", 1));
	cr_expect_null(buf_room(&b, 1));
	cr_expect_null(buf_room(&b, SIZE_MAX));
	cr_expect_not(buf_printf(&b, "x"));
	cr_expect(sv_eq(buf_view(&b), SV("0123456789")), "a refused append leaves it as it was");
	buf_consume(&b, 4);
	cr_assert(buf_append(&b, "abcd", 4));
	cr_expect(sv_eq(buf_view(&b), SV("456789abcd")));
	buf_clear(&b);
}

Test(buf, grows_and_moves_down)
{
	struct buf b;

	buf_init(&b, 5000);
	fill(&b, 'a', 500);
	fill(&b, 'b', 1500);
	buf_consume(&b, 499);
	fill(&b, 'c', 3499);
	cr_expect_eq(buf_len(&b), 5000);
	cr_expect_eq(buf_view(&b).p[0], 'a');
	cr_expect_eq(buf_view(&b).p[1], 'b');
	cr_expect_eq(buf_view(&b).p[1500], 'b');
	cr_expect_eq(buf_view(&b).p[1501], 'c');
	cr_expect_eq(buf_view(&b).p[4999], 'c');
	cr_expect_null(buf_room(&b, 1));
	buf_clear(&b);
}
