#include "rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_MS = 30000, NAP_US = 500, HEARD_MAX = 256 * 1024 };

struct rig rig;

static pthread_t loop_thread;
static bool runs;

/* --- life --------------------------------------------------------------------------------------------------- */

/* Not by net_listen(): with SO_REUSEPORT the kernel may choose the port of another test that runs beside this one. */
static int
listening(struct net_address *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*a = (struct net_address){.length = sizeof(a->u.in)};
	a->u.in.sin_family = AF_INET;
	a->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, &a->u.sa, a->length), 0);
	cr_assert_eq(listen(fd, 64), 0);
	cr_assert_eq(getsockname(fd, &a->u.sa, &a->length), 0);
	return fd;
}

void
rig_setup(void)
{
	struct err err = {""};

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(rig.dir, sizeof(rig.dir), "/tmp/bascule-proxy-XXXXXX");
	cr_assert_not_null(mkdtemp(rig.dir));
	for (unsigned i = 0; i < RIG_ORIGINS; i++) {
		struct net_address a;
		rig.origin[i] = listening(&a);
		net_address_text(&a, true, rig.origin_text[i]);
	}
	conf_problems_init(&rig.problems);
	rig.secret.n = SECRET_MIN;
	rig.registry = server_registry_new();
	rig.loader = tls_thread_new(0, &err);
	cr_assert_not_null(rig.loader, "%s", err.text);
}

static void
forget(const char *name)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
	(void)unlink(path);
}

void
rig_teardown(void)
{
	if (runs) {
		net_loop_stop(rig.thread->loop);
		pthread_join(loop_thread, NULL);
		runs = false;
	}
	px_thread_free(rig.thread);
	snapshot_unref(rig.snapshot);
	server_registry_free(rig.registry);
	tls_thread_free(rig.loader);
	tls_outcomes_free(&rig.outcomes);
	conf_problems_free(&rig.problems);
	for (unsigned i = 0; i < RIG_ORIGINS; i++)
		close(rig.origin[i]);
	forget("conf.json");
	forget("socket");
	forget("peer\r\nX-Forged: yes");
	(void)rmdir(rig.dir);
}

/* --- snapshots ---------------------------------------------------------------------------------------------- */

struct conf *
rig_conf(const char *json)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/conf.json", rig.dir);
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	/* A config needs a listener, of which nothing but its presence matters here. */
	(void)fprintf(f, "{ \"listeners\": [ { \"address\": \"127.0.0.1:1\" } ]%s", json[1] == '}' ? "" : ",");
	while (*++json != '\0') {
		if (*json == '$' && json[1] >= '0' && json[1] < '0' + RIG_ORIGINS)
			(void)fputs(rig.origin_text[*++json - '0'], f);
		else
			(void)fputc(*json == '\'' ? '"' : *json, f);
	}
	(void)fclose(f);
	struct conf *c = conf_load(files_direct(), path, &rig.problems);
	cr_assert_not_null(c, "%.*s", SV_FMT(buf_view(&rig.problems.text)));
	return c;
}

struct snapshot *
rig_build(const char *json)
{
	struct snap_conf *shared = snap_conf_new(rig_conf(json));
	struct snapshot_inputs in = {.files = files_direct(), .thread = rig.loader, .secret = &rig.secret, .registry = rig.registry,
	    .previous = rig.snapshot};

	tls_outcomes_free(&rig.outcomes);
	struct snapshot *s = snapshot_build(shared, &in, &rig.problems, &rig.outcomes);
	snap_conf_unref(shared);
	return s;
}

static void *
run(void *arg)
{
	net_loop_run(arg);
	return NULL;
}

