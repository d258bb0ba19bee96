/*
 * Supervisor and worker talking: the broker serves one end of a socket in a thread, the test is the worker, sometimes
 * an evil one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "line/control.h"
#include "line/sealed.h"
#include "supervisor/broker.h"
#include "scratch.h"

static struct broker broker;
static int supervisor_end, worker_end;
static pthread_t supervisor;
static const char *config_path;
static char config_file[256];

static void *
serve(void *arg)
{
	struct message m;
	int fd;

	(void)arg;
	while (message_receive(supervisor_end, &m, &fd, 0) == MESSAGE_GOT)
		if (!broker_serve(&broker, supervisor_end, &m, fd))
			break;
	return NULL;
}

/* `more`: keys and a comma. */
static void
write_config(const char *more)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
	    "{ %s \"listeners\": [ { \"address\": \"unix:%s/listen.sock\" } ], \"admin\": { \"socket\": \"admin.sock\" },\n"
	    "  \"bundles\": { \"one\": { \"certificate\": \"one.pem\", \"key\": \"one.key\" }, \"*\": { \"directory\": \"all\" } },\n"
	    "  \"log\": { \"error\": \"error.log\" },\n"
	    "  \"sites\": [ { \"names\": [ \"a.test\" ], \"bundle\": \"one\", \"upstream\": \"u\" } ],\n"
	    "  \"upstreams\": { \"u\": { \"servers\": [ \"127.0.0.1:1\" ] } } }\n",
	    more, scratch);
	(void)snprintf(config_file, sizeof(config_file), "%s", scratch_write("bascule.json", text));
	config_path = config_file;
}

static void
start(const char *more)
{
	struct conf_problems problems;
	int ends[2];

	log_init("test", LOG_ERROR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	scratch_make();
	scratch_write("one.pem", "certificate");
	scratch_write("one.key", "key");
	scratch_write("secret.txt", "nobody's business");
	cr_assert_eq(mkdir(scratch_path("all"), 0700), 0);
	write_config(more);
	conf_problems_init(&problems);
	cr_assert(broker_init(&broker, config_path, &problems), "%.*s", SV_FMT(buf_view(&problems.text)));
	conf_problems_free(&problems);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	supervisor_end = ends[0];
	worker_end = ends[1];
	cr_assert_eq(pthread_create(&supervisor, NULL, serve, NULL), 0);
}

static void
start_plain(void)
{
	start("");
}

static void
stop(void)
{
	(void)shutdown(worker_end, SHUT_RDWR);
	pthread_join(supervisor, NULL);
	broker_free(&broker);
	close(supervisor_end);
	scratch_remove();
}

TestSuite(broker, .init = start_plain, .fini = stop);

/* What the supervisor says to a request; *fd is the descriptor or -1. */
static struct message
ask(enum message_kind kind, const char *text, int *fd)
{
	struct message m = {.kind = kind, .count = 1};

	cr_assert(sv_copy(sv_cstr(text), m.text, sizeof(m.text)));
	cr_assert(message_send(worker_end, &m, -1, 0));
	cr_assert_eq(message_receive(worker_end, &m, fd, 0), MESSAGE_GOT);
	cr_assert_eq(m.kind, MESSAGE_REPLY);
	return m;
}

static bool
gets_descriptor(enum message_kind kind, const char *text)
{
	int fd;
	struct message m = ask(kind, text, &fd);

	cr_expect_eq(m.ok, fd >= 0);
	if (fd >= 0)
		close(fd);
	return m.ok;
}

Test(broker, opens_what_the_config_names)
{
	int fd;
	char text[16] = "";
	struct message m = ask(MESSAGE_OPEN_READ, scratch_path("one.key"), &fd);

	cr_assert(m.ok, "%s", m.text);
	cr_expect_eq(read(fd, text, sizeof(text) - 1), 3);
	cr_expect_str_eq(text, "key");
	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, config_path));
	scratch_write("all/two.pem", "x");
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, scratch_path("all/two.pem")));
}

