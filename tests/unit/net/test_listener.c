#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "held.h"
#include "net/listener.h"

enum { MANY = 40 };

static struct net_loop *loop;
static struct net_listener l;
static int accepted[MANY + 1];
static struct net_address last_peer;
static unsigned n_accepted, n_refused;
static int refused_for;
static char dir[] = "/tmp/bascule-listener-XXXXXX";

static void
on_accept(struct net_listener *of, int fd, const struct net_address *peer)
{
	(void)of;
	accepted[n_accepted++] = fd;
	last_peer = *peer;
}

static void
on_refused(struct net_listener *of, int error)
{
	(void)of;
	n_refused++;
	refused_for = error;
}

static void
begin(void)
{
	loop = held_new();
	l.on_accept = on_accept;
	l.on_refused = on_refused;
	cr_assert_not_null(mkdtemp(dir));
}

static void
end(void)
{
	char path[200];

	for (unsigned i = 0; i < n_accepted; i++)
		close(accepted[i]);
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	held_end();
}

TestSuite(listener, .init = begin, .fini = end);

/*
 * On a port that the kernel has found to be free, told in *a; -1: there is no such family here. With SO_REUSEPORT the
 * kernel might choose that of another test that runs beside this one, so it is asked without first.
 */
static int
listen_at(const char *host, bool any, struct net_address *a)
{
	struct err err = {""};
	char text[80];

	(void)snprintf(text, sizeof(text), "%s:1", host);
	cr_assert(net_address_parse(sv_cstr(text), a, &err), "%s", err.text);
	if (a->u.sa.sa_family == AF_INET)
		a->u.in.sin_port = 0;
	else
		a->u.in6.sin6_port = 0;
	int fd = socket(a->u.sa.sa_family, SOCK_STREAM, 0);
	bool ok = fd >= 0 && bind(fd, &a->u.sa, a->length) == 0 && getsockname(fd, &a->u.sa, &a->length) == 0;
	close(fd);
	if (!ok)
		return -1;
	fd = net_listen(a, any, 64, 0, &err);
	cr_assert_geq(fd, 0, "%s", err.text);
	return fd;
}

static struct net_address
unix_address(void)
{
	struct net_address a;
	char text[200];

	(void)snprintf(text, sizeof(text), "unix:%s/s", dir);
	cr_assert(net_address_parse(sv_cstr(text), &a, NULL));
	return a;
}

static int
connect_to(const struct net_address *a)
{
	int fd = socket(a->u.sa.sa_family, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, &a->u.sa, a->length), 0, "%s", strerror(errno));
	return fd;
}

Test(listener, accepts_sockets_that_are_ready_for_use)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a), on = 0;
	socklen_t n = sizeof(on);

	cr_assert_geq(fd, 0);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&a);
	HELD_UNTIL(n_accepted == 1);
	cr_expect(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(getsockopt(accepted[0], IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
	cr_expect_neq(on, 0, "inherited");
	struct net_address mine = {.length = sizeof(mine.u)};
	cr_assert_eq(getsockname(client, &mine.u.sa, &mine.length), 0);
	cr_expect_eq(net_address_port(&last_peer), net_address_port(&mine));
	net_listener_stop(&l);
	close(client);
	close(fd);
}

Test(listener, many_at_once_are_all_accepted)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a), clients[MANY];

	cr_assert(net_listener_start(&l, loop, fd));
	for (unsigned i = 0; i < MANY; i++)
		clients[i] = connect_to(&a);
	HELD_UNTIL(n_accepted == MANY);
	net_listener_stop(&l);
	for (unsigned i = 0; i < MANY; i++)
		close(clients[i]);
	close(fd);
}

Test(listener, a_held_one_lets_nobody_in_yet)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a);

	l.held = true;
	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&a);
	held_turns(5);
	cr_expect_eq(n_accepted, 0);
	l.held = false;
	HELD_UNTIL(n_accepted == 1);
	net_listener_stop(&l);
	close(client);
	close(fd);
}

