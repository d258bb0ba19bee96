#include <criterion/criterion.h>

#include "route/template.h"

/* "a" is variable 0, "b" 1, "1" 2. */
static int
lookup(const void *context, struct sv name, struct err *err)
{
	(void)context;
	if (name.n == 1 && (name.p[0] == 'a' || name.p[0] == 'b'))
		return name.p[0] - 'a';
	if (sv_eq(name, SV("1")))
		return 2;
	err_set(err, "no variable \"%.*s\"", SV_FMT(name));
	return -1;
}

static void
expect_text(const char *text, bool varies, const char *expected)
{
	static const struct sv values[] = {{"one", 3}, {NULL, 0}, {"group", 5}};
	struct arena arena = ARENA_EMPTY;
	struct template t;
	struct err err = {""};
	char out[64];

	cr_assert(template_parse(&t, &arena, text, lookup, NULL, &err), "%s: %s", text, err.text);
	cr_expect_eq(template_varies(&t), varies, "%s", text);
	cr_assert_leq(template_length(&t, values), sizeof(out));
	char *end = template_write(&t, values, out);
	cr_expect_eq((size_t)(end - out), template_length(&t, values));
	cr_expect(sv_eq(sv_of(out, (size_t)(end - out)), sv_cstr(expected)), "%s became %.*s", text, (int)(end - out),
	    out);
	arena_free(&arena);
}

static void
expect_refused(const char *text, const char *why)
{
	struct arena arena = ARENA_EMPTY;
	struct template t;
	struct err err = {""};

	cr_expect_not(template_parse(&t, &arena, text, lookup, NULL, &err), "%s", text);
	cr_expect_not_null(strstr(err.text, why), "%s: %s", text, err.text);
	arena_free(&arena);
}

Test(template, texts)
{
	expect_text("", false, "");
	expect_text("plain", false, "plain");
	expect_text("${a}", true, "one");
	expect_text("x${a}y${b}z$1", true, "xoneyzgroup");
	expect_text("${1}0", true, "group0");
	expect_text("$$", false, "$");
	expect_text("$$${a}$$1", true, "$one$1");
	expect_text("{a}}", false, "{a}}");
}

Test(template, refusals)
{
	expect_refused("$", "begins no variable");
	expect_refused("5$ off", "begins no variable");
	expect_refused("$a", "begins no variable");
	expect_refused("${a", "without");
	expect_refused("${}", "no variable \"\"");
	expect_refused("${c}", "no variable \"c\"");
	expect_refused("$10", "no variable \"10\"");
}