struct call {
	struct net_message m;
	void (*fn)(void *);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void
on_call(struct net_message *m, struct net_loop *loop)
{
	struct call *c = CONTAINER_OF(m, struct call, m);

	(void)loop;
	c->fn(c->arg);
	pthread_mutex_lock(&c->lock);
	c->is_done = true;
	pthread_cond_signal(&c->done);
	pthread_mutex_unlock(&c->lock);
}

void
rig_call(void (*fn)(void *), void *arg)
{
	struct call c = {{.fn = on_call}, fn, arg, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

	net_loop_post(rig.thread->loop, &c.m);
	pthread_mutex_lock(&c.lock);
	while (!c.is_done)
		pthread_cond_wait(&c.done, &c.lock);
	pthread_mutex_unlock(&c.lock);
}

static void
publish(void *arg)
{
	struct err err = {""};

	(void)arg;
	cr_assert(px_thread_prepare(rig.thread, rig.snapshot, &rig.secret, NULL, &err), "%s", err.text);
	px_thread_commit(rig.thread);
}

void
rig_serve_as(const char *json, px_service_fn service, void *arg, const struct conf_listener *how)
{
	static const struct conf_listener plain;
	struct snapshot *s = rig_build(json);
	struct err err = {""};

	cr_assert_not_null(s, "%.*s", SV_FMT(buf_view(&rig.problems.text)));
	snapshot_unref(rig.snapshot);
	rig.snapshot = s;
	if (runs) {
		rig_call(publish, NULL);
		return;
	}
	rig.thread = px_thread_new(1, 1, &rig.shared, &err);
	cr_assert_not_null(rig.thread, "%s", err.text);
	publish(NULL);
	cr_assert(px_thread_listen(rig.thread, listening(&rig.address), "test", service != NULL ? NULL : how != NULL ? how : &plain, service,
	    arg));
	cr_assert_eq(pthread_create(&loop_thread, NULL, run, rig.thread->loop), 0);
	runs = true;
}

void
rig_serve(const char *json)
{
	rig_serve_as(json, NULL, NULL, NULL);
}

uint64_t
rig_closed(enum close_reason why)
{
	return counter_read(&rig.thread->closed[why]);
}

/* --- the two sides ------------------------------------------------------------------------------------------ */

static void
be_patient(int fd)
{
	struct timeval tv = {.tv_sec = PATIENCE_MS / 1000};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
}

int
client_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	be_patient(fd);
	cr_assert_eq(connect(fd, &rig.address.u.sa, rig.address.length), 0, "%s", strerror(errno));
	return fd;
}

int
origin_accept(unsigned origin)
{
	struct pollfd p = {.fd = rig.origin[origin], .events = POLLIN};

	cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1, "nobody connected to origin %u", origin);
	int fd = accept4(rig.origin[origin], NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(fd, 0);
	be_patient(fd);
	return fd;
}

bool
origin_is_idle(unsigned origin)
{
	struct pollfd p = {.fd = rig.origin[origin], .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

void
say_bytes(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		cr_assert_gt(sent, 0, "%s", strerror(errno));
		p += sent;
		n -= (size_t)sent;
	}
}

void
say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

const char *
hear(int fd, const char *end)
{
	static char heard[HEARD_MAX + 1];
	size_t n = 0, want = strlen(end);

	/* A byte at a time: what comes behind belongs to the next who hears. */
	while (n < want || memcmp(heard + n - want, end, want) != 0) {
		cr_assert_lt(n, HEARD_MAX);
		ssize_t got = recv(fd, heard + n, 1, 0);
		cr_assert_eq(got, 1, "%s, after: %.*s", got == 0 ? "the end came" : strerror(errno), (int)n, heard);
		n++;
	}
	heard[n] = '\0';
	return heard;
}

void
hear_bytes(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);
		cr_assert_gt(got, 0, "%s", got == 0 ? "the end came" : strerror(errno));
		p += got;
		n -= (size_t)got;
	}
}

char *
hear_all(int fd, size_t *n, bool *reset)
{
	struct buf all;
	ssize_t got;

	buf_init(&all, 256 * 1024 * 1024);
	do {
		char *to = buf_room(&all, 65536);
		cr_assert_not_null(to);
		got = recv(fd, to, 65535, 0);
		if (got > 0)
			buf_added(&all, (size_t)got);
	} while (got > 0);
	cr_assert(got == 0 || errno == ECONNRESET, "%s", strerror(errno));
	if (reset != NULL)
		*reset = got < 0;
	if (n != NULL)
		*n = buf_len(&all);
	all.data[all.tail] = '\0';
	return all.data;
}

bool
hears_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

void
ask(int client, const char *request, int origin, const char *answer, const char *status)
{
	say(client, request);
	(void)hear(origin, HEAD_END);
	say(origin, answer);
	const char *head = hear(client, HEAD_END);
	cr_expect(strncmp(head + 9, status, strlen(status)) == 0, "%s", head);
}

uint64_t
rig_now(void)
{
	return clock_mono_ms();
}

void
rig_expect_soon(uint64_t since_ms, const char *what)
{
	cr_assert_lt(clock_mono_ms() - since_ms, PATIENCE_MS, "this did not come: %s", what);
	usleep(NAP_US);
}