Test(listener, a_stopped_one_leaves_the_queue_to_others)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a);

	cr_assert(net_listener_start(&l, loop, fd));
	net_listener_stop(&l);
	int client = connect_to(&a);
	held_turns(5);
	cr_expect_eq(n_accepted, 0);
	cr_assert(net_listener_start(&l, loop, fd));
	HELD_UNTIL(n_accepted == 1);
	net_listener_stop(&l);
	close(client);
	close(fd);
}

Test(listener, two_of_us_share_an_address_and_a_stranger_is_told_that_it_is_taken)
{
	struct net_address a;
	struct err err = {""};
	char text[NET_ADDRESS_TEXT];
	int one = listen_at("127.0.0.1", false, &a), two = net_listen(&a, false, 8, 0, &err);

	cr_expect_geq(two, 0, "%s", err.text);
	net_address_text(&a, true, text);
	cr_expect_not(net_listen_is_free(&a, false, &err));
	cr_expect_not_null(strstr(err.text, text), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "taken"), "%s", err.text);
	close(one);
	close(two);
	cr_expect(net_listen_is_free(&a, false, &err), "%s", err.text);
}

Test(listener, an_address_that_another_process_has)
{
	struct net_address a = {.length = sizeof(a.u.in)};
	struct err err = {""};
	char text[NET_ADDRESS_TEXT];
	int other = socket(AF_INET, SOCK_STREAM, 0);

	a.u.in.sin_family = AF_INET;
	a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(other, &a.u.sa, a.length), 0);
	cr_assert_eq(listen(other, 1), 0);
	cr_assert_eq(getsockname(other, &a.u.sa, &a.length), 0);
	cr_expect_eq(net_listen(&a, false, 8, 0, &err), -1);
	net_address_text(&a, true, text);
	cr_expect_not_null(strstr(err.text, text), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "taken"), "%s", err.text);
	close(other);
}

Test(listener, an_address_that_is_not_ours)
{
	struct net_address a;
	struct err err = {""};

	cr_assert(net_address_parse(SV("192.0.2.1:8443"), &a, NULL));
	cr_expect_eq(net_listen(&a, false, 8, 0, &err), -1);
	cr_expect_not_null(strstr(err.text, "192.0.2.1:8443"), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "interface"), "%s", err.text);
}

Test(listener, any_takes_both_families_and_ipv6_only_its_own)
{
	struct net_address a, v4;
	char text[NET_ADDRESS_TEXT];
	int fd = listen_at("[::]", true, &a);

	if (fd < 0)
		cr_skip_test("no IPv6 here");
	v4 = (struct net_address){.length = sizeof(v4.u.in)};
	v4.u.in.sin_family = AF_INET;
	v4.u.in.sin_port = htons(net_address_port(&a));
	v4.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&v4);
	HELD_UNTIL(n_accepted == 1);
	net_address_text(&last_peer, false, text);
	cr_expect_str_eq(text, "127.0.0.1");
	net_listener_stop(&l);
	close(client);
	close(fd);

	fd = listen_at("[::]", false, &a);
	cr_assert_geq(fd, 0);
	v4.u.in.sin_port = htons(net_address_port(&a));
	client = socket(AF_INET, SOCK_STREAM, 0);
	cr_expect_neq(connect(client, &v4.u.sa, v4.length), 0);
	close(client);
	close(fd);
}

/* --- Unix sockets ------------------------------------------------------------------------------------------- */

