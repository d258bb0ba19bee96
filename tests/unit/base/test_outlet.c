/* A test that waits has failed: Criterion ends it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/outlet.h"

enum { PIPE_SIZE = 4 * PIPE_BUF };

static struct outlet out;
static int ends[2]; /* read, write */
static char text[128 * 1024];

static void
to_pipe(void)
{
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE), PIPE_SIZE);
	outlet_set(&out, ends[1]);
}

/* Until one is lost; how many got through. */
static unsigned
put_until_lost(struct sv line)
{
	unsigned n = 0;

	for (out.lost = 0; out.lost == 0; n++)
		outlet_put(&out, line);
	return n - 1;
}

static struct sv
drain(void)
{
	size_t n = 0;
	ssize_t got;

	cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	while ((got = read(ends[0], text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	return sv_of(text, n);
}

TestSuite(outlet, .timeout = 10);

Test(outlet, a_pipe_that_nobody_reads, .init = to_pipe)
{
	unsigned n = put_until_lost(SV("one line\n"));

	cr_expect_gt(n, 0);
	outlet_put(&out, SV("two\nmore\n"));
	cr_expect_eq(out.lost, 3);
	cr_expect_str_eq(outlet_why(&out), "nobody read the log");
	cr_expect_eq(drain().n, n * strlen("one line\n"), "and not a byte of those that were lost");
	outlet_put(&out, SV("again\n"));
	cr_expect(sv_eq(drain(), SV("again\n")));
	cr_expect_eq(out.lost, 3);
}

Test(outlet, a_socket_that_nobody_reads)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	outlet_set(&out, ends[1]);
	cr_expect_gt(put_until_lost(SV("one line\n")), 0);
	close(ends[0]);
	outlet_put(&out, SV("and no signal\n"));
	cr_expect_eq(out.lost, 2);
}

/* A terminal with a little room left takes that, and then waits: only an open file of our own does not. */
Test(outlet, a_terminal_that_nobody_reads)
{
	char name[64];

	cr_assert_eq(openpty(&ends[0], &ends[1], name, NULL, NULL), 0);
	outlet_detach(ends[1]);
	cr_expect_neq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	outlet_set(&out, ends[1]);
	cr_expect_gt(put_until_lost(SV("a line on a terminal\n")), 0);
}

Test(outlet, others_keep_the_open_file_as_it_was, .init = to_pipe)
{
	int shared = dup(ends[1]);

	outlet_detach(ends[1]);
	cr_expect_neq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	cr_expect_eq(fcntl(ends[1], F_GETFD) & FD_CLOEXEC, 0, "a worker inherits it");
	cr_expect_eq(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
	outlet_put(&out, SV("the same pipe\n"));
	cr_expect(sv_eq(drain(), SV("the same pipe\n")));
}

Test(outlet, a_file_is_left_alone)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

	cr_assert_geq(fd, 0);
	outlet_detach(fd);
	cr_expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	outlet_set(&out, fd);
	outlet_put(&out, SV("a line\n"));
	cr_expect_eq(pread(fd, text, sizeof(text), 0), 7);
	close(fd);
}

Test(outlet, what_is_longer_than_a_pipe_takes_whole, .init = to_pipe)
{
	static char line[PIPE_SIZE - 100];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	outlet_put(&out, sv_of(line, sizeof(line)));
	cr_expect_eq(out.lost, 0);
	outlet_put(&out, sv_of(line, sizeof(line)));
	cr_expect_eq(out.lost, 1);
	cr_expect(sv_eq(drain(), sv_of(line, sizeof(line))), "a piece of it would not have fitted");
}

Test(outlet, a_line_that_was_cut_is_ended_before_the_next, .init = to_pipe)
{
	static char line[2 * PIPE_SIZE];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	outlet_put(&out, sv_of(line, sizeof(line)));
	cr_expect_eq(out.lost, 1);
	struct sv all = drain();
	cr_expect_eq(all.n, PIPE_SIZE);
	outlet_put(&out, SV("next\n"));
	outlet_put(&out, SV("and next\n"));
	cr_expect(sv_eq(drain(), SV("\nnext\nand next\n")));
}

Test(outlet, the_lines_of_many_pieces_are_counted, .init = to_pipe)
{
	static char lines[2 * PIPE_SIZE];

	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 64 == 63 ? '\n' : 'x';
	outlet_put(&out, sv_of(lines, sizeof(lines)));
	struct sv all = drain();
	cr_expect(sv_ends(all, SV("\n")));
	cr_expect_eq(all.n / 64 + out.lost, sizeof(lines) / 64);
}

Test(outlet, a_full_disk)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (full < 0)
		cr_skip_test("no /dev/full here");
	outlet_set(&out, full);
	outlet_put(&out, SV("one\ntwo\n"));
	cr_expect_eq(out.lost, 2);
	cr_expect_str_eq(outlet_why(&out), "No space left on device");
	close(full);
}
