#include "base/record.h"

#include <errno.h>
#include <stdlib.h>

/* Out of memory: the entry is not in the table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Bytes: a string, a byte, a stamp, and of a file a length. */
enum { PACKED_ENTRY_LEAST = 5 + 1 + sizeof(struct file_stamp), PACKED_FILE_LEAST = PACKED_ENTRY_LEAST + 4 };

/* A file's bytes, or a directory's entries. */
struct copy {
	UT_hash_handle hh; /* by path */
	char *path;        /* owned */
	bool directory;
	struct file_stamp stamp; /* of a file */
	size_t n;                /* bytes, or entries */
	void *data;              /* owned: bytes, or struct file_entry */
};

struct record {
	struct files noting;
	struct files *from;
	const struct record *before;
	struct files serving;
	struct copy *table;
	bool failed;
};

static struct copy *
find(const struct record *r, const char *path)
{
	struct copy *c = NULL;

	HASH_FIND_STR(r->table, path, c);
	return c;
}

static void
copy_free(struct copy *c)
{
	if (c == NULL)
		return;
	free(c->path);
	free(c->data);
	free(c);
}

/* `size` bytes at `data` become a copy in place of the one of that path. False, and the record has failed: no memory. */
static bool
put(struct record *r, const char *path, const struct copy *is, size_t size)
{
	struct copy *c = calloc(1, sizeof(*c)), *old = find(r, path);

	if (c == NULL || (c->path = strdup(path)) == NULL || (c->data = malloc(MAX_OF(size, (size_t)1))) == NULL) {
		copy_free(c);
		r->failed = true;
		return false;
	}
	c->directory = is->directory;
	c->stamp = is->stamp;
	c->n = is->n;
	if (size > 0)
		memcpy(c->data, is->data, size);
	if (old != NULL) {
		HASH_DEL(r->table, old);
		copy_free(old);
	}
	HASH_ADD_KEYPTR(hh, r->table, c->path, strlen(c->path), c);
	if (c->hh.tbl != NULL)
		return true;
	copy_free(c);
	r->failed = true;
	return false;
}

static size_t
size_of(const struct copy *c)
{
	return c->directory ? c->n * sizeof(struct file_entry) : c->n; /* was in memory once */
}

static bool
put_file(struct record *r, const char *path, struct sv content, const struct file_stamp *stamp)
{
	struct copy c = {.stamp = *stamp, .n = content.n, .data = (void *)(uintptr_t)content.p};

	return put(r, path, &c, content.n);
}

/* --- noting --- */

static int
note_open_read(struct files *f, const char *path, struct err *err)
{
	struct record *r = CONTAINER_OF(f, struct record, noting);

	return r->from->open_read(r->from, path, err);
}

static int
note_open_append(struct files *f, const char *path, struct err *err)
{
	struct record *r = CONTAINER_OF(f, struct record, noting);

	return r->from->open_append(r->from, path, err);
}

static bool
note_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	struct record *r = CONTAINER_OF(f, struct record, noting);

	if (!r->from->stamp(r->from, path, out, err))
		return false;
	const struct copy *c = r->before != NULL ? find(r->before, path) : NULL;
	if (c != NULL && !c->directory && file_stamp_eq(&c->stamp, out))
		(void)put(r, path, c, c->n);
	return true;
}

/* No config is read from them. */
static size_t
without_dangling(struct file_entry *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!v[i].dangling)
			v[kept++] = v[i];
	return kept;
}

static bool
note_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	struct record *r = CONTAINER_OF(f, struct record, noting);
	struct file_entry *v;
	size_t n;

	if (!files_list(r->from, path, &v, &n, err))
		return false;
	n = without_dangling(v, n);
	struct copy c = {.directory = true, .n = n, .data = v};
	(void)put(r, path, &c, size_of(&c));
	bool ok = files_give(v, n, to) || err_no_memory(err);
	free(v);
	return ok;
}

static bool
note_read(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err)
{
	struct record *r = CONTAINER_OF(f, struct record, noting);
	size_t before = buf_len(out);

	if (!files_read(r->from, path, out, stamp, err))
		return false;
	struct sv all = buf_view(out);
	(void)put_file(r, path, sv_of(all.p + before, all.n - before), stamp);
	return true;
}

struct files *
record_note(struct record *r, struct files *from, const struct record *before)
{
	r->from = from;
	r->before = before;
	r->noting = (struct files){note_open_read, note_open_append, note_stamp, note_list, note_read};
	return &r->noting;
}

/* --- serving --- */

static const struct copy *
served(struct files *f, const char *path, struct err *err)
{
	const struct copy *c = find(CONTAINER_OF(f, struct record, serving), path);

	if (c == NULL) {
		err_set(err, "%s: was not read when the config came into service", path);
		errno = ENOENT;
	}
	return c;
}

