/* Lines go to a pipe, so nothing is left on the disk. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sv.h"

static int pipe_fds[2];
static char text[8192];

static void
to_pipe(void)
{
	cr_assert_eq(pipe(pipe_fds), 0);
	log_init("unit", LOG_INFO);
	log_set_fd(pipe_fds[1]);
}

/* What was logged since the start of the test. */
static struct sv
logged(void)
{
	log_set_fd(STDERR_FILENO); /* closes the pipe's end */
	size_t n = 0;
	for (ssize_t got = 1; got > 0; n += (size_t)got)
		got = read(pipe_fds[0], text + n, sizeof(text) - n);
	close(pipe_fds[0]);
	return sv_of(text, n);
}

/* What stands behind "TIME LEVEL program[PID]: ". */
static struct sv
message(struct sv line, const char *level)
{
	char wanted[64];
	struct sv time = sv_cut(&line, ' ');
	size_t n = (size_t)snprintf(wanted, sizeof(wanted), "%s unit[%d]: ", level, (int)getpid());

	cr_assert_eq(time.n, strlen("2026-11-21T10:20:30.123Z"));
	cr_assert(sv_starts(line, sv_of(wanted, n)), "%.*s", SV_FMT(line));
	return sv_of(line.p + n, line.n - n);
}

Test(log, a_line, .init = to_pipe)
{
	log_warning("%s is %d", "answer", 42);
	struct sv all = logged();
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "warning"), SV("answer is 42")));
	cr_expect_eq(all.n, 0);
}

Test(log, a_flood_is_cut_short, .init = to_pipe)
{
	struct log_bound bound = {0};
	unsigned said = 0;

	for (unsigned i = 0; i < LOG_LINES_A_SECOND + 5; i++)
		said += log_allows(&bound, LOG_INFO, 1000 + i);
	cr_expect_eq(said, LOG_LINES_A_SECOND);
	cr_expect_not(log_allows(&bound, LOG_INFO, 1999));
	cr_expect(log_allows(&bound, LOG_INFO, 2000), "another second");
	cr_expect_not(log_allows(&bound, LOG_DEBUG, 9000), "nobody listens");
	cr_expect(log_allows(&bound, LOG_INFO, 9000));
	struct sv all = logged();
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "info"), SV("6 more lines like these were left out")));
	cr_expect_eq(all.n, 0, "%.*s", SV_FMT(all));
}

Test(log, a_peer_can_not_forge_a_line_or_command_a_terminal, .init = to_pipe)
{
	log_error("%s", "GET /\r\n2026-01-01T00:00:00.000Z error unit[1]: forged\x1b[2J\x7f\t\xc3\xa9");
	struct sv all = logged();
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"),
	    SV("GET /\\x0d\\x0a2026-01-01T00:00:00.000Z error unit[1]: forged\\x1b[2J\\x7f\\x09\xc3\xa9")));
	cr_expect_eq(all.n, 0);
}

Test(log, a_line_that_is_too_long_is_cut_and_still_ends, .init = to_pipe)
{
	char flood[5000];

	memset(flood, '\x01', sizeof(flood) - 1);
	flood[sizeof(flood) - 1] = '\0';
	log_error("%s", flood);
	log_error("behind");
	struct sv all = logged();
	struct sv line = sv_cut(&all, '\n');
	cr_expect_leq(line.n, 2048);
	cr_expect(sv_ends(line, SV("\\x01")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("behind")));
}

Test(log, levels_are_filtered, .init = to_pipe)
{
	log_debug("no");
	log_info("yes");
	log_set_level(LOG_ERROR);
	log_warning("no");
	cr_expect(log_enabled(LOG_ERROR));
	cr_expect_not(log_enabled(LOG_WARNING));
	struct sv all = logged();
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "info"), SV("yes")));
	cr_expect_eq(all.n, 0);
	cr_expect_str_eq(log_level_text(LOG_NOTICE), "notice");
}

/* A test that waits has failed: Criterion ends it. */
Test(log, a_log_that_nobody_reads, .init = to_pipe, .timeout = 10)
{
	char first[65536];

	cr_assert_gt(fcntl(pipe_fds[1], F_SETPIPE_SZ, 16384), 0);
	while (log_lost() < 3)
		log_error("a line");
	cr_assert_gt(read(pipe_fds[0], first, sizeof(first)), 0);
	log_error("behind");
	cr_expect_eq(log_lost(), 3);
	log_error("and no word of it again");
	struct sv all = logged();
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("3 lines were lost: nobody read the log")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("behind")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("and no word of it again")));
	cr_expect_eq(all.n, 0);
}

/* What a start says is seen by whoever started it, and once. */
Test(log, echo, .init = to_pipe)
{
	int seen[2];
	char line[1024];

	cr_assert_eq(pipe(seen), 0);
	cr_assert_eq(dup2(seen[1], STDERR_FILENO), STDERR_FILENO);
	log_set_fd(dup(pipe_fds[1]));
	log_warning("not yet");
	log_echo(true);
	log_error("told twice");
	log_notice("for the log alone");
	log_set_fd(dup(seen[1])); /* standard error by another number */
	log_error("told here");
	log_echo(false);
	log_set_fd(STDERR_FILENO);
	log_error("the end");
	close(seen[1]);
	close(STDERR_FILENO);
	ssize_t n = read(seen[0], line, sizeof(line));
	cr_assert_gt(n, 0);
	struct sv all = sv_of(line, (size_t)n);
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("told twice")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("told here")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("the end")));
	cr_expect_eq(all.n, 0);
	close(pipe_fds[1]);
	n = read(pipe_fds[0], line, sizeof(line));
	cr_assert_gt(n, 0);
	all = sv_of(line, (size_t)n);
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "warning"), SV("not yet")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "error"), SV("told twice")));
	cr_expect(sv_eq(message(sv_cut(&all, '\n'), "notice"), SV("for the log alone")));
	cr_expect_eq(all.n, 0);
}
