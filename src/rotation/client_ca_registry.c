#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the entry; it does not end the process */
#include "rotation/client_ca_registry.h"

#include <stdlib.h>
#include <uthash.h>

#include "rotation/client_cas_private.h"

struct client_ca_registry {
	struct client_cas *all; /* uthash by site */
	uint64_t round;         /* of loads */
};

struct client_ca_registry *
client_ca_registry_new(void)
{
	return calloc(1, sizeof(struct client_ca_registry));
}

void
client_ca_registry_free(struct client_ca_registry *r)
{
	struct client_cas *each, *next;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->all, each, next) {
		HASH_DEL(r->all, each);
		client_cas_unref(each);
	}
	free(r);
}

struct client_cas *
client_ca_registry_find(const struct client_ca_registry *r, const char *site)
{
	struct client_cas *found;

	HASH_FIND_STR(r->all, site, found);
	return found;
}

struct client_cas *
client_ca_registry_next(const struct client_ca_registry *r, const struct client_cas *at)
{
	return at == NULL ? r->all : at->hh.next;
}

/* Takes it over. False: no memory. */
static bool
add(struct client_ca_registry *r, struct client_cas *new)
{
	HASH_ADD_KEYPTR(hh, r->all, new->site, strlen(new->site), new);
	if (new->hh.tbl != NULL)
		return true;
	client_cas_unref(new);
	return false;
}

bool
client_ca_registry_adopt(struct client_ca_registry *r, struct client_cas *restored)
{
	if (client_ca_registry_find(r, restored->site) == NULL)
		return add(r, restored);
	client_cas_unref(restored);
	return false;
}

struct client_cas *
client_ca_registry_sync(struct client_ca_registry *r, const struct conf_site *site, const struct tls_policy *policy,
    struct moment now)
{
	const struct client_cas_settings settings = {.window_ms = site->client.window, .remember = site->client.remember};
	size_t n;
	const struct tls_pin *pins = tls_policy_pins(policy, &n);

	if (policy->mode == CONF_CLIENT_NONE)
		return NULL;
	struct client_cas *found = client_ca_registry_find(r, conf_site_name(site));
	if (found == NULL && ((found = client_cas_new(conf_site_name(site), &settings, now)) == NULL || !add(r, found)))
		return NULL;
	/* A site of the name "default" beside the default one. */
	if (found->round == r->round + 1)
		return NULL;
	found->round = r->round + 1;
	return client_cas_set(found, &settings, pins, n, now) ? found : NULL;
}

void
client_ca_registry_synced(struct client_ca_registry *r, struct moment now)
{
	r->round++;
	for (struct client_cas *each = r->all; each != NULL; each = each->hh.next)
		if (each->round != r->round)
			client_cas_drop_all(each, now);
}

void
client_ca_registry_sweep(struct client_ca_registry *r, struct moment now)
{
	struct client_cas *each, *next;

	HASH_ITER(hh, r->all, each, next) {
		if (!client_cas_is_past(each, now))
			continue;
		HASH_DEL(r->all, each);
		client_cas_unref(each);
	}
}
