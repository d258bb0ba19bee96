#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "line/message.h"

static int ends[2];

static void
connect_ends(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void
close_ends(void)
{
	close(ends[0]);
	close(ends[1]);
}

TestSuite(message, .init = connect_ends, .fini = close_ends);

Test(message, comes_as_it_went_with_its_descriptor)
{
	struct message m = {.kind = MESSAGE_LISTEN, .number = 3, .count = 4, .text = "*:443"}, got;
	int fd = -1, sent = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct stat a, b;

	cr_assert(message_send(ends[0], &m, sent, 0));
	cr_assert_eq(message_receive(ends[1], &got, &fd, 0), MESSAGE_GOT);
	cr_expect_eq(memcmp(&m, &got, sizeof(m)), 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(sent, &a) | fstat(fd, &b), 0);
	cr_expect(a.st_rdev == b.st_rdev && a.st_ino == b.st_ino);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "no other program inherits it");
	close(sent);
	close(fd);
}

static int
count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(message, descriptors_that_nobody_wants_do_not_arrive)
{
	struct message m = {.kind = MESSAGE_READY}, got;
	int before = count_descriptors();

	cr_assert(message_send(ends[0], &m, ends[0], 0));
	cr_assert_eq(message_receive(ends[1], &got, NULL, 0), MESSAGE_GOT);
	cr_expect_eq(count_descriptors(), before);
}

/* A worker that somebody has taken over fills no table of ours. */
Test(message, of_several_descriptors_one_arrives_at_most)
{
	struct message m = {.kind = MESSAGE_KEEP}, got;
	struct iovec v = {&m, sizeof(m)};
	int before = count_descriptors(), fd = -1, many[3] = {0, 1, 2};
	char room[CMSG_SPACE(sizeof(many))] = {0};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	for (size_t n = 2; n <= COUNTOF(many); n++) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), many, n * sizeof(int));
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cr_assert_eq(sendmsg(ends[0], &h, 0), (ssize_t)sizeof(m));
		cr_assert_eq(message_receive(ends[1], &got, &fd, 0), MESSAGE_GOT);
		if (fd >= 0)
			close(fd);
		cr_expect_eq(count_descriptors(), before, "%zu were sent", n);
	}
}

Test(message, none_yet)
{
	struct message got;

	cr_expect_eq(message_receive(ends[1], &got, NULL, MSG_DONTWAIT), MESSAGE_NONE);
}

Test(message, the_other_end_has_gone)
{
	struct message m = {.kind = MESSAGE_READY}, got;

	close(ends[0]);
	cr_expect_eq(message_receive(ends[1], &got, NULL, MSG_DONTWAIT), MESSAGE_END);
	cr_expect(!message_send(ends[1], &m, -1, 0), "and no signal ended us");
	ends[0] = -1;
}

Test(message, what_is_no_message_is_the_end)
{
	struct message m = {.kind = MESSAGE_KINDS_N}, got;
	int fd;

	cr_assert_eq(send(ends[0], "short", 5, 0), 5);
	cr_expect_eq(message_receive(ends[1], &got, NULL, 0), MESSAGE_END);

	cr_assert(message_send(ends[0], &m, -1, 0));
	cr_expect_eq(message_receive(ends[1], &got, NULL, 0), MESSAGE_END, "an unknown kind");

	m.kind = MESSAGE_STAMP;
	memset(m.text, 'x', sizeof(m.text));
	cr_assert(message_send(ends[0], &m, ends[0], 0));
	cr_expect_eq(message_receive(ends[1], &got, &fd, 0), MESSAGE_END, "a text that does not end");
	cr_expect_eq(fd, -1, "its descriptor was closed");
}
