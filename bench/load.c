/*
 * load.c: the load generator of bench/compare. One thread, epoll, OpenSSL; TLS 1.3, AES-128-GCM, X25519, no resumption.
 *
 * Each slot holds at most one connection with at most one request under way. First every slot makes one request (not
 * with -w); then the word "ready" goes to standard output and the connections are held. A line on standard input starts
 * the measured part; the end of the input ends the program, so that connections can also be held just for being there.
 * The result is one line of JSON.
 *
 * A request counts only when its response has status 200, the Content-Length of the body file, and each of its bytes.
 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS = 256,
	WARM_AT_ONCE = 64,    /* handshakes under way while the slots are filled */
	STALL_SECONDS = 20,   /* a request without any progress for that long has failed */
	GIVE_UP_AFTER = 1000, /* failures */
};

static const char *const failure_names[FAILURES] = {
	[FAIL_CONNECT] = "connect",
	[FAIL_LOST] = "lost",
	[FAIL_HEAD] = "head",
	[FAIL_STATUS] = "status",
	[FAIL_BODY] = "body",
	[FAIL_STALLED] = "stalled",
};

struct generator gen;

void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static int64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static bool
may_start(void)
{
	if (gen.count.failures >= GIVE_UP_AFTER)
		return false;
	if (gen.phase == WARM)
		return gen.warmed < gen.slots && gen.active < WARM_AT_ONCE;
	if (gen.phase != RUN || (gen.max_requests != 0 && gen.count.started >= gen.max_requests))
		return false;
	return gen.rate <= 0 || (double)gen.count.started < gen.rate * (double)(gen.now - gen.run_began) / SECOND;
}

static void
start_requests(void)
{
	struct slot *s;

	while (may_start() && (s = TAILQ_FIRST(&gen.free)) != NULL) {
		gen.warmed += gen.phase == WARM;
		slot_start(s);
	}
}

static void
check_stalls(void)
{
	if (gen.now - gen.checked < SECOND)
		return;
	gen.checked = gen.now;
	for (struct slot *s = gen.slot; s < gen.slot + gen.slots; s++)
		if (slot_is_active(s) && gen.now - s->progress > STALL_SECONDS * SECOND)
			slot_fail(s, FAIL_STALLED, "nothing came for %d s", STALL_SECONDS);
}

static void
advance_phase(void)
{
	if (gen.phase == WARM && gen.warmed == gen.slots && gen.active == 0) {
		gen.phase = gen.count.failures == 0 ? HELD : DONE;
		puts("ready");
		fflush(stdout);
	}
	if (gen.phase == RUN && ((double)(gen.now - gen.run_began) >= gen.seconds * SECOND ||
	    (gen.max_requests != 0 && gen.count.started >= gen.max_requests)))
		gen.phase = FINISH;
	if (gen.phase == FINISH && gen.active == 0)
		gen.phase = DONE;
	if (gen.count.failures >= GIVE_UP_AFTER)
		gen.phase = DONE;
	gen.run_ended = gen.now;
}

static void
read_word(void)
{
	char word[16];

	if (read(STDIN_FILENO, word, sizeof(word)) <= 0) {
		gen.phase = DONE;
	} else if (gen.phase == HELD) {
		memset(&gen.count, 0, sizeof(gen.count));
		gen.run_began = gen.now;
		gen.phase = RUN;
	}
}

static void
run(void)
{
	struct epoll_event events[EVENTS], word = { .events = EPOLLIN };

	if (epoll_ctl(gen.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &word) != 0)
		die("standard input must be a pipe");
	while (gen.phase != DONE) {
		int n = epoll_wait(gen.epoll, events, EVENTS, gen.rate > 0 && gen.phase == RUN ? 1 : 100);

		gen.now = clock_ns();
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				read_word();
			else
				slot_drive(events[i].data.ptr);
		}
		start_requests();
		check_stalls();
		advance_phase();
	}
}

static double
latency_ms(double share)
{
	double want = share * (double)gen.count.requests;
	unsigned long seen = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		seen += gen.count.latency[i];
		if (seen > 0 && (double)seen >= want)
			return (double)(i + 1) * BUCKET_US / 1000;
	}
	return 0;
}

