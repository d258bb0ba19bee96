/* Every case, fed whole, byte by byte, and in pieces that meet every alignment of line ends. */
#include <criterion/criterion.h>

#include "cases.h"

static void
check_case(const struct test_case *c, void *arg)
{
	const size_t steps[] = {SIZE_MAX, 1, 2, 3, 7};
	struct buf whole, pieces;

	(void)arg;
	buf_init(&whole, 1 << 20);
	describe(&c->message, steps[0], &whole);
	for (size_t i = 0; i < c->n_expected; i++)
		cr_expect(text_has_line(&whole, c->expected[i]), "case %.*s: no line \"%.*s\" in\n%.*s",
		    SV_FMT(c->name), SV_FMT(c->expected[i]), SV_FMT(buf_view(&whole)));
	for (size_t i = 1; i < COUNTOF(steps); i++) {
		buf_init(&pieces, 1 << 20);
		describe(&c->message, steps[i], &pieces);
		cr_expect(sv_eq(buf_view(&whole), buf_view(&pieces)), "case %.*s in pieces of %zu:\n%.*s\nnot\n%.*s",
		    SV_FMT(c->name), steps[i], SV_FMT(buf_view(&pieces)), SV_FMT(buf_view(&whole)));
		buf_clear(&pieces);
	}
	buf_clear(&whole);
}

Test(h1, cases)
{
	size_t n = cases_visit(check_case, NULL);

	cr_expect_geq(n, 200, "only %zu cases found", n);
}
