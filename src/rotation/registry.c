#include "rotation/registry.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* a table that can not grow refuses the entry; it does not end the process */
#include <uthash.h>

#include "rotation/private.h"

/* What a load that is on its way brings to one rotation. */
struct change {
	struct rotation *rotation; /* in the table, which a new one may have no room in */
	struct tls_bundle *bundle; /* borrowed from the load's snapshot, as the config is */
	const struct conf_bundle *conf;
	char *origin;              /* a copy; the rotation's from the commit on */
	bool fresh;                /* made for it */
};

struct rotation_registry {
	unsigned char key[SIPHASH_KEY];
	struct rotation *all; /* uthash by name */
	uint64_t rules;       /* of the last load: a hash over what the config says of rotations; 0: none yet */

	/* from prepare to commit or abandon */
	struct change *changes;
	size_t n_changes;
	uint64_t next_rules;
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

/* The change is noted even when it is not whole. False: no memory. */
static bool
prepare_one(struct rotation_registry *r, struct tls_bundle *b, const struct conf_bundle *conf)
{
	struct change *c = &r->changes[r->n_changes];
	struct rotation_settings s;

	*c = (struct change){rotation_registry_find(r, b->name), b, conf, strdup(conf->name), false};
	if (c->rotation == NULL) {
		settings_of(&conf->rotation, &s);
		struct rotation *new = rotation_new(b->name, &s, r->key);
		c->fresh = new != NULL && add(r, new);
		c->rotation = c->fresh ? new : NULL;
	}
	r->n_changes++;
	return c->rotation != NULL && c->origin != NULL;
}

bool
rotation_registry_prepare(struct rotation_registry *r, const struct conf *conf, const struct tls_store *store)
{
	size_t n = tls_store_count(store);
	bool ok = true;

	r->next_rules = hash_rules(r, conf);
	r->changes = calloc(MAX_OF(n, (size_t)1), sizeof(*r->changes));
	if (r->changes == NULL)
		return false;
	for (size_t i = 0; ok && i < n; i++) {
		struct tls_bundle *b = tls_store_at(store, i);
		if (r->next_rules == r->rules && is_as_before(b))
			continue;
		const struct conf_bundle *c = conf_bundle(conf, tls_store_origin_at(store, i));
		ok = c == NULL || prepare_one(r, b, c);
	}
	return ok;
}

static void
forget_changes(struct rotation_registry *r)
{
	free(r->changes);
	r->changes = NULL;
	r->n_changes = 0;
}

static void
commit_one(struct change *c, struct moment now, void (*began)(void *arg, struct rotation *r, const struct tls_bundle *b),
    void *arg)
{
	const struct conf_rotation *conf = &c->conf->rotation;
	struct rotation *r = c->rotation;
	struct rotation_settings s;

	settings_of(conf, &s);
	rotation_set(r, &s, now);
	free(r->origin);
	r->origin = c->origin;
	r->taken = c->bundle;
	if (rotation_take(r, c->bundle, now))
		began(arg, r, c->bundle);
	__atomic_store_n(&c->bundle->rotation, conf->track || rotation_is_active(r) ? r : NULL, __ATOMIC_RELEASE);
}

void
rotation_registry_commit(struct rotation_registry *r, struct moment now,
    void (*began)(void *arg, struct rotation *r, const struct tls_bundle *b), void *arg)
{
	for (size_t i = 0; i < r->n_changes; i++)
		commit_one(&r->changes[i], now, began, arg);
	r->rules = r->next_rules;
	forget_changes(r);
}

void
rotation_registry_abandon(struct rotation_registry *r)
{
	for (size_t i = 0; i < r->n_changes; i++) {
		struct change *c = &r->changes[i];
		free(c->origin);
		if (!c->fresh)
			continue;
		HASH_DEL(r->all, c->rotation);
		rotation_free(c->rotation);
	}
	forget_changes(r);
}
