/* Sealed memory, and what is in service in it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "line/sealed.h"
#include "worker/keep.h"
#include "../supervisor/scratch.h"

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static int
memory(const void *p, size_t n, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, p, n), (ssize_t)n);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

Test(sealed, can_not_be_changed_by_anybody)
{
	struct err err = {""};
	struct sealed s;

	cr_assert(sealed_begin(&s, "test", 5000, &err), "%s", err.text);
	memset(s.p, 'x', 5000);
	int fd = sealed_finish(&s, &err);
	cr_assert_geq(fd, 0, "%s", err.text);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(write(fd, "y", 1), -1);
	cr_expect_neq(ftruncate(fd, 10), 0);
	cr_expect_neq(ftruncate(fd, 10000), 0);
	cr_expect_eq(mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	cr_assert(sealed_map(&s, fd, &err), "%s", err.text);
	cr_expect_eq(s.n, 5000);
	cr_expect_eq(s.p[4999], 'x');
	sealed_unmap(&s);
	close(fd);
}

Test(sealed, nothing_less_is_taken)
{
	static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	struct err err = {""};
	size_t n;

	for (size_t i = 0; i < COUNTOF(seals); i++) {
		int fd = memory("x", 1, all_seals & ~seals[i]);
		cr_expect(!sealed_check(fd, &n, &err), "without seal %zu", i);
		close(fd);
	}
	int fd = memory("x", 1, all_seals);
	cr_expect(sealed_check(fd, &n, &err));
	cr_expect_eq(n, 1);
	close(fd);
	fd = memory("", 0, all_seals);
	cr_expect(!sealed_check(fd, &n, &err), "empty");
	close(fd);
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(ftruncate(fd, (off_t)SEALED_MAX + 1), 0); /* sparse */
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, all_seals), 0);
	cr_expect(!sealed_check(fd, &n, &err), "too large");
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_expect(!sealed_check(fd, &n, &err), "no memory at all");
	close(fd);
	struct sealed s;
	cr_expect(!sealed_begin(&s, "test", 0, &err));
	cr_expect(!sealed_begin(&s, "test", (size_t)SEALED_MAX + 1, &err));
}

/* --- what is kept --- */

static struct tls_thread *thread;

static void
begin(void)
{
	struct err err = {""};

	scratch_make();
	scratch_write("conf", "the config");
	thread = tls_thread_new(0, &err);
	cr_assert_not_null(thread, "%s", err.text);
}

static void
finish(void)
{
	tls_thread_free(thread);
	scratch_remove();
}

TestSuite(kept, .init = begin, .fini = finish);

static struct keep
something(void)
{
	struct keep k = {.generation = 7, .threads = 3, .record = record_new()};
	struct conf nothing = {.n_bundles = 0};
	struct tls_outcomes outcomes;
	struct err err = {""};
	struct buf content;

	memset(k.secret.bytes, 's', k.secret.n = SECRET_MIN);
	buf_init(&content, 100);
	cr_assert(files_read(record_note(k.record, files_direct(), NULL), scratch_path("conf"), &content, NULL, &err));
	buf_clear(&content);
	k.store = tls_store_load(&(struct tls_load){.conf = &nothing, .files = files_direct(), .thread = thread}, &outcomes, &err);
	cr_assert_not_null(k.store);
	tls_outcomes_free(&outcomes);
	return k;
}

static struct sv
bytes_of(int fd)
{
	struct err err = {""};
	struct sealed s;

	cr_assert(sealed_map(&s, fd, &err), "%s", err.text);
	char *copy = malloc(s.n);
	memcpy(copy, s.p, s.n);
	struct sv all = sv_of(copy, s.n);
	sealed_unmap(&s);
	return all;
}

/* What the one part with bundles, and the first, are sealed in. */
enum { PARTS = 2 };

static void
seal(const struct keep *k, int fds[PARTS])
{
	struct tls_parts parts;
	struct err err = {""};

	cr_assert(tls_parts_make(&parts, k->store, thread));
	cr_assert_eq(parts.n + 1, PARTS);
	for (size_t i = 0; i < PARTS; i++) {
		fds[i] = keep_seal(k, &parts, i, &err);
		cr_assert_geq(fds[i], 0, "%s", err.text);
	}
	tls_parts_free(&parts);
}

static void
close_all(int fds[PARTS])
{
	for (size_t i = 0; i < PARTS; i++)
		close(fds[i]);
}

