/* Files are read through a record, then broken, then read again from it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/record.h"

static char dir[] = "/tmp/bascule-record-XXXXXX", a[64], b[64], under[64];
static struct record *record;

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void
begin(void)
{
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(a, sizeof(a), "%s/a", dir);
	(void)snprintf(b, sizeof(b), "%s/b", dir);
	(void)snprintf(under, sizeof(under), "%s/under", dir);
	cr_assert_eq(mkdir(under, 0700), 0);
	write_file(a, "what a held");
	write_file(b, "");
	cr_assert_not_null(record = record_new());
}

static void
finish(void)
{
	record_free(record);
	(void)unlink(a);
	(void)unlink(b);
	(void)rmdir(under);
	cr_assert_eq(rmdir(dir), 0);
}

TestSuite(record, .init = begin, .fini = finish);

/* The content, valid until the next call; NULL: refused. */
static const char *
read_by(struct files *f, const char *path, struct file_stamp *stamp)
{
	static char text[64];
	struct err err = {""};
	struct buf out;

	buf_init(&out, sizeof(text) - 1);
	bool ok = files_read(f, path, &out, stamp, &err);
	(void)sv_copy(buf_view(&out), text, sizeof(text));
	buf_clear(&out);
	if (!ok)
		cr_expect_not_null(strstr(err.text, path), "the file is named: %s", err.text);
	return ok ? text : NULL;
}

Test(record, serves_what_was_read)
{
	struct files *f = record_note(record, files_direct(), NULL);
	struct file_stamp stamp, again;
	struct err err = {""};

	cr_assert_str_eq(read_by(f, a, &stamp), "what a held");
	cr_assert_str_eq(read_by(f, b, NULL), "");
	write_file(a, "something else");
	cr_assert_eq(unlink(b), 0);
	f = record_files(record);
	cr_expect_str_eq(read_by(f, a, &again), "what a held");
	cr_expect(file_stamp_eq(&stamp, &again));
	cr_expect(f->stamp(f, a, &again, &err) && file_stamp_eq(&stamp, &again));
	cr_expect_str_eq(read_by(f, b, NULL), "");
	cr_expect(!record_failed(record));
}

Test(record, serves_nothing_else)
{
	struct files *f = record_note(record, files_direct(), NULL);
	struct file_stamp stamp;
	struct file_entry *entries;
	struct err err = {""};
	size_t n;

	cr_assert(f->stamp(f, a, &stamp, &err));
	int fd = f->open_read(f, a, &err);
	cr_assert_geq(fd, 0);
	close(fd);
	f = record_files(record);
	errno = 0;
	cr_expect_null(read_by(f, a, NULL), "only its stamp was asked for");
	cr_expect_eq(errno, ENOENT);
	cr_expect(!f->stamp(f, b, &stamp, &err));
	cr_expect(!files_list(f, dir, &entries, &n, &err));
	cr_expect_eq(f->open_read(f, a, &err), -1);
	cr_expect_eq(f->open_append(f, a, &err), -1);
}

Test(record, what_fails_is_not_noted)
{
	struct files *f = record_note(record, files_direct(), NULL);
	struct err err = {""};
	struct buf out;

	buf_init(&out, 3);
	cr_expect(!files_read(f, a, &out, NULL, &err), "too large");
	buf_clear(&out);
	cr_assert_eq(unlink(b), 0);
	cr_expect_null(read_by(f, b, NULL));
	cr_expect_null(read_by(record_files(record), a, NULL));
	cr_expect_null(read_by(record_files(record), b, NULL));
}

Test(record, the_last_reading_counts)
{
	struct files *f = record_note(record, files_direct(), NULL);

	cr_assert_str_eq(read_by(f, a, NULL), "what a held");
	write_file(a, "more than a held");
	cr_assert_str_eq(read_by(f, a, NULL), "more than a held");
	cr_expect_str_eq(read_by(record_files(record), a, NULL), "more than a held");
}

Test(record, is_only_as_much_as_a_buffer_takes)
{
	struct err err = {""};
	struct buf out;

	cr_assert_not_null(read_by(record_note(record, files_direct(), NULL), a, NULL));
	buf_init(&out, 3);
	cr_expect(!files_read(record_files(record), a, &out, NULL, &err));
	buf_clear(&out);
}

