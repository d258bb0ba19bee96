/* Two handshakes at once on one thread, which share its BIO: whichever ends first, or breaks, the other does not notice. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

enum { PATIENCE_MS = 10000, OUT_MAX = 64 * 1024 };

static struct wire w;
static struct tls_bundle *bundle;
static struct tls_policy *policy;
static struct net_loop *loop;
static unsigned n_left;

/* --- our side: both streams echo ---------------------------------------------------------------------------- */

static void
end(struct net_stream *s)
{
	net_stream_close(s, false);
	if (--n_left == 0)
		net_loop_stop(loop);
}

static void
on_nothing(struct net_stream *s)
{
	(void)s;
}

static void
on_readable(struct net_stream *s)
{
	char bytes[64];
	ssize_t n;

	while ((n = net_stream_read(s, bytes, sizeof(bytes))) > 0)
		cr_assert(net_stream_write(s, &(struct iovec){.iov_base = bytes, .iov_len = (size_t)n}, 1));
	if (n != NET_AGAIN)
		end(s);
}

static void
on_failed(struct net_stream *s, int error)
{
	(void)error;
	end(s);
}

static const struct net_stream_events events = {
	.on_open = on_nothing,
	.on_readable = on_readable,
	.on_drained = on_nothing,
	.on_timeout = on_nothing,
	.on_failed = on_failed,
};

static bool
choose(struct net_stream *s, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)s, (void)hello;
	*out = (struct tls_choice){.bundles = {bundle}, .n_bundles = 1, .policy = policy};
	return true;
}

/* --- the peers, in one thread of their own ------------------------------------------------------------------- */

/* What becomes of the two, in this order, once both have our first flight. */
struct course {
	int version;
	unsigned first;  /* which of them */
	bool drop_first; /* it goes away in the midst; else it ends its handshake, and is echoed to */
};

struct peers {
	struct course course;
	int fds[2];
	SSL *ssl[2];
	bool echoed[2];
};

static bool
wait_for(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS) == 1;
}

static bool
complete(struct peers *p, unsigned i)
{
	char back[4];
	size_t n = 0;
	int r;

	while ((r = SSL_do_handshake(p->ssl[i])) != 1)
		if (SSL_get_error(p->ssl[i], r) != SSL_ERROR_WANT_READ || !wait_for(p->fds[i]))
			return false;
	if (SSL_write(p->ssl[i], i == 0 ? "zero" : "one.", 4) != 4)
		return false;
	while (SSL_read_ex(p->ssl[i], back, sizeof(back), &n) != 1) /* tickets come first */
		if (!wait_for(p->fds[i]))
			return false;
	return n == sizeof(back) && memcmp(back, i == 0 ? "zero" : "one.", 4) == 0;
}

/* The hellos, before our side runs: so neither goes further. */
static void
begin(struct peers *p)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	cr_assert(context != NULL && SSL_CTX_set_max_proto_version(context, p->course.version));
	for (unsigned i = 0; i < 2; i++) {
		p->ssl[i] = SSL_new(context);
		cr_assert(p->ssl[i] != NULL && SSL_set_fd(p->ssl[i], p->fds[i]));
		SSL_set_connect_state(p->ssl[i]);
		cr_assert_eq(SSL_do_handshake(p->ssl[i]), -1);
	}
	SSL_CTX_free(context);
}

static void *
peers_main(void *arg)
{
	struct peers *p = arg;

	for (unsigned i = 0; i < 2; i++)
		cr_expect(wait_for(p->fds[i]), "our side has answered both");
	unsigned first = p->course.first, second = 1 - first;
	if (p->course.drop_first)
		(void)shutdown(p->fds[first], SHUT_RDWR);
	else
		p->echoed[first] = complete(p, first);
	p->echoed[second] = complete(p, second);
	for (unsigned i = 0; i < 2; i++) {
		SSL_free(p->ssl[i]);
		close(p->fds[i]);
	}
	return NULL;
}

/* --- */

static void
setup(void)
{
	struct err err;

	wire_init(&w);
	struct test_cert ca = pki_ca("CA"), leaf = pki_leaf("a.test", &ca);
	bundle = wire_bundle(&w, "a", &leaf, NULL);
	policy = wire_policy(&w, CONF_CLIENT_NONE, NULL, NULL);
	loop = net_loop_new(&err);
	cr_assert_not_null(loop, "%s", err.text);
	pki_free(&ca), pki_free(&leaf);
}

static void
teardown(void)
{
	net_loop_free(loop);
	tls_policy_unref(policy);
	tls_bundle_unref(bundle);
	wire_done(&w);
}

ParameterizedTestParameters(tls_shared, neither_notices)
{
	static struct course all[] = {
		{TLS1_3_VERSION, 0, false}, {TLS1_3_VERSION, 1, false}, {TLS1_3_VERSION, 0, true}, {TLS1_3_VERSION, 1, true},
		{TLS1_2_VERSION, 0, false}, {TLS1_2_VERSION, 1, false}, {TLS1_2_VERSION, 0, true}, {TLS1_2_VERSION, 1, true},
	};

	return cr_make_param_array(struct course, all, COUNTOF(all));
}

ParameterizedTest(struct course *course, tls_shared, neither_notices, .init = setup, .fini = teardown, .timeout = 60)
{
	struct secret secret = wire_secret('s');
	struct err err = {""};
	struct conf_tls conf = {.min_version = "1.2", .ticket_lifetime = 3600 * 1000};
	struct tls_server *server = tls_server_new(w.thread, &conf, &secret, choose, &err);
	struct peers p = {.course = *course};
	struct net_stream streams[2];
	pthread_t thread;

	cr_assert_not_null(server, "%s", err.text);
	n_left = 2;
	for (unsigned i = 0; i < 2; i++) {
		int pair[2];
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
		p.fds[i] = pair[1];
		net_stream_init(&streams[i], loop, pair[0], &events, OUT_MAX);
		cr_assert(tls_server_accept(server, &streams[i]));
		cr_assert(net_stream_start(&streams[i]));
	}
	begin(&p);
	cr_assert_eq(pthread_create(&thread, NULL, peers_main, &p), 0);
	net_loop_run(loop);
	pthread_join(thread, NULL);
	cr_expect_eq(p.echoed[course->first], !course->drop_first);
	cr_expect(p.echoed[1 - course->first], "the other one");
	tls_server_unref(server);
}
