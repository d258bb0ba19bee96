#include <criterion/criterion.h>
#include <stdlib.h>

#include "route/path.h"

static void
expect_normal(const char *path, const char *expected)
{
	/* Both as long as the path and no longer, so that a sanitizer sees a step too far. */
	size_t n = strlen(path);
	char *in = malloc(n + 1), *out = malloc(n + 1);

	cr_assert(in != NULL && out != NULL);
	struct sv exact = sv_of(memcpy(in + 1, path, n), n);
	struct sv normal = path_normalize(exact, out + 1);
	cr_expect(sv_eq(normal, sv_cstr(expected)), "%s became %.*s, not %s", path, SV_FMT(normal), expected);
	/* What needs no normalizing must come out unchanged, or a spelling would slip past a route. */
	if (!path_needs_normalizing(sv_cstr(path)))
		cr_expect_str_eq(path, expected, "%s was not seen to need it", path);
	cr_expect_not(path_has_dot_segment(normal));
	cr_expect_eq(path_needs_normalizing(exact), path_needs_normalizing(sv_cstr(path)));
	struct sv again = path_normalize(normal, in + 1);
	cr_expect(sv_eq(again, sv_cstr(expected)), "%s is not stable", expected);
	free(in);
	free(out);
}

Test(path, normal_form)
{
	expect_normal("/", "/");
	expect_normal("/a/b", "/a/b");
	expect_normal("/a/b/", "/a/b/");
	expect_normal("/a.b/c..d/...", "/a.b/c..d/...");
	expect_normal("*", "*");
	expect_normal("", "");
}

Test(path, dot_segments)
{
	expect_normal("/.", "/");
	expect_normal("/..", "/");
	expect_normal("/a/.", "/a/");
	expect_normal("/a/..", "/");
	expect_normal("/a/b/..", "/a/");
	expect_normal("/a/../b", "/b");
	expect_normal("/a/./b", "/a/b");
	expect_normal("/../../b", "/b");
	expect_normal("/a/b/../../../c/", "/c/");
	expect_normal("/api/../admin", "/admin");
	expect_normal("/.well-known/x", "/.well-known/x");
}

Test(path, empty_segments)
{
	expect_normal("//", "/");
	expect_normal("//admin", "/admin");
	expect_normal("/a//b///c//", "/a/b/c/");
	expect_normal("/a//../b", "/b");
}

Test(path, percent_encoding)
{
	expect_normal("/%61dmin", "/admin");
	expect_normal("/%7Euser%2d%5f%2E", "/~user-_.");
	expect_normal("/a/%2e%2E/b", "/b");
	expect_normal("/a/.%2e/b", "/b");
	expect_normal("/a%2fb", "/a%2Fb");
	expect_normal("/a%2f..%2fb", "/a%2F..%2Fb");
	expect_normal("/%c3%a4", "/%C3%A4");
	expect_normal("/%2561", "/%2561");
}

Test(path, broken_percent_encoding_stays)
{
	expect_normal("/%", "/%");
	expect_normal("/%4", "/%4");
	expect_normal("/%zz%61", "/%zza");
	expect_normal("/%%61", "/%a");
}

/* Decoded once only: what one more round would decode is another path. */
Test(path, decoding_does_not_cascade)
{
	char out[16];
	struct sv normal = path_normalize(SV("/%2%35"), out);

	cr_expect(sv_eq(normal, SV("/%25")));
}
