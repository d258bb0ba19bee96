#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/allow.h"
#include "supervisor/sockets.h"
#include "scratch.h"

static char address[64];
static struct sockets sockets = {NULL, 0, 0};
static const struct allow_socket how = {16, 0600, false}, lasting = {16, 0600, true};

/* A port that was free a moment ago. */
static void
choose_address(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
	scratch_make();
}

static void
close_all(void)
{
	sockets_close(&sockets);
	scratch_remove();
}

TestSuite(sockets, .init = choose_address, .fini = close_all);

static int
get(unsigned index, unsigned count, struct err *err)
{
	return sockets_get(&sockets, address, index, count, &how, 0, err);
}

Test(sockets, one_for_each_thread_and_always_the_same)
{
	struct err err = {""};
	int a = get(0, 2, &err), b = get(1, 2, &err);

	cr_assert(a >= 0 && b >= 0, "%s", err.text);
	cr_expect_neq(a, b);
	cr_expect_eq(get(0, 2, &err), a);
	cr_expect_eq(get(1, 2, &err), b);
	cr_expect_eq(sockets.n, 2);
}

Test(sockets, those_that_nobody_would_accept_from_are_closed)
{
	struct err err = {""};
	int a = get(0, 3, &err);

	(void)get(1, 3, &err);
	(void)get(2, 3, &err);
	cr_assert_eq(sockets.n, 3);
	cr_expect_eq(get(0, 1, &err), a);
	cr_expect_eq(sockets.n, 1);
}

Test(sockets, a_port_of_our_own_user_is_taken_all_the_same)
{
	struct sockets other = {NULL, 0, 0};
	struct err err = {""};

	cr_assert_geq(sockets_get(&other, address, 0, 1, &how, 0, &err), 0, "%s", err.text);
	cr_expect_eq(get(0, 1, &err), -1, "SO_REUSEPORT would have shared it");
	cr_expect_not_null(strstr(err.text, address), "%s", err.text);
	sockets_close(&other);
	cr_expect_geq(get(0, 1, &err), 0);
}

Test(sockets, numbers_that_make_no_sense)
{
	struct err err = {""};

	cr_expect_eq(get(1, 1, &err), -1);
	cr_expect_eq(get(0, 0, &err), -1);
	cr_expect_eq(get(0, SOCKETS_PER_ADDRESS + 1, &err), -1);
	cr_expect_eq(sockets.n, 0);
	cr_expect_eq(sockets_get(&sockets, "nonsense", 0, 1, &how, 0, &err), -1);
}

Test(sockets, those_that_the_config_no_longer_names_are_closed)
{
	struct conf_listener listener = {.address = address, .backlog = 16};
	struct conf conf = {.listeners = &listener, .n_listeners = 1};
	struct allow *a = allow_new();
	char path[128];
	struct err err = {""};
	struct stat st;

	(void)snprintf(path, sizeof(path), "unix:%s", scratch_path("admin"));
	cr_assert(allow_what_is_named(a, &conf));
	int kept = get(0, 1, &err);
	cr_assert_geq(sockets_get(&sockets, path, 0, 1, &how, 0, &err), 0, "%s", err.text);
	cr_assert_eq(stat(path + 5, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	sockets_keep(&sockets, a);
	cr_expect_eq(sockets.n, 1);
	cr_expect_eq(get(0, 1, &err), kept);
	cr_expect_neq(access(path + 5, F_OK), 0, "the file of a Unix socket goes with it");
	allow_free(a);
}

static const char *
unix_address(const char *name)
{
	static char text[2][128];
	static unsigned next;
	char *out = text[next++ % 2];

	(void)snprintf(out, sizeof(text[0]), "unix:%s", scratch_path(name));
	return out;
}

static int
get_unix(struct sockets *s, const char *at, const struct allow_socket *as)
{
	struct err err = {""};

	return sockets_get(s, at, 0, 1, as, 0, &err);
}

Test(sockets, a_lasting_one_outlives_configs_and_the_drain)
{
	const char *admin = unix_address("admin"), *listener = unix_address("listener");
	struct conf conf = {.n_listeners = 0};
	struct allow *a = allow_new();

	cr_assert(allow_what_is_named(a, &conf));
	int fd = get_unix(&sockets, admin, &lasting);
	cr_assert_geq(fd, 0);
	cr_assert_geq(get_unix(&sockets, listener, &how), 0);
	cr_expect_eq(sockets.n, 2);
	sockets_keep(&sockets, a);
	cr_expect_eq(sockets.n, 1);
	cr_expect_neq(access(listener + 5, F_OK), 0);
	cr_expect_eq(get_unix(&sockets, admin, &lasting), fd);
	sockets_drain(&sockets);
	cr_expect_eq(sockets.n, 1);
	cr_expect_eq(access(admin + 5, F_OK), 0);
	sockets_close(&sockets);
	cr_expect_neq(access(admin + 5, F_OK), 0);
	allow_free(a);
}

Test(sockets, there_is_one_that_lasts)
{
	const char *old = unix_address("old"), *new = unix_address("new");

	cr_assert_geq(get_unix(&sockets, old, &lasting), 0);
	cr_assert_geq(get_unix(&sockets, new, &lasting), 0);
	cr_expect_eq(sockets.n, 1);
	cr_expect_neq(access(old + 5, F_OK), 0);
	cr_expect_eq(access(new + 5, F_OK), 0);
}

Test(sockets, who_drains_gives_way_and_removes_nothing_of_the_successor)
{
	const char *admin = unix_address("admin");
	struct sockets next = SOCKETS_EMPTY;

	cr_assert_geq(get_unix(&sockets, admin, &lasting), 0);
	cr_expect_eq(get_unix(&next, admin, &lasting), -1, "it is taken");
	sockets_drain(&sockets);
	cr_assert_geq(get_unix(&next, admin, &lasting), 0);
	sockets_drain(&sockets); /* the file is not ours any more */
	struct stat st;
	cr_assert_eq(stat(admin + 5, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	sockets_close(&sockets);
	cr_expect_eq(access(admin + 5, F_OK), 0);
	cr_expect_eq(get_unix(&sockets, admin, &lasting), -1, "the successor listens there");
	sockets_close(&next);
	cr_expect_neq(access(admin + 5, F_OK), 0);
}