Test(listener, a_unix_socket_has_its_mode_and_the_mask_is_put_back)
{
	struct net_address a = unix_address();
	struct stat st;
	struct err err = {""};
	mode_t before = umask(027);
	int fd = net_listen(&a, false, 8, 0600, &err);

	cr_assert_geq(fd, 0, "%s", err.text);
	cr_assert_eq(stat(a.u.un.sun_path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(umask(before), 027);
	close(fd);
	fd = net_listen(&a, false, 8, 0666, &err);
	cr_assert_geq(fd, 0, "one that nobody listens on is replaced: %s", err.text);
	cr_assert_eq(stat(a.u.un.sun_path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0666, "whatever the mask is");
	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&a);
	HELD_UNTIL(n_accepted == 1);
	cr_expect_eq(last_peer.u.sa.sa_family, AF_UNIX);
	net_listener_stop(&l);
	close(client);
	close(fd);
}

Test(listener, a_unix_socket_that_is_in_use_stays)
{
	struct net_address a = unix_address();
	struct err err = {""};
	int fd = net_listen(&a, false, 8, 0600, &err);

	cr_assert_geq(fd, 0, "%s", err.text);
	cr_expect_eq(net_listen(&a, false, 8, 0600, &err), -1);
	cr_expect_not_null(strstr(err.text, a.u.un.sun_path), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "another process listens there; stop that one or name another path"), "%s",
	    err.text);
	cr_expect_eq(access(a.u.un.sun_path, F_OK), 0);
	close(connect_to(&a));
	close(fd);
}

Test(listener, asking_does_not_wait_for_one_whose_queue_is_full)
{
	struct net_address a = unix_address();
	struct err err = {""};
	int fd = net_listen(&a, false, 0, 0600, &err), others[8];

	cr_assert_geq(fd, 0, "%s", err.text);
	for (unsigned i = 0; i < COUNTOF(others); i++) {
		others[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(others[i], &a.u.sa, a.length);
	}
	alarm(20); /* a test that hangs is a test that fails */
	cr_expect_eq(net_listen(&a, false, 8, 0600, &err), -1);
	alarm(0);
	for (unsigned i = 0; i < COUNTOF(others); i++)
		close(others[i]);
	close(fd);
}

Test(listener, a_file_that_is_no_socket_is_never_removed)
{
	struct net_address a = unix_address();
	struct err err = {""};
	FILE *f = fopen(a.u.un.sun_path, "w");

	cr_assert_not_null(f);
	(void)fputs("precious", f);
	fclose(f);
	cr_expect_eq(net_listen(&a, false, 8, 0600, &err), -1);
	cr_expect_not_null(strstr(err.text, a.u.un.sun_path), "%s", err.text);
	cr_expect_not_null(strstr(err.text, "is no socket"), "%s", err.text);
	cr_expect_eq(access(a.u.un.sun_path, F_OK), 0, "a typing error must not cost a file");
}

/* --- out of descriptors ------------------------------------------------------------------------------------- */

Test(listener, out_of_descriptors_it_says_so_waits_and_goes_on)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a);
	struct rlimit before, now;

	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&a);
	int next = dup(client); /* the lowest that is free, once closed */
	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)next;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	HELD_UNTIL(n_refused >= 1);
	cr_expect_eq(refused_for, EMFILE);
	cr_expect_eq(n_accepted, 0);
	unsigned told = n_refused;
	held_turns(5);
	cr_expect_lt(n_refused - told, 5, "it does not ask again in every turn");
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	HELD_UNTIL(n_accepted == 1);
	net_listener_stop(&l);
	close(client);
	close(fd);
}

Test(listener, stopped_while_it_waits)
{
	struct net_address a;
	int fd = listen_at("127.0.0.1", false, &a);
	struct rlimit before, now;
	struct net_timer barrier;

	cr_assert(net_listener_start(&l, loop, fd));
	int client = connect_to(&a);
	int next = dup(client);
	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)next;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	HELD_UNTIL(n_refused >= 1);
	net_listener_stop(&l);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	net_timer_init(&barrier, loop, net_timer_cancel);
	net_timer_set(&barrier, 120);
	HELD_UNTIL(!net_timer_pending(&barrier));
	cr_expect_eq(n_accepted, 0);
	close(client);
	close(fd);
}
