/*
 * files.h: how the loader reaches files, directly or through the supervisor.
 *
 * The worker runs unprivileged, yet keys may be readable by root only. So all
 * that loads goes through a `struct files`: one implementation opens files
 * itself (files_direct(): tests, `bascule check`, the supervisor), the other
 * asks the supervisor's broker, which opens only what the config names
 * (supervisor/broker). One thread at a time.
 */
#ifndef BASCULE_BASE_FILES_H
#define BASCULE_BASE_FILES_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* What tells that a file is not the one that was read before. All zero: never read. */
struct file_stamp {
	uint64_t device, inode;
	int64_t size;     /* bytes */
	int64_t mtime_ns; /* of the epoch */
	int64_t ctime_ns;
	uint64_t mode;    /* permissions */
	uint64_t links;   /* how many names it has: a change by another one makes no event in its directory */
};

/* One entry of a directory, with the stamp of what it points to (links followed). */
struct file_entry {
	char name[256];
	bool is_directory;
	bool dangling; /* a link to what is not there, perhaps only for a moment; its stamp is all zero */
	struct file_stamp stamp;
};

/* Is given the entries of a directory one by one, in no order. */
struct file_taker {
	/* `e` lasts as long as the call, which asks for no other file. False: out of memory. */
	bool (*take)(struct file_taker *t, const struct file_entry *e);
};

struct files {
	/* An open descriptor to read from, of a regular file or a directory; -1 with `err` set, errno kept. */
	int (*open_read)(struct files *f, const char *path, struct err *err);
	/* A descriptor that appends, the file made with mode 0640 when it is not there; -1 with `err` set. */
	int (*open_append)(struct files *f, const char *path, struct err *err);
	/* The stamp of the file (links followed); false with `err` set, errno kept, which for a dangling link is ENOLINK. */
	bool (*stamp)(struct files *f, const char *path, struct file_stamp *out, struct err *err);
	/*
	 * Give `to` the entries of a directory without those whose name begins with a dot: there may be ten thousand, of which
	 * it keeps what it needs. False with `err` set, errno kept; some may have been given then.
	 */
	bool (*list)(struct files *f, const char *path, struct file_taker *to, struct err *err);
	/* What files_read() does, `stamp` never NULL. NULL: it opens and reads itself. */
	bool (*read)(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err);
};

/* Opens with the rights of this process. Never freed. */
struct files *files_direct(void);

/*
 * Read all of a file into `out` (initialised by the caller; out->max bounds the size) and its stamp, taken from
 * the same descriptor, into `stamp` (may be NULL). False with "PATH: reason" in `err`, and errno EISDIR when it is a
 * directory.
 */
MUST_CHECK bool files_read(struct files *f, const char *path, struct buf *out, struct file_stamp *stamp, struct err *err);

/*
 * The entries of a directory that has not many; *out is malloc'ed, the caller's. False with `err` set, errno kept, and *out
 * is NULL.
 */
MUST_CHECK bool files_list(struct files *f, const char *path, struct file_entry **out, size_t *n, struct err *err);

/* Those n entries. False: out of memory. */
MUST_CHECK bool files_give(const struct file_entry *v, size_t n, struct file_taker *to);

/* A directory that is being gone through with the rights of this process, as far as anybody asks. */
struct file_listing;

/* NULL with err set, errno kept. */
MUST_CHECK struct file_listing *file_listing_begin(const char *path, struct err *err);

/* The next entries, `room` at most; how many. Fewer than that: those were the last. -1 with err set, errno kept. */
MUST_CHECK ssize_t file_listing_next(struct file_listing *l, struct file_entry *v, size_t room, struct err *err);
void file_listing_end(struct file_listing *l); /* NULL is fine */

/* Could this process make a file at `path`? Its directory decides. False with `err` set, errno kept. Makes nothing. */
MUST_CHECK bool files_can_make(const char *path, struct err *err);

bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b);

/* Overwrite, then free, what held a secret. The compiler does not remove it. */
void secret_wipe(void *p, size_t n);

#endif
