#include "supervisor/sockets.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/listener.h"

enum { RETRY_MS = 50 };

struct socket_entry {
	char *address; /* owned */
	unsigned index;
	int fd;
	bool lasting;
	dev_t device; /* of the file of a Unix socket */
	ino_t inode;
};

/* Of a Unix socket; NULL: it is none. */
static const char *
path_of(const struct socket_entry *e)
{
	return sv_starts(sv_cstr(e->address), SV("unix:")) ? e->address + strlen("unix:") : NULL;
}

static bool
is_ours(const struct socket_entry *e)
{
	struct stat st;

	return path_of(e) != NULL && lstat(path_of(e), &st) == 0 && st.st_dev == e->device && st.st_ino == e->inode;
}

static void
close_entry(struct sockets *s, size_t i)
{
	struct socket_entry *e = &s->v[i];

	if (is_ours(e)) /* as long as it is open, no other file gets its inode */
		(void)unlink(path_of(e));
	close(e->fd);
	free(e->address);
	s->v[i] = s->v[--s->n];
}

static bool
room_for_one(struct sockets *s)
{
	if (s->n < s->capacity)
		return true;
	size_t capacity = s->capacity > 0 ? s->capacity * 2 : 16;
	struct socket_entry *grown = reallocarray(s->v, capacity, sizeof(*grown));
	if (grown == NULL)
		return false;
	s->v = grown;
	s->capacity = capacity;
	return true;
}

/* SO_REUSEPORT would let us share a port with another of our own user's processes, each getting some connections. */
static bool
wait_until_free(const struct net_address *a, bool any, unsigned patience_ms, struct err *err)
{
	uint64_t until = clock_mono_ms() + patience_ms;

	while (!net_listen_is_free(a, any, err)) {
		if (clock_mono_ms() >= until)
			return false;
		poll(NULL, 0, RETRY_MS);
	}
	return true;
}

static int
open_one(const char *address, bool first, const struct allow_socket *how, unsigned patience_ms, struct err *err)
{
	struct net_address a;
	bool any;

	if (!net_address_parse_listen(sv_cstr(address), &a, &any, err))
		return -1;
	if (first && !wait_until_free(&a, any, patience_ms, err))
		return -1;
	return net_listen(&a, any, how->backlog, how->mode, err);
}

int
sockets_get(struct sockets *s, const char *address, unsigned index, unsigned count, const struct allow_socket *how,
    unsigned patience_ms, struct err *err)
{
	bool first = true;

	if (count == 0 || count > SOCKETS_PER_ADDRESS || index >= count) {
		err_set(err, "%s: there is no socket %u of %u", address, index, count);
		return -1;
	}
	for (size_t i = s->n; i-- > 0;) {
		if (strcmp(s->v[i].address, address) != 0) {
			if (how->lasting && s->v[i].lasting)
				close_entry(s, i); /* there is one; a new worker has left the other */
			continue;
		}
		if (s->v[i].index == index)
			return s->v[i].fd;
		if (s->v[i].index >= count)
			close_entry(s, i);
		else
			first = false;
	}
	char *name = room_for_one(s) ? strdup(address) : NULL;
	if (name == NULL) {
		err_no_memory(err);
		return -1;
	}
	int fd = open_one(address, first, how, patience_ms, err);
	if (fd < 0) {
		free(name);
		return -1;
	}
	struct socket_entry *e = &s->v[s->n++];
	*e = (struct socket_entry){.address = name, .index = index, .fd = fd, .lasting = how->lasting};
	struct stat st;
	if (path_of(e) != NULL && lstat(path_of(e), &st) == 0) {
		e->device = st.st_dev;
		e->inode = st.st_ino;
	}
	return fd;
}

void
sockets_keep(struct sockets *s, const struct allow *allow)
{
	struct allow_socket how;

	for (size_t i = s->n; i-- > 0;)
		if (!s->v[i].lasting && !allow_listen(allow, s->v[i].address, &how))
			close_entry(s, i);
}

void
sockets_drain(struct sockets *s)
{
	for (size_t i = s->n; i-- > 0;) {
		if (!s->v[i].lasting)
			close_entry(s, i);
		else if (is_ours(&s->v[i]))
			net_listen_give_way(path_of(&s->v[i]));
	}
}

void
sockets_close(struct sockets *s)
{
	while (s->n > 0)
		close_entry(s, s->n - 1);
	free(s->v);
	*s = SOCKETS_EMPTY;
}
