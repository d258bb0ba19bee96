#include <criterion/criterion.h>

#include "base/sv.h"

Test(sv, equality)
{
	cr_expect(sv_eq(SV("ab"), SV("ab")));
	cr_expect_not(sv_eq(SV("ab"), SV("aB")));
	cr_expect_not(sv_eq(SV("ab"), SV("abc")));
	cr_expect(sv_eq(SV_NONE, SV("")), "absent and empty hold the same bytes");
	cr_expect(sv_ieq(SV("aB-[1"), SV("Ab-[1")));
	cr_expect_not(sv_ieq(SV("["), SV("{")), "only letters have case");
	cr_expect_not(sv_ieq(SV("\xe9"), SV("\xc9")), "only ASCII has");
	cr_expect(sv_ieq(SV_NONE, SV_NONE));
}

Test(sv, starts_and_ends)
{
	cr_expect(sv_starts(SV("abc"), SV("ab")) && sv_starts(SV("abc"), SV_NONE) && sv_starts(SV_NONE, SV_NONE));
	cr_expect_not(sv_starts(SV("a"), SV("ab")));
	cr_expect_not(sv_starts(SV("abc"), SV("bc")));
	cr_expect(sv_ends(SV("abc"), SV("bc")) && sv_ends(SV("abc"), SV_NONE) && sv_ends(SV_NONE, SV_NONE));
	cr_expect_not(sv_ends(SV("c"), SV("bc")));
	cr_expect_not(sv_ends(SV("abc"), SV("ab")));
}

Test(sv, trim)
{
	cr_expect(sv_eq(sv_trim(SV(" \t a b\t ")), SV("a b")));
	cr_expect(sv_eq(sv_trim(SV(" \t ")), SV("")));
	cr_expect(sv_eq(sv_trim(SV("\na\n")), SV("\na\n")), "line ends are not white space here");
	cr_expect(sv_eq(sv_trim(SV_NONE), SV_NONE));
}

Test(sv, cut)
{
	struct sv rest = SV("a,,b,");

	cr_expect(sv_eq(sv_cut(&rest, ','), SV("a")));
	cr_expect(sv_eq(sv_cut(&rest, ','), SV("")));
	cr_expect(sv_eq(sv_cut(&rest, ','), SV("b")));
	cr_expect_not_null(rest.p, "an empty piece is still to come");
	cr_expect(sv_eq(sv_cut(&rest, ','), SV("")));
	cr_expect_null(rest.p);
	cr_expect_eq(sv_cut(&rest, ',').n, 0);
}

Test(sv, decimal)
{
	static const struct {
		struct sv text;
		uint64_t value;
	} good[] = {
	    {SV("0"), 0},
	    {SV("007"), 7},
	    {SV("18446744073709551615"), UINT64_MAX},
	    {SV("00000000000000000001"), 1},
	};
	static const struct sv bad[] = {
	    SV(""), SV("18446744073709551616"), SV("99999999999999999999"), SV("000000000000000000001"), SV("-1"),
	    SV("+1"), SV(" 1"), SV("1 "), SV("1\0"), SV("0x1"), SV("1a"), SV("/"), SV(":"),
	};

	for (size_t i = 0; i < COUNTOF(good); i++) {
		uint64_t value = 99;
		cr_expect(sv_u64(good[i].text, &value), "%.*s", SV_FMT(good[i].text));
		cr_expect_eq(value, good[i].value);
	}
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		uint64_t value = 99;
		cr_expect_not(sv_u64(bad[i], &value), "%.*s", SV_FMT(bad[i]));
		cr_expect_eq(value, 99, "nothing is stored for %.*s", SV_FMT(bad[i]));
	}
}

Test(sv, copy)
{
	char out[4] = "xyz";

	cr_expect(sv_copy(SV("abc"), out, sizeof(out)));
	cr_expect_str_eq(out, "abc");
	cr_expect_not(sv_copy(SV("abcd"), out, sizeof(out)));
	cr_expect_str_eq(out, "");
	cr_expect(sv_copy(SV_NONE, out, 1));
	cr_expect_not(sv_copy(SV(""), out, 0));
	cr_expect_eq(sv_cstr(NULL).n, 0);
}