Test(broker, opens_nothing_else)
{
	int fd;
	struct message m = ask(MESSAGE_OPEN_READ, scratch_path("secret.txt"), &fd);

	cr_expect(!m.ok);
	cr_expect_eq(fd, -1);
	cr_expect_eq(m.error, EACCES);
	cr_expect_not_null(strstr(m.text, "secret.txt"));
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, "/etc/shadow"));
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, scratch_path("all/../secret.txt")));
	cr_expect(!gets_descriptor(MESSAGE_OPEN_APPEND, scratch_path("one.key")));
	cr_expect(!gets_descriptor(MESSAGE_LIST, scratch));
	cr_expect(!gets_descriptor(MESSAGE_LISTEN, "127.0.0.1:0"));
	cr_expect(!ask(MESSAGE_STAMP, scratch_path("secret.txt"), &fd).ok);
}

static bool
watches(const char *path, bool is_file)
{
	struct message m = {.kind = MESSAGE_WATCH, .number = is_file};

	cr_assert(sv_copy(sv_cstr(path), m.text, sizeof(m.text)));
	cr_assert(message_send(worker_end, &m, -1, 0));
	cr_assert_eq(message_receive(worker_end, &m, NULL, 0), MESSAGE_GOT);
	return m.ok;
}

Test(broker, watches_what_the_config_names_and_nothing_else)
{
	int fd;

	cr_expect(watches(scratch_path("one.key"), true));
	cr_expect(watches(scratch_path("all"), false));
	cr_expect(watches(scratch_path("all/"), false));
	cr_expect(watches(scratch_path("all/three.pem"), true), "it may come to be");
	cr_expect_geq(broker.watches.fd, 0);
	cr_expect(!watches(scratch_path("secret.txt"), true));
	cr_expect(!watches(scratch_path("all/../secret.txt"), true));
	cr_expect(!watches(scratch, false));
	cr_expect(!watches("/etc", false));
	cr_expect(ask(MESSAGE_UNWATCH, "", &fd).ok);
	cr_expect_eq(broker.watches.fd, -1);
}

Test(broker, what_is_no_file_is_refused)
{
	cr_assert_eq(mkfifo(scratch_path("all/fifo.pem"), 0600), 0);
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, scratch_path("all/fifo.pem")), "and nobody waits for its writer");
	cr_assert_eq(symlink("/dev/zero", scratch_path("all/zero.pem")), 0);
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, scratch_path("all/zero.pem")));
	cr_assert_eq(mkfifo(scratch_path("error.log"), 0600), 0);
	cr_expect(!gets_descriptor(MESSAGE_OPEN_APPEND, scratch_path("error.log")));
}

Test(broker, makes_logs)
{
	int fd;
	struct stat st;
	struct message m = ask(MESSAGE_OPEN_APPEND, scratch_path("error.log"), &fd);

	cr_assert(m.ok, "%s", m.text);
	cr_expect_eq(write(fd, "line\n", 5), 5);
	cr_expect(fcntl(fd, F_GETFL) & O_APPEND);
	close(fd);
	cr_assert_eq(stat(scratch_path("error.log"), &st), 0);
	cr_expect_eq(st.st_size, 5);
}

/* --- through control.h --- */

TestSuite(control, .init = start_plain, .fini = stop);

static struct control *
attach(void)
{
	struct err err = {""};
	struct control *c = control_attach(dup(worker_end), &err);

	cr_assert_not_null(c, "%s", err.text);
	return c;
}

