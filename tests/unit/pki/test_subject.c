#include <criterion/criterion.h>
#include <string.h>

#include "pki/subject.h"
#include "scratch.h"

TestSuite(subject, .init = scratch_setup, .fini = scratch_teardown);

Test(subject, host_names)
{
	static const char *const good[] = {"a", "a.b", "*.a.b", "a-1.b_2", "xn--mnchen-3ya.de", "localhost"};
	static const char *const bad[] = {
		"", "*", "*.", ".a", "a.", "a..b", "a.*.b", "*a.b", "-a.b", "a-.b", "a b", "a/b", "\xc3\xbc.de"};

	for (size_t i = 0; i < COUNTOF(good); i++)
		cr_expect(is_host_name(sv_cstr(good[i])), "%s", good[i]);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		cr_expect_not(is_host_name(sv_cstr(bad[i])), "%s", bad[i]);
}

Test(subject, common_name_and_names_make_each_other_whole)
{
	struct subject only_cn = {.cn = "a.b"}, only_san = {.san = {"x.y", "10.0.0.1"}, .n_san = 2};
	struct subject both = {.cn = "A.B", .san = {"a.b"}, .n_san = 1}, person = {.cn = "Ann Example"};

	cr_assert(subject_complete(&scratch, &only_cn));
	cr_expect(only_cn.n_san == 1 && strcmp(only_cn.san[0], "a.b") == 0);
	cr_assert(subject_complete(&scratch, &only_san));
	cr_expect_str_eq(only_san.cn, "x.y");
	cr_expect_eq(only_san.n_san, 2);
	cr_assert(subject_complete(&scratch, &both));
	cr_expect_eq(both.n_san, 1, "case does not matter");
	cr_assert(subject_complete(&scratch, &person));
	cr_expect_eq(person.n_san, 0);
}

Test(subject, alternative_names_have_their_kinds)
{
	struct subject s = {.san = {"DNS:a.b", "IP:10.0.0.1", "2001:db8::1", "ann@a.b"}, .n_san = 4};
	static const int kinds[] = {GEN_DNS, GEN_IPADD, GEN_IPADD, GEN_EMAIL};
	int kind;

	cr_assert(subject_complete(&scratch, &s), "%s", scratch.err.text);
	GENERAL_NAMES *names = subject_alt_names(&s, &scratch.err);
	cr_assert_eq(sk_GENERAL_NAME_num(names), 4);
	for (int i = 0; i < 4; i++) {
		(void)GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
		cr_expect_eq(kind, kinds[i]);
	}
	GENERAL_NAMES_free(names);
}

Test(subject, refusals)
{
	struct subject rows[] = {
		{.o = "nobody"},
		{.cn = "a", .c = "DEU"},
		{.cn = "a", .c = "D1"},
		{.cn = "a\x1b"},
		{.san = {"a.b", "A.b"}, .n_san = 2},
		{.san = {"a b"}, .n_san = 1},
		{.san = {"@a.b"}, .n_san = 1},
		{.san = {"10.0.0.256x"}, .n_san = 1, .cn = "a\n"},
	};

	for (size_t i = 0; i < COUNTOF(rows); i++)
		cr_expect_not(subject_complete(&scratch, &rows[i]), "row %zu", i);
}
