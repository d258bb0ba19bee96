/*
 * crowd.c: how long a handshake waits for the lock of a rotation with a million clients, while it is reported and packed.
 *
 *     make bench_crowd && ./bench_crowd [CLIENTS]
 *
 * One thread does what a loop thread does for each full handshake, over and over, the other one what the background
 * thread does now and then. Times of the wall: something else on the machine is in them.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rotation/rotation.h"
#include "rotation/state.h"

enum { BUCKETS = 64 }; /* of 2^n ns */

static struct tls_bundle generations[] = {
	{.refs = 1, .name = "crowd", .generation = 1, .fingerprint = {1}, .facts.not_after = INT64_MAX},
	{.refs = 1, .name = "crowd", .generation = 2, .fingerprint = {2}, .facts.not_after = INT64_MAX},
};
static const unsigned char key[16] = "of a crowd";
static struct rotation *r;
static unsigned clients = 1000000;
static bool over;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Two in each network. */
static void
visit(unsigned i)
{
	struct net_ip ip = {.size = 4, .bytes = {(uint8_t)(10 + (i >> 23)), (uint8_t)(i >> 15), (uint8_t)(i >> 7), (uint8_t)(i << 1)}};
	struct client_identity who;
	struct rotation_offer offer = {.generation = 1};
	struct moment now = moment_now();

	rotation_identify(key, &ip, 1, &who);
	if (rotation_is_active(r))
		rotation_choose(r, &who, NULL, now, &offer);
	rotation_accepted(r, &who, offer.generation, SV_NONE, now);
	if (offer.bundle != NULL)
		rotation_end_offer(&offer);
}

struct times {
	uint64_t n, sum, most, by[BUCKETS];
};

static void *
handshakes(void *arg)
{
	struct times *t = arg;

	for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i = (i + 7919) % clients) {
		uint64_t began = now_ns();
		visit(i);
		uint64_t took = now_ns() - began;
		t->n++;
		t->sum += took;
		t->most = took > t->most ? took : t->most;
		t->by[63 - __builtin_clzll(took | 1)]++;
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* a thread has some thousands in a second */
	}
	return NULL;
}

/* Nine hundred and ninety-nine of a thousand took less than this. */
static double
p999_us(const struct times *t)
{
	uint64_t seen = 0;
	unsigned i = 0;

	while (i < BUCKETS - 1 && (seen += t->by[i]) < t->n - t->n / 1000)
		i++;
	return (double)(UINT64_C(2) << i) / 1000;
}

static void
measure(const char *what, void (*work)(void))
{
	struct times t = {0};
	pthread_t thread;

	__atomic_store_n(&over, false, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, handshakes, &t) != 0)
		exit(1);
	uint64_t began = now_ns();
	unsigned rounds = 0;
	for (; rounds < 3 || now_ns() - began < 1000000000; rounds++)
		work();
	double each = (double)(now_ns() - began) / rounds / 1e6;
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("%-22s %8.1f ms each; handshakes wait %8.1f us on the average, 99.9 %% under %9.1f us, at most %9.1f us (%" PRIu64 ")\n", what, each,
	    (double)t.sum / (double)t.n / 1e3, p999_us(&t), (double)t.most / 1e3, t.n);
}

static void
nothing(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

static void
numbers(void)
{
	struct rotation_report report;

	if (rotation_report(r, false, moment_now(), &report))
		rotation_report_free(&report);
}

static void
lists(void)
{
	struct rotation_report report;

	if (rotation_report(r, true, moment_now(), &report))
		rotation_report_free(&report);
}

int
main(int argc, char **argv)
{
	struct rotation_settings settings;

	if (argc > 1)
		clients = (unsigned)strtoul(argv[1], NULL, 10);
	if (clients == 0)
		return 2;
	rotation_settings_default(&settings);
	settings.clients_max = settings.network_max = clients;
	settings.rollback.clients = 0;
	r = rotation_new("crowd", &settings, key);
	if (r == NULL || rotation_take(r, &generations[0], moment_now()))
		return 1;
	uint64_t began = now_ns();
	for (unsigned i = 0; i < clients; i++)
		visit(i);
	printf("%u clients, %.0f ns each to note\n", clients, (double)(now_ns() - began) / clients);
	began = now_ns();
	if (!rotation_take(r, &generations[1], moment_now()))
		return 1;
	printf("%-22s %8.1f ms\n", "the swap", (double)(now_ns() - began) / 1e6);
	for (unsigned i = 0; i < clients / 2; i++)
		visit(i);
	measure("nothing else", nothing);
	measure("the verdict", numbers);
	measure("the status, with lists", lists);
	rotation_free(r);
	return 0;
}
