#include "worker/tracker.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* One watch of the kernel's: a directory, by whatever paths. */
struct tracked {
	struct watch_owner owner; /* strings in the arena */
	bool used, loose;
	const char *path;         /* the first that led here */
	dev_t device;
	ino_t inode;
};

bool
tracker_begin(struct tracker *t)
{
	*t = TRACKER_NONE;
	t->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	t->complete = true;
	return t->fd >= 0;
}

void
tracker_end(struct tracker *t)
{
	if (t->fd >= 0)
		close(t->fd);
	free(t->v);
	arena_free(&t->arena);
	*t = TRACKER_NONE;
}

/* File systems on which every change goes through this kernel, which so can tell of it. */
static bool
tells_all(const char *path)
{
	static const unsigned long kinds[] = {
	    0xef53,     /* ext2, ext3, ext4 */
	    0x58465342, /* XFS */
	    0x9123683e, /* Btrfs */
	    0xf2f52010, /* F2FS */
	    0x2fc12fc1, /* ZFS */
	    0x01021994, /* tmpfs */
	    0x858458f6, /* ramfs */
	    0x794c7630, /* overlayfs */
	};
	struct statfs fs;

	if (statfs(path, &fs) != 0)
		return false;
	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if ((unsigned long)fs.f_type == kinds[i])
			return true;
	return false;
}

static bool
is_there(const struct tracked *d)
{
	struct stat st;

	return stat(d->path, &st) == 0 && st.st_dev == d->device && st.st_ino == d->inode;
}

static bool
make_room(struct tracker *t, size_t number)
{
	if (number < t->n)
		return true;
	size_t more = MAX_OF(number + 1, t->n * 2);
	struct tracked *grown = reallocarray(t->v, more, sizeof(*grown));
	if (grown == NULL)
		return false;
	memset(grown + t->n, 0, (more - t->n) * sizeof(*grown));
	t->v = grown;
	t->n = more;
	return true;
}

static const char *
copy_or_null(struct arena *a, const char *s)
{
	return s != NULL ? arena_copy(a, sv_cstr(s)) : NULL;
}

/* Under another path it may have another owner: then what happens there concerns both. */
static void
track(struct tracker *t, size_t number, const struct watch_place *p, const struct stat *st)
{
	struct tracked *d = &t->v[number];

	if (d->used && (p->loose || d->loose))
		t->complete = false; /* two ways lead here, and either may come to lead elsewhere */
	if (d->used) {
		if (!watch_owner_is(&d->owner, &p->owner))
			d->owner = WATCH_ANYTHING;
		return;
	}
	*d = (struct tracked){.used = true, .loose = p->loose, .device = st->st_dev, .inode = st->st_ino,
	    .owner = {copy_or_null(&t->arena, p->owner.listing), copy_or_null(&t->arena, p->owner.bundle)},
	    .path = arena_copy(&t->arena, sv_cstr(p->path))};
	t->complete = t->complete && d->path != NULL && tells_all(p->path) && (!d->loose || is_there(d)) &&
	    (d->owner.bundle != NULL || p->owner.bundle == NULL);
}

bool
tracker_add(struct tracker *t, const struct watch_place *p, struct err *err)
{
	struct stat st;

	/* Before the watch, and for what is loose once more after it: so it is that one that is watched. */
	bool known = stat(p->path, &st) == 0;
	int number = inotify_add_watch(t->fd, p->path, WATCH_EVENTS | IN_MODIFY);
	if (number < 0 || !known) {
		t->complete = false;
		return number >= 0 || errno == EACCES || err_set(err, "%s: %s", p->path, strerror(errno));
	}
	if (!make_room(t, (size_t)number))
		t->complete = false;
	else
		track(t, (size_t)number, p, &st);
	return true;
}

/* Of whatever lies there. */
static void
note_all(const struct tracked *d, struct tls_changes *changes)
{
	if (d->owner.bundle != NULL)
		tls_changes_add(changes, d->owner.listing, d->owner.bundle);
	else
		tls_changes_forget(changes);
}

static void
note(const struct tracker *t, const struct inotify_event *e, struct tls_changes *changes)
{
	const struct tracked *d = e->wd > 0 && (size_t)e->wd < t->n ? &t->v[e->wd] : NULL;

	/* Without a name it is about the directory itself, or the queue has run over. */
	if (d == NULL || !d->used || d->owner.listing == NULL || e->len == 0)
		tls_changes_forget(changes);
	else if (d->owner.bundle != NULL)
		note_all(d, changes);
	else if (e->name[0] != '.')
		tls_changes_add(changes, d->owner.listing, e->name);
}

void
tracker_read(struct tracker *t, struct tls_changes *changes)
{
	_Alignas(struct inotify_event) char buffer[16384];
	ssize_t n;

	while ((n = read(t->fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(const void *)(buffer + at);
			note(t, e, changes);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	for (size_t i = 0; changes->known && i < t->n; i++) {
		const struct tracked *d = &t->v[i];
		if (d->used && d->loose && !is_there(d))
			note_all(d, changes);
	}
}
