/* Supervisor and worker talking: the test is the worker, sometimes an evil one. */
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
#include "serving.h"

TestSuite(broker, .init = serving_start, .fini = serving_stop);

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

TestSuite(control, .init = serving_start, .fini = serving_stop);

/* Files named by numbers from `from` on. */
static void
fill_directory(int from, int to)
{
	char path[256];

	for (int i = from; i < to; i++) {
		(void)snprintf(path, sizeof(path), "%s/all/%d.pem", scratch, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		cr_assert_geq(fd, 0);
		close(fd);
	}
}

static void
expect_listed(struct files *f, size_t expected)
{
	struct file_entry *entries = NULL;
	struct err err = {""};
	size_t n = 0;

	cr_assert(files_list(f, scratch_path("all"), &entries, &n, &err), "%s", err.text);
	cr_assert_eq(n, expected);
	bool *seen = calloc(n, sizeof(*seen));
	for (size_t i = 0; i < n; i++) {
		long number = strtol(entries[i].name, NULL, 10);
		cr_assert(number >= 0 && (size_t)number < n && !seen[number] && entries[i].stamp.inode != 0);
		seen[number] = true;
	}
	free(seen);
	free(entries);
}

/* Some at a time: also when the last of them fill just what is sent at once. */
Test(control, lists_a_directory_of_ten_thousand)
{
	static const int sizes[] = {255, 256, 257, 512, 10000};
	struct control *c = attach();
	int before = count_descriptors();

	for (size_t i = 0; i < COUNTOF(sizes); i++) {
		fill_directory(i > 0 ? sizes[i - 1] : 0, sizes[i]);
		expect_listed(control_files(c), (size_t)sizes[i]);
	}
	cr_expect_eq(count_descriptors(), before);
	control_detach(c);
}

Test(control, a_listing_ends_with_its_worker_or_the_next_listing)
{
	struct control *c = attach();
	int before = count_descriptors(), fd;

	fill_directory(0, 600);
	cr_expect_not(ask(MESSAGE_LIST_ON, "", &fd).ok, "there is none to go on with");
	for (int i = 0; i < 2; i++) {
		struct message m = ask(MESSAGE_LIST, scratch_path("all"), &fd);
		cr_assert(m.ok && m.number == 256 && m.count == 1);
		close(fd);
		cr_expect_eq(count_descriptors(), before + 1);
	}
	expect_listed(control_files(c), 600);
	cr_expect_not(ask(MESSAGE_LIST_ON, "", &fd).ok, "that is over");
	cr_assert(ask(MESSAGE_LIST, scratch_path("all"), &fd).ok);
	close(fd);
	broker_forget_worker(&broker); /* its thread waits for a message */
	cr_expect_not(ask(MESSAGE_LIST_ON, "", &fd).ok, "that was another worker's");
	cr_assert(ask(MESSAGE_LIST, scratch_path("all"), &fd).ok);
	close(fd);
	control_reloaded(c, true, NULL);
	cr_expect_not(ask(MESSAGE_LIST_ON, "", &fd).ok, "the config may name it no longer");
	cr_expect_eq(count_descriptors(), before);
	control_detach(c);
}

static bool
take_three(struct file_taker *t, const struct file_entry *e)
{
	static unsigned taken;

	(void)t, (void)e;
	return ++taken < 3;
}

Test(control, a_listing_that_is_broken_off_is_not_left_open)
{
	struct control *c = attach();
	struct file_taker three = {take_three};
	struct err err = {""};
	int before = count_descriptors();

	fill_directory(0, 600);
	cr_expect_not(control_files(c)->list(control_files(c), scratch_path("all"), &three, &err));
	cr_expect_not_null(strstr(err.text, "memory"), "%s", err.text);
	cr_expect_eq(count_descriptors(), before);
	control_detach(c);
}

Test(control, an_empty_directory)
{
	struct control *c = attach();
	struct files *f = control_files(c);
	struct file_entry *entries = NULL;
	size_t n = 7;
	struct err err = {""};

	cr_expect(files_list(f, scratch_path("all"), &entries, &n, &err), "%s", err.text);
	cr_expect_eq(n, 0);
	free(entries);
	cr_expect(!files_list(f, scratch, &entries, &n, &err));
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

	serving_config("\"secret_file\": \"secret.bin\", \"include\": [],");
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
