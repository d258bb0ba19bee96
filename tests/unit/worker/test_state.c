/* The frame around a state, the names of the files, and where they are kept. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../certs/fixture.h"
#include "line/sealed.h"
#include "supervisor/shelf.h"
#include "worker/state.h"
#include "../supervisor/scratch.h"

/* --- names --- */

Test(state_name, is_safe_and_of_one_bundle_alone)
{
	static const char *const names[] = {"main", "Main", ".", "..", "../main", "a/b", "a%2fb", "a b", "ä", "x.rotation", "%", "-", ""};
	char a[STATE_NAME_MAX + 1], b[STATE_NAME_MAX + 1];

	for (size_t i = 0; i < COUNTOF(names); i++) {
		state_name(names[i], a);
		cr_expect(state_name_is_safe(a) || names[i][0] == '\0', "%s: %s", names[i], a);
		for (size_t k = 0; k < i; k++) {
			state_name(names[k], b);
			cr_expect_str_neq(a, b);
		}
	}
	state_name("main", a);
	cr_expect_str_eq(a, "main.rotation");
}

Test(state_name, of_any_length_fits)
{
	char name[600], a[STATE_NAME_MAX + 1], b[STATE_NAME_MAX + 1];

	for (size_t n = 1; n < sizeof(name); n++) {
		memset(name, n % 2 ? '/' : 'x', n);
		name[n] = '\0';
		state_name(name, a);
		cr_assert(state_name_is_safe(a), "%zu: %s", n, a);
		name[n - 1] = 'y';
		state_name(name, b);
		cr_assert_str_neq(a, b);
	}
}

/* --- the frame --- */

static struct rotation *r;

static void
setup(void)
{
	struct rotation_settings s;

	fixture_setup();
	struct test_cert leaf = pki_leaf("shop.test", &fix.root);
	struct conf_bundle *b = fixture_bundle("shop");
	b->combined = IN_DIR("all.pem");
	pki_write_combined(IN_DIR("all.pem"), PKI_CERTS(&leaf));
	pki_free(&leaf);
	fixture_load();
	rotation_settings_default(&s);
	r = rotation_new("shop", &s, (const unsigned char *)"sixteen bytes..");
	(void)rotation_take(r, tls_store_bundle(fix.store, "shop"), moment_now());
}

static void
teardown(void)
{
	rotation_free(r);
	fixture_teardown();
}

TestSuite(frame, .init = setup, .fini = teardown);

static unsigned char *
sealed_bytes(size_t *n)
{
	struct err err = {""};
	int fd = state_seal(r, fix.thread, &err);

	cr_assert_geq(fd, 0, "%s", err.text);
	unsigned char *p = frame_read(fd, n, &err);
	cr_assert_not_null(p, "%s", err.text);
	close(fd);
	return p;
}

static bool
is_whole(const unsigned char *p, size_t n, struct err *err)
{
	struct unpack u;

	return state_unframe(sv_of((const char *)p, n), fix.thread, &u, err);
}

Test(frame, holds_what_was_put_in)
{
	struct err err = {""};
	struct unpack u;
	size_t n, strangers;
	unsigned char *p = sealed_bytes(&n);

	cr_assert(state_unframe(sv_of((const char *)p, n), fix.thread, &u, &err), "%s", err.text);
	struct rotation *back = rotation_unpack(&u, (const unsigned char *)"sixteen bytes..", fix.thread, moment_now(), &strangers, &err);
	cr_assert_not_null(back, "%s", err.text);
	cr_expect_str_eq(rotation_name(back), "shop");
	rotation_free(back);
	free(p);
}

Test(frame, any_bit_and_any_length_but_its_own_is_refused)
{
	struct err err;
	size_t n;
	unsigned char *p = sealed_bytes(&n);

	for (size_t i = 0; i < n; i++) {
		cr_expect(!is_whole(p, i, &err), "%zu bytes", i);
		p[i] ^= (unsigned char)(1u << i % 8);
		cr_expect(!is_whole(p, n, &err), "byte %zu", i);
		cr_expect_null(strstr(err.text, "newer"), "%s", err.text);
		p[i] ^= (unsigned char)(1u << i % 8);
	}
	cr_expect(is_whole(p, n, &err));
	free(p);
}

Test(frame, a_newer_one_is_told_from_a_damaged_one)
{
	struct err err = {""};
	size_t n;
	unsigned char *p = sealed_bytes(&n);

	p[48]++;
	cr_assert(tls_digest(fix.thread, p + 48, n - 48, p + 16));
	cr_expect(!is_whole(p, n, &err));
	cr_expect_not_null(strstr(err.text, "newer version"), "%s", err.text);
	p[48] = 0;
	cr_assert(tls_digest(fix.thread, p + 48, n - 48, p + 16));
	cr_expect(!is_whole(p, n, &err));
	cr_expect_null(strstr(err.text, "newer version"), "%s", err.text);
	free(p);
}

