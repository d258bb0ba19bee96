#include "fleet.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct rotation *r;
struct moment now;
struct rotation_settings settings;

static const unsigned char key[16] = "sixteen bytes..";
static struct tls_bundle bundles[16];

struct tls_bundle *
generation(uint64_t n)
{
	struct tls_bundle *b = &bundles[n];

	if (b->refs == 0)
		*b = (struct tls_bundle){.refs = 1000, .name = "shop", .generation = n, .facts = {.not_after = now.wall + 365 * 86400},
		    .fingerprint = {(unsigned char)n}};
	return b;
}

void
fleet_begin(void)
{
	memset(bundles, 0, sizeof(bundles));
	now = (struct moment){.ms = 1000000, .wall = 1800000000};
	rotation_settings_default(&settings);
	r = rotation_new("shop", &settings, key);
	cr_assert_not_null(r);
	cr_assert_not(rotation_take(r, generation(1), now));
}

void
fleet_end(void)
{
	rotation_free(r);
}

struct client_identity
identity(const struct visitor *v)
{
	struct net_ip ip;
	struct client_identity out;

	cr_assert(net_ip_parse(sv_cstr(v->address), &ip), "%s", v->address);
	rotation_identify(key, &ip, v->hello, &out);
	return out;
}

uint64_t
visit(const struct visitor *v)
{
	struct client_identity who = identity(v);
	struct rotation_offer o = {.bundle = NULL};
	uint64_t n = r->bundles[SLOT_CURRENT]->generation;

	if (rotation_is_active(r)) {
		rotation_choose(r, &who, NULL, now, &o);
		n = o.generation;
	}
	if (v->trusts & (1u << (n - 1)))
		rotation_accepted(r, &who, n, SV_NONE, now);
	else if (v->manner == SILENT)
		rotation_silent(r, &who, n, 0, now);
	else
		rotation_rejected(r, &who, n, 48, now);
	if (o.bundle != NULL)
		rotation_end_offer(&o);
	return n;
}

bool
gets_in(const struct visitor *v)
{
	return v->trusts & (1u << (visit(v) - 1));
}

struct client_record *
stays(const struct visitor *v)
{
	struct client_identity who = identity(v);

	return rotation_came(r, &who);
}

void
pass_seconds(unsigned s)
{
	now.ms += (uint64_t)s * 1000;
	now.wall += s;
}

void
swap_to(uint64_t n)
{
	pass_seconds(10);
	cr_assert(rotation_take(r, generation(n), now));
}
