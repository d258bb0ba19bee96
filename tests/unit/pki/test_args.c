#include <criterion/criterion.h>
#include <string.h>

#include "scratch.h"

TestSuite(args, .init = scratch_setup, .fini = scratch_teardown);

static const struct pki_command command = {
	.name = "try", .usage = "NAME", .takes = TAKES_SUBJECT | TAKES_JSON | TAKES_OUT | TAKES_CONFIG, .min = 1, .max = 2};

static bool
parse(const char *const *words, size_t n)
{
	char *argv[16] = {arena_copy(&scratch.arena, SV("try"))};

	cr_assert_lt(n + 1, COUNTOF(argv));
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = arena_copy(&scratch.arena, sv_cstr(words[i]));
	scratch.command = &command;
	scratch.args = (struct args){.n = 0};
	scratch.err.text[0] = '\0';
	return args_parse(&scratch, (int)n + 1, argv);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__}, COUNTOF(((const char *const[]){__VA_ARGS__})))

Test(args, both_ways_to_write_a_subject)
{
	cr_assert(PARSE("name", "CN:a:b", "--o=Acme = Co", "--san", "a, b", "subjectAltName:c"), "%s", scratch.err.text);
	cr_expect_str_eq(scratch.args.v[0], "name");
	cr_expect_str_eq(scratch.args.subject.cn, "a:b");
	cr_expect_str_eq(scratch.args.subject.o, "Acme = Co");
	cr_expect_eq(scratch.args.subject.n_san, 3);
	cr_expect_str_eq(scratch.args.subject.san[1], "b");
}

Test(args, options_that_begin_alike)
{
	cr_assert(PARSE("name", "-o", "out", "--o", "org", "-c", "conf", "--c", "DE", "--cn", "x", "--json"), "%s",
	    scratch.err.text);
	cr_expect_str_eq(scratch.args.out, "out");
	cr_expect_str_eq(scratch.args.subject.o, "org");
	cr_expect_str_eq(scratch.args.config, "conf");
	cr_expect_str_eq(scratch.args.subject.c, "DE");
	cr_expect(scratch.args.json);
}

Test(args, refusals)
{
	cr_expect_not(PARSE("name", "--warn", "3"), "an option of another subcommand");
	cr_expect_not(PARSE("name", "--jsn"));
	cr_expect_not_null(strstr(scratch.err.text, "did you mean --json"));
	cr_expect_not(PARSE("name", "--cn"));
	cr_expect_not(PARSE("name", "--cn="));
	cr_expect_not(PARSE("name", "CN:a", "--cn", "b"));
	cr_expect_not(PARSE("name", "--json=yes"));
	cr_expect_not(PARSE("a", "b", "Demo CA"));
	cr_expect_not_null(strstr(scratch.err.text, "is written 'CN:Demo CA'"), "%s", scratch.err.text);
	cr_expect_not(PARSE("--json"));
	cr_expect(PARSE("--", "--json"));
	cr_expect_str_eq(scratch.args.v[0], "--json");
}

Test(args, numbers)
{
	uint64_t n;

	cr_expect(args_number("--days", NULL, 1, 9, 5, &n, NULL) && n == 5);
	cr_expect(args_number("--days", "9", 1, 9, 5, &n, NULL) && n == 9);
	static const char *const bad[] = {"0", "10", "", "x", "1x", "-1", "+1", " 1", "99999999999999999999999"};
	for (size_t i = 0; i < COUNTOF(bad); i++)
		cr_expect_not(args_number("--days", bad[i], 1, 9, 5, &n, NULL), "%s", bad[i]);
}
