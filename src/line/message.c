#include "line/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor, aligned as the kernel wants it. */
union descriptor_room {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool
message_send(int socket, const struct message *m, int fd, int flags)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	union descriptor_room room = {0};
	ssize_t n;

	if (fd >= 0) {
		h.msg_control = room.bytes;
		h.msg_controllen = sizeof(room.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(socket, &h, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*m);
}

static int
descriptor_of(struct msghdr *h)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	int fd = -1;

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

enum message_result
message_receive(int socket, struct message *m, int *fd, int flags)
{
	struct iovec v = {.iov_base = m, .iov_len = sizeof(*m)};
	union descriptor_room room = {0};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t n;

	if (fd != NULL) {
		h.msg_control = room.bytes;
		h.msg_controllen = CMSG_LEN(sizeof(int)); /* not the space, whose padding would let a second one in */
		*fd = -1;
	}
	do
		n = recvmsg(socket, &h, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return MESSAGE_NONE;
	if (fd != NULL && n >= 0)
		*fd = descriptor_of(&h);
	if (n == (ssize_t)sizeof(*m) && m->kind < MESSAGE_KINDS_N && memchr(m->text, '\0', sizeof(m->text)) != NULL)
		return MESSAGE_GOT;
	if (fd != NULL && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return MESSAGE_END;
}