Test(record, directories)
{
	struct files *f = record_note(record, files_direct(), NULL);
	struct file_entry *entries = NULL;
	struct err err = {""};
	size_t n = 0;

	errno = 0;
	cr_expect_null(read_by(f, dir, NULL));
	cr_expect_eq(errno, EISDIR);
	cr_assert(files_list(f, dir, &entries, &n, &err));
	cr_assert_eq(n, 3);
	free(entries);
	write_file(b, "x");
	cr_assert_eq(rmdir(under), 0);
	f = record_files(record);
	cr_assert(files_list(f, dir, &entries, &n, &err), "%s", err.text);
	cr_expect_eq(n, 3);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(entries[i].is_directory, strcmp(entries[i].name, "under") == 0);
	free(entries);
	errno = 0;
	cr_expect_null(read_by(f, dir, NULL));
	cr_expect_eq(errno, EISDIR);
}

/* Who finds the stamp he knows goes on with what he has read before. */
Test(record, takes_over_what_has_the_same_stamp)
{
	struct record *next = record_new();
	struct file_stamp stamp;
	struct err err;

	cr_assert_not_null(read_by(record_note(record, files_direct(), NULL), a, NULL));
	cr_assert_not_null(read_by(record_note(record, files_direct(), NULL), b, NULL));
	write_file(b, "changed");
	struct files *f = record_note(next, files_direct(), record);
	cr_assert(f->stamp(f, a, &stamp, &err) && f->stamp(f, b, &stamp, &err));
	f = record_files(next);
	cr_expect_str_eq(read_by(f, a, NULL), "what a held");
	cr_expect_null(read_by(f, b, NULL), "it is another file now");
	record_free(next);
}

Test(record, a_copy_has_all_of_it_and_is_another)
{
	cr_assert_not_null(read_by(record_note(record, files_direct(), NULL), a, NULL));
	struct record *copy = record_copy(record);
	cr_assert_not_null(copy);
	write_file(a, "new");
	cr_assert_not_null(read_by(record_note(copy, files_direct(), record), a, NULL));
	cr_expect_str_eq(read_by(record_files(copy), a, NULL), "new");
	cr_expect_str_eq(read_by(record_files(record), a, NULL), "what a held");
	record_free(copy);
}

/* --- packed --- */

static size_t
pack_record(unsigned char *to, size_t room)
{
	struct pack p = {.to = to, .room = room};

	record_pack(record, &p);
	cr_assert(!p.failed);
	return p.n;
}

static void
note_all(void)
{
	struct files *f = record_note(record, files_direct(), NULL);
	struct file_entry *entries = NULL;
	struct err err;
	size_t n;

	cr_assert(read_by(f, a, NULL) != NULL && read_by(f, b, NULL) != NULL && files_list(f, dir, &entries, &n, &err));
	free(entries);
}

Test(record, comes_back_from_a_pack)
{
	unsigned char memory[2048];
	struct file_entry *entries = NULL;
	struct file_stamp stamp, again;
	struct err err;
	size_t n = 0;

	note_all();
	cr_assert(files_direct()->stamp(files_direct(), a, &stamp, &err));
	struct unpack u = {.p = memory, .n = pack_record(memory, sizeof(memory))};
	struct record *back = record_unpack(&u);
	cr_assert_not_null(back);
	cr_expect_eq(u.n, 0);
	struct files *f = record_files(back);
	cr_expect_str_eq(read_by(f, a, &again), "what a held");
	cr_expect(file_stamp_eq(&stamp, &again));
	cr_expect_str_eq(read_by(f, b, NULL), "");
	cr_assert(files_list(f, dir, &entries, &n, &err));
	cr_expect_eq(n, 3);
	free(entries);
	record_free(back);
}

Test(record, a_pack_that_is_cut_off_is_refused)
{
	unsigned char memory[2048];

	note_all();
	size_t n = pack_record(memory, sizeof(memory));
	for (size_t cut = 0; cut < n; cut++) {
		unsigned char *exact = malloc(MAX_OF(cut, (size_t)1)); /* a byte read beyond it is seen by a sanitizer */
		memcpy(exact, memory, cut);
		struct unpack u = {.p = exact, .n = cut};
		cr_expect_null(record_unpack(&u), "at %zu", cut);
		free(exact);
	}
}

Test(record, a_damaged_pack_does_no_harm)
{
	unsigned char memory[2048];

	note_all();
	size_t n = pack_record(memory, sizeof(memory));
	for (size_t i = 0; i < n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memory[i] ^= (unsigned char)(1u << bit);
			struct unpack u = {.p = memory, .n = n};
			record_free(record_unpack(&u));
			memory[i] ^= (unsigned char)(1u << bit);
		}
	}
}