static void
print_result(void)
{
	const struct counts *c = &gen.count;
	const char *comma = "";

	printf("{\"requests\": %lu, \"body_bytes\": %llu, ", c->requests, c->body_bytes);
	printf("\"seconds\": %.6f, ", gen.run_began == 0 ? 0.0 : (double)(gen.run_ended - gen.run_began) / SECOND);
	printf("\"handshakes\": %lu, \"resumed\": %lu, ", c->handshakes, c->resumed);
	printf("\"reopened\": %lu, \"closed\": %lu, ", c->reopened, c->closed);
	printf("\"p50_ms\": %.2f, \"p99_ms\": %.2f, ", latency_ms(0.50), latency_ms(0.99));
	printf("\"failures\": %lu, \"first_failure\": \"%s\", \"failed\": {", c->failures, gen.first_failure);
	for (int i = 0; i < FAILURES; i++)
		printf("%s\"%s\": %lu", i > 0 ? ", " : "", failure_names[i], c->failed[i]);
	printf("}, \"certificates\": {");
	for (const struct certificate *x = gen.certificate; x < gen.certificate + CERTIFICATES && x->seen > 0; x++) {
		printf("%s\"", comma);
		for (size_t i = 0; i < sizeof(x->sha256); i++)
			printf("%02x", x->sha256[i]);
		printf("\": %lu", x->seen);
		comma = ", ";
	}
	puts("}}");
}

static void
read_body(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
		die("%s: %s", path, strerror(errno));
	gen.body_len = (size_t)ftell(f);
	gen.body = malloc(gen.body_len);
	rewind(f);
	if (gen.body == NULL || gen.body_len == 0 || fread(gen.body, 1, gen.body_len, f) != gen.body_len)
		die("%s: can not be read", path);
	fclose(f);
}

static void
read_options(int argc, char **argv)
{
	int opt;

	gen.slots = 1;
	gen.seconds = 1;
	gen.to.sin_family = AF_INET;
	gen.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((opt = getopt(argc, argv, "p:s:u:b:c:t:n:r:wx")) != -1) {
		switch (opt) {
		case 'p': gen.to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10)); break;
		case 's': gen.name = optarg; break;
		case 'u': gen.path = optarg; break;
		case 'b': read_body(optarg); break;
		case 'c': gen.slots = strtoul(optarg, NULL, 10); break;
		case 't': gen.seconds = strtod(optarg, NULL); break;
		case 'n': gen.max_requests = strtoul(optarg, NULL, 10); break;
		case 'r': gen.rate = strtod(optarg, NULL); break;
		case 'w': gen.cold = true; break;
		case 'x': gen.reconnect = true; break;
		default: exit(2);
		}
	}
	if (gen.to.sin_port == 0 || gen.name == NULL || gen.path == NULL || gen.body == NULL || gen.slots == 0)
		die("usage: load -p PORT -s NAME -u PATH -b BODY_FILE [-c CONNECTIONS] [-t SECONDS] [-n REQUESTS]\n"
		    "            [-r REQUESTS_PER_SECOND] [-w] [-x]\n"
		    "  -w  no first requests before the word\n"
		    "  -x  a new connection for each request");
	gen.request_len = snprintf(gen.request, sizeof(gen.request),
	    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", gen.path, gen.name,
	    gen.reconnect ? "Connection: close\r\n" : "");
	if (gen.request_len >= (int)sizeof(gen.request))
		die("the path is too long");
}

static void
prepare_tls(void)
{
	static const unsigned char alpn[] = "\x08http/1.1";

	gen.tls = SSL_CTX_new(TLS_client_method());
	if (gen.tls == NULL || SSL_CTX_set_min_proto_version(gen.tls, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(gen.tls, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(gen.tls, "X25519") != 1 ||
	    SSL_CTX_set_alpn_protos(gen.tls, alpn, sizeof(alpn) - 1) != 0)
		die("OpenSSL can not be set up");
	/* Example certificates: who serves them is told by the port. No session is kept, so every handshake is full. */
	SSL_CTX_set_verify(gen.tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(gen.tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(gen.tls, 1);
}

int
main(int argc, char **argv)
{
	read_options(argc, argv);
	prepare_tls();
	signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&gen.free);
	gen.slot = calloc(gen.slots, sizeof(*gen.slot));
	gen.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (gen.slot == NULL || gen.epoll < 0)
		die("out of memory");
	for (struct slot *s = gen.slot; s < gen.slot + gen.slots; s++)
		TAILQ_INSERT_TAIL(&gen.free, s, next);
	gen.warmed = gen.cold ? gen.slots : 0;
	gen.now = clock_ns();
	run();
	print_result();
	return gen.count.failures > 0;
}
