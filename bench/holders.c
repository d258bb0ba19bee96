/*
 * holders.c: how long a handshake waits for the lock of a site's client CAs, while they are reported and packed.
 *
 *     make bench_holders && ./bench_holders [CERTIFICATES]
 *
 * One thread does what a loop thread does for each connection with a client certificate, over and over, the other one what
 * the background thread does now and then. Times of the wall: something else on the machine is in them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "rotation/client_cas_state.h"
#include "waits.h"

static const struct tls_pin pins[] = {
	{.id = "old", .sha256 = "old", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=Devices 2025"},
	{.id = "new", .sha256 = "new", .not_after = 4000000000, .until = INT64_MAX, .name = "CN=Devices 2026"},
};
static struct client_cas *s;
static unsigned certificates = 1000000;

/* Every other device has moved to the second CA. */
static void
visit(unsigned i)
{
	unsigned device = i / 2, ca = i % 4 == 3;
	unsigned char digest[32] = {(unsigned char)i, (unsigned char)(i >> 8), (unsigned char)(i >> 16), (unsigned char)(i >> 24)};
	struct moment now = moment_now();
	char subject[64];

	(void)snprintf(subject, sizeof(subject), "CN=device-%08u,OU=Fleet,O=Example", device);
	struct client_sighting who = {.fingerprint = digest, .subject = subject, .issuer = pins[ca].name,
	    .serial = "518003F2B68584D08D5C4CFC0619BAAED146A5C2", .not_after = 4000000000};
	struct holder *h = client_cas_came(s, &pins[ca], &who, false, now);
	if (h != NULL)
		client_cas_left(h, now);
}

static void
numbers(void)
{
	struct client_cas_report report;

	if (!client_cas_report(s, false, moment_now(), &report))
		exit(1);
	client_cas_report_free(&report);
}

static void
lists(void)
{
	struct client_cas_report report;

	if (!client_cas_report(s, true, moment_now(), &report))
		exit(1);
	client_cas_report_free(&report);
}

static unsigned char *bytes;
static size_t room;

static void
packed(void)
{
	struct pack p = {.to = bytes, .room = room};

	client_cas_pack(s, moment_now(), &p);
	if (p.failed)
		exit(1);
}

int
main(int argc, char **argv)
{
	struct client_cas_settings settings = {.window_ms = 3600000};

	if (argc > 1)
		certificates = (unsigned)strtoul(argv[1], NULL, 10);
	settings.remember = certificates;
	s = client_cas_new("crowd", &settings, moment_now());
	if (certificates == 0 || s == NULL || !client_cas_set(s, &settings, pins, 2, moment_now()))
		return 2;
	uint64_t began = waits_now_ns();
	for (unsigned i = 0; i < certificates; i++)
		visit(i);
	printf("%u certificates, %.0f ns each to note\n", certificates, (double)(waits_now_ns() - began) / certificates);
	struct pack measured = {.to = NULL};
	client_cas_pack(s, moment_now(), &measured);
	room = measured.n;
	if ((bytes = malloc(room)) == NULL)
		return 1;
	waits_measure("nothing else", waits_nothing, visit, certificates);
	waits_measure("the verdict", numbers, visit, certificates);
	waits_measure("the list", lists, visit, certificates);
	waits_measure("packed", packed, visit, certificates);
	free(bytes);
	client_cas_unref(s);
	return 0;
}
