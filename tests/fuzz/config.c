/*
 * The config reader. The input is the files of a directory, one behind the other: "=== NAME" on a line of its own begins
 * the next; the first one is main.json. There are no other files: what leads elsewhere is told to be missing.
 */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>

#include "base/record.h"
#include "conf/config.h"

#define DIRECTORY "/fuzz"

enum { FILES_MAX = 8 };

static struct {
	struct {
		struct sv name, text;
	} v[FILES_MAX];
	size_t n;
} disk;

/* --- the files ---------------------------------------------------------------------------------------------- */

static bool
is_name(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && strchr("._-/", s.p[i]) == NULL)
			return false;
	return s.n > 0 && s.n < 64 && memchr(s.p, '\0', s.n) == NULL;
}

/* Views into the input. */
static void
split(struct sv in)
{
	struct sv mark = SV("\n=== "), name = SV("main.json");

	for (disk.n = 0; disk.n < FILES_MAX && is_name(name);) {
		const char *at = in.n > 0 ? memmem(in.p, in.n, mark.p, mark.n) : NULL;
		size_t n = at != NULL ? (size_t)(at - in.p) + 1 : in.n;
		disk.v[disk.n].name = name;
		disk.v[disk.n++].text = sv_of(in.p, n);
		if (at == NULL)
			return;
		in = sv_of(at + mark.n, in.n - n + 1 - mark.n);
		name = sv_cut(&in, '\n');
	}
}

static bool
missing(const char *path, struct err *err)
{
	err_set(err, "%s: No such file or directory", path);
	errno = ENOENT;
	return false;
}

/* Which file; -1: none, -2: it is the directory. */
static int
find(const char *path)
{
	struct sv rest = sv_cstr(path);

	if (!sv_starts(rest, SV(DIRECTORY)))
		return -1;
	rest = sv_of(rest.p + sizeof(DIRECTORY) - 1, rest.n - (sizeof(DIRECTORY) - 1));
	if (rest.n == 0 || sv_eq(rest, SV("/")) || sv_eq(rest, SV("/.")))
		return -2;
	for (size_t i = 0; sv_starts(rest, SV("/")) && i < disk.n; i++)
		if (sv_eq(sv_of(rest.p + 1, rest.n - 1), disk.v[i].name))
			return (int)i;
	return -1;
}

static struct file_stamp
stamp_of(int file)
{
	return (struct file_stamp){.device = 1, .inode = (uint64_t)(file + 10), .size = (int64_t)disk.v[file].text.n, .mode = 0600};
}

static int
none_open(struct files *f, const char *path, struct err *err)
{
	(void)f;
	missing(path, err);
	return -1;
}

static bool
take_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	int file = find(path);

	(void)f;
	if (file >= 0)
		*out = stamp_of(file);
	return file >= 0 || missing(path, err);
}

static bool
list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	(void)f;
	if (find(path) != -2)
		return missing(path, err);
	for (size_t i = 0; i < disk.n; i++) {
		struct file_entry e = {.stamp = stamp_of((int)i)};
		if (disk.v[i].name.p[0] == '.' || !sv_copy(disk.v[i].name, e.name, sizeof(e.name)))
			continue;
		FUZZ_CHECK(to->take(to, &e));
	}
	return true;
}

static bool
read_all(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err)
{
	int file = find(path);

	(void)f;
	if (file == -2) {
		err_set(err, "%s: Is a directory", path);
		errno = EISDIR;
		return false;
	}
	if (file < 0)
		return missing(path, err);
	*stamp = stamp_of(file);
	return buf_append(out, disk.v[file].text.p, disk.v[file].text.n) || err_no_memory(err);
}

static struct files in_memory = {
    .open_read = none_open, .open_append = none_open, .stamp = take_stamp, .list = list, .read = read_all};

/* --- what is said ------------------------------------------------------------------------------------------- */

/* The number in front of a ':', with which it is cut off. */
static size_t
take_number(struct sv *rest)
{
	uint64_t n = 0;

	FUZZ_CHECK(sv_u64(sv_cut(rest, ':'), &n) && n > 0);
	return n;
}