Test(control, lists_a_directory_of_ten_thousand)
{
	enum { N = 10000 };
	struct control *c = attach();
	struct files *f = control_files(c);
	struct file_entry *entries = NULL;
	char path[256];
	size_t n = 0;
	struct err err = {""};

	for (int i = 0; i < N; i++) {
		(void)snprintf(path, sizeof(path), "%s/all/%d.pem", scratch, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		cr_assert_geq(fd, 0);
		close(fd);
	}
	cr_assert(f->list(f, scratch_path("all"), &entries, &n, &err), "%s", err.text);
	cr_assert_eq(n, N);
	bool *seen = calloc(N, sizeof(*seen));
	for (size_t i = 0; i < n; i++) {
		long number = strtol(entries[i].name, NULL, 10);
		cr_assert(number >= 0 && number < N && !seen[number] && entries[i].stamp.inode != 0);
		seen[number] = true;
	}
	free(seen);
	free(entries);
	control_detach(c);
}

Test(control, an_empty_directory)
{
	struct control *c = attach();
	struct files *f = control_files(c);
	struct file_entry *entries = NULL;
	size_t n = 7;
	struct err err = {""};

	cr_expect(f->list(f, scratch_path("all"), &entries, &n, &err), "%s", err.text);
	cr_expect_eq(n, 0);
	free(entries);
	cr_expect(!f->list(f, scratch, &entries, &n, &err));
	control_detach(c);
}

Test(control, asks_the_broker_for_what_it_may_not_open)
{
	struct err err = {""};
	struct file_stamp stamp = {0};
	struct stat st;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(chmod(scratch, 0711), 0);
	cr_assert_eq(chmod(scratch_path("one.key"), 0600), 0);
	cr_assert_eq(stat(scratch_path("one.key"), &st), 0);
	/* The rights of this thread alone: the broker's keeps those of root. */
	cr_assert_eq(setfsuid(65534), 0);
	cr_assert_eq(open(scratch_path("one.key"), O_RDONLY), -1);
	struct control *c = attach();
	struct files *f = control_files(c);
	int fd = f->open_read(f, scratch_path("one.key"), &err);
	cr_expect_geq(fd, 0, "%s", err.text);
	cr_expect(f->stamp(f, scratch_path("one.key"), &stamp, &err), "%s", err.text);
	cr_expect_eq(stamp.inode, st.st_ino);
	errno = 0;
	cr_expect_eq(f->open_read(f, scratch_path("nothing"), &err), -1);
	cr_expect_eq(errno, ENOENT);
	setfsuid(0);
	close(fd);
	control_detach(c);
}

Test(control, a_listening_socket_outlives_a_worker)
{
	char address[128];
	struct err err = {""};
	struct stat a, b;

	(void)snprintf(address, sizeof(address), "unix:%s", scratch_path("listen.sock"));
	struct control *first = attach();
	int one = control_listen(first, address, 0, 1, &err);
	cr_assert_geq(one, 0, "%s", err.text);
	control_detach(first);
	struct control *second = attach();
	int two = control_listen(second, address, 0, 1, &err);
	cr_assert_geq(two, 0, "%s", err.text);
	cr_assert_eq(fstat(one, &a) | fstat(two, &b), 0);
	cr_expect_eq(a.st_ino, b.st_ino);
	cr_expect_eq(control_listen(second, "127.0.0.1:80", 0, 1, &err), -1);
	cr_expect_not_null(strstr(err.text, "127.0.0.1:80"), "%s", err.text);
	close(one);
	close(two);
	control_detach(second);
}

Test(control, the_secret_stays_the_same)
{
	struct control *c = attach();
	unsigned char a[CONTROL_SECRET_MAX], b[CONTROL_SECRET_MAX];
	size_t na = 0, nb = 0;
	struct err err = {""};

	cr_assert(control_secret(c, a, &na, &err) && control_secret(c, b, &nb, &err), "%s", err.text);
	cr_expect(na == nb && na >= SECRET_FILE_MIN && memcmp(a, b, na) == 0);
	control_detach(c);
}

Test(control, a_new_config_allows_more_and_the_old_one_less_once_it_serves)
{
	struct control *c = attach();
	struct err err = {""};

	write_config("\"secret_file\": \"secret.bin\", \"include\": [],");
	scratch_write("bascule.json", "{ not JSON");
	cr_expect(!control_refresh(c, &err));
	cr_expect_not_null(strstr(err.text, "bascule.json:1:"), "%s", err.text);
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, scratch_path("one.key")), "nothing has changed");

	char text[512];
	(void)snprintf(text, sizeof(text),
	    "{ \"listeners\": [ { \"address\": \"127.0.0.1:1\" } ], \"bundles\": { \"two\": { \"combined\": \"secret.txt\" } },\n"
	    "  \"sites\": [ { \"names\": [ \"a.test\" ], \"bundle\": \"two\", \"upstream\": \"u\" } ],\n"
	    "  \"upstreams\": { \"u\": { \"servers\": [ \"127.0.0.1:1\" ] } } }\n");
	scratch_write("bascule.json", text);
	cr_assert(control_refresh(c, &err), "%s", err.text);
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, scratch_path("secret.txt")), "what is being loaded");
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, scratch_path("one.key")), "what is in service");
	control_reloaded(c, false, "it was no good");
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, scratch_path("secret.txt")));
	cr_assert(control_refresh(c, &err), "%s", err.text);
	control_reloaded(c, true, NULL);
	cr_expect(gets_descriptor(MESSAGE_OPEN_READ, scratch_path("secret.txt")));
	cr_expect(!gets_descriptor(MESSAGE_OPEN_READ, scratch_path("one.key")));
	control_detach(c);
}

