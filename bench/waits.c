#include "waits.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BUCKETS = 64 }; /* of 2^n ns */

static bool over;

uint64_t
waits_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct times {
	void (*visit)(unsigned i);
	unsigned clients;
	uint64_t n, sum, most, by[BUCKETS];
};

static void *
handshakes(void *arg)
{
	struct times *t = arg;

	for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i = (i + 7919) % t->clients) {
		uint64_t began = waits_now_ns();
		t->visit(i);
		uint64_t took = waits_now_ns() - began;
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

void
waits_measure(const char *what, void (*work)(void), void (*visit)(unsigned i), unsigned clients)
{
	struct times t = {.visit = visit, .clients = clients};
	pthread_t thread;

	__atomic_store_n(&over, false, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, handshakes, &t) != 0)
		exit(1);
	uint64_t began = waits_now_ns();
	unsigned rounds = 0;
	for (; rounds < 3 || waits_now_ns() - began < 1000000000; rounds++)
		work();
	double each = (double)(waits_now_ns() - began) / rounds / 1e6;
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("%-22s %8.1f ms each; handshakes wait %8.1f us on the average, 99.9 %% under %9.1f us, at most %9.1f us (%" PRIu64 ")\n", what, each,
	    (double)t.sum / (double)t.n / 1e3, p999_us(&t), (double)t.most / 1e3, t.n);
}

void
waits_nothing(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}
