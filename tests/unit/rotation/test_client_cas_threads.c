/* The background thread goes through the client certificates of a site in slices while loop threads change them. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "rotation/client_cas_private.h"

enum { THREADS = 3, SETTLED = 3000, MOVED = 1000, COMING = 4000 };

static struct tls_pin pins[] = {
	{.id = "old", .sha256 = "old certificate", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=Old"},
	{.id = "new", .sha256 = "new certificate", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=New"},
};
static const struct client_cas_settings settings = {.window_ms = 3600 * 1000, .remember = 100000};
static const struct moment now = {.ms = 1000, .wall = 2000000000};
static struct client_cas *s;
static unsigned running;

static void
setup(void)
{
	s = client_cas_new("site.test", &settings, now);
	cr_assert_not_null(s);
	cr_assert(client_cas_set(s, &settings, pins, COUNTOF(pins), now));
}

static void
teardown(void)
{
	client_cas_unref(s);
}

TestSuite(client_cas_threads, .init = setup, .fini = teardown, .timeout = 120);

static struct holder *
open_one(unsigned ca, unsigned net, unsigned n, const char *what)
{
	unsigned char digest[32] = {(unsigned char)ca, (unsigned char)net, (unsigned char)n, (unsigned char)(n >> 8)};
	char subject[32];
	struct client_sighting who = {.fingerprint = digest, .subject = subject, .issuer = "", .serial = "51", .not_after = 3000000000};

	(void)snprintf(subject, sizeof(subject), "CN=%s %u %u", what, net, n);
	return client_cas_came(s, &pins[ca], &who, false, now);
}

static void
come(unsigned ca, unsigned net, unsigned n, const char *what)
{
	struct holder *h = open_one(ca, net, n, what);

	cr_assert_not_null(h);
	client_cas_left(h, now);
}

/* New ones of the new CA, and those that have settled over and over: none of them is counted twice or forgotten. */
static void *
others(void *arg)
{
	unsigned net = *(unsigned *)arg;

	for (unsigned i = 0; i < COMING; i++) {
		come(1, net, i, "coming");
		come(0, 0, i * 7 % SETTLED, "settled");
	}
	__atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int
by_fingerprint(const void *a, const void *b)
{
	return memcmp(((const struct holder_row *)a)->fingerprint, ((const struct holder_row *)b)->fingerprint, 32);
}

static void
expect_none_twice(struct client_ca_report *o)
{
	unsigned twice = 0;

	qsort(o->rows, o->certificates, sizeof(*o->rows), by_fingerprint);
	for (size_t i = 1; i < o->certificates; i++)
		twice += by_fingerprint(&o->rows[i - 1], &o->rows[i]) == 0;
	cr_expect_eq(twice, 0);
}

static void
expect_exact(bool lists)
{
	struct client_cas_report r;

	cr_assert(client_cas_report(s, lists, now, &r));
	cr_expect_eq(r.cas[0].certificates, SETTLED + MOVED);
	cr_expect_eq(r.cas[0].by_status[HOLDER_CURRENT], SETTLED);
	cr_expect_eq(r.cas[0].by_status[HOLDER_MOVED], MOVED);
	cr_expect_eq(r.cas[1].certificates, r.cas[1].by_status[HOLDER_CURRENT]);
	for (size_t i = 0; lists && i < r.n_cas; i++)
		expect_none_twice(&r.cas[i]);
	client_cas_report_free(&r);
}

/* What has been packed is whole, whatever came meanwhile. */
static void
expect_packed(void)
{
	size_t room = 16 << 20;
	unsigned char *bytes = malloc(room);
	struct pack p = {.to = bytes, .room = room};
	struct err err = {""};

	client_cas_pack(s, now, &p);
	cr_assert_not(p.failed);
	struct unpack u = {.p = bytes, .n = p.n};
	struct client_cas *back = client_cas_unpack(&u, now, &err);
	cr_assert_not_null(back, "%s", err.text);
	cr_expect_eq(back->cas->n_holders, SETTLED + MOVED);
	client_cas_unref(back);
	free(bytes);
}

Test(client_cas_threads, who_is_there_is_met_once_while_others_come)
{
	pthread_t threads[THREADS];
	unsigned nets[THREADS] = {20, 21, 22};

	for (unsigned i = 0; i < SETTLED; i++)
		come(0, 0, i, "settled");
	for (unsigned i = 0; i < MOVED; i++) {
		come(0, 1, i, "moved");
		come(1, 1, i, "moved");
	}
	expect_exact(true);
	running = THREADS;
	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, others, &nets[i]), 0);
	for (unsigned i = 0; __atomic_load_n(&running, __ATOMIC_RELAXED) > 0; i++) {
		expect_exact(i % 2 == 0);
		expect_packed();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	expect_exact(true);
	expect_packed();
	cr_expect_eq(s->cas->next->n_holders, MOVED + THREADS * COMING);
}

/* A CA that is forgotten has its certificates let go in slices. */
Test(client_cas_threads, of_a_ca_that_is_forgotten_nothing_remains)
{
	struct tls_pin each = pins[1];

	for (unsigned i = 0; i < 2 * HOLDERS_SLICE + 7; i++)
		come(0, 0, i, "settled");
	struct holder *open = open_one(0, 0, 3, "settled");
	for (unsigned i = 0; i < 40; i++) {
		struct moment then = {.ms = now.ms + i * 1000, .wall = now.wall + i};
		memcpy(each.id, &i, sizeof(i));
		cr_assert(client_cas_set(s, &settings, &each, 1, then));
	}
	cr_expect_eq(s->cas->n_holders, 2 * HOLDERS_SLICE + 7, "a connection refers to one of them");
	client_cas_left(open, now);
	each.id[1] = 1;
	cr_assert(client_cas_set(s, &settings, &each, 1, (struct moment){.ms = now.ms + 50000, .wall = now.wall + 50}));
	cr_expect_null(s->holders.by_fingerprint);
	cr_expect_null(s->holders.by_subject);
}
