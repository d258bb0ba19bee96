/*
 * crowd.c: how long a handshake waits for the lock of a rotation with a million clients, while it is reported and packed.
 *
 *     make bench_crowd && ./bench_crowd [CLIENTS]
 *
 * One thread does what a loop thread does for each full handshake, over and over, the other one what the background
 * thread does now and then. Times of the wall: something else on the machine is in them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "rotation/rotation.h"
#include "waits.h"

static struct tls_bundle generations[] = {
	{.refs = 1, .name = "crowd", .generation = 1, .fingerprint = {1}, .facts.not_after = INT64_MAX},
	{.refs = 1, .name = "crowd", .generation = 2, .fingerprint = {2}, .facts.not_after = INT64_MAX},
};
static const unsigned char key[16] = "of a crowd";
static struct rotation *r;
static unsigned clients = 1000000;

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
	uint64_t began = waits_now_ns();
	for (unsigned i = 0; i < clients; i++)
		visit(i);
	printf("%u clients, %.0f ns each to note\n", clients, (double)(waits_now_ns() - began) / clients);
	began = waits_now_ns();
	if (!rotation_take(r, &generations[1], moment_now()))
		return 1;
	printf("%-22s %8.1f ms\n", "the swap", (double)(waits_now_ns() - began) / 1e6);
	for (unsigned i = 0; i < clients / 2; i++)
		visit(i);
	waits_measure("nothing else", waits_nothing, visit, clients);
	waits_measure("the verdict", numbers, visit, clients);
	waits_measure("the status, with lists", lists, visit, clients);
	rotation_free(r);
	return 0;
}