/* --- what is kept for the next worker --- */

static void
keep_part(struct control *c, size_t part, const char *text)
{
	struct err err = {""};
	int fd = scratch_sealed(text);

	cr_assert(control_keep(c, part, fd, &err), "%s", err.text);
	close(fd);
}

static void
keep(struct control *c, const char *text)
{
	struct err err = {""};

	keep_part(c, 0, text);
	cr_assert(control_keep_whole(c, 1, &err), "%s", err.text);
}

/* Of n parts. NULL: there is no such part. */
static void
expect_part(struct control *c, size_t part, const char *text, size_t n)
{
	struct err err = {""};
	struct sealed s;
	size_t found;
	int fd;

	cr_assert(control_kept(c, part, &fd, &found, &err), "%s", err.text);
	cr_expect_eq(found, n);
	if (text == NULL) {
		cr_expect_eq(fd, -1, "nothing is kept");
		return;
	}
	cr_assert_geq(fd, 0);
	cr_assert(sealed_map(&s, fd, &err), "%s", err.text);
	cr_expect_str_eq((const char *)s.p, text);
	sealed_unmap(&s);
	close(fd);
}

static void
expect_kept(struct control *c, const char *text)
{
	expect_part(c, 0, text, text != NULL);
}

/* Of us and of the broker, which closes its own after it has answered: so one more answer is waited for. */
static int
count_descriptors(void)
{
	int none, n = 0;

	(void)ask(MESSAGE_STAMP, "/nowhere", &none);
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(control, what_is_handed_over_waits_for_the_next_worker)
{
	struct control *c = attach();

	expect_kept(c, NULL);
	keep(c, "one");
	int before = count_descriptors();
	keep(c, "two");
	expect_kept(c, "two");
	cr_expect_eq(count_descriptors(), before, "the one before is let go of");
	control_detach(c);
	c = attach();
	expect_kept(c, "two");
	expect_kept(c, "two");
	cr_assert(control_keep_whole(c, 0, NULL));
	expect_kept(c, NULL);
	control_detach(c);
}

/* Also where another config is being loaded, which has none of its own yet. */
Test(control, parts_stay_from_one_config_to_the_next)
{
	struct control *c = attach();
	struct err err = {""};

	keep_part(c, 1, "stays");
	keep_part(c, 0, "old");
	for (int ok = 0; ok < 2; ok++) {
		cr_assert(control_keep_whole(c, 2, &err), "%s", err.text);
		expect_part(c, 0, "old", 2);
		cr_assert(control_refresh(c, &err));
		keep_part(c, 0, "new");
		cr_assert(control_keep_whole(c, 2, &err), "%s", err.text);
		expect_part(c, 0, "old", 2);
		control_reloaded(c, ok, NULL);
	}
	expect_part(c, 0, "new", 2);
	expect_part(c, 1, "stays", 2);
	control_detach(c);
}

/* What a worker did not come to the end of, the one after it does not end either. */
Test(control, what_a_dead_worker_was_handing_over_is_let_go)
{
	struct control *c = attach();
	struct err err = {""};
	int before = count_descriptors();

	keep(c, "whole");
	keep_part(c, 0, "half");
	control_detach(c);
	broker_begin(&broker); /* its thread waits for a message */
	c = attach();
	cr_expect_eq(count_descriptors(), before + 1);
	cr_assert(control_keep_whole(c, 1, &err), "%s", err.text);
	expect_kept(c, "whole");
	control_detach(c);
}

/* It belongs to a config: with that it comes and goes. */
Test(control, what_is_kept_is_that_of_the_config_in_service)
{
	struct control *c = attach();
	struct err err;

	keep(c, "old");
	cr_assert(control_refresh(c, &err));
	keep(c, "new");
	expect_kept(c, "old");
	control_reloaded(c, false, NULL);
	expect_kept(c, "old");
	cr_assert(control_refresh(c, &err));
	keep(c, "new");
	control_reloaded(c, true, NULL);
	expect_kept(c, "new");
	keep(c, "newer");
	expect_kept(c, "newer");
	cr_assert(control_refresh(c, &err));
	control_reloaded(c, true, NULL);
	expect_kept(c, NULL); /* that of another config helps nobody */
	control_detach(c);
}

Test(control, what_is_not_sealed_is_not_kept)
{
	struct control *c = attach();
	struct err err = {""};
	int before = count_descriptors();

	keep(c, "good");
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(fd, "bad", 4), 4);
	cr_expect(!control_keep(c, 0, fd, &err));
	cr_expect_not_null(strstr(err.text, "sealed"), "%s", err.text);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_expect(!control_keep(c, 0, fd, &err));
	close(fd);
	expect_kept(c, "good");
	cr_expect_eq(count_descriptors(), before + 1);
	control_detach(c);
}