Test(kept, comes_back)
{
	struct keep k = something(), back;
	struct keep_held held = {.n = 0};
	struct err err = {""};
	struct buf content;
	int fds[PARTS];

	seal(&k, fds);
	cr_assert(keep_open(&back, &held, fds, PARTS, thread, &err), "%s", err.text);
	close_all(fds);
	cr_expect_eq(back.generation, 7);
	cr_expect_eq(back.threads, 3);
	cr_expect_eq(back.secret.n, SECRET_MIN);
	cr_expect_arr_eq(back.secret.bytes, k.secret.bytes, SECRET_MIN);
	cr_expect_eq(held.n, 1, "what need not be handed over again");
	buf_init(&content, 100);
	cr_expect(files_read(record_files(back.record), scratch_path("conf"), &content, NULL, &err), "%s", err.text);
	cr_expect(sv_eq(buf_view(&content), SV("the config")));
	buf_clear(&content);
	keep_free(&back);
	cr_expect_null(back.store, "and may be freed again");
	keep_free(&back);
	keep_free(&k);
}

/* The parts with n bytes of `p` in place of part `i`. */
static bool
opens_with(const int fds[PARTS], size_t i, const void *p, size_t n, int seals, struct err *err)
{
	int changed[PARTS];
	struct keep_held held;
	struct keep back;

	memcpy(changed, fds, sizeof(changed));
	changed[i] = memory(p, n, seals);
	err->text[0] = '\0';
	bool ok = keep_open(&back, &held, changed, PARTS, thread, err);
	close(changed[i]);
	cr_expect_eq(ok, err->text[0] == '\0');
	cr_expect_eq(ok, back.store != NULL);
	cr_expect_eq(ok, held.n == 1);
	keep_free(&back);
	return ok;
}

Test(kept, is_refused_when_it_is_not_whole)
{
	struct keep k = something(), back;
	struct keep_held held;
	struct err err = {""};
	int fds[PARTS];

	seal(&k, fds);
	for (size_t i = 0; i < PARTS; i++) {
		struct sv all = bytes_of(fds[i]);
		char *more = calloc(1, all.n + 1);
		memcpy(more, all.p, all.n);
		for (size_t cut = 1; cut < all.n; cut++)
			cr_expect_not(opens_with(fds, i, all.p, cut, all_seals, &err), "part %zu at %zu", i, cut);
		cr_expect_not(opens_with(fds, i, more, all.n + 1, all_seals, &err), "a byte too much");
		cr_expect_not(opens_with(fds, i, all.p, all.n, all_seals & ~F_SEAL_WRITE, &err), "it can still change");
		cr_expect(opens_with(fds, i, all.p, all.n, all_seals, &err));
		if (i == 0) {
			more[8]++; /* in the name of the format */
			cr_expect_not(opens_with(fds, i, more, all.n, all_seals, &err), "of another version");
			cr_expect_not_null(strstr(err.text, "version"), "%s", err.text);
		}
		free(more);
		free((char *)(uintptr_t)all.p);
	}
	cr_expect_not(keep_open(&back, &held, fds, 1, thread, &err), "a part too few");
	cr_expect_not(keep_open(&back, &held, fds, KEEP_PARTS_MAX + 1, thread, &err), "more than there can be");
	cr_expect_not(keep_open(&back, &held, (int[]){fds[0], fds[1], fds[1]}, 3, thread, &err), "a part too many");
	close_all(fds);
	keep_free(&k);
}

/* A part that is whole, but not the one that the first part tells of. */
Test(kept, is_refused_when_its_parts_are_of_two)
{
	struct keep k = something();
	struct err err = {""};
	int fds[PARTS];

	seal(&k, fds);
	struct sv first = bytes_of(fds[0]);
	char *changed = malloc(first.n);
	memcpy(changed, first.p, first.n);
	changed[first.n - sizeof(uint32_t) - 1] ^= 1; /* in the digest of the other part */
	cr_expect_not(opens_with(fds, 0, changed, first.n, all_seals, &err));
	cr_expect_not_null(strstr(err.text, "belong together"), "%s", err.text);
	free(changed);
	free((char *)(uintptr_t)first.p);
	close_all(fds);
	keep_free(&k);
}

Test(kept, damage_does_no_harm)
{
	struct keep k = something(), back;
	struct keep_held held;
	struct err err = {""};
	int fds[PARTS];

	seal(&k, fds);
	for (size_t part = 0; part < PARTS; part++) {
		struct sv all = bytes_of(fds[part]);
		char *changed = malloc(all.n);
		int own = fds[part];
		for (size_t i = 0; i < all.n; i++) {
			memcpy(changed, all.p, all.n);
			changed[i] ^= 0x41;
			fds[part] = memory(changed, all.n, all_seals);
			if (keep_open(&back, &held, fds, PARTS, thread, &err))
				keep_free(&back);
			close(fds[part]);
		}
		fds[part] = own;
		free(changed);
		free((char *)(uintptr_t)all.p);
	}
	close_all(fds);
	keep_free(&k);
}