/* --- the shelf --- */

static struct shelf shelf;

static void
shelf_setup(void)
{
	scratch_make();
	cr_assert(shelf_init(&shelf, scratch));
}

static void
shelf_teardown(void)
{
	shelf_free(&shelf);
	scratch_remove();
}

TestSuite(shelf, .init = shelf_setup, .fini = shelf_teardown);

static int
content(char c, size_t n)
{
	struct err err = {""};
	struct sealed s;

	cr_assert(sealed_begin(&s, "test", n, &err), "%s", err.text);
	memset(s.p, c, n);
	return sealed_finish(&s, &err);
}

/* What lies there: its first byte; '\0': nothing. */
static char
got(const char *name, size_t size)
{
	struct err err = {""};
	char bytes[10000];
	int fd = shelf_get(&shelf, name, &err);

	if (fd < 0)
		return '\0';
	ssize_t n = read(fd, bytes, sizeof(bytes)), again = pread(fd, bytes, sizeof(bytes), 0);
	close(fd);
	cr_expect_eq(again, (ssize_t)size, "%zd, %zd", n, again);
	return bytes[0];
}

static size_t
in_directory(void)
{
	DIR *d = opendir(scratch);
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

Test(shelf, keeps_the_last_one)
{
	struct err err = {""};
	struct stat st;

	umask(0);
	cr_expect_eq(got("a.rotation", 0), '\0');
	cr_assert(shelf_put(&shelf, "a.rotation", content('1', 5000), &err), "%s", err.text);
	cr_assert(shelf_put(&shelf, "a.rotation", content('2', 4000), &err), "%s", err.text);
	cr_expect_eq(got("a.rotation", 4000), '2');
	cr_assert_eq(stat(scratch_path("a.rotation"), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(in_directory(), 1);
	cr_expect_eq(shelf.n_held, 0);
}

Test(shelf, takes_no_other_names)
{
	static const char *const bad[] = {"", ".rotation", "a", "../a.rotation", "a/b.rotation", "/a.rotation", ".a.rotation", "a.rotation.new",
	    "a b.rotation", "a\n.rotation"};
	struct err err;
	char to[100];

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		cr_expect_not(shelf_put(&shelf, bad[i], content('x', 10), &err), "%s", bad[i]);
		cr_expect_eq(shelf_get(&shelf, bad[i], &err), -1, "%s", bad[i]);
		cr_expect_not(shelf_refuse(&shelf, bad[i], to, sizeof(to), &err), "%s", bad[i]);
	}
	cr_expect_eq(in_directory(), 0);
}

Test(shelf, takes_sealed_memory_only)
{
	struct err err = {""};

	cr_expect_not(shelf_put(&shelf, "a.rotation", -1, &err));
	cr_expect_not(shelf_put(&shelf, "a.rotation", open("/etc/hostname", O_RDONLY | O_CLOEXEC), &err));
	cr_expect_eq(in_directory(), 0);
}

Test(shelf, follows_no_link)
{
	struct err err = {""};
	struct stat st;

	scratch_write("victim", "untouched");
	cr_assert_eq(symlink("victim", scratch_path("a.rotation")) | symlink("victim", scratch_path(".a.rotation.new")), 0);
	cr_expect_eq(shelf_get(&shelf, "a.rotation", &err), -1);
	cr_assert(shelf_put(&shelf, "a.rotation", content('1', 5000), &err), "%s", err.text);
	cr_assert_eq(lstat(scratch_path("a.rotation"), &st), 0);
	cr_expect(S_ISREG(st.st_mode), "the link is replaced");
	cr_assert_eq(stat(scratch_path("victim"), &st), 0);
	cr_expect_eq(st.st_size, 9);
}

/* As on a full disk: the write fails in the middle. */
Test(shelf, a_write_that_fails_leaves_the_old_one_and_goes_to_memory)
{
	struct err err = {""};
	struct rlimit limit;
	struct file_entry *entries;
	size_t n;

	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert(shelf_put(&shelf, "a.rotation", content('1', 5000), &err), "%s", err.text);
	int more = content('2', 6000);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	const struct rlimit small = {5500, limit.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	cr_expect_not(shelf_put(&shelf, "a.rotation", more, &err));
	cr_expect_not_null(strstr(err.text, "a.rotation: File too large"), "%s", err.text);
	cr_expect_eq(in_directory(), 1, "no draft is left");
	cr_expect_eq(got("a.rotation", 6000), '2', "by this supervisor");
	cr_assert(shelf_list(&shelf, &entries, &n, &err));
	cr_expect_eq(n, 1, "one, though in two places");
	free(entries);
	struct shelf next;
	cr_assert(shelf_init(&next, scratch));
	int fd = shelf_get(&next, "a.rotation", &err);
	char c = '\0';
	cr_expect(read(fd, &c, 1) == 1 && c == '1', "by the next one");
	close(fd);
	shelf_free(&next);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert(shelf_put(&shelf, "a.rotation", content('3', 7000), &err), "%s", err.text);
	cr_expect_eq(shelf.n_held, 0);
	cr_expect_eq(got("a.rotation", 7000), '3');
}

Test(shelf, what_could_not_be_read_is_not_written_over)
{
	struct err err = {""};
	struct file_entry *entries;
	struct shelf odd;
	size_t n;

	cr_assert(shelf_init(&odd, scratch_write("odd", "a file")));
	cr_expect_not(shelf_list(&odd, &entries, &n, &err));
	cr_assert_eq(unlink(scratch_path("odd")) | mkdir(scratch_path("odd"), 0700), 0);
	scratch_write("odd/a.rotation", "of before");
	cr_expect_not(shelf_put(&odd, "a.rotation", content('1', 5000), &err));
	cr_expect_not_null(strstr(err.text, "not written over"), "%s", err.text);
	struct stat st;
	cr_assert_eq(stat(scratch_path("odd/a.rotation"), &st), 0);
	cr_expect_eq(st.st_size, 9);
	cr_expect_eq(odd.n_held, 1);
	shelf_free(&odd);
	cr_assert_eq(unlink(scratch_path("odd/a.rotation")) | rmdir(scratch_path("odd")), 0);
}

Test(shelf, without_a_directory_it_is_memory)
{
	struct err err = {""};
	struct file_entry *entries;
	size_t n;

	shelf_free(&shelf);
	cr_assert(shelf_init(&shelf, NULL));
	cr_assert(shelf_put(&shelf, "a.rotation", content('1', 5000), &err) && shelf_put(&shelf, "b.rotation", content('2', 10), &err));
	cr_assert(shelf_put(&shelf, "a.rotation", content('3', 20), &err));
	cr_expect(got("a.rotation", 20) == '3' && got("b.rotation", 10) == '2' && got("c.rotation", 0) == '\0');
	cr_assert(shelf_list(&shelf, &entries, &n, &err));
	cr_expect_eq(n, 2);
	free(entries);
}

Test(shelf, memory_is_bounded)
{
	const struct rlimit few = {40, 40};
	struct err err = {""};
	char name[32];
	unsigned put = 0;

	shelf_free(&shelf);
	cr_assert(shelf_init(&shelf, NULL));
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (bool ok = true; ok && put < 100; put += ok) {
		(void)snprintf(name, sizeof(name), "%u.rotation", put);
		ok = shelf_put(&shelf, name, content('x', 10), &err);
	}
	cr_expect_eq(put, 20);
	cr_expect_not_null(strstr(err.text, "LimitNOFILE"), "%s", err.text);
	cr_expect(shelf_put(&shelf, "0.rotation", content('y', 10), &err), "one that is there can be replaced");
}

Test(shelf, what_is_refused_is_moved_and_never_written_over)
{
	struct err err = {""};
	char to[200];

	for (unsigned i = 0; i < 10; i++) {
		cr_assert(shelf_put(&shelf, "a.rotation", content((char)('0' + (int)i), 10), &err), "%s", err.text);
		cr_assert(shelf_refuse(&shelf, "a.rotation", to, sizeof(to), &err), "%s", err.text);
		cr_expect_eq(got("a.rotation", 0), '\0');
		FILE *f = fopen(to, "re");
		cr_assert_not_null(f, "%s", to);
		cr_expect_eq(fgetc(f), '0' + (int)i);
		(void)fclose(f);
	}
	cr_assert(shelf_put(&shelf, "a.rotation", content('x', 10), &err), "%s", err.text);
	cr_expect_not(shelf_refuse(&shelf, "a.rotation", to, sizeof(to), &err));
	cr_expect_eq(got("a.rotation", 10), 'x');
	struct file_entry *entries;
	size_t n;
	cr_assert(shelf_list(&shelf, &entries, &n, &err));
	cr_expect_eq(n, 1, "the refused ones are no states");
	free(entries);
}