Test(control, descriptors_that_come_unasked_are_closed)
{
	struct control *c = attach();
	int before = count_descriptors();
	struct message m;

	for (uint32_t kind = 0; kind < MESSAGE_KEEP; kind++) {
		m = (struct message){.kind = kind, .text = "/nowhere"};
		cr_assert(message_send(worker_end, &m, 0, 0));
		cr_assert_eq(message_receive(worker_end, &m, NULL, 0), MESSAGE_GOT);
	}
	for (uint32_t kind = MESSAGE_READY; kind < MESSAGE_KINDS_N; kind++) {
		m = (struct message){.kind = kind};
		cr_assert(message_send(worker_end, &m, 0, 0));
	}
	expect_kept(c, NULL);
	cr_expect_eq(count_descriptors(), before);
	control_detach(c);
}

static void
command(uint64_t what)
{
	struct message m = {.kind = MESSAGE_COMMAND, .number = what};

	cr_assert(message_send(supervisor_end, &m, -1, 0));
}

Test(control, commands_wait_while_it_asks)
{
	struct control *c = attach();
	enum control_command got;
	struct err err;

	cr_expect(!control_next(c, &got));
	command(CONTROL_RELOAD);
	command(CONTROL_RELOAD);
	command(CONTROL_DRAIN);
	command(12345);
	cr_assert(control_refresh(c, &err));
	cr_assert(control_next(c, &got));
	cr_expect_eq(got, CONTROL_DRAIN, "the gravest first");
	cr_assert(control_next(c, &got));
	cr_expect_eq(got, CONTROL_RELOAD);
	cr_expect(!control_next(c, &got), "twice is once");
	control_detach(c);
}

Test(control, a_dead_supervisor)
{
	struct control *c = attach();
	enum control_command got;
	struct err err = {""};

	(void)shutdown(supervisor_end, SHUT_RDWR);
	cr_expect(!control_refresh(c, &err));
	cr_expect_not_null(strstr(err.text, "supervisor"), "%s", err.text);
	cr_assert(control_next(c, &got));
	cr_expect_eq(got, CONTROL_LOST);
	cr_expect(!control_next(c, &got), "said once");
	cr_expect_eq(control_listen(c, "x", 0, 1, &err), -1);
	cr_expect(!control_next(c, &got));
	control_detach(c);
}

Test(control, attaches_to_nothing_else)
{
	struct err err = {""};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_expect_null(control_attach(fd, &err));
	cr_expect_neq(err.text[0], '\0');
	close(fd);
}
