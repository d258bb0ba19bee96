#include "route/hosts.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { LABEL_MAX = 63, NO_SITE = -1 };

/* One name, with the site that has it and the site that has "*." before it. */
struct slot {
	const char *name; /* in the index's arena; NULL: the slot is free */
	uint32_t hash;
	uint32_t length;
	int exact, wildcard; /* sites, or NO_SITE */
};

/*
 * An open-addressed table over all names. The hash is taken from a name's end to its front, so that one pass over a
 * host gives the hash of each of its suffixes on the way.
 */
struct host_index {
	struct arena arena;
	struct slot *slots; /* in the arena; at most half of them are taken */
	size_t mask;        /* their number, a power of two, less one */
	int default_site;   /* or NO_SITE */
};

static const uint32_t HASH_SEED = 2166136261U;

/* FNV-1a. The keys come from the config, not from a peer, so nobody can fill one chain. */
static inline uint32_t
hash_byte(uint32_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 16777619U;
}

static uint32_t
hash_of(struct sv name)
{
	uint32_t hash = HASH_SEED;

	for (size_t i = name.n; i > 0; i--)
		hash = hash_byte(hash, name.p[i - 1]);
	return hash;
}

/* The slot of this name, or the free one where it belongs. */
static struct slot *
slot_for(const struct host_index *index, struct sv name, uint32_t hash)
{
	for (size_t at = hash & index->mask;; at = (at + 1) & index->mask) {
		struct slot *s = &index->slots[at];
		if (s->name == NULL || (s->hash == hash && sv_eq(sv_of(s->name, s->length), name)))
			return s;
	}
}

static bool
add_name(struct host_index *index, struct sv name, int site)
{
	char room[HOST_MAX + 1];
	bool wildcard = sv_starts(name, SV("*."));

	if (wildcard)
		name = sv_of(name.p + 2, name.n - 2);
	if (!host_normalize(name, room, sizeof(room), &name))
		return true; /* no request can ask for it, so it needs no place here */
	uint32_t hash = hash_of(name);
	struct slot *s = slot_for(index, name, hash);
	if (s->name == NULL) {
		const char *copy = arena_copy(&index->arena, name);
		if (copy == NULL)
			return false;
		*s = (struct slot){copy, hash, (uint32_t)name.n, NO_SITE, NO_SITE};
	}
	int *has = wildcard ? &s->wildcard : &s->exact;
	if (*has == NO_SITE)
		*has = site;
	return true;
}

static bool
add_sites(struct host_index *index, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_sites; i++) {
		const struct conf_site *site = &conf->sites[i];
		if (site->is_default && index->default_site == NO_SITE)
			index->default_site = (int)i;
		for (size_t k = 0; k < site->names.n; k++)
			if (!add_name(index, sv_cstr(site->names.v[k]), (int)i))
				return false;
	}
	return true;
}

struct host_index *
host_index_new(const struct conf *conf)
{
	struct host_index *index = calloc(1, sizeof(*index));
	size_t names = 0, slots = 8;

	if (index == NULL)
		return NULL;
	for (size_t i = 0; i < conf->n_sites; i++)
		names += conf->sites[i].names.n;
	while (slots < 2 * names)
		slots *= 2;
	index->mask = slots - 1;
	index->default_site = NO_SITE;
	index->slots = arena_alloc(&index->arena, slots * sizeof(*index->slots));
	if (index->slots != NULL && add_sites(index, conf))
		return index;
	host_index_free(index);
	return NULL;
}

void
host_index_free(struct host_index *index)
{
	if (index == NULL)
		return;
	arena_free(&index->arena);
	free(index);
}

int
host_index_find(const struct host_index *index, struct sv host)
{
	uint32_t hash = HASH_SEED;
	int best = index->default_site;

	for (size_t i = host.n; i > 0; i--) {
		if (host.p[i - 1] == '.') { /* what stands behind is a suffix; a longer one overrides it */
			const struct slot *s = slot_for(index, sv_of(host.p + i, host.n - i), hash);
			if (s->name != NULL && s->wildcard != NO_SITE)
				best = s->wildcard;
		}
		hash = hash_byte(hash, host.p[i - 1]);
	}
	const struct slot *s = slot_for(index, host, hash);
	return s->name != NULL && s->exact != NO_SITE ? s->exact : best;
}

/* "[::1]" in any of its spellings becomes the one that inet_ntop() writes. */
static bool
normalize_ipv6(struct sv host, char *out, size_t size, struct sv *normal)
{
	char text[INET6_ADDRSTRLEN], canonical[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (host.n < 2 || host.p[host.n - 1] != ']' || !sv_copy(sv_of(host.p + 1, host.n - 2), text, sizeof(text)))
		return false;
	if (inet_pton(AF_INET6, text, &address) != 1 ||
	    inet_ntop(AF_INET6, &address, canonical, sizeof(canonical)) == NULL)
		return false;
	size_t n = strlen(canonical);
	if (n + 3 > size)
		return false;
	out[0] = '[';
	memcpy(out + 1, canonical, n);
	memcpy(out + 1 + n, "]", 2);
	*normal = sv_of(out, n + 2);
	return true;
}

static bool
is_host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool
host_normalize(struct sv host, char *out, size_t size, struct sv *normal)
{
	size_t label = 0;

	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what has a length has bytes */
	if (host.n > 0 && host.p[0] == '[')
		return normalize_ipv6(host, out, size, normal);
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	if (host.n == 0 || host.n > HOST_MAX || host.n >= size)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		char c = ascii_lower(host.p[i]);
		if (c == '.' ? label == 0 : (!is_host_byte(c) || label == LABEL_MAX))
			return false;
		label = c == '.' ? 0 : label + 1;
		out[i] = c;
	}
	out[host.n] = '\0';
	*normal = sv_of(out, host.n);
	return label > 0;
}
