#include "rotation/clients.h"

#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS_FIRST = 16,
	NAME_MAX_BYTES = 256,
	HAND_STEPS = 64, /* buckets looked through for a record that may go, before the new one is left out */
};

void
clients_init(struct clients *c, size_t max, size_t network_max)
{
	*c = (struct clients){.max = max, .network_max = network_max};
}

static void
free_record(struct client_record *r)
{
	free(r->name);
	free(r);
}

void
clients_free(struct clients *c)
{
	for (size_t i = 0; i < c->n_buckets; i++)
		for (struct client_record *r = c->buckets[i], *next; r != NULL; r = next) {
			next = r->next;
			free_record(r);
		}
	free(c->buckets);
	free(c->networks);
	clients_init(c, c->max, c->network_max);
}

/* Keys are keyed hashes already: any bits of them do. */
static struct client_record **
bucket_of(const struct clients *c, uint64_t key)
{
	return &c->buckets[key & (c->n_buckets - 1)];
}

static uint32_t *
network_of(const struct clients *c, const struct client_identity *who)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): grow() has put others in place of those it freed */
	return &c->networks[who->network & (c->n_buckets - 1)];
}

struct client_record *
clients_find(const struct clients *c, uint64_t key)
{
	struct client_record *r = c->n_buckets > 0 ? *bucket_of(c, key) : NULL;

	while (r != NULL && r->who.key != key)
		r = r->next;
	return r;
}

static void
insert(struct clients *c, struct client_record *r)
{
	struct client_record **bucket = bucket_of(c, r->who.key);

	r->next = *bucket;
	*bucket = r;
	++*network_of(c, &r->who);
	c->n++;
}

/* False: it stays as it is, for want of memory. */
static bool
grow(struct clients *c)
{
	size_t n_old = c->n_buckets, n = n_old > 0 ? 2 * n_old : BUCKETS_FIRST;
	struct client_record **old = c->buckets, **buckets = calloc(n, sizeof(struct client_record *));
	uint32_t *old_networks = c->networks, *networks = calloc(n, sizeof(uint32_t));

	if (buckets == NULL || networks == NULL) {
		free(buckets);
		free(networks);
		return false;
	}
	c->buckets = buckets;
	c->networks = networks;
	c->n_buckets = n;
	c->n = c->hand = 0;
	for (size_t i = 0; i < n_old; i++)
		for (struct client_record *r = old[i], *next; r != NULL; r = next) {
			next = r->next;
			insert(c, r);
		}
	free(old);
	free(old_networks);
	return true;
}

/*
 * What would be lost with it? A client that was never served tells nothing that it will not tell again, and anybody can
 * be thousands of them: it goes first. One that accepted all it was shown is only known for it. One that was served and
 * refuses now is what the table is for: it stays.
 */
enum worth { WORTH_LITTLE, WORTH_SOME, WORTH_KEEPING };

static enum worth
worth_of(const struct client_record *r)
{
	if (r->by[SLOT_PREVIOUS].accepted + r->by[SLOT_CURRENT].accepted == 0)
		return WORTH_LITTLE;
	return r->refuses[SLOT_PREVIOUS] || r->refuses[SLOT_CURRENT] ? WORTH_KEEPING : WORTH_SOME;
}

static bool
goes_before(const struct client_record *a, const struct client_record *b)
{
	return worth_of(a) != worth_of(b) ? worth_of(a) < worth_of(b) : a->last_seen < b->last_seen;
}

static void
drop(struct clients *c, struct client_record *gone)
{
	struct client_record **at = bucket_of(c, gone->who.key);

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	--*network_of(c, &gone->who);
	c->n--;
	free_record(gone);
}

/* Among the next few buckets; so that all are looked at in turn, and a new client never costs a walk over the table. */
static bool
make_room(struct clients *c)
{
	struct client_record *found = NULL;

	for (unsigned i = 0; i < HAND_STEPS && i < c->n_buckets; i++) {
		c->hand = (c->hand + 1) & (c->n_buckets - 1);
		for (struct client_record *r = c->buckets[c->hand]; r != NULL; r = r->next)
			if (worth_of(r) != WORTH_KEEPING && (found == NULL || goes_before(r, found)))
				found = r;
	}
	if (found != NULL)
		drop(c, found);
	return found != NULL;
}

/* Too few of them are better than none. */
static bool
has_buckets(struct clients *c)
{
	return c->n < c->n_buckets || grow(c) || c->n_buckets > 0;
}

static bool
has_room(struct clients *c, const struct client_identity *who)
{
	if (!has_buckets(c))
		return false;
	/* Networks share counters: while there are few of them, one that is left out by another's weight is improbable. */
	return *network_of(c, who) < c->network_max && (c->n < c->max || make_room(c));
}

struct client_record *
clients_note(struct clients *c, const struct client_identity *who, int64_t now)
{
	struct client_record *r = clients_find(c, who->key);

	if (r == NULL && has_room(c, who))
		r = calloc(1, sizeof(*r));
	if (r == NULL) {
		c->left_out++;
		return NULL;
	}
	if (r->first_seen == 0) {
		r->who = *who;
		r->first_seen = now;
		insert(c, r);
	}
	r->last_seen = now;
	return r;
}

bool
clients_restore(struct clients *c, const struct client_record *from, struct sv name)
{
	struct client_record *r = clients_find(c, from->who.key) == NULL ? malloc(sizeof(*r)) : NULL;

	if (r == NULL)
		return false;
	if (!has_buckets(c)) {
		free(r);
		return false;
	}
	*r = *from;
	r->name = NULL;
	client_set_name(r, name);
	insert(c, r);
	return true;
}

static struct client_record *
first_from(const struct clients *c, size_t bucket)
{
	while (bucket < c->n_buckets && c->buckets[bucket] == NULL)
		bucket++;
	return bucket < c->n_buckets ? c->buckets[bucket] : NULL;
}

struct client_record *
clients_next(const struct clients *c, struct client_record *r)
{
	if (r == NULL)
		return first_from(c, 0);
	return r->next != NULL ? r->next : first_from(c, (r->who.key & (c->n_buckets - 1)) + 1);
}

void
client_set_name(struct client_record *r, struct sv name)
{
	char *copy;

	if (name.n == 0 || sv_eq(name, sv_cstr(r->name)))
		return;
	if (name.n > NAME_MAX_BYTES)
		for (name.n = NAME_MAX_BYTES; name.n > 0 && ((unsigned char)name.p[name.n] & 0xc0) == 0x80;)
			name.n--; /* not in the middle of a character */
	if ((copy = strndup(name.p, name.n)) == NULL)
		return;
	free(r->name);
	r->name = copy;
}