/* Copies have no descriptor. */
static int
serve_open(struct files *f, const char *path, struct err *err)
{
	(void)f;
	err_set(err, "%s: only a copy of it is at hand", path);
	errno = ENOENT;
	return -1;
}

static bool
serve_stamp(struct files *f, const char *path, struct file_stamp *out, struct err *err)
{
	const struct copy *c = served(f, path, err);

	if (c != NULL)
		*out = c->stamp;
	return c != NULL;
}

static bool
serve_list(struct files *f, const char *path, struct file_taker *to, struct err *err)
{
	const struct copy *c = served(f, path, err);

	if (c == NULL)
		return false;
	if (!c->directory) {
		errno = ENOTDIR;
		return err_set(err, "%s: is a file, not a directory", path);
	}
	return files_give(c->data, c->n, to) || err_no_memory(err);
}

static bool
serve_read(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err)
{
	const struct copy *c = served(f, path, err);

	if (c == NULL)
		return false;
	if (c->directory) {
		errno = EISDIR;
		return err_set(err, "%s: is a directory, not a file", path);
	}
	*stamp = c->stamp;
	return buf_append(out, c->data, c->n) || err_no_memory(err);
}

struct files *
record_files(struct record *r)
{
	r->serving = (struct files){serve_open, serve_open, serve_stamp, serve_list, serve_read};
	return &r->serving;
}

/* --- from process to process --- */

static void
pack_entries(const struct copy *c, struct pack *p)
{
	const struct file_entry *v = c->data;

	for (size_t i = 0; i < c->n; i++) {
		pack_string(p, v[i].name);
		pack_u8(p, v[i].is_directory);
		pack_bytes(p, &v[i].stamp, sizeof(v[i].stamp));
	}
}

void
record_pack(const struct record *r, struct pack *p)
{
	const struct copy *c, *next;

	pack_u32(p, HASH_COUNT(r->table));
	HASH_ITER(hh, r->table, c, next) {
		pack_string(p, c->path);
		pack_u8(p, c->directory);
		pack_bytes(p, &c->stamp, sizeof(c->stamp));
		if (c->directory) {
			pack_u32(p, (uint32_t)c->n);
			pack_entries(c, p);
		} else {
			pack_block(p, c->data, c->n);
		}
	}
}

static bool
unpack_directory(struct record *r, const char *path, struct unpack *u)
{
	size_t n = unpack_count(u, PACKED_ENTRY_LEAST);
	struct file_entry *v = calloc(MAX_OF(n, (size_t)1), sizeof(*v));
	struct copy c = {.directory = true, .n = n, .data = v};

	for (size_t i = 0; v != NULL && i < n; i++) {
		if (!sv_copy(sv_cstr(unpack_string(u)), v[i].name, sizeof(v[i].name)))
			u->bad = true;
		v[i].is_directory = unpack_u8(u) != 0;
		unpack_bytes(u, &v[i].stamp, sizeof(v[i].stamp));
	}
	bool ok = v != NULL && !u->bad && put(r, path, &c, size_of(&c));
	free(v);
	return ok;
}

static bool
unpack_one(struct record *r, struct unpack *u)
{
	const char *path = unpack_string(u);
	bool directory = unpack_u8(u) != 0;
	struct file_stamp stamp;

	unpack_bytes(u, &stamp, sizeof(stamp));
	if (directory)
		return unpack_directory(r, path, u);
	struct sv content = unpack_block(u);
	return !u->bad && put_file(r, path, content, &stamp);
}

struct record *
record_unpack(struct unpack *u)
{
	size_t n = unpack_count(u, PACKED_FILE_LEAST);
	struct record *r = record_new();

	for (size_t i = 0; r != NULL && i < n; i++) {
		if (unpack_one(r, u))
			continue;
		record_free(r);
		return NULL;
	}
	if (!u->bad)
		return r;
	record_free(r);
	return NULL;
}

/* --- life --- */

struct record *
record_new(void)
{
	return calloc(1, sizeof(struct record));
}

struct record *
record_copy(const struct record *r)
{
	struct record *new = record_new();
	const struct copy *c, *next;

	HASH_ITER(hh, r->table, c, next) {
		if (new == NULL || !put(new, c->path, c, size_of(c))) {
			record_free(new);
			return NULL;
		}
	}
	if (new != NULL)
		new->failed = r->failed;
	return new;
}

void
record_add(struct record *r, const struct record *more)
{
	const struct copy *c, *next;

	if (more == NULL || more->failed)
		r->failed = true;
	if (more != NULL)
		HASH_ITER(hh, more->table, c, next)
			(void)put(r, c->path, c, size_of(c));
}

bool
record_failed(const struct record *r)
{
	return r->failed;
}

void
record_free(struct record *r)
{
	struct copy *c, *next;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->table, c, next) {
		HASH_DEL(r->table, c);
		copy_free(c);
	}
	free(r);
}