/* "FILE:LINE:COLUMN: …", a place that there is; "FILE: …" of what is missing in it as a whole. */
static void
check_place(struct sv line)
{
	for (size_t i = 0; i < disk.n; i++) {
		char *file = fuzz_alloc(sizeof(DIRECTORY) + 66);
		size_t n = sizeof(DIRECTORY) + disk.v[i].name.n;
		memcpy(file, DIRECTORY "/", sizeof(DIRECTORY));
		memcpy(file + sizeof(DIRECTORY), disk.v[i].name.p, disk.v[i].name.n);
		file[n++] = ':';
		bool here = sv_starts(line, sv_of(file, n));
		free(file);
		if (!here)
			continue;
		struct sv rest = sv_of(line.p + n, line.n - n), text = disk.v[i].text, at = SV_NONE;
		if (sv_starts(rest, SV(" listeners: ")) || sv_starts(rest, SV(" holds nothing")))
			return;
		size_t number = take_number(&rest), column = take_number(&rest);
		for (size_t k = 0; k < number; k++) {
			FUZZ_CHECK(text.p != NULL, "line %zu of %.*s\n%.*s", number, SV_FMT(disk.v[i].name), SV_FMT(line));
			at = sv_cut(&text, '\n');
		}
		FUZZ_CHECK(column <= at.n + 1 && sv_starts(rest, SV(" ")), "%.*s", SV_FMT(line));
		return;
	}
	FUZZ_CHECK(false, "no place: %.*s", SV_FMT(line));
}

static void
check_problems(const struct conf_problems *p)
{
	struct sv rest = buf_view(&p->text);
	size_t lines = 0;

	FUZZ_CHECK(rest.n == 0 || rest.p[rest.n - 1] == '\n');
	for (; rest.n > 0; lines++) {
		struct sv line = sv_cut(&rest, '\n');
		for (size_t i = 0; i < line.n; i++)
			FUZZ_CHECK(!iscntrl((unsigned char)line.p[i]), "%.*s", SV_FMT(line));
		if (sv_starts(line, SV("more problems are not shown")))
			return;
		check_place(line);
	}
	FUZZ_CHECK(lines == p->errors + p->warnings);
}

/* --- loads -------------------------------------------------------------------------------------------------- */

static struct conf *
load(struct files *files, struct conf_problems *problems)
{
	conf_problems_init(problems);
	struct conf *c = conf_load(files, DIRECTORY "/main.json", problems);
	FUZZ_CHECK((c == NULL) == (problems->errors > 0), "%.*s", SV_FMT(buf_view(&problems->text)));
	return c;
}

/* The same from what was noted of the first; missing files are told of in other words. */
static void
check_again(struct record *r, const struct conf *c, const struct conf_problems *problems)
{
	struct conf_problems again;
	char text[256];
	struct conf *same = load(record_files(r), &again);

	FUZZ_CHECK((same == NULL) == (c == NULL) && again.errors == problems->errors && again.warnings == problems->warnings);
	if (c != NULL) {
		FUZZ_CHECK(sv_eq(buf_view(&problems->text), buf_view(&again.text)));
		conf_needs_restart(c, same, text, sizeof(text));
		FUZZ_CHECK(text[0] == '\0', "%s", text);
	}
	conf_free(same);
	conf_problems_free(&again);
}

/* What is left of a config is sound: not one of the faults is found in it. */
static void
check_others(bool right)
{
	struct conf_problems problems;
	struct arena arena = ARENA_EMPTY;

	conf_problems_init(&problems);
	struct conf *sound = conf_load_sound(&in_memory, DIRECTORY "/main.json", &problems);
	FUZZ_CHECK(!right || (sound != NULL && problems.errors == 0));
	conf_free(sound);
	(void)conf_find_admin_socket(&in_memory, DIRECTORY "/main.json", &arena, &problems);
	conf_free(conf_load(&in_memory, DIRECTORY, &problems));
	arena_free(&arena);
	conf_problems_free(&problems);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy(sv_of((const char *)data, size));
	struct record *r = record_new();
	struct conf_problems problems;

	FUZZ_CHECK(r != NULL);
	split(sv_of(copy, size));
	struct conf *c = load(record_note(r, &in_memory, NULL), &problems);
	check_problems(&problems);
	check_again(r, c, &problems);
	check_others(c != NULL);
	conf_free(c);
	conf_problems_free(&problems);
	record_free(r);
	free(copy);
	return 0;
}
