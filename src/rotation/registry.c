#include "rotation/registry.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the entry; it does not end the process */
#include <uthash.h>

#include "rotation/private.h"

struct rotation_registry {
	unsigned char key[SIPHASH_KEY];
	struct rotation *all; /* uthash by name */
	uint64_t rules;       /* of the last load: a hash over what the config says of rotations; 0: not all went well */
};

struct rotation_registry *
rotation_registry_new(const unsigned char key[16])
{
	struct rotation_registry *r = calloc(1, sizeof(*r));

	if (r != NULL)
		memcpy(r->key, key, sizeof(r->key));
	return r;
}

void
rotation_registry_free(struct rotation_registry *r)
{
	struct rotation *each, *next;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->all, each, next) {
		HASH_DEL(r->all, each);
		rotation_free(each);
	}
	free(r);
}

struct rotation *
rotation_registry_find(const struct rotation_registry *r, const char *name)
{
	struct rotation *found;

	HASH_FIND_STR(r->all, name, found);
	return found;
}

struct rotation *
rotation_registry_next(const struct rotation_registry *r, const struct rotation *at)
{
	return at == NULL ? r->all : at->hh.next;
}

/* --- settings ------------------------------------------------------------------------------------------------ */

static void
settings_of(const struct conf_rotation *c, struct rotation_settings *out)
{
	*out = (struct rotation_settings){
		.keep_previous_ms = c->keep_previous,
		.retry_ms = c->retry,
		.retry_max_ms = MAX_OF(c->retry, c->retry_max),
		.silent_limit = (unsigned)c->silent_limit,
		.silent_within_ms = c->silent_within,
		.rollback = {.clients = (unsigned)c->rollback.clients, .networks = (unsigned)c->rollback.networks,
		    .share = (unsigned)c->rollback.share * (SHARE_ALL / 100)},
		.clients_max = c->clients,
		.network_max = MAX_OF(c->clients / 8, (uint64_t)1),
	};
	for (size_t i = 0; i < c->n_stages && i < ROTATION_STAGES_MAX; i++)
		out->stages[out->n_stages++] = (struct rotation_stage){(unsigned)c->stages[i].share * (SHARE_ALL / 100), c->stages[i].lasts};
	/* What the last stage leaves out comes when it is over. */
	if (out->n_stages > 0 && out->stages[out->n_stages - 1].share < SHARE_ALL && out->n_stages < ROTATION_STAGES_MAX)
		out->stages[out->n_stages++] = (struct rotation_stage){.share = SHARE_ALL};
}

/* --- bringing it up to a load --------------------------------------------------------------------------------- */

/* Takes it over. False: no memory. */
static bool
add(struct rotation_registry *r, struct rotation *new)
{
	HASH_ADD_KEYPTR(hh, r->all, new->name, strlen(new->name), new);
	if (new->hh.tbl != NULL)
		return true;
	rotation_free(new);
	return false;
}

bool
rotation_registry_adopt(struct rotation_registry *r, struct rotation *restored)
{
	if (rotation_registry_find(r, restored->name) == NULL)
		return add(r, restored);
	rotation_free(restored);
	return false;
}

static struct rotation *
find_or_add(struct rotation_registry *r, const char *name, const struct rotation_settings *s)
{
	struct rotation *found = rotation_registry_find(r, name);

	if (found != NULL || (found = rotation_new(name, s, r->key)) == NULL)
		return found;
	return add(r, found) ? found : NULL;
}

static uint64_t
hash_rules(const struct rotation_registry *r, const struct conf *conf)
{
	struct {
		uint64_t before, name, track;
		struct rotation_settings settings;
	} all;

	memset(&all, 0, sizeof(all));
	for (size_t i = 0; i < conf->n_bundles; i++) {
		const struct conf_bundle *c = &conf->bundles[i];
		all.name = siphash(r->key, c->name, strlen(c->name));
		all.track = c->rotation.track;
		settings_of(&c->rotation, &all.settings);
		all.before = siphash(r->key, &all, sizeof(all));
	}
	return all.before;
}

/* Of ten thousand bundles nearly all are what they were: they are not worth a lock each. */
static bool
is_as_before(struct tls_bundle *b)
{
	const struct rotation *r = __atomic_load_n(&b->rotation, __ATOMIC_RELAXED);

	return r != NULL && r->taken == b && !rotation_is_active(r);
}

bool
rotation_registry_sync(struct rotation_registry *r, const struct conf *conf, const struct tls_store *store, struct moment now,
    void (*began)(void *arg, struct rotation *r, const struct tls_bundle *b), void *arg)
{
	uint64_t rules = hash_rules(r, conf);
	bool ok = true, same = rules != 0 && rules == r->rules;

	for (size_t i = 0; i < tls_store_count(store); i++) {
		struct tls_bundle *b = tls_store_at(store, i);
		if (same && is_as_before(b))
			continue;
		const struct conf_bundle *c = conf_bundle(conf, tls_store_origin_at(store, i));
		struct rotation_settings s;
		if (c == NULL)
			continue;
		settings_of(&c->rotation, &s);
		struct rotation *each = find_or_add(r, b->name, &s);
		if (each == NULL) {
			ok = false;
			continue;
		}
		rotation_set(each, &s, now);
		rotation_set_origin(each, c->name);
		each->taken = b;
		if (rotation_take(each, b, now))
			began(arg, each, b);
		__atomic_store_n(&b->rotation, c->rotation.track || rotation_is_active(each) ? each : NULL, __ATOMIC_RELEASE);
	}
	r->rules = ok ? rules : 0;
	return ok;
}
