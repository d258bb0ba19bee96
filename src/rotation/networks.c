#include "rotation/networks.h"

#include <stdlib.h>

enum { BUCKETS_FIRST = 16 };

void
networks_free(struct networks *all)
{
	for (size_t i = 0; i < all->n_buckets; i++)
		for (struct network *n = all->buckets[i], *next; n != NULL; n = next) {
			next = n->next;
			free(n);
		}
	free(all->buckets);
	*all = (struct networks){.n = 0};
}

/* Keys are keyed hashes already: any bits of them do. */
static struct network **
bucket_of(const struct networks *all, uint64_t key)
{
	return &all->buckets[key & (all->n_buckets - 1)];
}

struct network *
networks_find(const struct networks *all, uint64_t key)
{
	struct network *n = all->n_buckets > 0 ? *bucket_of(all, key) : NULL;

	while (n != NULL && n->key != key)
		n = n->next;
	return n;
}

static void
insert(struct networks *all, struct network *n)
{
	struct network **bucket = bucket_of(all, n->key);

	n->next = *bucket;
	*bucket = n;
	all->n++;
}

/* False: it stays as it is, for want of memory. */
static bool
grow(struct networks *all)
{
	size_t n_old = all->n_buckets, n = n_old > 0 ? 2 * n_old : BUCKETS_FIRST;
	struct network **old = all->buckets, **buckets = calloc(n, sizeof(struct network *));

	if (buckets == NULL)
		return false;
	all->buckets = buckets;
	all->n_buckets = n;
	all->n = 0;
	for (size_t i = 0; i < n_old; i++)
		for (struct network *each = old[i], *next; each != NULL; each = next) {
			next = each->next;
			insert(all, each);
		}
	free(old);
	return true;
}

struct network *
networks_enter(struct networks *all, uint64_t key)
{
	struct network *n = networks_find(all, key);

	if (n == NULL) {
		if (all->n >= all->n_buckets && !grow(all) && all->n_buckets == 0)
			return NULL; /* too few buckets are better than none */
		n = calloc(1, sizeof(*n));
		if (n == NULL)
			return NULL;
		n->key = key;
		insert(all, n);
	}
	n->clients++;
	return n;
}

void
networks_leave(struct networks *all, struct network *n)
{
	struct network **at = bucket_of(all, n->key);

	if (--n->clients > 0)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	all->n--;
	all->refused_at -= (uint64_t)__builtin_popcountll(n->refused_at);
	free(n);
}

/* --- votes --------------------------------------------------------------------------------------------------- */

static uint64_t
against(const struct network *n)
{
	return n->tested > 0 ? (uint64_t)VOTE * MIN_OF(n->refusing, n->tested) / n->tested : 0;
}

/* Neighbours have bits of their own: the last byte of an IPv4 address, the last two of a /64. */
static uint64_t
bit_of(const struct net_ip *ip)
{
	unsigned which = ip->size == 4 ? ip->bytes[3] : ip->bytes[7] ^ (unsigned)ip->bytes[6] << 1;

	return UINT64_C(1) << (which & 63);
}

static void
sum(struct networks *all, const struct network *n, int by)
{
	size_t one = (size_t)by; /* unsigned: -1 takes one off */

	all->known += n->known > 0 ? one : 0;
	all->tested += n->tested > 0 ? one : 0;
	all->refusing += n->refusing > 0 ? one : 0;
	all->against += (uint64_t)by * against(n);
}

void
networks_count(struct networks *all, struct network *n, const struct net_ip *ip, struct client_vote vote, int by)
{
	if (!vote.known)
		return;
	sum(all, n, -1);
	n->known += (uint32_t)by;
	n->tested += vote.tested ? (uint32_t)by : 0;
	n->refusing += vote.refuses ? (uint32_t)by : 0;
	sum(all, n, 1);
	all->known_clients += (size_t)by;
	all->tested_clients += vote.tested ? (size_t)by : 0;
	all->refusing_clients += vote.refuses ? (size_t)by : 0;
	if (vote.refuses && (n->refused_at & bit_of(ip)) == 0) {
		n->refused_at |= bit_of(ip);
		all->refused_at++;
	}
}

void
networks_untest(struct networks *all)
{
	for (size_t i = 0; i < all->n_buckets; i++)
		for (struct network *n = all->buckets[i]; n != NULL; n = n->next) {
			n->tested = n->refusing = 0;
			n->refused_at = 0;
		}
	all->tested = all->refusing = all->tested_clients = all->refusing_clients = 0;
	all->against = all->refused_at = 0;
}

void
networks_count_none(struct networks *all)
{
	networks_untest(all);
	for (size_t i = 0; i < all->n_buckets; i++)
		for (struct network *n = all->buckets[i]; n != NULL; n = n->next)
			n->known = 0;
	all->known = all->known_clients = 0;
}
