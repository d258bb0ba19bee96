#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/overlay.h"
#include "scratch.h"

TestSuite(overlay, .init = scratch_setup, .fini = scratch_teardown);

static struct overlay o;
static struct err err;

static bool
reads(const char *path, const char *text)
{
	struct buf content;

	buf_init(&content, 100);
	bool ok = files_read(&o.files, path, &content, NULL, &err) && sv_eq(buf_view(&content), sv_cstr(text));
	buf_clear(&content);
	return ok;
}

Test(overlay, what_is_laid_over_is_seen_under_every_path)
{
	struct file_stamp before, after;

	scratch_file("a", "disk");
	scratch_file("b", "other");
	cr_assert_eq(symlink("a", "link"), 0);
	overlay_init(&o);
	cr_assert(files_direct()->stamp(files_direct(), "a", &before, &err));
	cr_assert(overlay_add(&o, "a", SV("memory"), &err), "%s", err.text);
	cr_expect(reads("a", "memory") && reads("./a", "memory") && reads("link", "memory"));
	cr_expect(reads("a", "memory"), "and once more");
	cr_expect(reads("b", "other"));
	cr_expect(overlay_has(&o, "link") && !overlay_has(&o, "b"));
	cr_assert(o.files.stamp(&o.files, "link", &after, &err));
	cr_expect_not(file_stamp_eq(&before, &after));
	cr_expect_eq(after.size, 6);
	overlay_close(&o);
	cr_expect(scratch_holds("a", "disk"));
}

Test(overlay, a_listing_has_what_is_not_there_yet)
{
	struct file_entry *v = NULL;
	size_t n;

	cr_assert_eq(mkdir("d", 0700), 0);
	scratch_file("d/a", "disk");
	overlay_init(&o);
	cr_assert(overlay_add(&o, "d/a", SV("memory"), &err));
	cr_assert(overlay_add(&o, "d/new", SV("memory"), &err));
	cr_assert(overlay_add(&o, "elsewhere", SV("memory"), &err));
	cr_assert(files_list(&o.files, "./d/", &v, &n, &err));
	cr_assert_eq(n, 2);
	for (size_t i = 0; i < n; i++) {
		cr_expect(v[i].stamp.size == 6 && !v[i].is_directory);
		cr_expect(strcmp(v[i].name, "a") == 0 || strcmp(v[i].name, "new") == 0);
	}
	free(v);
	overlay_close(&o);
}

Test(overlay, nowhere)
{
	overlay_init(&o);
	cr_expect_not(overlay_add(&o, "no/such/file", SV("x"), &err));
	cr_expect_not(reads("gone", ""));
	cr_expect_eq(o.files.open_append(&o.files, "a", &err), -1);
	overlay_close(&o);
}
